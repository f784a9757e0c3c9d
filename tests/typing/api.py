"""The API as users write it; checked by mypy and pyright, never run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from actorcred import (
    Admission,
    Avatar,
    AvatarId,
    Checker,
    Login,
    LogoutReason,
    MindRef,
    NamedGroup,
    Policy,
    Portal,
    PortalOptions,
    PortalRef,
    Realm,
    Session,
    SessionInfo,
    UsernamePassword,
    UserPresence,
)
from actorcred.actors import ActorRef, Future, InlineDispatcher, ThreadDispatcher
from actorcred.checkers.file import FileChecker, FileFormat
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.portal.watches import Watch


class Player(ABC):
    @abstractmethod
    def move(self, dx: float) -> float: ...


class MyPlayer(Avatar, Player):
    def on_logout(self, reason: LogoutReason) -> None:
        self.mind.notify("bye", reason.detail, key="bye")

    def move(self, dx: float) -> float:
        return dx


class MyRealm(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        avatar: ActorRef[MyPlayer] = MyPlayer.start(avatar_id, mind)
        return Player, avatar, avatar.stop


class MyChecker(Checker):
    credential_interfaces = (UsernamePassword,)

    async def request_avatar_id(self, credentials: UsernamePassword) -> str:
        return credentials.username


portal: PortalRef = Portal.start(
    MyRealm.start(dispatcher=ThreadDispatcher("games", 2)),
    [
        MyChecker.start(dispatcher=InlineDispatcher()),
        FileChecker.start("users", FileFormat(delimiter="|")),
        MemoryChecker.start({"ann": "x"}),
        SQLiteChecker.start("accounts.sqlite"),
    ],
    PortalOptions(policy=Policy.SHARE, admission=Admission(sessions=10)),
)


async def main() -> None:
    login: Login = await portal.login(UsernamePassword("ann", b"x"), print, Player)
    interface, avatar, logout = login
    moved: Future[Any] = avatar.ask("x", block=False)
    await moved
    session: Session = login.session
    room: NamedGroup = portal.group("room:lobby")
    await room.add(session.mind)
    room.notify("said", "hello", but=session.mind)
    members: list[SessionInfo] = await room.members()
    assert members
    watch: Watch = portal.presence.watch(session.mind, "ben")
    portal.presence.watch(lambda user: print(user.online), "ben", until=session.mind)
    users: dict[str, UserPresence] = await watch.users()
    assert not users["ben"].online
    is_open: bool = await portal.presence.set_status(session, away=True)
    assert is_open
    await logout()
    await session.end()
    count: int = await portal.count()
    assert count
    sessions: list[SessionInfo] = portal.sessions("ann").get(timeout=5)
    assert sessions
    assert interface
