"""What mypy and pyright must refuse: each line that ends with `# error`, and no other."""

from __future__ import annotations

from actorcred import AvatarRef, Login, Portal, PortalRef, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from actorcred.passwords.hashing import hash_password
from tests.typing.game import GamePlayer, Player, Spectator
from tests.typing.player_proxy import PlayerProxy

ANN = UsernamePassword("ann", "s3cret")


def calls(avatar: AvatarRef[Player]) -> None:
    avatar.call(Player.move, "a")  # error
    avatar.call(Player.move)  # error
    avatar.call(Player.move, 1.0, dz=2.0)  # error
    avatar.call(Player.mvoe, 1.0)  # error
    avatar.call("move", 1.0)  # error
    avatar.call(Spectator.watch)  # error
    avatar.move(1.0)  # error
    text: str = avatar.call(Player.move, 1.0).get()  # error
    assert text


def proxies(avatar: AvatarRef[Player]) -> None:
    proxy = avatar.proxy(PlayerProxy)
    proxy.move("a")  # error
    proxy.mvoe(1.0)  # error
    proxy.goto(1.0)  # error
    proxy.spots(kind="red")  # error
    avatar.proxy("PlayerProxy")  # error


def logins(portal: PortalRef) -> None:
    portal.login("ann", None, Player)  # error
    portal.login(ANN, None)  # error
    portal.login(ANN, Player)  # error
    portal.login(ANN, None, "Player")  # error
    portal.login(ANN, None, Player, mechanim="form")  # error
    portal.verify("ann")  # error
    portal.kick("ann")  # error


async def sessions(portal: PortalRef) -> None:
    for session in await portal.sessions():
        session.avatar.call(Player.move, "a")  # error
        session.avatar.move(1.0)  # error


def starts(portal: PortalRef) -> None:
    checker = MemoryChecker.start({"ann": "s3cret"})
    Portal.start(checker, checker)  # error
    Portal.start([checker])  # error
    MemoryChecker.start(7)  # error
    hash_password("s3cret")  # error
    Portal.login(portal, ANN, None, Player)  # error


def other_interfaces(login: Login[Player]) -> AvatarRef[Spectator]:
    avatar: AvatarRef[GamePlayer] = login.avatar  # error
    assert avatar
    return login.avatar  # error
