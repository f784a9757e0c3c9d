"""What a portal tells of itself to metrics and tracing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from actorcred import Future, LoginFailed, PortalOptions, UnauthorizedLogin, UsernamePassword
from actorcred.identity import ClientInfo
from actorcred.portal.observing import Reading
from actorcred.throttle import Penalty
from tests.helpers import Player, Stage

RPC = ClientInfo(address="192.0.2.7", protocol="rpc")


class Book:
    """Books what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.readers: list[Callable[[], Iterable[Reading]]] = []

    def logged_in(self, checker: str, login: Any, now: float) -> None:
        self.told.append(("in", checker, login.client.protocol, now - login.began))

    def refused(self, cause: str, checker: str, protocol: str, times: Any) -> None:
        self.told.append((str(cause), checker, protocol, times.check))

    def logged_out(self, reason: str) -> None:
        self.told.append(("out", reason))

    def lagged(self, seconds: float) -> None:
        self.told.append(("lag", seconds))

    def watch(self, read: Callable[[], Iterable[Reading]]) -> Callable[[], object]:
        self.readers.append(read)
        return lambda: self.readers.remove(read)

    def read(self) -> dict[str, float]:
        return {
            " ".join([one.name, *(value for _, value in one.labels)]): one.value
            for read in self.readers
            for one in read()
        }


class Traces:
    """Books the logins that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def presented(self) -> Any:
        return len(self.told)

    def logged_in(self, login: Any, session: Any, times: Any) -> None:
        self.told.append((login.trace, session.id, times.realm))

    def refused(self, login: Any, error: Any, times: Any) -> None:
        self.told.append((login.trace, error.cause, times.check))


def login(stage: Stage, password: str = "right") -> Any:
    credentials = UsernamePassword("ann", password)
    return stage.portal.login(credentials, None, Player, client=RPC)


def test_logins_and_their_ends_are_counted_whether_or_not_an_event_is_wanted(inline):
    book = Book()
    stage = Stage(PortalOptions(metrics=book))
    login(stage).get(timeout=10).logout()
    with pytest.raises(LoginFailed):
        login(stage, "wrong").get(timeout=10)
    stage.portal.tell_refused(UnauthorizedLogin("a bad name"), "PLAIN", client=RPC)
    assert book.told == [
        ("in", "PlainChecker", "rpc", 0.0),
        ("out", "logout"),
        ("wrong-credentials", "PlainChecker", "rpc", 0.0),
        ("malformed-credentials", "", "rpc", None),
    ]


def test_what_waits_can_be_read_until_the_portal_stops(inline):
    book = Book()
    stage = Stage(PortalOptions(metrics=book, penalty=Penalty(step=60.0, free_failures=1)))
    for _ in range(2):
        with pytest.raises(LoginFailed):
            login(stage, "wrong").get(timeout=10)
    inline.advance(300)
    answer: Future[str] = Future()
    stage.checker_answers.append(lambda: answer)
    pending = [login(stage), login(stage)]
    read = book.read()
    assert read["logins_in_progress"] == 2
    assert read["logins_waiting"] == 1
    assert {name: read[f"penalised {name}"] for name in ("source", "account")} == {
        "source": 0,
        "account": 0,
    }
    assert {name for name in read if name.startswith("mailbox")} == {
        "mailbox_messages portal",
        "mailbox_messages Arena",
        "mailbox_messages PlainChecker",
    }
    answer.settle("ann")
    for one in pending:
        one.get(timeout=10)
    assert book.read()["sessions open"] == 2
    assert book.read()["sessions ending"] == 0
    stage.portal.stop()
    assert book.readers == []


def test_the_lag_is_measured_again_and_again(inline):
    book = Book()
    stage = Stage(PortalOptions(metrics=book))
    inline.advance(3)
    assert book.told == [("lag", 0.0)] * 3
    stage.portal.stop()


def test_tracing_is_told_of_each_login_with_the_context_of_its_caller(inline):
    traces = Traces()
    stage = Stage(PortalOptions(tracing=traces))
    session = login(stage).get(timeout=10).session
    with pytest.raises(LoginFailed):
        login(stage, "wrong").get(timeout=10)
    assert traces.told == [(0, session.id, 0.0), (1, "wrong-credentials", 0.0)]
