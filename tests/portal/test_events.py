"""Portal events: each refusal is sent once, floods are summed, and listeners harm no login."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from actorcred import LoginDenied, LoginFailed, PortalOptions, UnauthorizedLogin, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.checkers.wrappers.throttling import ThrottlingChecker
from actorcred.identity import ClientInfo
from actorcred.network import source_of_peer
from actorcred.portal.actor import Portal
from actorcred.portal.events import Event, LoggedIn, LoginRefused
from actorcred.portal.publishing import Events
from actorcred.rpc.server.events import ConnectionBroken, ConnectionRefused
from tests.helpers import Arena, Player, Stage, records_of
from tests.logfmt import parse


@dataclass(frozen=True, slots=True)
class Scored(Event):
    name: ClassVar[str] = "scored"

    module: str
    points: Any = 1


class Broken(logging.Handler):
    """Raises, like an application's handler without a handleError of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the log's disk is full")


@pytest.fixture
def broken_log() -> Iterator[None]:
    handler, logger = Broken(), logging.getLogger("actorcred")
    logger.addHandler(handler)
    logging.getLogger("actorcred.audit").setLevel(logging.INFO)
    yield
    logger.removeHandler(handler)
    logging.getLogger("actorcred.audit").setLevel(logging.NOTSET)


def test_a_handler_that_raises_harms_no_login_and_no_subscriber(inline, broken_log, capsys):
    stage = Stage()
    stage.login("ann")
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "wrong")

    assert stage.count() == 1
    assert [event.name for event in stage.events] == ["login", "refused"]
    assert "the log's disk is full" in capsys.readouterr().err


def test_a_filter_that_raises_harms_no_login(inline):
    def broken(record: logging.LogRecord) -> bool:
        raise ZeroDivisionError

    audit = logging.getLogger("actorcred.audit")
    audit.addFilter(broken)
    try:
        stage = Stage()
        stage.login("ann")
        assert stage.count() == 1
    finally:
        audit.removeFilter(broken)


def test_an_event_of_the_application_may_have_any_fields(inline, caplog):
    caplog.set_level(logging.INFO, "actorcred.audit")
    stage = Stage()
    stage.portal.publish(Scored("a module", object()))
    stage.portal.publish(Scored("a module"))
    assert stage.count() == 0
    assert [
        parse(record.getMessage())["module"]
        for record in records_of(caplog, "actorcred.audit")
        if record.event == "scored"
    ] == ["a module"] * 2
    assert len(stage.named(Scored)) == 2


@pytest.mark.parametrize("event", ["text", None, Event(), 3])
def test_what_is_no_event_is_logged_and_harms_nobody(caplog, event):
    events = Events()
    told: list[Any] = []
    events.subscribe(told.append)
    events.publish(event)
    events.emit(LoggedIn, "too few")
    assert "could not be" in caplog.text
    events.close()


def test_a_subscriber_that_fails_is_logged_and_still_told_of_the_next_event(inline, caplog):
    stage = Stage()
    told: list[str] = []

    def failing(event: Event) -> None:
        told.append(event.name)
        raise RuntimeError("a bug in the subscriber")

    stage.portal.subscribe(failing).get()
    stage.login("ann")
    stage.login("bob")
    assert told == ["login", "login"]
    assert "a bug in the subscriber" in caplog.text


def test_a_fault_while_the_log_is_broken_fails_the_login_in_question_and_no_other(
    inline, broken_log
):
    stage = Stage(may_act_as=lambda proven, wanted: {}[wanted])
    with pytest.raises(LoginFailed):
        stage.portal.login(UsernamePassword("ann", "right"), None, Player, authorize_as="bob").get(
            timeout=10
        )
    stage.checker_answers.append(7)
    with pytest.raises(LoginFailed):
        stage.login("ann")
    stage.login("ann")
    assert stage.count() == 1


def test_a_subscriber_that_hangs_is_sent_so_many_events_only_and_the_log_says_how_many_it_lost(
    caplog,
):
    go_on = threading.Event()
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def slow(event: Any) -> None:
        assert go_on.wait(30)
        told.put(event.points)

    events = Events()
    events.subscribe(slow)
    for number in range(30_000):
        events.publish(Scored("a module", number))
    go_on.set()
    count = len([told.get(timeout=30) for _ in range(5_000)])
    events.publish(Scored("a module", "last"))
    while told.get(timeout=30) != "last":
        count += 1
    assert count <= 10_001
    assert f"too slow: it lost {30_000 - count} events" in caplog.text
    events.close()


