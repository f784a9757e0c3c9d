"""The pure parts of sessions: states, policies, store and deadlines."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import ANONYMOUS, LogoutCode, Policy
from actorcred.sessions.directory import Directory
from actorcred.sessions.index import SessionIndex
from actorcred.sessions.policies import Admit, Deny, Join, Limits, decide
from actorcred.sessions.session import Session
from actorcred.sessions.states import TRANSITIONS, SessionEvent, State, step


def make(number=0, avatar_id="ann", now=0.0):
    owner = SimpleNamespace(now=lambda: now)
    return Session(f"id{number}", avatar_id, object, checker="Checker", mind=None, owner=owner)


def test_every_state_can_be_reached_and_every_path_ends():
    reached, ways = {State.CHECKING}, [State.CHECKING]
    while ways:
        for after in TRANSITIONS[ways.pop()].values():
            if after not in reached:
                reached.add(after)
                ways.append(after)

    assert reached == set(State) == set(TRANSITIONS)
    assert [state for state, events in TRANSITIONS.items() if not events] == [State.ENDED]


def test_an_event_out_of_order_is_an_error():
    with pytest.raises(ValueError, match="that is open cannot be opened"):
        step(State.OPEN, SessionEvent.OPENED)


@given(
    st.sampled_from(Policy),
    st.one_of(st.none(), st.integers(1, 4)),
    st.one_of(st.none(), st.integers(1, 8)),
    st.integers(0, 6),
    st.integers(0, 3),
    st.integers(0, 4),
)
def test_no_policy_ever_lets_more_in_than_its_limits(
    policy, per_avatar, total_limit, present, opening, others
):
    sessions = [f"session {number}" for number in range(present)]
    total = present + opening + others
    decision = decide(Limits(policy, per_avatar, total_limit), sessions, opening, total)

    if isinstance(decision, Deny):
        return
    gone = len(decision.evict) if isinstance(decision, Admit) else 0
    most = per_avatar or (1 if policy in (Policy.REJECT, Policy.REPLACE) else None)
    if most is not None and opening == 0:
        assert present - gone + 1 <= most
    if total_limit is not None:
        assert total - gone + 1 <= total_limit
    if isinstance(decision, Join):
        assert policy is Policy.SHARE
        assert decision.session == "session 0"
    else:
        assert list(decision.evict) == sessions[:gone]


def test_replace_evicts_all_that_are_too_many_and_no_more():
    assert decide(Limits(Policy.REPLACE), ["a", "b", "c"], 0, 3) == Admit(("a", "b", "c"))
    assert decide(Limits(Policy.REPLACE, per_avatar=2), ["a", "b", "c"], 0, 3) == Admit(("a", "b"))


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob", ANONYMOUS]), st.booleans()), max_size=30))
def test_the_store_finds_what_is_in_it_and_nothing_else(steps):
    store, model = SessionIndex(), []
    for number, (avatar_id, leave) in enumerate(steps):
        if leave and model:
            store.remove(model.pop(0))
        else:
            model.append(make(number, avatar_id))
            store.add(model[-1])
        assert list(store) == model
        assert len(store) == len(model)
        for name in ("ann", "bob", "cleo", ANONYMOUS):
            assert list(store.by_avatar_id(name)) == [
                session for session in model if session.avatar_id == name
            ]
        assert all(store.by_id(session.id) is session for session in model)
    for session in model:
        store.remove(session)
        store.remove(session)
    assert (store._by_id, store._by_avatar_id, store._anonymous) == ({}, {}, {})


def test_sessions_expire_when_they_are_idle_or_old_and_not_before():
    directory = Directory(idle_timeout=10.0, lifetime=100.0)
    idle, busy = make(1), make(2)
    for session in (idle, busy):
        directory.add(session)
    assert directory.expired(9.9) == []
    busy.last_seen = 9.0
    assert directory.expired(11.1) == [(idle, LogoutCode.IDLE)]
    directory.begin_end(idle)
    for now in range(15, 100, 5):
        busy.last_seen = float(now)
        assert directory.expired(float(now)) == []
    assert directory.expired(101.1) == [(busy, LogoutCode.EXPIRED)]
    directory.begin_end(busy)
    assert directory.ending == 2
    assert set(directory.ending_sessions()) == {idle, busy}
    directory.gone(idle)
    assert directory.is_ending("ann")
    directory.gone(busy)
    assert not directory.is_ending("ann")
    assert directory._buckets == {}


def test_a_session_without_an_idle_timeout_keeps_none_however_its_client_acts():
    directory = Directory(idle_timeout=10.0, lifetime=100.0)
    session = make()
    directory.add(session)
    session.never_idle()
    session.touch()
    assert directory.expired(50.0) == []
    assert directory.expired(101.0) == [(session, LogoutCode.EXPIRED)]
