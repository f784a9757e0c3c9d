"""A flood of logins from ever new sources leaves known users their share."""

from __future__ import annotations

import itertools
import threading
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from actorcred import (
    CheckerUnavailable,
    ClientInfo,
    LoginDenied,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import Future, background
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.errors import RefusalCause
from tests.helpers import Stage

HOME = ClientInfo(address="192.0.2.1")
WAIT = 20


class Gate:
    """Holds everybody, and lets one through for each permit."""

    def __init__(self) -> None:
        self.reached: SimpleQueue[str] = SimpleQueue()
        self._permits = threading.Semaphore(0)

    def pass_through(self, name: str) -> None:
        self.reached.put(name)
        assert self._permits.acquire(timeout=WAIT)

    def let_through(self, count: int = 1) -> None:
        self._permits.release(count)


class Hashing(MemoryChecker):
    """Verifies passwords on the threads for hashing."""

    gate: Gate
    settings: ClassVar = {"users": {"ann": "secret"}, "rounds": 4}

    def verify(self, credentials: Any, account: Any) -> bool:
        self.gate.pass_through(credentials.username)
        return super().verify(credentials, account)


class Asking(BlockingChecker):
    """Asks a back end that blocks."""

    credential_interfaces = (UsernamePassword,)
    gate: Gate
    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__(BackendLimits(threads=1, waiting=10, timeout=WAIT))

    def check(self, credentials: Any) -> str:
        self.gate.pass_through(credentials.username)
        return "ann"


class Flood:
    """A portal at which ann has logged in from home, and then strangers fill the queue."""

    def __init__(self, kind: Any, **settings: Any) -> None:
        self.gate = kind.gate = Gate()
        self.gate.let_through()
        self.checker = kind.start(**kind.settings)
        self.stage = Stage(checkers=0, **settings)
        self.stage.portal.register_checker(self.checker).get(timeout=WAIT)
        assert self.enter("ann", HOME).get(timeout=WAIT) == "ann"
        assert self.gate.reached.get(timeout=WAIT) == "ann"

    def enter(self, name: str, client: ClientInfo) -> Future[Any]:
        return self.stage.portal.verify(UsernamePassword(name, "secret"), client=client)

    def pour(self, count: int) -> list[Future[Any]]:
        """Return the logins of strangers, each from a source and with a name of its own."""
        return [
            self.enter(f"stranger{number}", ClientInfo(address=f"198.51.100.{number + 1}"))
            for number in range(count)
        ]

    def wait_until_all_are_in_line(self) -> None:
        self.stage.count()
        self.checker.proxy().credential_interfaces.get(timeout=WAIT)


@pytest.fixture
def small_pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    # Every piece of work costs a millisecond, however busy the machine is.
    clock = itertools.count(step=0.001)
    monkeypatch.setattr(background, "time", SimpleNamespace(monotonic=clock.__next__))
    pool = background.BackgroundPool(threads=1, bound=10)
    monkeypatch.setattr(background, "_of_process", pool)
    yield
    for workers in pool.pools:
        workers.close(WAIT)


@pytest.mark.parametrize(("kind", "threads"), [(Hashing, 2), (Asking, 1)])
def test_who_is_familiar_gets_into_a_full_queue_and_is_next(
    kind: Any, threads: int, small_pool: Any
) -> None:
    flood = Flood(kind)
    reached = flood.gate.reached
    try:
        strangers = flood.pour(40)
        assert "ann" not in [reached.get(timeout=WAIT) for _ in range(threads)]
        ann = flood.enter("ann", HOME)
        more = flood.pour(40)
        flood.wait_until_all_are_in_line()
        flood.gate.let_through(threads)
        assert "ann" in [reached.get(timeout=WAIT) for _ in range(threads)]
    finally:
        flood.gate.let_through(100)

    assert ann.get(timeout=WAIT) == "ann"
    full = [login for login in strangers + more if _was_too_much(login)]
    assert len(full) > 50


def _was_too_much(login: Future[Any]) -> bool:
    try:
        login.get(timeout=WAIT)
    except UnauthorizedLogin:
        return False
    except (CheckerUnavailable, LoginDenied):
        return True
    return False


def test_a_portal_full_of_strangers_has_room_for_who_is_familiar() -> None:
    flood = Flood(Asking, logins=5)
    try:
        strangers = flood.pour(8)
        for login in strangers[5:]:
            with pytest.raises(LoginDenied) as full:
                login.get(timeout=WAIT)
            assert full.value.cause is RefusalCause.FULL
        ann = [flood.enter("ann", HOME) for _ in range(6)]
        with pytest.raises(LoginDenied):
            ann[5].get(timeout=WAIT)
    finally:
        flood.gate.let_through(100)
    assert [login.get(timeout=WAIT) for login in ann[:5]] == ["ann"] * 5