# -- floods --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7:4711", "192.0.2.7"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::/64"),
        ("2001:db8::7:54321", "2001:db8::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_client_is_one_source_whatever_its_port(address, source):
    assert source_of_peer(address) == source


def test_events_of_one_source_are_one_record_at_once_and_one_per_interval(inline, caplog):
    caplog.set_level(logging.INFO, "actorcred.audit")
    stage = Stage()
    for port in range(1000):
        stage.portal.publish(ConnectionBroken(ClientInfo(address="192.0.2.7", port=port), "no"))
        stage.portal.publish(ConnectionRefused(ClientInfo(address=f"192.0.2.{port % 3}"), "full"))
    assert [(e.name, e.count) for e in stage.events] == [("connection-broken", 1)] + [
        ("connection-refused", 1)
    ] * 3
    inline.advance(10)
    assert sorted(e.count for e in stage.events[4:]) == [332, 332, 333, 999]
    inline.advance(60)
    assert len(stage.events) == 8
    assert (
        sum(record.event == "connection-broken" for record in records_of(caplog, "actorcred.audit"))
        == 2
    )


def test_the_last_interval_is_told_when_the_portal_stops(inline):
    stage = Stage()
    for _ in range(5):
        stage.portal.publish(ConnectionBroken(ClientInfo(address="192.0.2.7"), "no"))
    stage.portal.stop()
    assert [event.count for event in stage.named(ConnectionBroken)] == [1, 4]


def test_sources_without_number_are_summed_and_none_of_them_is_named(inline):
    stage = Stage()
    for number in range(3000):
        client = ClientInfo(address=f"198.{number // 250}.7.{number % 250}")
        stage.portal.publish(LoginRefused("denied", "X", f"user{number}", "", False, False, client))
    inline.advance(10)
    last = stage.named(LoginRefused)[-1]
    assert (last.client, last.claimed, last.count) == (ClientInfo(address="others"), "", 1999)
    assert len(stage.events) == 1002


def test_a_portal_that_is_full_tells_it_once_per_interval(inline):
    stage = Stage(logins=1)
    never: list[Any] = []

    def wait() -> Any:
        from actorcred import Future

        never.append(Future())
        return never[-1]

    stage.checker_answers.append(wait)
    pending = stage.begin()
    for _ in range(100):
        with pytest.raises(LoginDenied):
            stage.login("bob")
    assert [(e.seen, e.count) for e in stage.named(LoginRefused)] == [(False, 1)]
    inline.advance(10)
    assert [(e.seen, e.count) for e in stage.named(LoginRefused)] == [(False, 1), (False, 99)]
    pending.cancel()


def test_a_throttle_that_denies_unseen_is_summed_and_wrong_passwords_are_one_record_each(inline):
    stage = Stage()
    users = MemoryChecker.start({"ann": "s3cret"}, plaintext=True)
    portal = Portal.start(
        Arena.start([], []), [ThrottlingChecker.start(users, step=1000.0, free=3)]
    )
    portal.subscribe(stage._book).get()
    for _ in range(50):
        with pytest.raises(LoginFailed):
            portal.login(
                UsernamePassword("ann", "wrong", source="192.0.2.7"),
                None,
                Player,
                client=ClientInfo(address="192.0.2.7"),
            ).get(timeout=10)
    assert [(e.code, e.seen, e.count, e.client.address) for e in stage.named(LoginRefused)] == [
        *[("refused", True, 1, "192.0.2.7")] * 4,
        ("denied", False, 1, "192.0.2.7"),
    ]
    inline.advance(10)
    assert stage.named(LoginRefused)[-1].count == 45


# -- names ---------------------------------------------------------------------------------------


def refusals(
    options: PortalOptions, *checkers: Any, names: tuple[str, ...] = ("ann", "hunter2")
) -> list[LoginRefused]:
    told: list[Any] = []
    portal = Portal.start(Arena.start([], []), checkers, options)
    portal.subscribe(told.append).get()
    for name in names:
        with pytest.raises(UnauthorizedLogin) as refused:
            portal.login(UsernamePassword(name, "wrong"), None, Player).get(timeout=10)
        assert not refused.value.known, "whoever holds the error must not learn it by accident"
        assert "ann" not in f"{refused.value} {refused.value!r}"
    return told


def users() -> Any:
    return MemoryChecker.start({"ann": "s3cret"}, rounds=4)


def test_a_password_typed_as_a_name_is_not_in_the_log_and_a_name_that_exists_is(inline, caplog):
    caplog.set_level(logging.DEBUG)
    ann, unknown = refusals(PortalOptions(), users())
    assert (ann.claimed, ann.known) == ("ann", True)
    assert unknown.claimed.startswith("hash:")
    assert not unknown.known
    assert "hunter2" not in caplog.text
    assert "claimed=ann " in caplog.text


def test_names_can_be_left_out_or_shown(inline):
    assert [
        event.claimed for event in refusals(PortalOptions(log_unknown_names="omit"), users())
    ] == ["ann", ""]  # type: ignore[arg-type]
    assert [
        event.claimed for event in refusals(PortalOptions(log_unknown_names="show"), users())
    ] == ["ann", "hunter2"]  # type: ignore[arg-type]


def test_it_is_enough_that_one_of_several_checkers_knows_the_name(inline):
    empty = MemoryChecker.start({}, rounds=4)
    assert [event.known for event in refusals(PortalOptions(), empty, users())] == [True, False]
    assert [
        event.known
        for event in refusals(
            PortalOptions(), FirstOf.start(users(), MemoryChecker.start({}, rounds=4))
        )
    ] == [
        True,
        False,
    ]
    assert [event.known for event in refusals(PortalOptions(), AllOf.start(users(), users()))] == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    "options", [{"log_unknown_names": "hide"}, {"log_names_key": b""}, {"log_names_key": b"k" * 65}]
)
def test_a_mistaken_option_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PortalOptions(**options)
