"""A session moves from node to node, and is in one place or none whatever fails meanwhile."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from actorcred import Anonymous, Login, LogoutCode, MoveFailed, Session
from actorcred.actors import Future
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.cluster import BusDown, RemoteError
from actorcred.cluster import moves as moving
from actorcred.cluster.adoption import Adopt
from actorcred.cluster.errors import NodeGone
from actorcred.cluster.messages import End, Message
from actorcred.cluster.roster import Entry, key_of
from actorcred.errors import CallError
from actorcred.portal.events import LoggedOut, SessionMoved
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import SHORT, Figure, Member, Player, team
from tests.cluster.test_outages import gets_in


def here(member: Member, session_id: str) -> Session | None:
    """Return a session that a node has."""
    holding = member.node.holdings.get(session_id)
    return None if holding is None else holding.session


async def failing(session: Session, why: str, node: str = "") -> None:
    with pytest.raises(MoveFailed, match=why):
        await session.move(node)


def answers(member: Member, answer: Callable[[Message], Any]) -> None:
    """Have the questions of a node about moves answered by a function; a None asks the node."""
    ask = member.node.peers.ask

    async def asking(node: str, message: Message, timeout: float | None = None) -> Any:
        said = answer(message) if isinstance(message, Adopt) else None
        if isinstance(said, Exception):
            raise said
        return await ask(node, message, timeout) if said is None else said

    member.node.peers.ask = asking  # type: ignore[method-assign]


@pytest.mark.parametrize("policy", ["reject", "allow"])
def test_a_session_moves_with_its_place_and_its_state(nats_server: NatsServer, policy: str) -> None:
    async def run() -> None:
        async with team(nats_server, policy=policy) as (a, b):
            login = await a.login()
            await login.avatar.proxy().move(1.0)
            assert await login.session.move() == b.cluster.node
            await b.has_roster(b.cluster.node)
            moved = here(b, login.session.id)
            assert moved is not None
            assert (moved.since, moved.notes) == (login.session.since, {})
            assert moved.identity.groups == {"players"}
            if policy == "reject":
                assert moved.fence is not None
                assert login.session.fence is not None
                assert moved.fence > login.session.fence
            actor: Any = moved.avatar.actor_inbox.actor
            assert actor.moves == 1
            assert not login.session.is_open
            assert len(a.node.holdings) == 0
            assert [one.id for one in await a.portal.sessions("ann")] == [moved.id]
            assert await moved.move("a") == a.cluster.node
            await b.has_roster(a.cluster.node)

    asyncio.run(run())


def test_both_nodes_tell_of_a_move_and_of_both_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as members:
            events: list[list[Any]] = [[], []]
            for member, told in zip(members, events, strict=True):
                await member.portal.subscribe(told.append)
            login = await members[0].login()
            await login.session.move()
            nodes = [member.cluster.node for member in members]
            for told in events:
                await until(lambda: any(isinstance(one, SessionMoved) for one in told))  # noqa: B023
                [event] = [one for one in told if isinstance(one, SessionMoved)]
                assert [event.source, event.target] == nodes
                assert event.session_id == login.session.id
                assert event.fence is not None
                assert event.duration > 0
                assert not any(isinstance(one, LoggedOut) for one in told)

    asyncio.run(run())


def test_an_anonymous_session_moves_and_leaves_nothing_in_the_roster(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            for member in (a, b):
                await member.portal.register_checker(AnonymousChecker.start())
            login = await a.portal.login(Anonymous(), None, Player)
            await login.session.move()
            assert here(b, login.session.id) is not None
            other = await a.portal.login(Anonymous(), None, Player)
            says = [CallError("not this one", "refused")]
            answers(a, lambda _: says.pop() if says else None)
            await failing(other.session, "not this one")
            assert other.session.is_open

            def fail() -> None:
                raise LookupError

            Figure.restores = staticmethod(fail)  # type: ignore[assignment]
            await failing(other.session, "restored")
            await until(lambda: len(b.node.holdings) == 1)
            assert not [entry async for entry in a.node.roster.all()]

    asyncio.run(run())


def test_a_session_goes_to_the_node_with_the_fewest_or_to_a_named_one(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 3) as (a, b, c):
            for name in ("x", "y"):
                await b.login(name)
            b.node.members.hurry()
            await until(lambda: a.node.members.loads().get(b.cluster.node) == 2)
            first, second = await a.login("first"), await a.login("second")
            assert await first.session.move() == c.cluster.node
            assert await second.session.move("b") == b.cluster.node
            third = await a.login("third")
            await failing(third.session, "is there already", "a")
            await failing(third.session, "no server 'd' lives", "d")
            assert await third.session.move(b.cluster.node) == b.cluster.node

    asyncio.run(run())


def test_sessions_that_move_at_once_are_spread(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 3) as (a, b, c):
            logins = [await a.login(f"u{number}") for number in range(10)]
            assert await a.portal.drain(move=True) == 10
            assert not any(login.session.is_open for login in logins)
            assert {len(b.node.holdings), len(c.node.holdings)} == {5}
            assert Figure.alive == 10
            await failing(logins[0].session, "not open")

    asyncio.run(run())


def test_a_drain_ends_what_cannot_move(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            told: list[Any] = []
            gone = await a.login("gone", lambda *args: told.append(args))
            stays = await a.login("stays")
            assert await a.portal.drain(move=True) == 2
            assert ("logged_out", "drained", "") in told
            assert here(b, stays.session.id) is not None
            assert here(b, gone.session.id) is None

    asyncio.run(run())


def test_a_drain_that_is_over_counts_what_could_not_move_in_time(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        taken = asyncio.Event()

        async def slow(_: Figure) -> None:
            await taken.wait()

        async with team(nats_server) as (a, _):
            monkeypatch.setattr(Figure, "snapshot", slow)
            login = await a.login()
            assert await a.portal.drain(0.1, move=True) == 0
            assert "1 sessions were still ending" in caplog.text
            taken.set()
            await until(lambda: not login.session.is_open)

    asyncio.run(run())


def test_alone_no_session_moves(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 1) as (a,):
            login = await a.login()
            await failing(login.session, "no other server")
            assert login.session.is_open
            assert await a.portal.drain(move=True) == 1

    asyncio.run(run())


def test_no_session_moves_to_a_node_that_drains(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            other = await b.login("other")
            Figure.leaving = asyncio.Event()
            draining = b.portal.drain(5)
            await until(lambda: not other.session.is_open)
            await failing(login.session, "draining|no other server")
            assert login.session.is_open
            Figure.leaving.set()
            await draining

    asyncio.run(run())


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (CallError("full", "refused"), "full"),
        (NodeGone("b"), "does not answer"),
        (BusDown("no answer"), "does not answer"),
        (CallError("changed", "conflict"), "changed"),
    ],
)
def test_a_session_that_no_node_takes_stays_where_it_is(
    nats_server: NatsServer, says: Exception, why: str
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            login = await a.login()
            answers(a, lambda _: says)
            await failing(login.session, why)
            assert login.session.is_open
            assert await login.avatar.proxy().move(1.0) == 2.0
            assert await a.roster() == [a.cluster.node]
            await login.logout()
            await a.has_roster()

    asyncio.run(run())


def test_a_late_adoption_of_a_session_that_stays_is_refused(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            asked: list[Adopt] = []

            def lose(message: Any) -> Exception:
                asked.append(message)
                return BusDown("no answer")

            answers(a, lose)
            await failing(login.session, "does not answer")
            with pytest.raises(CallError, match="roster has changed"):
                await b.node.moves.adopt(asked[0])
            assert len(b.node.holdings) == 0
            assert await a.roster() == [a.cluster.node]

    asyncio.run(run())


def test_a_session_whose_adoption_was_not_answered_is_elsewhere(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            ask = a.node.peers.ask

            async def deaf(node: str, message: Message, timeout: float | None = None) -> Any:
                await ask(node, message, timeout)
                raise BusDown("the answer was lost")

            a.node.peers.ask = deaf  # type: ignore[method-assign]
            assert await login.session.move() == b.cluster.node
            assert here(b, login.session.id) is not None
            assert Figure.alive == 1
            assert not login.session.is_open

    asyncio.run(run())


def test_a_session_that_is_nowhere_in_the_roster_after_a_move_ends(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            login = await a.login()

            async def wipe(node: str, message: Message, timeout: float | None = None) -> Any:
                revision, _ = await a.node.roster.read(key_of("ann"))
                await a.node.roster.remove(revision)
                raise BusDown("no answer")

            a.node.peers.ask = wipe  # type: ignore[method-assign]
            await failing(login.session, "has ended: it was lost")
            await login.logout()
            assert Figure.alive == 1  # its `on_logout` did not run
            await until(lambda: len(a.node.holdings) == 0)

    asyncio.run(run())


def test_a_session_whose_roster_is_lost_while_it_moves_ends(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            login = await a.login()

            def lose(_: Any) -> Exception:
                a.node.roster._made = "2030-01-01T00:00:00+00:00"
                return BusDown("no answer")

            answers(a, lose)
            await failing(login.session, "has ended: the servers lost touch")
            await login.logout()
            assert Figure.alive == 1

    asyncio.run(run())


def test_a_session_whose_avatar_cannot_be_restored_ends_as_crashed(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            told: list[Any] = []
            await a.portal.subscribe(told.append)
            login = await a.login()

            def fail() -> None:
                raise LookupError("lost")

            Figure.restores = staticmethod(fail)  # type: ignore[assignment]
            await failing(login.session, "could not be restored: LookupError")
            await until(lambda: any(isinstance(one, LoggedOut) for one in told))
            assert [one.reason for one in told if isinstance(one, LoggedOut)] == ["crashed"]
            await b.has_roster()
            Figure.restores = staticmethod(lambda: None)  # type: ignore[assignment]
            assert (await b.login()).session.is_open

    asyncio.run(run())


def test_a_realm_that_refuses_leaves_no_place(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            b.realm.actor_inbox.actor.restore_avatar = lambda *_: None
            await failing(login.session, "could not be restored")
            await a.has_roster()
            assert len(b.node.holdings) == 0

    asyncio.run(run())


def test_an_unexpected_error_elsewhere_ends_the_session(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            login = await a.login()
            answers(a, lambda _: RemoteError("ZeroDivisionError"))
            await failing(login.session, "has ended: ZeroDivisionError")
            await login.logout()

    asyncio.run(run())


def test_who_replaces_a_session_that_moves_waits_for_its_end_elsewhere(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, policy="replace") as (a, b):
            login = await a.login()
            gate: Future[None] = Future()

            async def restore() -> None:
                await gate

            Figure.restores = staticmethod(restore)  # type: ignore[assignment]
            move = login.session.move()
            await until(lambda: b.node.holdings.get(login.session.id) is not None)
            replacing = asyncio.ensure_future(a.login())
            await until(lambda: a.node.holdings.sessions == 1 and len(a.node.holdings) == 2)
            gate.settle()
            assert await move == b.cluster.node
            second: Login = await replacing
            assert second.session.is_open
            assert Figure.most <= 2
            await until(lambda: here(b, login.session.id) is None)
            await a.has_roster(a.cluster.node)
            assert Figure.alive == 1

    asyncio.run(run())


def test_a_kick_while_a_session_moves_follows_it(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            gate: Future[None] = Future()

            async def restore() -> None:
                await gate

            Figure.restores = staticmethod(restore)  # type: ignore[assignment]
            move = login.session.move()
            await until(lambda: b.node.holdings.get(login.session.id) is not None)
            login.session.end(LogoutCode.KICKED, "spam")
            gate.settle()
            await move
            await until(lambda: here(b, login.session.id) is None)
            assert Figure.alive == 0

    asyncio.run(run())


def test_what_a_node_is_told_of_a_session_that_it_has_is_refused(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            asked: list[Adopt] = []
            answers(a, asked.append)  # type: ignore[func-returns-value]
            await login.session.move()
            with pytest.raises(CallError, match="there already"):
                await b.node.moves.adopt(asked[0])
            adopt = a.node.moves.adopt
            portrait: Any = asked[0].portrait
            for odd, why in (
                (Adopt("x", 1, "junk", None), "not understood"),
                (Adopt("x", 1, _with(portrait, interface="x:Y"), asked[0].parcel), "no x:Y"),
                (Adopt("x", 1, _with(portrait, checker="x"), asked[0].parcel), "no checker"),
            ):
                with pytest.raises(CallError, match=why):
                    await adopt(odd)

    asyncio.run(run())


async def _outcome(session: Session) -> str:
    try:
        return await session.move()
    except MoveFailed as error:
        return str(error)


def _with(portrait: Any, **changes: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(portrait, **changes)


def test_a_node_that_is_cut_off_takes_and_gives_nothing(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            a.node.roster._hold_until = math.inf
            await failing(login.session, "cut off from the others")
            assert login.session.is_open
            a.node.roster._hold_until, b.node.roster._hold_until = 0.0, math.inf
            move = asyncio.ensure_future(_outcome(login.session))
            await until(lambda: b.node.holdings.get(login.session.id) is None and move.done())
            assert "cut off from the other servers" in await move
            b.node.roster._hold_until = 0.0
            assert await login.session.move() == b.cluster.node

    asyncio.run(run())


@pytest.mark.parametrize("asked", [True, False])
def test_a_move_ends_with_the_lease(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, b):
            login = await a.login()
            reached = asyncio.Event()

            async def wait(*args: Any) -> Any:
                reached.set()
                await asyncio.Event().wait()

            place = (a.node.peers, "ask") if asked else (a.node.roster, "read")
            with monkeypatch.context() as patch:
                patch.setattr(*place, wait)
                move = asyncio.ensure_future(_outcome(login.session))
                await reached.wait()
                a.tap.cut()
                assert "lost touch" in await move
            assert not login.session.is_open
            # It might be elsewhere if another node was asked, so its `on_logout` did not run then.
            assert Figure.alive == asked
            a.tap.open()
            await gets_in(b)

    asyncio.run(run())


def test_a_lease_that_is_lost_between_the_answer_and_the_place_gives_the_place_back(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            write = b.node.roster.write

            async def late(*args: Any) -> Any:
                written = await write(*args)
                b.node.members.generation += 1
                return written

            b.node.roster.write = late  # type: ignore[method-assign]
            await failing(login.session, "it was lost")
            assert await a.roster() == []

    asyncio.run(run())


def test_nats_that_fails_a_node_that_takes_a_session_is_not_the_end(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()

            async def fail(*_: Any) -> Any:
                raise BusDown("away")

            write, b.node.roster.write = b.node.roster.write, fail  # type: ignore[method-assign]
            await failing(login.session, "NATS does not answer: away")
            b.node.roster.write = write  # type: ignore[method-assign]
            read, a.node.roster.read = a.node.roster.read, fail  # type: ignore[method-assign]
            await failing(login.session, "NATS does not answer: away")
            a.node.roster.read = read  # type: ignore[method-assign]
            assert await login.session.move() == b.cluster.node

    asyncio.run(run())


def test_a_session_without_a_place_in_the_roster_does_not_move(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            login = await a.login()
            revision, _entries = await a.node.roster.read(key_of("ann"))
            other = [Entry("other", a.cluster.node)]
            await a.node.roster.write(key_of("ann"), revision, "ann", other)
            await failing(login.session, "no place in the roster")
            assert login.session.is_open

    asyncio.run(run())


def test_a_session_that_is_too_large_for_nats_stays(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            login = await a.login()
            await a.portal.annotate(login.session.id, book="x" * 2_000_000)
            await failing(login.session, "too large for NATS")
            assert login.session.is_open

    asyncio.run(run())


def test_nats_that_is_asked_again_where_a_session_is(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "PAUSE", 0.0)

    async def run() -> None:
        async with team(nats_server) as (a, _):
            login = await a.login()
            read, reads = a.node.roster.read, []

            async def seldom(key: str) -> Any:
                reads.append(key)
                if len(reads) in {2, 3}:
                    raise BusDown("away")
                return await read(key)

            def lose(_: Any) -> Exception:
                a.node.roster.verified = False
                asyncio.get_running_loop().call_later(0.01, a.node.roster.complete)
                a.node.roster._doubted = False
                return BusDown("no answer")

            a.node.roster.read = seldom  # type: ignore[method-assign]
            answers(a, lose)
            await failing(login.session, "does not answer")
            assert login.session.is_open
            assert len(reads) == 4

    asyncio.run(run())


def test_a_message_that_cannot_follow_is_named_in_the_log(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            a.node.moves._tell(b.cluster.node, End("x", "y" * 2_000_000))
            assert "could not follow a session" in caplog.text

    asyncio.run(run())


def test_a_session_is_found_once_while_it_moves_and_keeps_what_is_noted_then(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 3) as (a, b, c):
            login = await a.login()
            session_id = login.session.id
            await a.portal.annotate(session_id, rank=1, old=True)
            made, restored = Future[None](), Future[None]()
            make = b.realm.actor_inbox.actor.request_avatar

            async def restore_avatar(avatar_id: Any, mind: Any, _: Any, *interfaces: type) -> Any:
                await made
                return make(avatar_id, mind, *interfaces)

            async def restore() -> None:
                await restored

            b.realm.actor_inbox.actor.restore_avatar = restore_avatar
            Figure.restores = staticmethod(restore)  # type: ignore[assignment]
            move = login.session.move("b")
            await c.has_roster(b.cluster.node)
            for member in (a, c):
                assert [one.id for one in await member.portal.sessions("ann")] == [session_id]
            await a.portal.annotate(session_id, rank=2, old=None)
            made.settle()
            await until(lambda: here(b, session_id) is not None)
            for member in (a, b, c):
                assert [one.id for one in await member.portal.sessions()] == [session_id]
            restored.settle()
            await move
            moved = here(b, session_id)
            assert moved is not None
            await until(lambda: dict(moved.notes) == {"rank": 2})

    asyncio.run(run())
