"""Logins, logouts, kicks, crashes and drains in any order leak nothing.

The directory, actors, timers and threads are the same as before.
"""

from __future__ import annotations

import gc
import threading

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from actorcred import LogoutCode, Policy, Revocation, UsernamePassword, actors
from actorcred.actors import Future, InlineDispatcher
from actorcred.mind.mind import Mind
from actorcred.portal.events import LoggedIn, LoggedOut
from actorcred.sessions.session import Session
from tests.helpers import ArenaPlayer, Player, Stage, until

NAMES = st.sampled_from(["ann", "bob", "cleo"])


class LifeCycles(RuleBasedStateMachine):
    """A portal on the inline dispatcher; checker and realm may answer late, wrong or never."""

    logins = Bundle("logins")
    steps = Bundle("steps")

    @initialize(policy=st.sampled_from(Policy), limit=st.one_of(st.none(), st.integers(1, 3)))
    def open(self, policy, limit):
        self.clock = InlineDispatcher()
        actors.set_default_dispatcher(self.clock)
        self.stage = Stage(
            policy=policy,
            sessions_per_avatar=limit,
            idle_timeout=50.0,
            lifetime=200.0,
            login_timeout=20.0,
        )
        self.policy, self.limit = policy, limit
        self.futures = []

    @rule(target=logins, name=NAMES, password=st.sampled_from(["right", "right", "right", "wrong"]))
    def login(self, name, password):
        return self._remember(self.stage.begin(name, password))

    @rule(target=logins, name=NAMES, crash=st.booleans())
    def login_with_a_checker_that_answers_later(self, name, crash):
        answer = Future()
        self.stage.checker_answers.append(answer)
        login = self._remember(self.stage.begin(name))
        self.pending = getattr(self, "pending", [])
        self.pending.append((answer, name, crash))
        self.stage.checker_answers.clear()
        return login

    @rule(target=logins, name=NAMES, mind_is_dead=st.booleans())
    def login_with_a_realm_that_answers_later(self, name, mind_is_dead):
        answer = Future()

        def request_avatar(avatar_id, mind, *interfaces):
            self.pending = getattr(self, "pending", [])
            self.pending.append((answer, (avatar_id, mind), False))
            return answer

        self.stage.realm_answers.append(request_avatar)
        login = self._remember(self.stage.begin(name, mind=None if mind_is_dead else ...))
        self.stage.realm_answers.clear()
        return login

    def _remember(self, login):
        self.futures.append(login)
        return login

    @rule(first=st.booleans())
    def a_late_answer_comes(self, first):
        pending = getattr(self, "pending", [])
        if not pending:
            return
        answer, what, crash = pending.pop(0 if first else -1)
        if isinstance(what, str):
            if crash:
                answer.settle_error(ZeroDivisionError("a bug"))
            else:
                answer.settle(what)
        else:
            avatar = ArenaPlayer.start(*what, self.stage.log)
            answer.settle((Player, avatar, avatar.stop))

    @rule(login=logins, code=st.sampled_from([LogoutCode.LOGOUT, LogoutCode.LOST]))
    def logout(self, login, code):
        if login.done() and not self._failed(login):
            login.get().logout(code)
            assert not login.get().session.is_open

    @rule(login=logins)
    def the_client_vanishes(self, login):
        login.give_up()

    @rule(login=logins)
    def crash(self, login):
        if login.done() and not self._failed(login) and login.get().session.is_open:
            login.get().avatar.proxy().crash.defer()
            assert not login.get().session.is_open

    @rule(login=logins)
    def the_avatar_stops(self, login):
        if login.done() and not self._failed(login):
            actors.ActorRef(login.get().avatar.actor_inbox).stop()

    @rule(name=NAMES)
    def kick(self, name):
        self.stage.portal.kick(avatar_id=name, reason="x")

    @rule(name=NAMES, what=st.sampled_from(Revocation))
    def revoke(self, name, what):
        self.stage.checkers[0].revoke(name, what)

    @rule(seconds=st.sampled_from([1, 15, 60, 250]))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(dice=st.integers(0, 19))
    def drain(self, dice):
        if dice == 19:  # rarely, since no login succeeds after it
            self.stage.portal.drain(timeout=5)

    @rule()
    def the_realm_crashes(self):
        self.stage.realm_answers.append(lambda *_: 1 / 0)
        self._remember(self.stage.begin("zed"))
        self.stage.realm_answers.clear()

    @staticmethod
    def _failed(login):
        try:
            login.get(timeout=0)
        except Exception:
            return True
        return False

    @invariant()
    def the_directory_tells_the_truth(self):
        if not hasattr(self, "stage"):
            return
        sessions = self.stage.portal.sessions().get()
        assert all(session.is_open and session.avatar.is_alive() for session in sessions)
        known = [
            login.get().session
            for login in self.futures
            if login.done() and not self._failed(login)
        ]
        assert {session.id for session in known if session.is_open} == {
            session.id for session in sessions
        }
        assert len(self.stage.named(LoggedIn)) == len(self.stage.named(LoggedOut)) + len(sessions)
        for name in ("ann", "bob", "cleo"):
            present = [session for session in sessions if session.avatar_id == name]
            if self.policy in (Policy.REPLACE, Policy.REJECT):
                assert len(present) <= (self.limit or 1)
            elif self.limit:
                assert len(present) <= self.limit
            if self.policy is Policy.SHARE:
                assert len({session.avatar.actor_urn for session in present}) <= 1

    def teardown(self):
        if not hasattr(self, "stage"):
            return
        for answer, *_ in getattr(self, "pending", []):
            answer.cancel()
        self.clock.advance(30)
        for name in ("ann", "bob", "cleo", "zed"):
            assert self.stage.begin(name).done()  # no earlier step delays a login
        self.stage.portal.drain().get(timeout=0)
        self.clock.advance(30)
        left = [m.label for m in self.clock.mailboxes if m.actor_class in (ArenaPlayer, Mind)]
        assert left == []
        logouts = [entry for entry in self.stage.log if entry[0] == "logout"]
        assert len(logouts) == len([entry for entry in self.stage.log if entry[0] == "login"])
        for ref in (self.stage.portal, self.stage.realm, self.stage.checkers[0]):
            ref.stop()
        assert not self.clock.mailboxes
        assert self.clock.pending_timers == 0


