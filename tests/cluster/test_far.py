"""Sessions of other nodes: found, called, notified, annotated and ended."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import pykka
import pytest
from pykka.messages import ProxyCall

from actorcred.actors import Future
from actorcred.cluster import BusError, FarSession, RemoteError, answers, pages
from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.messages import AnnotateSession, Ask, End, Hello, Kick, pack
from actorcred.errors import CallCode, CallError, ClientGone
from actorcred.logout import LogoutCode
from actorcred.names import ANONYMOUS
from tests.cluster.conftest import stranger, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import Client, Figure, Member, Player, team


class PlayerProxy(Protocol):
    def move(self, dx: float) -> Future[float]: ...


class FlyingProxy(Protocol):
    def fly(self) -> Future[None]: ...


async def far(a: Member, b: Member, mind: Any = None, name: str = "ann") -> FarSession:
    """Log in at one node, and return the session as the other one sees it."""
    login = await a.login(name, mind)
    session = await b.portal.session(login.session.id)
    assert isinstance(session, FarSession)
    return session


def test_a_session_of_another_node_tells_who_and_whence(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            await a.portal.annotate(login.session.id, rank=3, secret=object())
            session = await b.portal.session(login.session.id)
            assert isinstance(session, FarSession)
            own = login.session
            assert (session.id, session.avatar_id, session.checker) == (own.id, "ann", "Everybody")
            assert session.interface is Player
            assert session.identity == own.identity
            assert session.client == own.client
            assert session.notes == {"rank": 3}
            assert session.since == own.since
            assert abs(session.last_active - own.last_active) < 5
            assert session.is_open
            assert session.node == a.cluster.node
            assert "ann" in repr(session)
            assert await b.portal.session("nobody's") is None

    asyncio.run(run())


def test_sessions_of_all_nodes_are_listed_and_counted(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow") as (a, b):
            first, second = await a.login(), await b.login()
            third = await a.login("ben")
            await b.has_roster(a.cluster.node, b.cluster.node)
            ids = [login.session.id for login in (first, second, third)]
            assert [session.id for session in await b.portal.sessions()] == ids
            assert [session.id for session in await b.portal.sessions("ann")] == ids[:2]
            assert await b.portal.sessions(ANONYMOUS) == []
            assert await a.portal.count() == 3

    asyncio.run(run())


@pytest.mark.parametrize(("length", "size"), [(2, 1 << 20), (1000, 1)])
def test_sessions_that_do_not_fit_into_one_message_are_all_listed(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, length: int, size: int
) -> None:
    monkeypatch.setattr(pages, "PAGE_LENGTH", length)
    monkeypatch.setattr(pages, "PAGE_SIZE", size)

    async def run() -> None:
        async with team(nats_server, policy="allow") as (a, b):
            for number in range(5):
                await a.login()
                await a.login(f"u{number}")
            await b.has_roster(*[a.cluster.node] * 5)
            for name, wanted in ((None, 10), ("ann", 5), ("u1", 1)):
                found = await b.portal.sessions(name)
                assert len({one.id for one in found}) == len(found) == wanted
                assert getattr(found, "missing", None) == frozenset()

    asyncio.run(run())


@pytest.mark.parametrize("page", [[], [["a"]], [[1]], "ab", None])
def test_a_list_that_does_not_go_on_is_given_up(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, page: Any
) -> None:
    monkeypatch.setattr(answers, "page_of", lambda *_: ("more", page))

    async def run() -> None:
        async with team(nats_server) as (a, b):
            found = await b.portal.sessions()
            assert getattr(found, "missing", None) == {a.cluster.node}

    asyncio.run(run())


def test_notes_that_are_too_large_for_nats_hide_no_session(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            large, other = await a.login("large"), await a.login("other")
            await a.portal.annotate(large.session.id, map="x" * 2_000_000)
            await a.portal.annotate(other.session.id, map="small")
            found: Any = await b.portal.sessions()
            assert [(one.avatar_id, one.notes) for one in found] == [
                ("large", {}),
                ("other", {"map": "small"}),
            ]
            assert found.missing == frozenset()
            assert await b.portal.session(large.session.id) is not None

    asyncio.run(run())


def test_a_session_that_ends_is_over_for_all_nodes_at_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            Figure.leaving = asyncio.Event()
            assert await b.portal.kick(avatar_id="ann") == 1
            assert Figure.alive == 1  # it takes its time to leave
            for member in (a, b):
                assert await member.portal.count() == 0
                assert await member.portal.sessions() == []
                assert await member.portal.sessions("ann") == []
                assert await member.portal.session(login.session.id) is None
                assert await member.portal.kick(avatar_id="ann") == 0

    asyncio.run(run())


def test_nodes_that_do_not_answer_are_named(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow", lease=20.0) as (a, b):
            await a.login()
            await b.login()
            await b.has_roster(a.cluster.node, b.cluster.node)
            await a.die()
            everybody: Any = await b.portal.sessions()
            ann: Any = await b.portal.sessions("ann")
            count: Any = await b.portal.count()
            assert [len(everybody), len(ann), count] == [1, 1, 1]
            for found in (everybody, ann, count):
                assert found.missing == {a.cluster.node}

    asyncio.run(run())


def test_look_ups_go_on_without_nats(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, policy="allow", lease=20.0) as (a, b):
            await a.login()
            own_server.kill()
            await until(lambda: not a.node.bus.connected)
            ann: Any = await a.portal.sessions("ann")
            assert len(ann) == 1
            assert ann.missing == {b.cluster.node}
            assert await a.portal.session("x") is None

    asyncio.run(run())


def test_an_avatar_of_another_node_is_called_by_its_interface(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            session = await far(a, b)
            assert await session.avatar.proxy().move(2.0) == 4.0
            assert await session.avatar.call(Player.move, 3.0) == 6.0
            assert await session.avatar.proxy(PlayerProxy).move(1.5) == 3.0
            with pytest.raises(TypeError, match="Player has no fly"):
                session.avatar.proxy(FlyingProxy)
            with pytest.raises(TypeError, match="a method of Player"):
                session.avatar.call(FlyingProxy.fly)
            with pytest.raises(AttributeError, match=r"avatar\.call\(Player\.move, \.\.\.\)"):
                session.avatar.move(1.0)  # type: ignore[attr-defined]
            call = ProxyCall(("move",), (1.5,), {})
            assert await session.avatar.ask(call, block=False) == 3.0
            assert await asyncio.to_thread(session.avatar.ask, call) == 3.0
            session.avatar.tell(call)
            assert "Player" in repr(session.avatar)
            with pytest.raises(AttributeError, match="no method 'stop'"):
                session.avatar.proxy().stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("move", ["far"], CallCode.BAD_ARGUMENTS),
        ("stop", [], CallCode.UNKNOWN_METHOD),
        ("rule", [], CallCode.FORBIDDEN),
        ("fail", ["call"], "mine"),
    ],
)
def test_a_call_that_a_client_could_not_make_is_refused(
    nats_server: NatsServer, method: str, args: list[Any], code: str
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            session = await far(a, b)
            with pytest.raises(CallError) as refused:
                await session.avatar.ask(ProxyCall((method,), tuple(args), {}), block=False)
            assert refused.value.code == code

    asyncio.run(run())


def test_what_a_call_raises_is_not_told_to_other_nodes(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            session = await far(a, b)
            with pytest.raises(RemoteError) as failed:
                await session.avatar.proxy().fail("by zero")
            assert str(failed.value) == "ZeroDivisionError"
            with pytest.raises(RemoteError, match="cannot be sent"):
                await session.avatar.proxy().fail("odd")

    asyncio.run(run())
    assert "a secret" in caplog.text


@pytest.mark.parametrize(
    "message", ["text", ProxyCall(("a", "b"), (), {}), ProxyCall(("move",), (), {"dx": 1.0})]
)
def test_only_calls_of_methods_cross_to_another_node(nats_server: NatsServer, message: Any) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            session = await far(a, b)
            with pytest.raises(BusError, match="positional arguments"):
                session.avatar.tell(message)
            with pytest.raises(BusError, match="cannot be sent"):
                session.mind.notify("hello", object())

    asyncio.run(run())


def test_what_is_too_large_is_refused_on_either_way(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            session = await far(a, b, Client())
            with pytest.raises(BusError, match="too large"):
                session.mind.notify("hello", "x" * 2_000_000)
            with pytest.raises(BusError, match="too large"):
                await session.mind.call("hello", "x" * 2_000_000)
            with pytest.raises(RemoteError, match="the answer is too large"):
                await session.avatar.proxy().fail("large")

    asyncio.run(run())


def test_a_call_does_not_overtake_a_notification(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            client = Client()
            session = await far(a, b, client)
            for number in range(100):
                session.mind.notify("hello", number)
            await session.mind.call("hello", 100)
            assert client.heard == [(number,) for number in range(101)]

    asyncio.run(run())


def test_an_avatar_that_has_gone_is_dead_from_afar(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            session = await far(a, b, Client())
            await session.end()
            for question in (session.avatar.proxy().move(1.0), session.mind.call("hello")):
                with pytest.raises(pykka.ActorDeadError):
                    await question
            session.mind.notify("hello")
            await session.end()

    asyncio.run(run())


def test_a_node_that_has_gone_makes_its_avatars_dead(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            session = await far(a, b)
            await a.portal.drain(5)
            await a.cluster.close()
            with pytest.raises(pykka.ActorDeadError):
                await session.avatar.proxy().move(1.0)
            await session.end()

    asyncio.run(run())


def test_a_node_that_is_silent_makes_a_call_time_out(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, lease=20.0) as (a, b):
            session = await far(a, b)
            a.tap.black_hole()
            call = ProxyCall(("move",), (1.0,), {})
            with pytest.raises(pykka.Timeout):
                await session.avatar.ask(call, block=False, timeout=0.1)
            a.tap.open()

    asyncio.run(run())


def test_the_client_of_another_node_is_notified_and_called(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            client = Client()
            session = await far(a, b, client)
            session.mind.notify("hello", 1, key=("a", 1))
            assert await session.mind.call("hello", 2, timeout=None) == [2]
            await until(lambda: client.heard == [(1,), (2,)])
            with pytest.raises(RemoteError, match="AttributeError"):
                await session.mind.call("unknown")
            with pytest.raises(ClientGone):
                await (await far(a, b, name="ben")).mind.call("hello")
            assert "FarMind" in repr(session.mind)

    asyncio.run(run())


def test_a_session_of_another_node_is_annotated(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            assert await b.portal.annotate(login.session.id, rank=1)
            assert login.session.notes == {"rank": 1}
            assert not await b.portal.annotate("nobody's", rank=1)
            for nobody in ("", "\ud800"):
                assert await b.portal.session(nobody) is None
                assert await b.portal.sessions(nobody) == []
                assert not await b.portal.annotate(nobody, rank=1)
                assert await b.portal.kick(avatar_id=nobody) == 0
                assert await b.portal.kick(session_id=nobody) == 0

    asyncio.run(run())


def test_sessions_are_kicked_wherever_they_are(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow") as (a, b):
            logins = [await here.login(name) for here in (a, b) for name in ("ann", "ben", "cat")]
            assert await b.portal.kick(session_id=logins[2].session.id, reason="out") == 1
            assert await b.portal.kick(session_id=logins[5].session.id) == 1
            assert logins[2].session.reason is not None
            assert logins[2].session.reason.code is LogoutCode.KICKED
            assert logins[2].session.reason.detail == "out"
            assert await b.portal.kick(avatar_id="ann") == 2
            assert [one.session.is_open for one in logins] == [False, True, False] * 2
            assert await b.portal.kick(avatar_id=ANONYMOUS) == 0
            assert await b.portal.kick(everyone=True, reason="\udc80") == 2
            assert str(logins[1].session.reason) == "kicked: \ufffd"
            assert not any(one.session.is_open for one in logins)

    asyncio.run(run())


def test_a_session_is_ended_from_afar_with_a_reason(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            session = await b.portal.session(login.session.id)
            assert session is not None
            await session.end(LogoutCode.KICKED, "enough\udc80")
            assert str(login.session.reason) == "kicked: enough\ufffd"
            await b.node.ask(a.cluster.node, End("nobody's", "kicked"))

    asyncio.run(run())


def test_an_end_for_a_reason_of_a_newer_version_is_a_kick(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            await b.node.ask(a.cluster.node, End(login.session.id, "unheard-of"))
            assert login.session.reason is not None
            assert login.session.reason.code is LogoutCode.KICKED

    asyncio.run(run())


def test_an_interface_that_a_node_does_not_have_is_called_all_the_same(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            monkeypatch.setattr(b.node, "interfaces", Interfaces())
            session = await far(a, b)
            assert session.interface is object
            assert await session.avatar.call(Player.move, 1.0) == 2.0
            assert await session.avatar.proxy(PlayerProxy).move(1.0) == 2.0
            assert await session.avatar.proxy().move(1.0) == 2.0

    asyncio.run(run())


def test_a_node_without_a_portal_has_no_sessions(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            a.node.answers.host = None
            assert await b.node.ask(a.cluster.node, Kick()) == 0
            assert await b.node.ask(a.cluster.node, AnnotateSession("x", {})) is False
            with pytest.raises(pykka.ActorDeadError):
                await b.node.ask(a.cluster.node, Ask("x", "move", []))

    asyncio.run(run())


def test_junk_on_the_bus_harms_nobody(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            subject = f"ac.{a.node.bus.options.cluster}.n.{a.cluster.node}"
            async with stranger(nats_server) as client:
                for data in (b"", b"\x80", b"\xc1" * 100, pack(Hello("x"))[:-1]):
                    await client.publish(subject, data)
                await client.flush()
            a.node.answers.receive(pack(a.node.members._known[b.cluster.node].beat), None)
            assert await b.portal.session(login.session.id) is not None

    asyncio.run(run())
    assert caplog.text.count("A message on the bus was ignored") == 1
    assert "A Beat came by the wrong way" in caplog.text


def test_a_node_that_describes_its_sessions_wrongly_is_passed_over(
    nats_server: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login = await a.login()
            monkeypatch.setattr(
                "actorcred.cluster.pages.portrait_of", lambda session, node: "not a portrait"
            )
            assert await b.portal.session(login.session.id) is None

    asyncio.run(run())
    assert "described its sessions wrongly" in caplog.text


@pytest.mark.parametrize("target", ["b", "c"])
def test_a_session_that_has_moved_since_it_was_found_is_ended_where_it_is(
    nats_server: NatsServer, target: str
) -> None:
    async def run() -> None:
        async with team(nats_server, 3) as (a, b, c):
            login = await a.login()
            (far,) = await c.portal.sessions("ann")
            await login.session.move(target)
            await far.end(LogoutCode.KICKED, "enough")
            assert Figure.alive == 0
            for member in (a, b, c):
                assert await member.portal.sessions("ann") == []
            await far.end()  # which changes nothing

    asyncio.run(run())
