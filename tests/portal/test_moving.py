"""A session is packed at one portal and goes on at another as what it was, or stays, or ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from actorcred import (
    Avatar,
    Checker,
    Future,
    Identity,
    LogoutCode,
    LogoutReason,
    MoveFailed,
    Policy,
    PortalOptions,
    Session,
    SnapshotDeclined,
    UsernamePassword,
)
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.portal import moving
from actorcred.portal.events import LoggedOut, SessionMoved
from actorcred.portal.moving import Moving
from actorcred.sessions.moving import Arrival, Departure, Parcel
from actorcred.sessions.registry import MemoryRegistry
from tests.helpers import Player, Stage


class Wanderer(Avatar, Player):
    """An avatar that moves."""

    def __init__(self, avatar_id: Any, mind: Any, log: list[Any]) -> None:
        super().__init__(avatar_id, mind)
        self.log, self.x = log, 0.0

    def on_login(self) -> None:
        self.log.append("login")

    def on_logout(self, reason: LogoutReason) -> None:
        self.log.append(("logout", str(reason.code)))

    def on_stop(self) -> None:
        self.log.append("stop")

    def snapshot(self) -> Any:
        return self.x

    def restore(self, snapshot: Any) -> Any:
        self.log.append("restore")
        self.x = snapshot

    def move(self, dx: float) -> float:
        self.x += dx
        return self.x

    def break_down(self) -> None:
        self.actor_ref.tell("crash")

    def on_receive(self, message: Any) -> None:
        raise ZeroDivisionError


class Slow(Wanderer):
    async def snapshot(self) -> Any:
        await asyncio.sleep(0)
        return self.x

    async def restore(self, snapshot: Any) -> None:
        await asyncio.sleep(0)
        self.x = snapshot


class Declining(Wanderer):
    def snapshot(self) -> Any:
        raise SnapshotDeclined("not now")


class Busy(Wanderer):
    async def snapshot(self) -> Any:
        await asyncio.sleep(60)


class Lost(Wanderer):
    def restore(self, snapshot: Any) -> Any:
        raise LookupError("lost")


class LostLater(Wanderer):
    async def restore(self, snapshot: Any) -> None:
        raise LookupError("lost later")


class Settled(Avatar, Player):
    """One without the hooks."""

    def move(self, dx: float) -> float:
        return dx


class Vouching(Checker):
    """Vouches for users by names of its own."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> Identity:
        voucher = (self.actor_ref, f"own {credentials.username}")
        return Identity(credentials.username, vouchers=(voucher,))


class Linked(MemoryRegistry):
    """Remembers its host."""

    def __init__(self, limits: Any, directory: Any, host: Any) -> None:
        super().__init__(limits, directory, host)
        self.host = host


class Server:
    """A portal, and what moves its sessions."""

    def __init__(self, kind: Any = Wanderer, checkers: list[Any] | None = None) -> None:
        self.kind = kind
        self.logout: Any = None
        self.stage = Stage(PortalOptions(registry=self._registry))
        for checker in checkers or ():
            self.stage.portal.register_checker(checker)
        self.log = self.stage.log
        self.stage.realm_answers += [self._answer] * 9

    def _registry(self, limits: Any, directory: Any, host: Any) -> MemoryRegistry:
        self.mover: Moving = host.mover
        self.directory = directory
        return MemoryRegistry(limits, directory, host)

    def _answer(self, avatar_id: Any, mind: Any, *_: type) -> Any:
        avatar = self.kind.start(avatar_id, mind, *([self.log] if self.kind is not Settled else []))
        return Player, avatar, self.logout or avatar.stop

    async def login(self, mind: Any = None) -> Session:
        return (await self.stage.begin(mind=mind)).session


@asynccontextmanager
async def servers(**kinds: Any) -> AsyncIterator[tuple[Server, Server]]:
    set_default_dispatcher(AsyncioDispatcher())
    here, there = Server(**kinds), Server()
    yield here, there
    for server in (here, there):
        await server.stage.portal.drain()


def on_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 10))  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


async def told(stage: Stage, kind: type[Any]) -> list[Any]:
    """Return the events of a kind, once there are any."""
    while not (found := [event for event in stage.events if isinstance(event, kind)]):
        await asyncio.sleep(0.001)
    return found


