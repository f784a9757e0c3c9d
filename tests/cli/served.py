"""A server started as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self


def command_of(pid: int) -> str:
    """Return the command line of a process; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Served:
    """A server started by the command, and stopped at the end of the `with` block.

    Args:
        words: of the command line, after `actorcred serve`.
    """

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "actorcred.cli", "serve", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "300"},
        )
        self.said = ""
        self.addresses: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_for(self, listeners: int) -> None:
        """Wait until it listens."""
        while len(self.addresses) < listeners:
            self.addresses += re.findall(r"^listening on (\S+)", self.read_line())

    def wait_until_said(self, text: str) -> None:
        """Wait until it has printed a string."""
        while text not in self.said:
            self.read_line()

    def read_line(self) -> str:
        """Return the next line that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.said
        self.said += line
        return line

    def children(self) -> dict[int, str]:
        """Return the command lines of its child processes, by process id."""
        return {pid: command_of(pid) for pid in children_of(self.process.pid)}

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return its exit code."""
        self.send(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end; return its exit code."""
        out, _ = self.process.communicate(timeout=60)
        self.said += out
        return self.process.returncode
