"""A process that `actorcred serve --workers` starts; not for the command line.

Its standard input is a socket to the supervisor. From there it gets a `Task`, and there it reports,
a JSON object per line. It ends as by SIGTERM if the supervisor is gone.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import sys
import threading
from typing import Any

import click

from actorcred.cli.role import Role
from actorcred.cli.serve import serve_alone
from actorcred.cli.worker_process import Task
from actorcred.rpc.protocol.addresses import Address

__all__ = ["Worker", "main", "work"]


class Worker(Role):
    """One of several processes. It reports to its supervisor.

    Args:
        task: what it is to do.
        supervisor: the socket to the supervisor.
    """

    def __init__(self, task: Task, supervisor: socket.socket) -> None:
        sockets = {where: socket.socket(fileno=fd) for where, fd in task.sockets.items()}
        super().__init__(task.worker, sockets)
        self._supervisor = supervisor

    def _report(self, what: str, value: Any) -> None:
        try:
            self._supervisor.sendall(json.dumps({what: value}).encode() + b"\n")
        except OSError:  # it is gone, so this process ends soon
            return

    def shows_metrics(self, url: str) -> None:
        """Called when it serves metrics."""
        self._report("metrics", url)

    def joined(self, node: str) -> None:
        """Called when it has joined a cluster as a node."""
        self._report("joined", node)

    def opened(self, addresses: list[Address]) -> None:
        """Called when it listens."""
        self._report("opened", [str(address) for address in addresses])

    def closing(self) -> None:
        """Called when the shutdown begins, which the supervisor knows."""

    def closed(self, count: int, *, move: bool = False) -> None:
        """Called when all sessions have ended; `count` is how many there were."""
        self._report("closed", count)


def work(supervisor: socket.socket) -> int:
    """Do what the supervisor says; return the exit code."""
    with supervisor, supervisor.makefile("rb") as lines:
        try:
            task: Task = pickle.load(lines)  # of the process that started this one
        except EOFError:
            return 0  # it has ended before
        over = threading.Event()
        watcher = threading.Thread(target=_end_without, args=(lines, over), daemon=True)
        watcher.start()
        try:
            return serve_alone(Worker(task, supervisor), task.settings)
        except click.exceptions.Exit as error:
            return error.exit_code
        finally:
            over.set()
            supervisor.shutdown(socket.SHUT_RDWR)  # wakes the thread
            watcher.join()


def _end_without(supervisor: Any, over: threading.Event) -> None:
    """Wait until the supervisor is gone, then end this process."""
    supervisor.read(1)
    if not over.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the command."""
    supervisor = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.exit(work(supervisor))


if __name__ == "__main__":
    main()
