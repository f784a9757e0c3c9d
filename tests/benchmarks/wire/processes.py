"""A server and its client, each in a process of its own, and the processor time of both."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.measure import processor_seconds

PATIENCE = 300.0
"""Seconds to wait for an answer."""

QUIET = 0.001
"""Seconds of processor time in `LOOK` at which a server has nothing left to do."""

LOOK = 0.05

PORT = "PORT"

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class System:
    """A server and a client of it.

    Args:
        name: of the system.
        server: its command; it prints its port and its process.
        client: its command, with `PORT` where the server's is to stand.
        counts: how often the client does each thing in a round.
        warm_up: rounds before those that count.
    """

    name: str
    server: tuple[str, ...]
    client: tuple[str, ...]
    counts: dict[str, int]
    warm_up: int = 1


@dataclass(frozen=True)
class Cost:
    """What a thing cost.

    Args:
        value: its rate per second, or its microseconds if the order is one of times.
        server: microseconds of processor time of the server for each.
        client: the same of the client.
    """

    value: float
    server: float
    client: float


def python(module: str, *words: str) -> tuple[str, ...]:
    """Return the command that runs a module of this folder."""
    return (sys.executable, "-m", f"tests.benchmarks.wire.{module}", *words)


class Program:
    """A program that runs while it is entered. Ctrl-C does not reach it: it is killed at the end.

    Args:
        name: for errors.
        command: to run.
    """

    def __init__(self, name: str, command: tuple[str, ...]) -> None:
        self._name = name
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            process_group=0,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        with self._process:
            self._process.wait()

    def line(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise TimeoutError(f"{self._name} is silent")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} has ended")
        return line

    def ask(self, line: str) -> str:
        """Send it a line; return the next one that it prints."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.line()


class Server(Program):
    """A server, which prints its port and its process.

    Args:
        name: for errors.
        command: to run.
    """

    def __init__(self, name: str, command: tuple[str, ...]) -> None:
        super().__init__(name, command)
        try:
            self.port, self.pid = (int(word) for word in self.line().split())
        except BaseException:
            self.__exit__()
            raise

    def settle(self) -> None:
        """Wait until it has nothing left to do, at most ten seconds."""
        until = time.monotonic() + 10.0
        before = processor_seconds(self.pid)
        while time.monotonic() < until:
            time.sleep(LOOK)
            now = processor_seconds(self.pid)
            if now - before < QUIET:
                return
            before = now


class Running:
    """A system that runs while it is entered; its client does what `do` says.

    Args:
        system: the system.
    """

    def __init__(self, system: System) -> None:
        self.system = system

    def __enter__(self) -> Running:
        with ExitStack() as stack:
            name = self.system.name
            self.server = Server(name, self.system.server)
            stack.enter_context(self.server)
            words = (str(self.server.port) if w == PORT else w for w in self.system.client)
            self._client = stack.enter_context(Program(f"the client of {name}", tuple(words)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, order: str, count: int = 0) -> Any:
        """Let the client do something; return its answer."""
        return json.loads(self._client.ask(f"{order} {count}"))

    def do(self, order: str, count: int, each: int = 1) -> Cost:
        """Let the client do something, `count` times `each` things; return what one cost."""
        pids = self.server.pid, self._client.pid
        before = [processor_seconds(pid) for pid in pids]
        value = self.ask(order, count)
        after = [processor_seconds(pid) for pid in pids]
        server, client = (
            (end - begin) / (count * each) * 1e6 for begin, end in zip(before, after, strict=True)
        )
        return Cost(value, server, client)

    def open(self, count: int) -> None:
        """Log in until there are so many sessions."""
        self.ask("open", count)
        self.server.settle()

    def close_visitors(self) -> None:
        """Close the visitors, so that the server has nothing left to do."""
        self.ask("close")
        self.server.settle()
