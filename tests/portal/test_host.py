"""What a registry of many machines does with its portal, and the portal with it."""

from __future__ import annotations

from typing import Any, cast

import pykka
import pytest

from actorcred import LoginDenied, LoginFailed, UnauthorizedLogin
from actorcred.actors import Future
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.errors import CheckerUnavailable
from actorcred.logout import LogoutCode
from actorcred.metrics import Metrics
from actorcred.portal.events import LoggedIn, RoleDown
from actorcred.sessions.registry import MemoryRegistry
from actorcred.throttle import Failures
from tests.helpers import Player, Spectator, Stage


class Remote(MemoryRegistry):
    """Grants numbered places, later if `later` is set, and knows what it is told."""

    def __init__(self, limits: Any, directory: Any, host: Any) -> None:
        super().__init__(limits, directory, host)
        self.host = host
        self.told: list[Any] = []
        self.later: Future[Any] | None = None
        self.fences: list[Any] = [7]

    def claim(self, *_: Any) -> Any:
        return self.later

    def fence(self, session_id: str) -> int | None:
        fence = self.fences.pop(0)
        if isinstance(fence, Exception):
            raise fence
        return fence  # type: ignore[no-any-return]

    def revoked(self, checker: str, avatar_id: Any, what: Revocation) -> None:
        self.told.append((checker, avatar_id, what))

    def tell_news(self, news: Any) -> None:
        self.told.append(news)


def remote(stage: Stage) -> Remote:
    registry = stage.portal.actor_inbox.actor._registry  # type: ignore[union-attr]
    assert isinstance(registry, Remote)
    return registry


def test_a_revocation_here_is_told_elsewhere_and_one_elsewhere_counts_here(inline: Any) -> None:
    stage = Stage(registry=Remote)
    ann, bob = stage.login("ann").session, stage.login("bob").session
    checker = ann.checker
    stage.checkers[0].proxy().disable("ann").get(timeout=5)
    assert not ann.is_open
    assert remote(stage).told == [(checker, "ann", Revocation.DISABLED)]

    remote(stage).host.revoke("somebody else", "bob", Revocation.DELETED)
    assert bob.is_open
    remote(stage).host.revoke(checker, "bob", Revocation.DELETED)
    assert bob.reason is not None
    assert bob.reason.code is LogoutCode.REVOKED
    assert len(remote(stage).told) == 1


def test_a_revocation_elsewhere_refuses_a_login_that_waits_for_its_place(inline: Any) -> None:
    stage = Stage(registry=Remote)
    registry = remote(stage)
    registry.later = Future()
    login = stage.begin("ann")
    name = "PlainChecker"
    registry.host.revoke(name, "ann", Revocation.DELETED)
    with pytest.raises(UnauthorizedLogin):
        login.get(timeout=0)


def test_a_place_that_comes_later_has_a_number(inline: Any) -> None:
    stage = Stage(registry=Remote)
    assert stage.login("ann").session.fence is None
    registry = remote(stage)
    registry.later = Future()
    login = stage.begin("bob")
    registry.later.settle(None)
    assert login.get(timeout=0).session.fence == 7


def test_a_place_that_is_lost_when_it_is_taken_fails_its_login(inline: Any) -> None:
    stage = Stage(registry=Remote)
    registry = remote(stage)
    registry.later, registry.fences = Future(), [CheckerUnavailable("cut off")]
    login = stage.begin("ann")
    registry.later.settle(None)
    with pytest.raises(LoginFailed, match="unavailable"):
        login.get(timeout=0)
    assert stage.count() == 0


def test_a_registry_runs_what_it_must_in_the_context_of_the_portal(inline: Any) -> None:
    stage = Stage(registry=Remote)
    session, host = stage.login("ann").session, remote(stage).host
    assert host.interfaces() == (Player, Spectator)
    assert host.now() == stage.portal.now()
    assert host.run(lambda: host.kick([session], "out")).get(timeout=0) == 1
    assert not session.is_open
    with pytest.raises(ZeroDivisionError):
        host.run(lambda: 1 // 0).get(timeout=0)
    assert stage.login("bob").session.is_open

    stage.portal.stop()
    with pytest.raises(pykka.ActorDeadError):
        host.run(lambda: 1).get(timeout=0)
    host.revoke("x", "bob", Revocation.DELETED)


def test_what_fails_here_is_told_elsewhere_and_what_fails_elsewhere_counts_here(
    inline: Any,
) -> None:
    stage = Stage(registry=Remote)
    registry = remote(stage)
    with pytest.raises(UnauthorizedLogin):
        stage.login("ann", "wrong")
    assert registry.told == [Failures("as ann", 1, "ann")]
    assert registry.host.news(10).get(timeout=0) == [Failures("as ann", 1, "ann", 0.0)]

    registry.host.hear_news([Failures("as ann", 9, "ann")], standing=False)
    registry.host.hear_news([Failures("as bob", 9, "bob", 1.0)], standing=True)
    for name in ("ann", "bob"):
        with pytest.raises(LoginDenied):
            stage.login(name)


def test_a_registry_publishes_events_and_all_say_at_which_node_they_happened(inline: Any) -> None:
    stage = Stage(registry=type("Named", (Remote,), {"node": "eu-1"}))
    stage.login("ann")
    remote(stage).host.publish(RoleDown("x", "y"))
    assert {type(event) for event in stage.events} >= {LoggedIn, RoleDown}
    assert {event.node for event in stage.events} == {"eu-1"}


def test_the_metrics_have_the_numbers_of_the_registry(inline: Any) -> None:
    kind = type("Named", (Remote,), {"node": "eu-1", "gauges": lambda self: {"cluster_gaps": 2.0}})
    metrics = Metrics()
    Stage(registry=kind, metrics=metrics)
    assert b'actorcred_cluster_gaps_total{node="eu-1"} 2.0' in metrics.text()


def test_a_checker_uses_up_by_the_registry_what_can_be_used_once(inline: Any) -> None:
    stage = Stage(registry=Remote)
    checker = cast("CheckerRef", stage.checkers[0])
    wrapped = CachingChecker.start(checker)
    assert wrapped.use_up("code", 90.0).get(timeout=0), "it has no portal"
    stage.portal.register_checker(wrapped).get(timeout=0)
    assert checker.use_up("code", 90.0).get(timeout=0), "although it asks by two ways"
    assert not checker.use_up("code", 90.0).get(timeout=0)
    assert not wrapped.use_up("code", 90.0).get(timeout=0)
    inline.advance(91)
    assert wrapped.use_up("code", 90.0).get(timeout=0)
    stage.portal.stop()
    assert checker.use_up("code", 90.0).get(timeout=0), "what has stopped is not asked"
