"""The registry in memory: which logins get a place, which wait, and what is left at the end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from actorcred import ANONYMOUS, LoginDenied, LogoutCode, Policy
from actorcred.actors import Future
from actorcred.sessions.directory import Directory
from actorcred.sessions.policies import Limits
from actorcred.sessions.registry import MemoryRegistry
from actorcred.sessions.session import Session


class Host:
    """Ends sessions as a portal does: at once, or when the test says that `on_logout` is done."""

    def __init__(self, policy=Policy.ALLOW, per_avatar=None, total=None, *, slow=False):
        self.directory = Directory(None, None)
        self.registry = MemoryRegistry(Limits(policy, per_avatar, total), self.directory, self)
        self.slow = slow
        self.ended: list[tuple[str, Any]] = []

    def claim(self, session_id, avatar_id="ann"):
        return self.registry.claim(avatar_id, session_id, (object,), 30.0, None)

    def open(self, session_id, avatar_id="ann"):
        owner = SimpleNamespace(now=lambda: 0.0)
        session = Session(session_id, avatar_id, object, checker="Checker", mind=None, owner=owner)
        self.directory.add(session)
        self.registry.opened(session)
        return session

    def log_in(self, session_id, avatar_id="ann"):
        place = self.claim(session_id, avatar_id)
        assert not isinstance(place, Future)
        return self.open(session_id, avatar_id)

    def end(self, session, reason=None):
        if session.is_open:
            self.ended.append((session.id, None if reason is None else reason.code))
            self.directory.begin_end(session)
            if not self.slow:
                self.gone(session)

    def gone(self, session):
        self.directory.gone(session)
        self.registry.release(session.avatar_id, session.id)

    def kick(self, sessions, detail):
        sessions = list(sessions)
        for session in sessions:
            self.end(session)
        return len(sessions)

    def is_empty(self):
        registry = self.registry
        return not (registry._places or registry._opening or registry._waiting or registry._kept)


def test_without_limits_every_login_gets_a_place_at_once_and_nothing_is_kept_of_it():
    host = Host()
    for number in range(3):
        assert host.log_in(f"s{number}").is_open
    assert host.registry.count() == 3
    assert host.is_empty()


def test_a_second_login_is_denied_until_the_first_session_is_gone():
    host = Host(Policy.REJECT, slow=True)
    first = host.log_in("s1")
    with pytest.raises(LoginDenied) as denied:
        host.claim("s2")
    assert denied.value.retry_after
    host.registry.release("ann", "s2")  # as the portal does with a login that failed

    host.end(first)
    waiting = host.claim("s3")
    assert not waiting.done()
    host.gone(first)
    assert waiting.get(timeout=0) is None


def test_a_replaced_session_ends_before_the_newcomer_gets_its_place():
    host = Host(Policy.REPLACE, slow=True)
    first = host.log_in("s1")
    place = host.claim("s2")
    assert host.ended == [("s1", LogoutCode.REPLACED)]
    assert not place.done()
    host.gone(first)
    assert place.get(timeout=0) is None
    assert host.open("s2").is_open


def test_a_newcomer_keeps_the_place_of_the_session_that_ends_for_it():
    host = Host(Policy.REPLACE, total=2, slow=True)
    first, _ = host.log_in("s1"), host.log_in("b1", "bob")
    place = host.claim("s2")
    with pytest.raises(LoginDenied):
        host.claim("c1", "cleo")
    host.registry.release("cleo", "c1")
    host.gone(first)
    assert place.get(timeout=0) is None
    with pytest.raises(LoginDenied):
        host.claim("c2", "cleo")


def test_logins_of_one_avatar_id_wait_for_each_other_in_the_order_in_which_they_came():
    host = Host(Policy.SHARE)
    assert host.claim("s1") is None
    second, third = host.claim("s2"), host.claim("s3")
    session = host.open("s1")
    assert second.get(timeout=0) is session
    assert not third.done()
    host.open("s2")
    assert third.get(timeout=0) is session


def test_a_withdrawn_claim_lets_the_next_one_in():
    host = Host(Policy.REJECT)
    assert host.claim("s1") is None
    second = host.claim("s2")
    third = host.claim("s3")
    host.registry.release("ann", "s2")
    host.registry.release("ann", "s1")
    assert third.get(timeout=0) is None
    assert not second.done()
    host.registry.release("ann", "s3")
    assert host.is_empty()


def test_anonymous_clients_are_never_the_same_user_but_count():
    host = Host(Policy.REJECT, total=2)
    host.log_in("s1", ANONYMOUS)
    host.log_in("s2", ANONYMOUS)
    with pytest.raises(LoginDenied):
        host.claim("s3", ANONYMOUS)


def test_sessions_are_found_annotated_and_kicked():
    host = Host()
    ann, bob = host.log_in("s1"), host.log_in("s2", "bob")
    registry = host.registry
    assert registry.find("s1") is ann
    assert registry.find("nobody's") is None
    assert registry.sessions("bob") == [bob]
    assert registry.sessions(None) == [ann, bob]
    assert registry.annotate("s1", {"room": 7})
    assert ann.notes == {"room": 7}
    assert not registry.annotate("nobody's", {})
    assert registry.kick("nobody's", None, "") == 0
    assert registry.kick("s1", None, "") == 1
    assert registry.kick(None, None, "") == 1
    assert registry.count() == 0


class Logins(RuleBasedStateMachine):
    """Logins that claim, withdraw, open and end in any order; limits hold, and nothing is left."""

    @initialize(
        policy=st.sampled_from(Policy),
        per_avatar=st.one_of(st.none(), st.integers(1, 3)),
        total=st.one_of(st.none(), st.integers(1, 5)),
    )
    def begin(self, policy, per_avatar, total):
        self.host = Host(policy, per_avatar, total, slow=True)
        self.policy, self.per_avatar, self.total = policy, per_avatar, total
        self.claims: dict[str, tuple[str, Any]] = {}
        self.sessions: list[Session] = []
        self.number = 0

    def granted(self):
        return [one for one, (_, place) in self.claims.items() if _is_granted(place)]

    @rule(avatar_id=st.sampled_from(("ann", "bob", ANONYMOUS)))
    def claim(self, avatar_id):
        self.number += 1
        session_id = f"s{self.number}"
        try:
            self.claims[session_id] = avatar_id, self.host.claim(session_id, avatar_id)
        except LoginDenied:
            self.host.registry.release(avatar_id, session_id)

    @rule(data=st.data())
    @precondition(lambda self: self.claims)
    def withdraw(self, data):
        session_id = data.draw(st.sampled_from(sorted(self.claims)))
        self.host.registry.release(self.claims.pop(session_id)[0], session_id)

    @rule(data=st.data())
    @precondition(lambda self: self.granted())
    def open(self, data):
        session_id = data.draw(st.sampled_from(self.granted()))
        self.sessions.append(self.host.open(session_id, self.claims.pop(session_id)[0]))

    @rule(data=st.data())
    @precondition(lambda self: self.sessions)
    def end(self, data):
        session = data.draw(st.sampled_from(self.sessions))
        if session.is_open:
            self.host.end(session)
        else:
            self.sessions.remove(session)
            self.host.gone(session)

    @invariant()
    @precondition(lambda self: hasattr(self, "host"))
    def limits_hold(self):
        holders = [one.avatar_id for one in self.sessions]
        holders += [self.claims[one][0] for one in self.granted()]
        assert self.total is None or len(holders) <= self.total
        if self.policy in (Policy.REJECT, Policy.REPLACE):
            for avatar_id in ("ann", "bob"):
                assert holders.count(avatar_id) <= (self.per_avatar or 1)

    def teardown(self):
        for session_id, (avatar_id, _) in self.claims.items():
            self.host.registry.release(avatar_id, session_id)
        for session in self.sessions:
            self.host.end(session)
            self.host.gone(session)
        assert self.host.is_empty()


def _is_granted(place: Any) -> bool:
    try:
        return not isinstance(place, Future) or (place.done() and place.get(timeout=0) is not place)
    except LoginDenied:
        return False


TestLogins = Logins.TestCase