def arrival(session: Session, parcel: Parcel, **changes: Any) -> Arrival:
    """Return what the other server is told, as it crosses to it."""
    crossed = msgspec.msgpack.decode(msgspec.msgpack.encode(parcel), type=Parcel)
    known = {
        "id": session.id,
        "avatar_id": session.avatar_id,
        "interface": session.interface,
        "checker": session.checker,
        "identity": session.identity.replaced(vouchers=()),
        "client": session.client,
        "since": session.since,
        "last_active": session.last_active,
        "notes": dict(session.notes),
        "parcel": crossed,
        "source": "here",
        "fence": 8,
    }
    return Arrival(**{**known, **changes})


async def move(here: Server, there: Server, session: Session, **changes: Any) -> Session:
    """Move a session; return the new one."""
    parcel = await here.mover.pack(session)
    what = arrival(session, parcel, **changes)
    await there.mover.check(what)
    welcome = await there.mover.unpack(what)
    await here.mover.leave(session, Departure("there", 8, welcome, 0.5))
    moved = there.directory.find(session.id)
    assert moved is not None
    return moved


@pytest.mark.parametrize("kind", [Wanderer, Slow])
def test_a_session_goes_on_elsewhere_as_what_it_was(kind: Any) -> None:
    on_loop(lambda: _as_it_was(kind))()


async def _as_it_was(kind: Any) -> None:
    async with servers(kind=kind) as (here, there):
        there.kind = kind
        session = await here.login()
        await session.avatar.proxy().move(2.0)
        await here.stage.portal.annotate(session.id, table="green")
        moved = await move(here, there, session)
        assert (moved.id, moved.since, moved.fence) == (session.id, session.since, 8)
        assert moved.notes == {"table": "green"}
        assert moved.identity == session.identity
        assert moved.opened == pytest.approx(session.opened, abs=1.0)
        assert await moved.avatar.proxy().move(1.0) == 3.0
        assert not session.is_open
        assert here.log == ["login", "stop"]
        assert await here.stage.portal.count() == 0
        await moved.end()
        assert there.log[-2:] == [("logout", "logout"), "stop"]


@on_loop
async def test_both_servers_tell_of_it_and_none_of_a_logout() -> None:
    async with servers() as (here, there):
        moved = await move(here, there, await here.login())
        for server in (here, there):
            [event] = await told(server.stage, SessionMoved)
            assert (event.session_id, event.fence) == (moved.id, 8)
            assert not [one for one in server.stage.events if isinstance(one, LoggedOut)]


@on_loop
async def test_deadlines_cross_as_times_of_the_day() -> None:
    async with servers() as (here, there):
        session = await here.login()
        session.expires_in(100.0)
        assert session.expiry is not None
        session.expiry.announced = True
        session.reproven(Identity("ann", authenticated=datetime.now(UTC)), datetime.now(UTC))
        session.never_idle()
        moved = await move(here, there, session)
        now = there.stage.portal.now()
        assert moved.expiry is not None
        assert moved.expiry.at == pytest.approx(now + 100, abs=5)
        assert moved.expiry.announced
        assert moved.proof is not None
        assert moved.proof.at == pytest.approx(now, abs=5)
        moved.demand(60)
        moved.touch()
        assert moved.last_seen == session.last_seen


@on_loop
async def test_the_presence_of_a_session_goes_with_it() -> None:
    async with servers() as (here, there):
        session = await here.login()
        await here.stage.portal.presence.set_status(session, mood="merry")
        await here.stage.portal.presence.hide(session)
        moved = await move(here, there, session)
        status, hidden = there.mover._online.status_of(moved)
        assert status["mood"][1] == "merry"
        assert hidden
        assert here.mover._online.status_of(session) == ({}, False)


@on_loop
async def test_a_session_that_was_idle_is_idle_for_as_long() -> None:
    async with servers() as (here, there):
        session = await here.login()
        parcel = await here.mover.pack(session)
        what = arrival(session, parcel, last_active=time.time() - 50)
        await there.mover.unpack(what)
        moved = there.directory.find(session.id)
        assert there.stage.portal.now() - moved.last_seen == pytest.approx(50, abs=5)
        await here.mover.leave(session, Departure("there"))


@on_loop
async def test_messages_wait_for_an_avatar_that_stays_and_are_handled_then() -> None:
    async with servers() as (here, _):
        session = await here.login()
        await here.mover.pack(session)
        waiting = session.avatar.proxy().move(1.0)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await here.mover.stay(session)
        assert await waiting == 1.0
        assert here.log == ["login"]
        await here.mover.pack(session)
        await here.mover.stay(session)


