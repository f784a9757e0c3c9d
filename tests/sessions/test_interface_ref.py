"""Calls by an interface's methods, stubs of proxies, and the errors that say how to call."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import pykka
import pytest

from actorcred import (
    Avatar,
    CallError,
    Future,
    Login,
    Portal,
    Realm,
    UsernamePassword,
    actors,
    requires,
)
from actorcred.checkers.memory import MemoryChecker


class Moving(ABC):
    @abstractmethod
    def move(self, dx: float, dy: float = 0.0) -> tuple[float, float]: ...


class Player(Moving):
    @abstractmethod
    async def think(self, about: str) -> str: ...
    @requires("moderator")
    @abstractmethod
    def kick(self, name: str) -> None: ...


class GamePlayer(Avatar, Player):
    def move(self, dx: float, dy: float = 0.0) -> tuple[float, float]:
        return dx, dy

    async def think(self, about: str) -> str:
        return f"{self.avatar_id} thinks about {about}"

    def kick(self, name: str) -> None:
        raise AssertionError("the user is no moderator")

    def own(self) -> str:
        return "not of the interface"


class Game(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = GamePlayer.start(avatar_id, mind)
        return Player, avatar, avatar.stop


class PlayerProxy(Protocol):
    def move(self, dx: float, dy: float = ...) -> Future[tuple[float, float]]: ...


@pytest.fixture
def login() -> Iterator[Login[Player]]:
    portal = Portal.start(Game.start(), [MemoryChecker.start({"ann": "s3cret"}, rounds=4)])
    try:
        yield portal.login(UsernamePassword("ann", "s3cret"), None, Player).get(timeout=10)
    finally:
        actors.shutdown()


def test_a_call_names_the_method_by_its_interface(login: Login[Player]) -> None:
    avatar = login.avatar
    assert avatar.interface is Player
    assert avatar.call(Player.move, 1.0, dy=2.0).get(timeout=10) == (1.0, 2.0)
    assert avatar.call(Moving.move, 3.0).get(timeout=10) == (3.0, 0.0)
    assert avatar.call(Player.think, "tea").get(timeout=10) == "ann thinks about tea"


def test_a_call_is_subject_to_the_roles_and_the_end_of_the_session(login: Login[Player]) -> None:
    with pytest.raises(CallError, match="kick: not permitted"):
        login.avatar.call(Player.kick, "bob").get(timeout=10)
    login.logout().get(timeout=10)
    with pytest.raises(pykka.ActorDeadError):
        login.avatar.call(Player.move, 1.0).get(timeout=10)


@pytest.mark.parametrize("wrong", ["move", GamePlayer.own, 7, None, Player])
def test_what_is_no_method_of_the_interface_cannot_be_called(
    login: Login[Player], wrong: Any
) -> None:
    with pytest.raises(TypeError, match=r"a method of Player, such as avatar.call\(Player\.kick"):
        login.avatar.call(wrong, 1.0)


def test_a_method_called_as_of_an_object_gets_an_error_that_shows_the_call(
    login: Login[Player],
) -> None:
    avatar: Any = login.avatar
    with pytest.raises(
        AttributeError,
        match=r"no attribute 'move'; .*avatar\.call\(Player\.move, \.\.\.\).*proxy\(\)\.move\(",
    ):
        avatar.move(1.0)
    for name in ("mvoe", "own", "_private"):
        with pytest.raises(AttributeError, match=f"'AvatarRef' object has no attribute '{name}'$"):
            getattr(avatar, name)


def test_a_ref_can_be_copied(login: Login[Player]) -> None:
    """Although a copy first has no session, so that its interface is not known."""
    assert copy.copy(login.avatar).call(Player.move, 1.0).get(timeout=10) == (1.0, 0.0)


def test_a_proxy_with_a_stub_is_the_proxy(login: Login[Player]) -> None:
    proxy = login.avatar.proxy(PlayerProxy)
    assert isinstance(proxy, pykka.ActorProxy)
    assert proxy.move(1.0).get(timeout=10) == (1.0, 0.0)
    assert login.avatar.proxy().move(2.0).get(timeout=10) == (2.0, 0.0)


def test_a_stub_of_another_interface_is_refused(login: Login[Player]) -> None:
    class Other(Protocol):
        def fly(self) -> Future[None]: ...

    with pytest.raises(TypeError, match="Player has no fly, which the stub Other has"):
        login.avatar.proxy(Other)
    wrong: Any = PlayerProxy.__name__
    with pytest.raises(TypeError, match="made by `actorcred stubs`, not a str"):
        login.avatar.proxy(wrong)
