"""A worker as its supervisor sees it: a process that is started, watched and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import pickle
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Child", "Task", "WorkerProcess", "describe_end"]

logger = logging.getLogger("actorcred.cli")


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to do.

    Args:
        worker: its number, from 1 on.
        settings: the parameters of `actorcred serve`.
        sockets: by address, the descriptors of Unix sockets that it listens on.
    """

    worker: int
    settings: Mapping[str, Any] = field(repr=False)
    sockets: Mapping[str, int] = field(default_factory=dict)


class Child(ABC):
    """A process in a process group of its own, so that Ctrl-C reaches the supervisor alone.

    Attributes:
        name: for the log.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The id of the process that was started last; 0 for none."""
        return 0 if self._process is None else self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, or minus the number of the signal that ended it; None if it runs."""
        return 0 if self._process is None else self._process.returncode

    @abstractmethod
    async def start(self) -> None:
        """Start the process.

        Raises:
            OSError: if that fails.
        """

    async def ready(self) -> bool:
        """Wait until it serves; return whether it does, or False if it has ended before."""
        return True

    async def ended(self) -> int:
        """Wait for its end; return `code`."""
        return 0 if self._process is None else await self._process.wait()

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self._process is not None and self.code is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def describe_end(code: int) -> str:
    """Return how a process has ended."""
    if code >= 0:
        return f"has ended with exit code {code}"
    return f"was ended by {signal.Signals(-code).name}"


class WorkerProcess(Child):
    """A worker. Its task is sent by a socket, so that no secret is on a command line.

    Args:
        number: its number, from 1 on.
        task: returns its task, given the node of the process before, which has ended; "" for none.

    Attributes:
        metrics: where its metrics are; "" without.
        closed: how many sessions it has logged out at its end.
    """

    def __init__(self, number: int, task: Callable[[str], Task]) -> None:
        super().__init__(f"worker {number}")
        self.metrics = ""
        self.closed = 0
        self._serves = False
        self._settled = asyncio.Event()
        """Whether it is known if it serves."""
        self._task = task
        self._node = ""
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process and give it its task.

        Raises:
            OSError: if that fails.
        """
        task, self._node = self._task(self._node), ""
        self._serves, self.closed = False, 0
        self._settled.clear()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "actorcred.cli.worker"),
                    stdin=theirs.fileno(),
                    pass_fds=tuple(task.sockets.values()),
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(pickle.dumps(task))
        self._reading = asyncio.create_task(self._read(reader, writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take the reports, until the process has ended."""
        with contextlib.suppress(ConnectionError):
            async for line in reader:
                self._take(json.loads(line))
        writer.close()
        self._settled.set()

    def _take(self, report: Mapping[str, Any]) -> None:
        match report:
            case {"joined": node}:
                self._node = str(node)
            case {"metrics": url}:
                self.metrics = str(url)
            case {"opened": _}:
                self._serves = True
                self._settled.set()
            case {"closed": count}:
                self.closed += int(count)

    async def ready(self) -> bool:
        """Wait until it listens; return whether it does, or False if it has ended before."""
        await self._settled.wait()
        return self._serves

    async def ended(self) -> int:
        """Wait for its end and its last report; return `code`."""
        code = await super().ended()
        if self._reading is not None:
            await self._reading
        return code
