"""Who is here: found while the session is open, ending until nothing is left, and gone in time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from actorcred import ANONYMOUS, LogoutCode
from actorcred.sessions.directory import Directory
from actorcred.sessions.session import Session


def make(number: int, avatar_id: object = "ann", now: float = 0.0) -> Session:
    owner = SimpleNamespace(now=lambda: now)
    return Session(f"id{number}", avatar_id, object, checker="Checker", mind=None, owner=owner)  # type: ignore[arg-type]


def test_a_session_is_found_until_it_begins_to_end_and_its_user_is_ending_until_it_is_gone() -> (
    None
):
    directory = Directory(None, None)
    first, second = make(1), make(2)
    for session in (first, second):
        directory.add(session)
    assert directory.find("id1") is first
    assert list(directory.of("ann")) == list(directory) == [first, second]
    directory.begin_end(first)
    directory.begin_end(second)
    assert (len(directory), directory.ending) == (0, 2)
    assert directory.find("id1") is None
    assert set(directory.ending_sessions()) == {first, second}
    directory.gone(first)
    assert directory.is_ending("ann")
    directory.gone(second)
    assert (directory.is_ending("ann"), directory.ending) == (False, 0)


def test_an_anonymous_client_waits_for_no_other_one() -> None:
    directory = Directory(None, None)
    guest = make(1, ANONYMOUS)
    directory.add(guest)
    directory.begin_end(guest)

    assert not directory.is_ending(ANONYMOUS)


def test_events_out_of_order_are_mistakes() -> None:
    directory = Directory(None, None)
    session = make(1)
    directory.add(session)
    with pytest.raises(ValueError, match="that is open cannot be opened"):
        directory.add(session)
    with pytest.raises(ValueError, match="that is open cannot be gone"):
        directory.gone(session)


def test_without_limits_nothing_expires() -> None:
    directory = Directory(None, None)
    directory.add(make(1))

    assert not directory.awaits_deadlines
    assert directory.expired(1e9) == []


@pytest.mark.parametrize(
    ("idle", "lifetime", "granularity"), [(0.02, None, 0.01), (100.0, 2.0, 0.5)]
)
def test_the_shortest_limit_says_how_often_it_is_looked(
    idle: float | None, lifetime: float | None, granularity: float
) -> None:
    assert Directory(idle, lifetime).granularity == granularity


def test_sessions_expire_by_idleness_or_age_and_not_before() -> None:
    directory = Directory(idle_timeout=10.0, lifetime=20.0)
    idle, busy = make(1), make(2, "bob")
    for session in (idle, busy):
        directory.add(session)
    busy.last_seen = 9.0
    assert directory.expired(9.5) == []
    assert directory.expired(12.0) == [(idle, LogoutCode.IDLE)]
    busy.last_seen = 19.0
    assert directory.expired(19.5) == []
    assert directory.expired(22.0) == [(busy, LogoutCode.EXPIRED)]


def test_only_one_of_the_limits_may_be_set() -> None:
    for directory, code in (
        (Directory(10.0, None), LogoutCode.IDLE),
        (Directory(None, 10.0), LogoutCode.EXPIRED),
    ):
        session = make(1)
        directory.add(session)
        assert directory.expired(12.0) == [(session, code)]


def test_who_ends_waits_for_no_deadline_any_more() -> None:
    directory = Directory(10.0, None)
    one, other = make(1), make(2)
    for session in (one, other):
        directory.add(session)
    directory.begin_end(one)
    directory.begin_end(other)

    assert directory._buckets == {}
    assert directory.expired(100.0) == []
