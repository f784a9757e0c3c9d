"""The tools for other projects' tests, as they use them."""

from __future__ import annotations

import pytest

from actorcred import ANONYMOUS, UsernamePassword
from actorcred.actors import Actor
from actorcred.checkers.memory import MemoryChecker
from actorcred.testing import Hall, RealmContract, RecordingMind, Visitor
from examples.arena.realm import Arena as ArenaRealm
from tests.helpers import Arena

pytest_plugins = ["pytester"]


class TestHall(RealmContract):
    avatar_ids = ["ann", "bob", ANONYMOUS]

    @pytest.fixture
    def realm(self, dispatcher):
        return Hall.start()


class TestTheArenaOfTheTests(RealmContract):
    avatar_ids = ["ann", "bob"]

    @pytest.fixture
    def realm(self, dispatcher):
        return Arena.start([])


class TestTheShowcase(RealmContract):
    avatar_ids = ["ann", "bob"]

    @pytest.fixture
    def realm(self):
        return ArenaRealm.start()


def test_a_portal_a_mind_and_a_clock(start_portal, recording_mind, inline_dispatcher):
    portal = start_portal(MemoryChecker.start({"ann": "right"}, plaintext=True))
    login = portal.login(UsernamePassword("ann", "right"), recording_mind, Visitor).get()
    assert login.avatar.proxy().who_am_i().get() == "ann"
    due = []
    inline_dispatcher.call_later(60, due.append, "rang")
    inline_dispatcher.advance(61)
    assert due == ["rang"]
    portal.kick(avatar_id="ann", reason="bye").get()
    assert recording_mind.wait_for("logged_out")[0] == "kicked"


def test_a_mind_that_is_told_nothing_fails_the_test():
    mind = RecordingMind({"name?": "ann"})
    assert mind("name?") == "ann"
    with pytest.raises(AssertionError, match="was not sent 'bye'"):
        mind.wait_for("bye", timeout=0.01)


SUITE = """
import pytest
from actorcred import Checker, UnauthorizedLogin, UsernamePassword
from actorcred.testing import CheckerContract

class Broken(Checker):
    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials):
        {body}

class TestBroken(CheckerContract):
    right = [(UsernamePassword("ann", "s3cret"), "ann")]
    wrong = [UsernamePassword("ann", "hush"), UsernamePassword("eve", "s3cret")]
    secrets = ["s3cret", "hush"]

    @pytest.fixture
    def checker(self):
        return Broken.start()
"""


@pytest.mark.parametrize(
    ("body", "failing"),
    [
        (
            (
                "if credentials == UsernamePassword('ann', 's3cret'): return 'ann'\n"
                "        raise UnauthorizedLogin('no')"
            ),
            0,
        ),
        ("return credentials.username", 2),
        ("raise UnauthorizedLogin('no')", 3),
        ("raise UnauthorizedLogin('wrong: ' + credentials.password)", 4),
        ("return ''", 4),
    ],
    ids=["right", "lets everybody in", "lets nobody in", "shows passwords", "returns nonsense"],
)
def test_the_contract_finds_what_is_broken(pytester, body, failing):
    pytester.makepyfile(SUITE.format(body=body))
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) >= failing
    assert bool(outcomes.get("failed", 0)) == bool(failing)


def test_an_actor_that_does_not_stop_is_named(monkeypatch):
    class Stubborn(Actor):
        def on_stop(self):
            gate.get(timeout=20)

    from actorcred.actors import Future
    from actorcred.testing import assert_nothing_left

    gate = Future()
    Stubborn.start()
    with pytest.raises(AssertionError, match="Stubborn"):
        assert_nothing_left(timeout=0.1)
    gate.settle()
