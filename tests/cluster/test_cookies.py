"""Browsers that come with their cookie to another node than that of their session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorcred.adapters import _http_sessions
from actorcred.adapters.asgi import AuthMiddleware
from actorcred.errors import CallError
from actorcred.logout import LogoutCode
from actorcred.sessions.routing import NoRoute, node_of
from tests.adapters.test_asgi_cookies import Exchange, basic, cookies
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import Client, Figure, Member, Player, team

OK = {"type": "http.response.start", "status": 200, "headers": []}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Call a method of the avatar, or do what the path says."""
    visit = scope["actorcred"]
    match scope["path"].split("/")[1:]:
        case ["logout"]:
            await visit.log_out()
            body = b"out"
        case ["end"]:
            await visit.login.session.end()
            body = b"ended"
        case ["who"]:
            session = visit.login.session
            body = f"{session.id} {session.avatar_id} {visit.login.interface.__name__}".encode()
        case ["news"]:
            await tell_news(visit, send)
            return
        case ["wait"]:
            await asyncio.Event().wait()
        case ["chat"]:
            await send({"type": "websocket.accept"})
            await asyncio.Event().wait()
        case ["none"]:
            body = repr(visit.avatar).encode()
        case [method, *args]:
            body = await call(visit.avatar, method, args)
    await send(OK)
    await send({"type": "http.response.body", "body": body})


async def tell_news(visit: Any, send: Any) -> None:
    await send({**OK, "headers": [(b"content-type", b"text/event-stream")]})
    async for name, args in visit.notifications():
        body = f"{name} {args}\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"over"})


async def call(avatar: Any, method: str, args: list[str]) -> bytes:
    try:
        result = await getattr(avatar.proxy(), method)(*map(float, args))
    except CallError as error:
        result = error.code
    return str(result).encode()


class Site:
    """The web server of a node."""

    def __init__(self, member: Member, *interfaces: type, **settings: Any) -> None:
        self.member = member
        self.middleware = AuthMiddleware(
            app, member.portal, *(interfaces or (Player,)), **{"cookie": "sid", **settings}
        )

    def begin(self, path: str, *headers: tuple[bytes, bytes], kind: str = "http") -> Exchange:
        scope = {
            "type": kind, "method": "GET", "path": path, "query_string": b"",
            "headers": [(b"host", b"x"), *headers],
            "client": ("127.0.0.1", 5), "scheme": "http",
        }  # fmt: skip
        return Exchange(self.middleware, scope)

    async def get(self, path: str, *headers: tuple[bytes, bytes]) -> Exchange:
        exchange = self.begin(path, *headers)
        await exchange.task
        return exchange

    async def log_in(self, name: str = "ann") -> tuple[bytes, bytes]:
        """Return the header with the cookie of a new session."""
        (cookie,) = (await self.get("/move/1", basic(name, "right"))).cookies
        return cookies(cookie.partition(";")[0])

    @property
    def pipes(self) -> int:
        return len(self.member.node.pipes)


def test_a_session_goes_on_at_any_node(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, count=3) as members:
            a, b, c = map(Site, members)
            cookie = await a.log_in()
            assert node_of(cookie[1].decode()[4:]) == a.member.cluster.node
            (session,) = await a.member.portal.sessions("ann")
            for site in (b, c, a, b):
                told = await site.get("/move/2", cookie)
                assert (told.status, told.body, told.cookies) == (200, b"4.0", [])
                who = await site.get("/who", cookie)
                assert who.body == f"{session.id} ann Player".encode()
            assert (await b.get("/move/2", cookie, basic("ann", "right"))).body == b"4.0"
            assert Figure.most == 1
            await until(lambda: not a.pipes and not b.pipes and not c.pipes)

    asyncio.run(run())


