"""A realm of Twisted's for our portals: its avatars, its answers, and its refusals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from twisted.cred import error as theirs
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import Interface

from actorcred import NoInterface, UnauthorizedLogin
from actorcred.actors import Future
from actorcred.adapters.twisted.interfaces import class_of
from actorcred.adapters.twisted.realm import TwistedMind, TwistedRealm


class IGuest(Interface):
    def greet() -> str:
        """Say hello."""


class Guest:
    def greet(self) -> str:
        return "hello"


def gone() -> None: ...


MIND: Any = SimpleNamespace(channel=SimpleNamespace(original="a mind"))


def ask(inline: Any, answer: Any, *interfaces: type, mind: Any = MIND) -> Any:
    """Return what the realm makes of what Twisted's realm returns or raises."""
    asked: list[Any] = []

    def request(*what: Any) -> Any:
        asked.append(what)
        if isinstance(answer, Exception):
            raise answer
        return answer

    realm = TwistedRealm.start(SimpleNamespace(requestAvatar=request), dispatcher=inline)
    wanted = interfaces or (class_of(IGuest),)
    made = realm.proxy().request_avatar("ann", mind, *wanted).get(timeout=10)
    return made.get(timeout=10) if isinstance(made, Future) else made


@pytest.mark.parametrize("later", [False, True])
def test_an_avatar_is_started_around_what_the_realm_returns(inline: Any, later: bool) -> None:
    answer = (IGuest, Guest(), gone)
    interface, avatar, logout = ask(inline, succeed(answer) if later else answer)

    assert interface is class_of(IGuest)
    assert avatar.proxy().call("greet").get(timeout=10) == "hello"
    assert logout is gone


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotImplementedError(), NoInterface),
        (theirs.UnauthorizedLogin("s3cret"), UnauthorizedLogin),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_a_refusal_of_the_realms_is_ours(
    inline: Any, error: Exception, kind: type[Exception], later: bool
) -> None:
    with pytest.raises(kind) as failed:
        ask(inline, fail(error) if later else error)
    assert "s3cret" not in failed.value.detail  # type: ignore[attr-defined]


def test_an_interface_that_is_none_of_twisteds_is_not_there(inline: Any) -> None:
    with pytest.raises(NoInterface):
        ask(inline, None, Guest)


def test_what_is_no_interface_is_left_to_the_portal(inline: Any) -> None:
    answer = ("no interface", Guest(), gone)

    assert ask(inline, answer) == answer


def test_a_client_that_did_not_come_by_twisted_can_be_asked() -> None:
    answer: Future[str] = Future()
    answer.set("ann")
    mind = TwistedMind(SimpleNamespace(call=lambda name, *args: answer))  # type: ignore[arg-type]
    results: list[Any] = []
    asked = mind.callRemote("name")
    assert isinstance(asked, Deferred)
    asked.addCallback(results.append)

    assert results == ["ann"]


def test_realms_list_the_interfaces_that_they_offer() -> None:
    assert TwistedRealm.offering(IGuest).interfaces == (class_of(IGuest),)
