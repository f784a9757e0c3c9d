"""The nodes of the chaos test: a process each, behind a tap."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from tests.cluster.judge import Judge
from tests.cluster.tap import Taps

ROOT = Path(__file__).parents[2]

PIPE = 1 << 20


class Servers(Protocol):
    """What a node must know of NATS."""

    ports: list[int]
    user: str
    password: str


class NodeDied(Exception):
    """The node was killed before it had answered."""


class Refused(Exception):
    """The node has refused a login, or could not do what it was asked.

    Attributes:
        answer: what it said.
    """

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['error']} ({answer['cause']}): {answer['text']}")
        self.answer = answer


class NodeProcess:
    """One node.

    Args:
        name: unlike that of each other node of the run.
        config: see `node_program.Program`.
        log: where its standard error goes; beside it is a file with what it records.
        judge: is told what it records.
    """

    def __init__(self, name: str, config: dict[str, Any], log: Path, judge: Judge) -> None:
        self.name = name
        self.log = log
        self.ready = asyncio.Event()
        self.gone: dict[str, Any] | None = None
        self._config = config
        self._judge = judge
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ended = False
        self._process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    @property
    def running(self) -> bool:
        """Whether it can be asked."""
        return self.ready.is_set() and not self._ended

    async def start(self) -> None:
        """Start it; `ready` is set when it has joined the cluster."""
        command = [sys.executable, "-W", "default::ResourceWarning", "-m"]
        command += ["tests.cluster.node_program", json.dumps(self._config)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=PIPE,
            )
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.with_suffix(".records").open("ab") as records:
            while line := await self._process.stdout.readline():
                if not line.endswith(b"\n"):
                    break  # it was killed as it wrote
                said = json.loads(line)
                if "record" in said:
                    records.write(line)
                    self._follow(said)
                elif not (future := self._asked.pop(said["id"])).done():
                    future.set_result(said)
        self._ended = True
        for future in self._asked.values():
            if not future.done():
                future.set_exception(NodeDied(self.name))

    async def joined(self) -> None:
        """Wait until it has joined the cluster.

        Raises:
            NodeDied: if it has ended instead.
        """
        ready = asyncio.get_running_loop().create_task(self.ready.wait())
        await asyncio.wait([ready, self._reading], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            raise NodeDied(f"{self.name} has ended by itself: {self.log.read_text()[-2000:]}")

    def _follow(self, said: dict[str, Any]) -> None:  # noqa: C901  # a table
        match said["record"]:
            case "ready":
                self.ready.set()
            case "begin":
                self._judge.begin(
                    self.name, said["avatar"], said["user"], said["fence"], said["at"]
                )
            case "end":
                self._judge.end(self.name, said["avatar"], said["why"], said["at"])
            case "gap":
                self._judge.gap(self.name, said["user"], said["last"], said["number"])
            case "answer":
                self._judge.answer(self.name, said["avatar"], said["at"])
            case "wrong":
                self._judge.violations.append(f"{self.name}: {said['text']}")
            case "freeze":
                self._judge.freeze(self.name, said["avatar"], said["at"])
            case "thaw":
                self._judge.thaw(self.name, said["avatar"])
            case "stall":
                self._judge.stall(self.name, said["begin"], said["end"])
            case "gone":
                self.gone = said

    async def ask(self, do: str, *args: Any) -> Any:
        """Have it do something; return the result.

        Raises:
            NodeDied: if it is killed meanwhile.
            Refused: if it could not.
        """
        if self._ended:
            raise NodeDied(self.name)
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "do": do, "args": args})
        answer = await future
        if "error" in answer:
            raise Refused(answer)
        return answer["ok"]

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")

    async def kill(self) -> None:
        """End it as a crash would, by SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        at = time.monotonic()
        await self._reading
        self._judge.died(self.name, at)

    def pause(self) -> None:
        """Stop it with SIGSTOP."""
        self._judge.pause(self.name, time.monotonic())
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self._judge.resume(self.name, time.monotonic())
        self._process.send_signal(signal.SIGCONT)

    async def quit(self) -> int:
        """Have it end in good order; return its exit code."""
        self._send({"do": "quit"})
        await self._reading
        return await self._process.wait()


class Slot:
    """A place for a node, with its tap: a node that was killed gets a successor.

    Args:
        number: the slot's.
        server: NATS.
        settings: what the nodes are told besides; see `node_program.Program`.
        folder: for the logs.
        judge: is told what they record.
    """

    def __init__(
        self, number: int, server: Servers, settings: dict[str, Any], folder: Path, judge: Judge
    ) -> None:
        self.number = number
        self.tap = Taps(server.ports)
        self.logs: list[Path] = []
        self._server = server
        self._settings = settings
        self._folder = folder
        self._judge = judge
        self.node: NodeProcess

    async def start(self) -> None:
        """Start a node; it need not be ready yet."""
        name = f"n{self.number}-{len(self.logs)}"
        cluster = {"user": self._server.user, "password": self._server.password, "node": name}
        config = {**self._settings, "url": self.tap.url}
        config["cluster"] = self._settings["cluster"] | cluster
        config["seed"] = f"{self._settings['seed']} {name}"
        log = self._folder / f"{name}.log"
        self.logs.append(log)
        self.node = NodeProcess(name, config, log, self._judge)
        await self.node.start()