@on_loop
async def test_messages_that_wait_for_an_avatar_that_is_gone_are_refused() -> None:
    async with servers() as (here, there):
        session = await here.login()
        parcel = await here.mover.pack(session)
        waiting = session.avatar.proxy().move(1.0)
        await there.mover.unpack(arrival(session, parcel))
        await here.mover.leave(session, Departure("there"))
        with pytest.raises(Exception, match="has stopped"):
            await waiting


@on_loop
async def test_an_end_that_is_asked_for_meanwhile_comes_when_the_session_stays() -> None:
    async with servers() as (here, _):
        session = await here.login()
        await here.mover.pack(session)
        assert await here.stage.portal.kick(session_id=session.id) == 1
        session.end(LogoutCode.IDLE)
        assert session.is_open
        await here.mover.stay(session)
        await session.end()
        assert here.log[-2:] == [("logout", "kicked"), "stop"]


@on_loop
async def test_an_end_that_is_asked_for_meanwhile_follows_the_session() -> None:
    async with servers() as (here, there):
        session = await here.login()
        parcel = await here.mover.pack(session)
        ended = session.end(LogoutCode.KICKED, "spam")
        await there.mover.unpack(arrival(session, parcel))
        departure = Departure("there")
        await here.mover.leave(session, departure)
        assert departure.end == LogoutReason(LogoutCode.KICKED, "spam")
        await ended


@on_loop
async def test_an_avatar_that_is_stopped_by_force_while_it_moves_ends_elsewhere_too() -> None:
    async with servers() as (here, there):
        session = await here.login()
        parcel = await here.mover.pack(session)
        session.avatar.actor_inbox.kill(TimeoutError("x"))
        await asyncio.sleep(0.01)
        await there.mover.unpack(arrival(session, parcel))
        departure = Departure("there")
        await here.mover.leave(session, departure)
        assert departure.end is not None
        assert departure.end.code is LogoutCode.CRASHED


@on_loop
async def test_a_session_that_might_be_elsewhere_ends_without_on_logout() -> None:
    async with servers() as (here, _):
        session = await here.login()
        await here.mover.pack(session)
        await here.mover.lose(session, LogoutReason(LogoutCode.CUT_OFF))
        await session.end()
        assert here.log == ["login", "stop"]
        assert [event.reason for event in await told(here.stage, LoggedOut)] == ["cut-off"]


@on_loop
async def test_what_is_asked_of_a_wait_that_is_cancelled_ends_the_avatar() -> None:
    async with servers() as (here, _):
        session = await here.login()
        await here.mover.pack(session)
        session.avatar.actor_inbox.interrupt()
        await asyncio.sleep(0.01)
        assert not session.is_open
        await here.mover.lose(session, LogoutReason(LogoutCode.CUT_OFF))


@pytest.mark.parametrize(
    ("kind", "mind", "why"),
    [
        (Settled, None, r"Settled has no snapshot\(\)"),
        (Wanderer, print, "the client cannot continue"),
        (Declining, None, "no snapshot now"),
    ],
)
def test_what_cannot_move_stays(kind: Any, mind: Any, why: str) -> None:
    @on_loop
    async def run() -> None:
        async with servers(kind=kind) as (here, _):
            session = await here.login(mind)
            with pytest.raises(MoveFailed, match=why):
                await here.mover.pack(session)
            assert await session.avatar.proxy().move(1.0) == 1.0

    run()


@on_loop
async def test_a_session_does_not_move_twice_at_a_time_nor_after_its_end() -> None:
    async with servers() as (here, _):
        session = await here.login()
        await here.mover.pack(session)
        with pytest.raises(MoveFailed, match="moves already"):
            await here.mover.pack(session)
        await here.mover.stay(session)
        await session.end()
        with pytest.raises(MoveFailed, match="not open"):
            await here.mover.pack(session)


def test_an_avatar_that_is_busy_for_too_long_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "PACKING", 0.05)

    @on_loop
    async def run() -> None:
        async with servers(kind=Busy) as (here, _):
            session = await here.login()
            with pytest.raises(MoveFailed, match=r"busy for 0.05 s"):
                await here.mover.pack(session)
            assert session.is_open
            session.avatar.actor_inbox.kill(TimeoutError("x"))

    run()