def test_calls_at_another_node_are_checked_like_those_at_its_own(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            for site in (a, b):
                assert (await site.get("/rule", cookie)).body == b"forbidden"

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/logout", "/end"])
def test_a_client_logs_out_at_any_node(nats_server: NatsServer, path: str) -> None:
    async def run() -> None:
        async with team(nats_server) as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            waits = a.begin("/chat", cookie, kind="websocket")
            await waits.begun.wait()
            told = await b.get(path, cookie)
            assert told.body in {b"out", b"ended"}
            if path == "/logout":
                assert "Max-Age=0" in told.cookies[0]
            assert a.middleware.sessions is not None
            assert a.middleware.sessions.kept == {}
            assert Figure.alive == 0
            again = await b.get("/move/1", cookie)
            assert again.status == 401
            assert "Max-Age=0" in again.cookies[0]
            await waits.task
            await until(lambda: not a.pipes and not b.pipes)

    asyncio.run(run())


def test_a_new_login_ends_a_session_of_another_node(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="replace") as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            told = await b.get("/move/1", cookie, basic("ben", "right"))  # ann's goes on
            assert [one.avatar_id for one in await b.member.portal.sessions()] == ["ann", "ben"]
            assert "Max-Age" not in told.cookies[0]
            wrong = await b.get("/move/1", cookie, basic("ann", "wrong"))
            assert (wrong.status, wrong.cookies) == (401, [])
            assert (await b.get("/move/1", cookie)).status == 200

    asyncio.run(run())


def test_notifications_are_read_at_another_node_in_order(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            (session,) = await a.member.portal.sessions("ann")
            session.mind.notify("news", 0)
            reader = b.begin("/news", cookie)
            await reader.begun.wait()
            for number in range(1, 50):
                session.mind.notify("news", number, [number, "x"])
            session.mind.notify("odd", object())
            session.mind.notify("last")
            await until(lambda: b"last" in reader.body)
            lines = reader.body.decode().splitlines()
            assert lines[0] == "news (0,)"
            numbers = [f"news ({n}, [{n}, 'x'])" for n in range(1, 50)]
            assert lines[1:] == [*numbers, "last ()"]
            reader.task.cancel()
            await asyncio.wait([reader.task])
            await until(lambda: not a.pipes and not b.pipes)
            session.mind.notify("kept for the next one")
            reader = b.begin("/news", cookie)
            await until(lambda: b"kept for the next one" in reader.body)
            await session.end(LogoutCode.KICKED, "enough")
            await reader.task
            await until(lambda: not a.pipes and not b.pipes)

    asyncio.run(run())


def test_requests_at_another_node_end_with_their_session(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            chat, page = b.begin("/chat", cookie, kind="websocket"), b.begin("/wait", cookie)
            await chat.begun.wait()
            await until(lambda: b.pipes == 2)
            await a.member.portal.kick(avatar_id="ann", reason="enough")
            await asyncio.gather(chat.task, page.task)
            assert (chat.sent[-1]["code"], chat.sent[-1]["reason"]) == (
                1008,
                "logged out: kicked: enough",
            )
            assert (page.status, page.body) == (401, b"logged out: kicked: enough\n")
            assert not b.pipes

    asyncio.run(run())


def test_a_session_of_a_dead_node_is_none(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow", lease=60.0) as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            chat, page = b.begin("/chat", cookie, kind="websocket"), b.begin("/wait", cookie)
            await chat.begun.wait()
            await until(lambda: b.pipes == 2)
            await a.member.die()

            def is_told() -> bool:
                b.member.node.members.hurry()
                return chat.task.done() and page.task.done()

            await until(is_told)
            assert (chat.sent[-1]["code"], page.status) == (1013, 503)
            status = 503
            while status == 503:  # NATS itself may learn of it a moment later
                told = await b.get("/move/1", cookie)
                status = told.status
            assert (status, told.cookies) == (401, [])  # it might be disconnected only
            dead = (b"cookie", b"sid=gone-0123456789ab.x")
            told = await b.get("/move/1", dead)
            assert (told.status, "Max-Age=0" in told.cookies[0]) == (401, True)
            again = await b.get("/move/1", cookie, basic("ann", "right"))
            assert again.status == 200
            assert node_of(again.cookies[0].partition(";")[0][4:]) == b.member.cluster.node

    asyncio.run(run())


def test_a_cookie_lives_while_its_node_cannot_be_reached(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, policy="allow", lease=60.0) as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            own_server.kill()
            await until(lambda: not b.member.node.bus.connected)
            told = await b.get("/move/1", cookie)
            assert (told.status, told.cookies) == (503, [])
            assert (await a.get("/move/1", cookie)).status == 200
            own_server.restart()
            status = 503
            while status == 503:
                status = (await b.get("/move/1", cookie)).status
            assert status == 200

    asyncio.run(run())


def test_a_cookie_is_good_for_its_own_name_and_interfaces_only(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            site = Site(a)
            cookie = await site.log_in()
            other = (b"cookie", cookie[1].replace(b"sid", b"other"))
            assert (await Site(b, cookie="other").get("/move/1", other)).status == 401
            assert (await Site(b, Player, Client).get("/move/1", cookie)).status == 401
            assert (await Site(b).get("/move/1", cookie)).status == 200
            guess = (b"cookie", cookie[1][:-1] + b"_")
            told = await Site(b).get("/move/1", guess)
            assert (told.status, "Max-Age=0" in told.cookies[0]) == (401, True)

    asyncio.run(run())


def test_few_nodes_are_asked_for_one_request(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            site, asked = Site(b, required=False), 0
            await Site(a).log_in()

            async def ask(*_: Any) -> NoRoute:
                nonlocal asked
                asked += 1
                return NoRoute.UNKNOWN

            b.node.pipes._ask = ask  # type: ignore[method-assign]
            many = "; ".join(f"sid={a.cluster.node}.{number}" for number in range(100))
            told = await site.get("/none", cookies(many))
            assert (told.status, told.body) == (200, b"None")
            assert asked == _http_sessions.TRIED_ELSEWHERE

    asyncio.run(run())


def test_a_request_that_is_given_up_leaves_no_pipe(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as members:
            a, b = map(Site, members)
            cookie = await a.log_in()
            a.member.tap.slow(0.1)
            page = b.begin("/wait", cookie)
            await until(lambda: b.pipes == 1)
            page.task.cancel()
            await asyncio.wait([page.task])
            a.member.tap.slow(0.0)
            await until(lambda: not a.pipes and not b.pipes)
            # As well if it fails.
            b.member.node.pipes._ask = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
            page = b.begin("/wait", cookie)
            await asyncio.sleep(0)
            page.task.cancel()
            await asyncio.wait([page.task])
            assert not b.pipes

    asyncio.run(run())


@pytest.mark.parametrize("greeting", [b"", b"junk", b"\xff\xff"])
def test_a_question_that_is_not_understood_is_refused(
    nats_server: NatsServer, greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as members:
            a, b = map(Site, members)
            assert a.middleware.sessions is not None
            await a.log_in()
            service = a.middleware.sessions._service
            end: Any = None
            outcome = await b.member.node.pipes.open(a.member.cluster.node, service, greeting, end)
            assert outcome is NoRoute.UNKNOWN
            assert "in an unknown way" in caplog.text
            assert await a.middleware.close() == 1
            assert a.member.node.pipes._services[service] == []

    asyncio.run(run())


def test_reasons_of_newer_versions_are_as_kicks() -> None:
    from actorcred.adapters._http_far import _code

    assert _code("abducted") is LogoutCode.KICKED
    assert _code("idle") is LogoutCode.IDLE
