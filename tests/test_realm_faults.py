"""Mistakes in a realm or an avatar: the developer finds the cause, a client learns nothing, and nothing is left."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import Avatar, CheckerUnavailable, Portal, Realm, UsernamePassword, rpc
from actorcred.checkers.memory import MemoryChecker
from tests.helpers import Player
from tests.rpc.stage import on_loop


class Forgetful(Avatar, Player):
    def __init__(self, avatar_id: Any, mind: Any) -> None:
        self.x = 0.0

    def move(self, dx: float) -> float:
        return dx


class WrongSignature(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any) -> Any:  # type: ignore[override]
        raise AssertionError


class NoAnswer(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        """Forget to return."""


class NoAnswerLater(NoAnswer):
    async def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        """Forget to return."""


class ForgottenSuper(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Forgetful.start(avatar_id, mind)
        return Player, avatar, avatar.stop


class Broken(Realm):
    interfaces = (Player,)

    async def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        raise LookupError("the text of the exception")


MISTAKES = [
    (WrongSignature, TypeError, "takes 2 positional arguments"),
    (NoAnswer, TypeError, r"must return \(interface, avatar, logout\), not a NoneType"),
    (NoAnswerLater, TypeError, r"must return \(interface, avatar, logout\), not a NoneType"),
    (ForgottenSuper, TypeError, r"Forgetful.__init__\(\) must call super\(\).__init__\(\)"),
    (Broken, LookupError, "the text of the exception"),
]


def portal_of(realm: Any) -> Any:
    return Portal.start(realm.start(), [MemoryChecker.start({"ann": "right"}, plaintext=True)])


@pytest.mark.parametrize(("realm", "kind", "text"), MISTAKES)
def test_the_cause_of_a_mistake_is_chained(realm, kind, text, dispatcher):
    portal = portal_of(realm)
    with pytest.raises(CheckerUnavailable) as failed:
        portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=10)
    assert type(failed.value.__cause__) is kind
    with pytest.raises(kind, match=text):
        raise failed.value.__cause__
    assert text[:9] not in str(failed.value)
    assert portal.count().get(timeout=10) == 0


@pytest.mark.parametrize(("realm", "kind", "text"), MISTAKES)
@on_loop
async def test_a_client_is_not_told(realm, kind, text):
    async with await rpc.serve(portal_of(realm), "tcp:127.0.0.1:0") as server:
        with pytest.raises(CheckerUnavailable) as failed:
            await rpc.connect(str(server.addresses[0]), "ann", "right")
    assert kind.__name__ not in str(failed.value)
    assert realm.__name__ not in str(failed.value)
