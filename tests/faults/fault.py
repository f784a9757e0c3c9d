"""Faults and how they are tried.

Count, do harm while an honest client continues, let it settle, count again.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.backends.servers import Backend
from tests.faults.clients import HONEST, Closed, Raw, connect
from tests.faults.served import Count, Served

__all__ = ["FAULTS", "LOOPS", "Fault", "Ground", "Honest", "Outcome", "fault", "run"]

LOOPS = ("uvloop", "asyncio")

MEMORY = 24 * 1024
"""KB by which a process may grow, since its allocator keeps freed memory."""

POOLS = 8
"""Threads that are started on demand and stay: pools are bounded, and not a leak."""

PATIENCE = 15.0
"""Seconds within which everything must be as before."""

FROZEN = 10.0
"""Seconds that an honest client may wait for an answer at most, however busy the machine."""


class Honest:
    """A client that logs in, calls and waits, repeatedly, and records its longest wait.

    Attributes:
        calls: answers that it received.
        worst: seconds that the slowest took.
        error: what ended it early.
    """

    def __init__(self, server: Served, user: str = "honest") -> None:
        self.calls, self.worst, self.error = 0, 0.0, ""
        self._over = threading.Event()
        self._asked = time.monotonic()
        self._client = connect(server.address, source=HONEST)
        self._client.login(user)
        self._thread = threading.Thread(target=self._run, name="honest client", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        with contextlib.suppress(Closed, OSError):
            self._client.begin_call("cred.logout")
            self._client.until_closed()
        self._client.close()

    def _run(self) -> None:
        try:
            while not self._over.wait(0.01):
                begin = time.monotonic()
                assert self._client.call("echo", self.calls) == self.calls
                self.worst = max(self.worst, time.monotonic() - begin)
                self.calls += 1
        except (Closed, OSError, AssertionError) as error:
            self.error = f"{type(error).__name__} {error} after {self.calls} calls"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        name: for the table.
        do: does the harm, and asserts what must hold meanwhile.
        both: whether the tests run it on asyncio, too; `make faults` uses both loops for all.
        slow: it takes more than 5 s.
        auth: descriptors of checkers; "{url}" stands for the backend's, "{folder}" for the folder.
        listen: addresses.
        options: further words for the command.
        backend: runs a server behind the checker, in a folder.
        prepare: called with the folder before the server starts; its result is entered.
        settings: of `Served`.
        allowed: by how much a count may be higher afterwards.
        patience: seconds within which the counts must be as before.
        honest: whether an honest client runs all the time; if not, `do` takes care of that.
        ends: whether the server ends during it, so that nothing is counted afterwards.
        tracebacks: whether the log may have some.
        frozen: seconds for which the honest client may have waited at most.
    """

    name: str
    do: Callable[[Ground], None]
    both: bool = False
    slow: bool = False
    auth: Sequence[str] = ()
    listen: Sequence[str] = ("tcp:127.0.0.1:0",)
    options: Sequence[str] = ()
    backend: Callable[[Path], AbstractContextManager[Backend]] | None = None
    prepare: Callable[[Path], AbstractContextManager[None] | None] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    allowed: Mapping[str, int] = field(default_factory=dict)
    patience: float = PATIENCE
    honest: bool = True
    ends: bool = False
    tracebacks: bool = False
    frozen: float = FROZEN


@dataclass
class Ground:
    """The environment of a fault.

    Attributes:
        server: the server.
        folder: for files.
        backend: the server behind the checker.
        notes: figures for the table.
        honest: the honest client.
    """

    server: Served
    folder: Path
    backend: Backend | None = None
    notes: list[str] = field(default_factory=list)
    honest: Honest | None = None

    def note(self, text: str) -> None:
        """Add a figure to the table."""
        self.notes.append(text)


@dataclass(frozen=True)
class Outcome:
    """The result of a fault.

    Args:
        before: the count before.
        after: the count after; None if the server had to end.
        calls: answers that the honest client got during it.
        worst: seconds that the slowest took.
        notes: figures of this fault.
    """

    before: Count
    after: Count | None
    calls: int
    worst: float
    notes: tuple[str, ...]


FAULTS: list[Fault] = []
"""All faults; the modules of this package add theirs."""


def fault(
    name: str, **settings: Any
) -> Callable[[Callable[[Ground], None]], Callable[[Ground], None]]:
    """Register a function as a fault; see `Fault` for the settings."""

    def add(do: Callable[[Ground], None]) -> Callable[[Ground], None]:
        FAULTS.append(Fault(name, do, **settings))
        return do

    return add


def run(tried: Fault, loop: str) -> Outcome:
    """Try a fault on a loop.

    Raises:
        AssertionError: if something is not as it should be.
    """
    # Not pytest's folder: servers run as users that cannot enter it, and the paths of Unix sockets
    # must be short.
    with (
        tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(Raw.close_all)
        folder = Path(name)
        folder.chmod(0o755)
        if tried.prepare is not None:
            made = tried.prepare(folder)
            if made is not None:
                stack.enter_context(made)
        backend = stack.enter_context(tried.backend(folder)) if tried.backend is not None else None
        server = stack.enter_context(_served(tried, folder, backend, loop))
        return _try(tried, Ground(server, folder, backend))


@contextlib.contextmanager
def _served(tried: Fault, folder: Path, backend: Backend | None, loop: str) -> Iterator[Served]:
    places = {"{folder}": str(folder), "{url}": backend.url if backend is not None else ""}

    def fill(text: str) -> str:
        for place, value in places.items():
            text = text.replace(place, value)
        return text

    settings = {
        key: value(folder) if callable(value) else value for key, value in tried.settings.items()
    }
    words = [
        *map(fill, tried.options),
        "--uvloop" if loop == "uvloop" else "--no-uvloop",
        "--log-level",
        "info",
    ]
    server = Served(
        folder, list(map(fill, tried.auth)), list(map(fill, tried.listen)), words, **settings
    )
    try:
        yield server
    except AssertionError as error:
        error.add_note("the end of the log:\n" + server.said()[-1500:])
        raise
    finally:
        server.kill()


def _traceback(said: str) -> str:
    """Return the first traceback with its surrounding lines, if there is one."""
    place = said.find("Traceback")
    return said[max(0, place - 300) : place + 2000]


def _try(tried: Fault, ground: Ground) -> Outcome:
    server = ground.server
    server.warm_up()
    before = server.count()
    calls, worst = 0, 0.0
    if tried.honest:
        with Honest(server) as honest:
            ground.honest = honest
            tried.do(ground)
        assert not honest.error, f"an honest client was harmed: {honest.error}"
        assert honest.worst < tried.frozen, f"an honest client waited for {honest.worst:.1f} s"
        calls, worst = honest.calls, honest.worst
    else:
        tried.do(ground)
    after = None if tried.ends else _settle(tried, server, before)
    code = server.end()
    said = server.said()
    assert code == 0, f"the server ended with {code}"
    clean = tried.tracebacks or "Traceback" not in said
    assert clean, f"there is a traceback in the log:\n{_traceback(said)}"
    return Outcome(before, after, calls, worst, tuple(ground.notes))


def _settle(tried: Fault, server: Served, before: Count) -> Count:
    """Wait until the server holds no more than before."""
    allowed = {"memory": MEMORY, "threads": POOLS, **tried.allowed}
    after = server.settle(before, allowed, tried.patience)
    excess = after.excess(before, allowed)
    assert not excess, (
        f"{excess} more than before: {before} -> {after}; actors: {', '.join(server.living())}"
    )
    return after