LifeCycles.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLifeCycles = LifeCycles.TestCase


def count_objects() -> dict[str, int]:
    gc.collect()
    kinds = (Session, ArenaPlayer, Mind, Future, UsernamePassword)
    counts = dict.fromkeys((kind.__name__ for kind in kinds), 0)
    for thing in gc.get_objects():
        for kind in kinds:
            if issubclass(
                type(thing), kind
            ):  # not isinstance: a lazy object of another library can compute its class
                counts[kind.__name__] += 1
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("policy", [Policy.ALLOW, Policy.SHARE])
def test_ten_thousand_logins_and_logouts_leave_no_object_behind(dispatcher, policy):
    stage = Stage(policy=policy)
    cycles = 10_000 if policy is Policy.ALLOW else 1000

    def cycle(count: int) -> None:
        for start in range(0, count, 100):
            logins = [stage.begin(f"user {start + number}") for number in range(100)]
            ends = [login.get(timeout=30).logout() for login in logins]
            for end in ends:
                end.get(timeout=30)
        stage.log.clear()
        stage.notified.clear()
        stage.events.clear()

    cycle(200)
    threads = set(threading.enumerate())
    before = count_objects()
    cycle(cycles)
    stage.portal.count().get(timeout=30)

    assert stage.count() == 0
    until(lambda: actors.statistics().actors == 4)
    after = count_objects()
    assert {
        name: after[name] - before[name] for name in after if after[name] - before[name] > 5
    } == {}
    assert set(threading.enumerate()) <= threads | {
        t for t in threading.enumerate() if t.name.startswith("actorcred")
    }


def test_clients_that_vanish_by_the_thousand_leave_nothing(dispatcher):
    stage = Stage(logins=5000)
    logins = [stage.begin(f"user {number}") for number in range(3000)]
    for login in logins:
        login.give_up()
    stage.portal.drain().get(timeout=30)

    assert stage.count() == 0
    for login in logins:
        if not login.cancelled():
            login.get(timeout=10).session.end().get(timeout=10)
    stage.realm.ask("all done?", timeout=10)
    stage.portal.stop()
    until(
        lambda: all(
            mailbox.actor_class not in (ArenaPlayer, Mind) or mailbox.stopped
            for mailbox in dispatcher.mailboxes
        )
    )
