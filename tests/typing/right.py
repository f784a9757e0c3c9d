"""What mypy and pyright must infer; checked by both, never run."""

from __future__ import annotations

from typing import Any, ClassVar, assert_type

from actorcred import (
    AvatarRef,
    Future,
    Login,
    PortalRef,
    Session,
    UsernamePassword,
    UsernameScram,
)
from actorcred.credentials import Combined, OneTimePassword
from tests.typing.game import Player, Spectator, Spot
from tests.typing.player_proxy import PlayerProxy

ANN = UsernamePassword("ann", "s3cret")


async def a_login_knows_its_interface(portal: PortalRef) -> None:
    login = await portal.login(ANN, None, Player)
    assert_type(login.interface, type[Player])
    assert_type(login.avatar, AvatarRef[Player])
    assert_type(login.session, Session[Player])
    assert_type(login.session.avatar, AvatarRef[Player])
    interface, avatar, logout = login
    assert_type(interface, type[Player])
    assert_type(avatar, AvatarRef[Player])
    assert_type(logout(), Future[None])
    assert_type(portal.login(ANN, None, Player).get(timeout=5).avatar, AvatarRef[Player])


async def a_login_with_several_interfaces_has_one_of_them(portal: PortalRef) -> None:
    login = await portal.login(ANN, None, Player, Spectator, mechanism="form")
    assert_type(login.avatar, AvatarRef[Player | Spectator])
    if login.interface is Player:
        pass


async def interfaces_that_are_known_at_run_time_only(
    portal: PortalRef, interfaces: tuple[type, ...]
) -> None:
    login = await portal.login(ANN, None, *interfaces)
    assert_type(login.avatar, AvatarRef[Any])


async def a_call_has_the_types_of_the_method(avatar: AvatarRef[Player]) -> None:
    assert_type(avatar.call(Player.move, 1.0), Future[tuple[float, float]])
    assert_type(avatar.call(Player.move, 1, dy=2), Future[tuple[float, float]])
    assert_type(await avatar.call(Player.think, "tea", "milk"), list[str])
    assert_type(avatar.call(Player.goto, Spot(1.0), "slow").get(), dict[str, Spot])
    assert_type(avatar.call(Player.later).get(), Future[int])


async def the_stub_is_the_type_of_a_proxy(avatar: AvatarRef[Player]) -> None:
    proxy = avatar.proxy(PlayerProxy)
    assert_type(proxy, PlayerProxy)
    assert_type(proxy.move(1.0), Future[tuple[float, float]])
    assert_type(await proxy.think("tea", "milk"), list[str])
    assert_type(proxy.goto(Spot(1.0), how="slow").get(timeout=5), dict[str, Spot])
    avatar.proxy().anything(1, "b").get()


def types_without_an_interface_stay_valid(login: Login, session: Session) -> Login[Player]:
    assert_type(login.avatar.call(Player.move, 1.0), Future[tuple[float, float]])
    assert_type(session.avatar, AvatarRef[Any])
    return login


async def sessions_that_may_be_elsewhere(portal: PortalRef) -> None:
    for session in await portal.sessions("ann"):
        assert_type(session.avatar.call(Player.move, 1.0), Future[tuple[float, float]])
        assert_type(await session.avatar.call(Player.think, "tea"), list[str])
        assert_type(session.avatar.proxy(PlayerProxy), PlayerProxy)


def an_interface_stands_for_its_bases(login: Login[Player]) -> AvatarRef[object]:
    return login.avatar


class Ticket:
    proves: ClassVar[frozenset[str]] = frozenset({"otp"})


class Coupon:
    def __init__(self) -> None:
        self.proves = frozenset({"pwd"})


def credentials_of_all_kinds(portal: PortalRef, scram: UsernameScram) -> None:
    portal.login(Combined((ANN, OneTimePassword("ann", "123456"))), None, Player)
    portal.login(scram, None, Player)
    portal.login(Ticket(), None, Player)
    portal.verify(Coupon())
