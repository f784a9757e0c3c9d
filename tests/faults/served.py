"""A server in its own process, as the command starts it, and its resource counts."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from actorcred.rpc import Address
from tests.faults.checkers import DISTRIBUTION
from tests.faults.clients import HONEST, Closed, Raw, connect
from tests.faults.realm import COUNTER

__all__ = ["Count", "Served", "poll"]

ROOT = Path(__file__).parents[2]
START = 60.0
"""Seconds that a server may take to start."""

END = 60.0
"""Seconds after which a server that was asked to end is considered stuck."""

PAUSE = 0.05
"""Seconds between two checks of another process's state."""


class poll:  # noqa: N801
    """Repeat until a deadline: `for _ in poll(10): ...`. Ends without an error after that time."""

    def __init__(self, seconds: float, pause: float = PAUSE) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = pause
        self._begun = False

    def __iter__(self) -> poll:
        return self

    def __next__(self) -> float:
        left = self._deadline - time.monotonic()
        if self._begun:
            if left <= 0:
                raise StopIteration
            threading.Event().wait(min(self._pause, left))
        self._begun = True
        return left


@dataclass(frozen=True)
class Count:
    """A server's resources; memory in KB."""

    sessions: int
    connections: int
    actors: int
    tasks: int
    threads: int
    descriptors: int
    memory: int

    def excess(self, before: Count, allowed: Mapping[str, int]) -> dict[str, int]:
        """Return the counts above those before, beyond what is allowed."""
        more = {name: value - getattr(before, name) for name, value in vars(self).items()}
        return {name: value for name, value in more.items() if value > allowed.get(name, 0)}

    def __str__(self) -> str:
        numbers = [
            self.sessions,
            self.connections,
            self.actors,
            self.tasks,
            self.threads,
            self.descriptors,
        ]
        return "/".join(map(str, numbers)) + f" {self.memory / 1024:.0f}M"


class Served:
    """A server run by `actorcred serve`, with the realm of this package.

    Args:
        folder: for its files.
        auth: descriptors of its checkers.
        listen: addresses in addition to the one for counting, such as "tcp:127.0.0.1:0".
        options: further words for the command.
        descriptors: how many it may have (`ulimit -n`); 0 leaves the limit unchanged.
        environment: variables for it.
        wrapper: words before the command, such as those of faketime.
        log: where its output goes; by default a file in the folder.

    Attributes:
        addresses: where it listens, without the address for counting.
    """

    def __init__(
        self,
        folder: Path,
        auth: Sequence[str],
        listen: Sequence[str] = ("tcp:127.0.0.1:0",),
        options: Sequence[str] = (),
        *,
        descriptors: int = 0,
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
        log: Path | None = None,
    ) -> None:
        self.log = log or folder / "log"
        self._counter_path = folder / "count.sock"
        self._counter: Raw | None = None
        words = [
            word
            for address in (f"unix:{self._counter_path}", *listen)
            for word in ("--listen", address)
        ]
        words += [word for text in ("faults", *auth) for word in ("--auth", text)]
        limit = f"ulimit -n {descriptors} && " if descriptors else ""
        command = [
            "sh",
            "-c",
            f'{limit}exec "$@"',
            "sh",
            *wrapper,
            sys.executable,
            "-m",
            "actorcred.cli",
            "serve",
        ]
        self._command = [*command, "--realm", "tests.faults.realm:Faulty", *words, *options]
        paths = [str(ROOT), str(_plugin(folder)), os.environ.get("PYTHONPATH", "")]
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "COLUMNS": "250",
        }
        self._environment |= {
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            **(environment or {}),
        }
        self._folder = folder
        self.addresses: list[Address] = []
        self.process = self._start(len(listen) + 1)

    def _start(self, listeners: int) -> subprocess.Popen[bytes]:
        begin = len(self.said())
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._folder,
            )
        for _ in poll(START):
            found = re.findall(r"^listening on (\S+)$", self.said()[begin:], re.MULTILINE)
            if len(found) == listeners:
                self.addresses = [Address.parse(text) for text in found[1:]]
                return process
            if process.poll() is not None:
                break
        process.kill()
        process.wait()
        raise AssertionError(f"the server did not come up:\n{self.said()[-3000:]}")

    def restart(self) -> None:
        """Start the server again, at the same addresses, after it was killed."""
        self._forget_counter()
        fixed = {
            f"{one.kind}:{one.host}:0": f"{one.kind}:{one.host}:{one.port}"
            for one in self.addresses
            if one.port
        }
        self._command = [fixed.get(word, word) for word in self._command]
        self.process = self._start(len(self.addresses) + 1)

    def __repr__(self) -> str:
        return f"<Served {self.process.pid}>"

    @property
    def address(self) -> Address:
        """The first address."""
        return self.addresses[0]

    def said(self) -> str:
        """Return the log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def connect(self, **settings: object) -> Raw:
        """Connect to the first address."""
        return connect(self.address, **settings)

    # -- counting ----------------------------------------------------------------------------------

    def count(self) -> Count:
        """Count the server's resources, through its own session that stays."""
        if self._counter is None:
            self._counter = Raw(Address.parse(f"unix:{self._counter_path}"))
            self._counter.login(COUNTER)
        return Count(**self._counter.call("statistics"))

    def living(self) -> list[str]:
        """Return the names of the actors of the server."""
        self.count()
        assert self._counter is not None
        return list(self._counter.call("living"))

    def _forget_counter(self) -> None:
        if self._counter is not None:
            self._counter.close()
            self._counter = None

    def settle(self, before: Count, allowed: Mapping[str, int], seconds: float) -> Count:
        """Wait at most so many seconds until the server's counts are as before; return the last."""
        for _ in poll(seconds, 0.2):
            now = self.count()
            if not now.excess(before, allowed):
                break
        return now

    def warm_up(self) -> None:
        """Run each part of the server once, so that one-time allocations do not count as a leak."""
        for address in self.addresses:
            with contextlib.suppress(Closed, OSError), connect(address, source=HONEST) as client:
                client.try_login("warm", "wrong")
                client.try_login("warm", "right", resume=False)
                client.begin_call("cred.logout")
                client.until_closed()

    def descriptors(self) -> int:
        """Return the number of descriptors of the process, seen from outside."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self) -> int:
        """Return the memory of the process in KB, seen from outside."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(
            next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
        )

    def cpu(self) -> float:
        """Return the seconds of CPU that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- the end -----------------------------------------------------------------------------------

    def end(self, number: int = signal.SIGTERM, patience: float = END) -> int:
        """Send a signal; return the exit code.

        Raises:
            AssertionError: if the process does not end.
        """
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the server did not end within {patience:g} s of the signal"
            ) from None

    def kill(self) -> None:
        """Kill the process."""
        self._forget_counter()
        self.process.kill()
        self.process.wait()


def _plugin(folder: Path) -> Path:
    """Install the faulty checker into a folder for modules; return the folder."""
    made = folder / "packages"
    (made / "faults-1.dist-info").mkdir(parents=True, exist_ok=True)
    for name, text in DISTRIBUTION.items():
        (made / "faults-1.dist-info" / name).write_text(text)
    return made
