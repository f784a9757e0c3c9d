"""`actorcred serve --workers`: several processes on the same ports, and their supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import click

from actorcred.actors.supervision import RestartIntensity, Restarts
from actorcred.cli.clusters import Join
from actorcred.cli.errors import ExitCode, usage
from actorcred.cli.lifetime import GRACE, Life, run
from actorcred.cli.local_nats import LocalNats
from actorcred.cli.worker_process import Child, Task, WorkerProcess, describe_end
from actorcred.errors import ActorcredError, MissingExtra
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.listeners import bind, reserve

__all__ = ["MOST_WORKERS", "supervise"]

logger = logging.getLogger("actorcred.cli")

MOST_WORKERS = 64

HIGHEST_PORT = 65535

INTENSITY = RestartIntensity(restarts=3, within=60.0)
"""A process that dies more often is started again after pauses, which grow to a minute."""

MARGIN = 2.0
"""Seconds after all deadlines of a worker until it is killed."""

HURRIED = 1.5
"""Seconds until a worker is killed after a second signal; less than `GRACE`."""


def supervise(count: int, settings: Mapping[str, Any]) -> int:
    """Serve by several processes until a signal.

    Args:
        count: the number of workers.
        settings: the parameters of `actorcred serve`.

    Returns:
        The exit code.

    Raises:
        Exit: of click, if it cannot be served as requested.
    """
    with usage():
        _check_system()
        _check_metrics(count, settings["metrics"])
    return run(partial(_main, count, settings))


def _check_system() -> None:
    """Check that workers are possible here.

    Raises:
        ActorcredError: if they are not.
        MissingExtra: without the extra "cluster".
    """
    if sys.platform != "linux":
        raise ActorcredError(
            "--workers needs Linux, whose kernel spreads connections over processes "
            f"(SO_REUSEPORT); on {sys.platform} run one process"
        )
    if importlib.util.find_spec("nats") is None:
        raise MissingExtra("--workers", "cluster")


def _check_metrics(count: int, where: tuple[str, int] | None) -> None:
    """Check that there is a port for the metrics of each worker.

    Raises:
        ActorcredError: if there is not.
    """
    if where is not None and where[1] and where[1] + count - 1 > HIGHEST_PORT:
        raise ActorcredError(
            f"--metrics {where[1]} leaves no port for the metrics of worker "
            f"{HIGHEST_PORT - where[1] + 2}: use a port up to {HIGHEST_PORT - count + 1}"
        )


async def _main(count: int, settings: Mapping[str, Any], life: Life) -> int:
    life.drain_timeout = settings["drain_timeout"] + GRACE + 2 * MARGIN
    with usage(), Ports(settings["addresses"]) as ports:
        team = Team(count, settings, ports)
        life.clean_up(team.kill)
        life.clean_up(ports.close)
        try:
            await life.opened(team.open())
            team.introduce()
            await life.until_asked()
            click.echo("going down: ending all sessions")
            ports.close()
            count = await team.drain(life, settings["drain_timeout"] + GRACE + MARGIN)
            click.echo(f"logged out {count} session{'' if count == 1 else 's'}")
            return 0
        finally:
            await team.close()


class Ports:
    """The addresses of the workers: ports that are reserved for them, and Unix sockets."""

    def __init__(self, wanted: tuple[Address, ...]) -> None:
        self._wanted = wanted
        self._reserved: list[socket.socket] = []
        self.addresses: list[Address] = []
        self.unix: dict[str, socket.socket] = {}

    def __enter__(self) -> Ports:
        """Reserve all.

        Raises:
            ActorcredError: if another program has one of them.
        """
        try:
            for address in self._wanted:
                self._take(address)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, address: Address) -> None:
        if address.kind == "unix":
            # Not one for each: they accept from the same queue.
            self.unix[str(address)] = bind(address)
        else:
            self._reserved.append(reserve(address))
            address = replace(address, port=self._reserved[-1].getsockname()[1])
        self.addresses.append(address)

    def close(self) -> None:
        """Give all up; may be called on any thread, and again."""
        for sock in (*self._reserved, *self.unix.values()):
            sock.close()
        for address in self.addresses:
            if address.kind == "unix" and self.unix.pop(str(address), None) is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(address.path)


class Team:
    """The workers, and their nats-server if no other NATS is named.

    Args:
        count: the number of workers.
        settings: the parameters of `actorcred serve`.
        ports: where they listen.
    """

    def __init__(self, count: int, settings: Mapping[str, Any], ports: Ports) -> None:
        self._settings = settings
        self._ports = ports
        self._nats: LocalNats | None = None
        if not settings["cluster"].servers:
            self._nats = LocalNats()
        self._workers = [WorkerProcess(n, partial(self._task, n)) for n in range(1, count + 1)]
        self._keeping: list[asyncio.Task[None]] = []
        self._ending = False
        self._is_new = True
        """Whether no worker can have told a nats-server before this one anything."""

    # -- start -----------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start all, and wait until they listen.

        Raises:
            ActorcredError: if nats-server cannot be started.
            Exit: of click, if a worker has ended with an error, which it has reported.
        """
        if self._nats is not None:
            await self._nats.open()
            self._keep(self._nats)
        # Only one says what cannot be served.
        first, *others = self._workers
        await self._start(first)
        await asyncio.gather(*map(self._start, others))
        self._is_new = False

    async def _start(self, worker: WorkerProcess) -> None:
        await worker.start()
        if not await worker.ready():
            code = await worker.ended()
            if code < 0:
                raise ActorcredError(f"{worker.name} {describe_end(code)} before it listened")
            raise click.exceptions.Exit(code or ExitCode.CRASHED)
        self._keep(worker)

    def _task(self, number: int, replaced: str) -> Task:
        metrics = self._settings["metrics"]
        if metrics is not None and metrics[1]:
            metrics = metrics[0], metrics[1] + number - 1
        changed = {
            "addresses": tuple(self._ports.addresses),
            "metrics": metrics,
            "cluster": self._join(number, replaced),
        }
        sockets = {where: sock.fileno() for where, sock in self._ports.unix.items()}
        return Task(number, {**self._settings, **changed}, sockets)

    def _join(self, number: int, replaced: str) -> Join:
        join: Join = self._settings["cluster"]
        settings = {
            **join.settings,
            "node": f"{join.settings['node']}-{number}",
            "replaces": replaced,
        }
        if self._nats is None:
            return Join(join.servers, settings)
        settings |= {"user": self._nats.user, "password": self._nats.password}
        settings["is_new"] = self._is_new
        return Join((self._nats.url,), settings)

    def introduce(self) -> None:
        """Print where the workers are."""
        for worker in self._workers:
            if worker.metrics:
                click.echo(f"metrics of {worker.name} at {worker.metrics}")
        for address in self._ports.addresses:
            click.echo(f"listening on {address}")
        pids = ", ".join(str(worker.pid) for worker in self._workers)
        click.echo(f"{len(self._workers)} workers: processes {pids}")
        sys.stdout.flush()

    # -- restarts --------------------------------------------------------------------------------

    def _keep(self, child: Child) -> None:
        if self._ending:  # another worker could not start, while this one did
            return
        self._keeping.append(asyncio.create_task(self._restart(child), name=child.name))

    async def _restart(self, child: Child) -> None:
        """Start a process again whenever it has ended."""
        restarts = Restarts(INTENSITY)
        while True:
            code = await child.ended()
            pause = restarts.pause(time.monotonic())
            logger.log(
                logging.ERROR if code else logging.WARNING,
                "%s (process %d) %s; it is started again%s",
                child.name,
                child.pid,
                describe_end(code),
                f" in {pause:g} s" if pause else "",
            )
            await asyncio.sleep(pause)
            try:
                await child.start()
            except OSError as error:
                logger.error("%s cannot be started: %s", child.name, error)
            else:
                if await child.ready():
                    logger.warning("%s is back as process %d", child.name, child.pid)

    # -- end -------------------------------------------------------------------------------------

    async def drain(self, life: Life, seconds: float) -> int:
        """Have the workers end, and wait for them; return how many sessions they had.

        Args:
            life: a second signal ends the wait.
            seconds: how long to wait.
        """
        await self._let_end()
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        await life.wait_for(self._ended(seconds))
        return sum(worker.closed for worker in self._workers)

    async def _let_end(self) -> None:
        """Start nothing again."""
        self._ending = True
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self._keeping.clear()

    async def _ended(self, seconds: float) -> None:
        """Wait until all workers have ended, but only for some seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(worker.ended() for worker in self._workers))

    async def close(self) -> None:
        """End what still runs, and remove what it has written."""
        await self._let_end()
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        await self._ended(HURRIED)
        for worker in self._workers:
            if worker.code is None:
                logger.warning(
                    "%s (process %d) does not end; it is killed", worker.name, worker.pid
                )
                worker.send(signal.SIGKILL)
        await self._ended(HURRIED)
        if self._nats is not None:
            await self._nats.close()
            self._nats.remove()

    def kill(self) -> None:
        """End all at once; may be called on any thread."""
        for worker in self._workers:
            worker.send(signal.SIGKILL)
        if self._nats is not None:
            self._nats.send(signal.SIGKILL)
            self._nats.remove()