@on_loop
async def test_an_avatar_whose_snapshot_is_cancelled_stays() -> None:
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
    async with servers(kind=Busy) as (here, _):
        session = await here.login()
        packing = asyncio.ensure_future(here.mover.pack(session))
        inbox = session.avatar.actor_inbox
        while inbox.waiting is None:
            await asyncio.sleep(0)
        assert inbox.interrupt()
        with pytest.raises(MoveFailed, match="no snapshot now"):
            await packing
        assert await session.avatar.proxy().move(1.0) == 1.0
    assert failures == []


@on_loop
async def test_an_avatar_that_ends_before_its_snapshot_does_not_move() -> None:
    async with servers() as (here, _):
        session = await here.login()
        session.avatar.proxy().break_down()
        with pytest.raises(MoveFailed, match=r"ended meanwhile|no snapshot now"):
            await here.mover.pack(session)


@on_loop
async def test_an_avatar_that_others_share_does_not_move() -> None:
    set_default_dispatcher(AsyncioDispatcher())
    held: list[Any] = []

    def registry(limits: Any, directory: Any, host: Any) -> MemoryRegistry:
        held.append(host.mover)
        return MemoryRegistry(limits, directory, host)

    stage = Stage(PortalOptions(registry=registry, policy=Policy.SHARE))
    session = (await stage.begin()).session
    with pytest.raises(MoveFailed, match="shared"):
        await held[0].pack(session)
    await stage.portal.drain()


# -- arriving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Lost, LostLater])
def test_an_avatar_that_cannot_be_restored_ends_the_session_as_crashed(kind: Any) -> None:
    @on_loop
    async def run() -> None:
        async with servers() as (here, there):
            there.kind = kind
            session = await here.login()
            parcel = await here.mover.pack(session)
            with pytest.raises(MoveFailed, match="could not be restored: LookupError"):
                await there.mover.unpack(arrival(session, parcel))
            assert [event.reason for event in await told(there.stage, LoggedOut)] == ["crashed"]
            assert ("logout", "crashed") not in there.log
            await here.mover.stay(session)

    run()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda *_: (Player, Settled.start("ann", None), lambda: None), r"has no restore\(\)"),
        (lambda *_: (Player, SimpleNamespace(move=1), lambda: None), "unavailable"),
        (lambda *_: 1 / 0, "unavailable"),
        (lambda *_: "junk", "unavailable"),
    ],
)
def test_a_realm_that_gives_no_such_avatar_opens_no_session(answer: Any, why: str) -> None:
    @on_loop
    async def run() -> None:
        async with servers() as (here, there):
            there.stage.realm_answers[:0] = [answer]
            session = await here.login()
            parcel = await here.mover.pack(session)
            with pytest.raises(MoveFailed, match=why):
                await there.mover.unpack(arrival(session, parcel))
            assert await there.stage.portal.count() == 0
            await here.mover.stay(session)

    run()


@on_loop
async def test_a_session_whose_place_is_lost_while_the_realm_answers_is_not_opened() -> None:
    async with servers() as (here, there):
        session = await here.login()
        parcel = await here.mover.pack(session)
        with pytest.raises(MoveFailed, match="lost touch"):
            await there.mover.unpack(arrival(session, parcel, is_lost=lambda: True))
        assert await there.stage.portal.count() == 0
        assert "restored" not in str(there.log)
        await here.mover.stay(session)


def test_a_realm_that_is_late_opens_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "LANDING", 0.05)

    @on_loop
    async def run() -> None:
        async with servers() as (here, there):
            late: Future[Any] = Future()
            there.stage.realm_answers[:0] = [lambda *_: late]
            session = await here.login()
            parcel = await here.mover.pack(session)
            with pytest.raises(MoveFailed, match="TimeoutError"):
                await there.mover.unpack(arrival(session, parcel))
            avatar = Wanderer.start("ann", None, [])
            late.settle((Player, avatar, avatar.stop))
            while avatar.is_alive():
                await asyncio.sleep(0)
            failing: Future[Any] = Future()
            there.stage.realm_answers[:0] = [lambda *_: failing]
            with pytest.raises(MoveFailed, match="TimeoutError"):
                await there.mover.unpack(arrival(session, parcel))
            failing.settle_error(LookupError())
            await here.mover.stay(session)

    run()


@on_loop
async def test_the_realm_may_restore_avatars_in_a_way_of_its_own() -> None:
    async with servers() as (here, there):
        asked = []

        def restore_avatar(avatar_id: Any, mind: Any, snapshot: Any, *interfaces: type) -> Any:
            asked.append((avatar_id, snapshot, interfaces, mind.identity.avatar_id))
            avatar = Wanderer.start(avatar_id, mind, there.log)
            return Player, avatar, lambda: there.log.append("the realm's logout")

        realm: Any = there.stage.realm.actor_inbox.actor
        realm.restore_avatar = restore_avatar
        session = await here.login()
        await session.avatar.proxy().move(2.0)
        moved = await move(here, there, session)
        assert asked == [("ann", 2.0, (Player,), "ann")]
        await moved.end()
        await asyncio.sleep(0.01)
        assert there.log[-1] == "the realm's logout"


@on_loop
async def test_the_realms_logout_is_not_called_where_the_session_leaves() -> None:
    async with servers() as (here, there):
        here.logout = lambda: here.log.append("the realm's logout")
        await move(here, there, await here.login())
        await asyncio.sleep(0.01)
        assert here.log == ["login", "stop"]


@on_loop
async def test_a_server_takes_only_what_it_can_serve() -> None:
    async with servers() as (here, there):
        session = await here.login()
        parcel = await here.mover.pack(session)
        for what, why in (
            (arrival(session, parcel, checker="LDAP"), "no checker 'LDAP'"),
            (
                arrival(session, msgspec.structs.replace(parcel, channel="rpc")),
                "no server for clients of the kind 'rpc'",
            ),
            (
                arrival(session, msgspec.structs.replace(parcel, vouchers=[("x", [0], "ann")])),
                "the checkers are others",
            ),
        ):
            with pytest.raises(MoveFailed, match=why):
                await there.mover.check(what)
        await here.mover.stay(session)
        gate = await there.login()
        stopping = asyncio.Event()
        there.stage.portal.drain(5)
        with pytest.raises(MoveFailed, match="draining"):
            await there.mover.check(arrival(session, parcel))
        await gate.end()
        stopping.set()


@on_loop
async def test_checkers_that_vouch_are_found_at_the_other_server() -> None:
    set_default_dispatcher(AsyncioDispatcher())
    inner = [Vouching.start() for _ in range(2)]
    here, there = (Server(checkers=[FirstOf.start(one)]) for one in inner)
    for server in (here, there):
        server.stage.checker_answers.append(_refuse())
    session = await here.login()
    assert session.identity.vouchers == ((inner[0], "own ann"),)
    moved = await move(here, there, session)
    assert moved.identity.vouchers == ((inner[1], "own ann"),)
    for server in (here, there):
        await server.stage.portal.drain()


def _refuse() -> Any:
    from actorcred import UnauthorizedLogin

    return UnauthorizedLogin("not this one")


@on_loop
async def test_a_checker_that_vouches_but_is_not_registered_keeps_the_session_here() -> None:
    async with servers() as (here, _):
        session = await here.login()
        stranger = Vouching.start()
        session.mind.introduce(session.identity.replaced(vouchers=((stranger, "ann"),)))
        with pytest.raises(MoveFailed, match="not registered"):
            await here.mover.pack(session)
        assert await session.avatar.proxy().move(1.0) == 1.0


@on_loop
async def test_a_session_that_arrives_counts_for_its_source() -> None:
    from actorcred import ClientInfo

    async with servers() as (here, there):
        session = await here.login()
        client = ClientInfo(address="192.0.2.9")
        moved = await move(here, there, session, client=client)
        assert len(there.stage.portal.protection) == 1
        assert moved.client == client
        await moved.end()
        assert len(there.stage.portal.protection) == 0


@on_loop
async def test_without_a_cluster_no_session_moves_and_a_drain_ends_all() -> None:
    async with servers() as (here, _):
        session = await here.login()
        with pytest.raises(MoveFailed, match="no other server"):
            await session.move()
        with pytest.raises(TypeError, match="node"):
            await session.move(1)  # type: ignore[arg-type]
        assert await here.stage.portal.drain(move=True) == 1
        assert here.log[-2] == ("logout", "drained")


@on_loop
async def test_the_time_of_a_drain_ends_sessions_that_still_move() -> None:
    set_default_dispatcher(AsyncioDispatcher())
    never: Future[str] = Future()

    class Never(Linked):
        def move(self, session: Session, node: str) -> Future[str]:
            return never

    stage = Stage(PortalOptions(registry=Never))
    session = (await stage.begin(mind=None)).session
    assert await stage.portal.drain(0.05, move=True) == 0
    await session.end()
    assert stage.log[-2][0] == "logout"
    never.settle("x")
