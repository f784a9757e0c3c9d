"""The session cookie among others and behind proxies, and what a logout ends.

The tests play the part of the ASGI server.
"""

from __future__ import annotations

import asyncio
import base64
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actorcred import Avatar, Portal, Realm, actors
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.adapters.asgi import AuthMiddleware
from actorcred.checkers.memory import MemoryChecker
from actorcred.fronts.trusted import TrustedProxy


class Reader:
    def read(self) -> str:
        raise NotImplementedError


class Person(Avatar, Reader):
    def read(self) -> str:
        return str(self.avatar_id)

    def tell(self, text: str) -> None:
        self.mind.notify("news", text)


class Library(Realm):
    interfaces = (Reader,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Person.start(avatar_id, mind)
        return Reader, avatar, avatar.stop


async def forever(scope: Any, send: Any, headers: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"one\n", "more_body": True})
    await asyncio.Event().wait()


async def chat(visit: Any, path: str, send: Any) -> None:
    await send({"type": "websocket.accept"})
    if path == "/news":
        async for _ in visit.notifications():
            pass
    await asyncio.Event().wait()


async def news(visit: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    visit.avatar.proxy().tell("one")
    async for _, args in visit.notifications():
        await send({"type": "http.response.body", "body": args[0].encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def app(scope: Any, receive: Any, send: Any) -> None:
    visit, path = scope["actorcred"], scope["path"]
    if scope["type"] == "websocket":
        await chat(visit, path, send)
    elif path == "/events":
        await forever(scope, send, [(b"Content-Type", b"text/event-stream; charset=utf-8")])
    elif path == "/stream":
        await forever(scope, send, [])
    elif path == "/news":
        await news(visit, send)
    else:
        await page(visit, path, send)


async def page(visit: Any, path: str, send: Any) -> None:
    if path == "/logout":
        await visit.log_out()
    elif path == "/end":
        await visit.login.session.end()
        await asyncio.sleep(0.01)  # as rendering a page does
    elif path == "/wait":
        await asyncio.Event().wait()
    avatar = visit.avatar
    body = b"nobody" if avatar is None or path == "/end" else (await avatar.proxy().read()).encode()
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain; charset=utf-8")],
        }
    )
    await send({"type": "http.response.body", "body": body})


class Exchange:
    """A request, and what the server was given to send."""

    def __init__(self, middleware: AuthMiddleware, scope: dict[str, Any]) -> None:
        self.sent: list[Any] = []
        self.begun = asyncio.Event()
        self._asked = False
        self.task = asyncio.ensure_future(middleware(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        if self._asked:
            await asyncio.Event().wait()
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        if message["type"] in {"websocket.accept", "http.response.body"}:
            self.begun.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def cookies(self) -> list[str]:
        return [value.decode() for name, value in self.sent[0]["headers"] if name == b"set-cookie"]


class Stage:
    def __init__(self, **settings: Any) -> None:
        self.portal = Portal.start(
            Library.start(), [MemoryChecker.start({"ann": "s3cret", "bob": "hush"}, plaintext=True)]
        )
        self.middleware = AuthMiddleware(app, self.portal, Reader, **{"cookie": "sid", **settings})

    def begin(
        self, *headers: tuple[bytes, bytes], path: str = "/", kind: str = "http", **more: Any
    ) -> Exchange:
        scope = {
            "type": kind, "method": "GET", "path": path, "query_string": b"",
            "headers": [(b"host", b"x"), *headers],
            "client": ("127.0.0.1", 5), "scheme": "http", **more,
        }  # fmt: skip
        return Exchange(self.middleware, scope)

    async def get(self, *headers: tuple[bytes, bytes], **more: Any) -> Exchange:
        exchange = self.begin(*headers, **more)
        await exchange.task
        return exchange

    async def log_in(
        self,
        name: str = "ann",
        password: str = "s3cret",
        *headers: tuple[bytes, bytes],
        **more: Any,
    ) -> str:
        """Return `name=value` of the cookie of a new session."""
        first = await self.get(basic(name, password), *headers, **more)
        (cookie,) = first.cookies
        return cookie.partition(";")[0]


def basic(name: str = "ann", password: str = "s3cret") -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + base64.b64encode(f"{name}:{password}".encode())


def cookies(text: str) -> tuple[bytes, bytes]:
    return b"cookie", text.encode("latin-1")


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def body() -> None:
            set_default_dispatcher(AsyncioDispatcher())
            try:
                async with asyncio.timeout(30):
                    await test(*args, **kwargs)
            finally:
                set_default_dispatcher(None)
                await asyncio.to_thread(actors.shutdown, 10)

        asyncio.run(body())

    return run


# -- among others --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        ["{}"],
        ["a=1; {}; b=2"],
        ["a=1", "{}"],
        ["{}", "b=2"],
        ["a=1", "{}", "b=2"],
        ["sid=old", "{}"],
    ],
    ids=" | ".join,
)
@on_loop
async def test_http_2_brings_a_header_for_each_cookie(headers):
    stage = Stage()
    cookie = await stage.log_in()
    answer = await stage.get(
        *(cookies(header.format(cookie)) for header in headers), http_version="2"
    )
    assert (answer.status, answer.body, answer.cookies) == (200, b"ann", [])


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    "other",
    [
        'settings={"a":1,"b":2}', "a[b]=1", "novalue", "=1", "=", "", 'q="x', 'q="', "a=b c",
        "utm=\xe9", "x=\x01", "sid", "sid=", "SID=1", "path=/x", "expires=Thu, 01 Jan",
        "$Version=1", "secure", "a=1;", "a=b=c==", "__Host-sid=1", "sid =old", "x\x85=1",
    ],
)  # fmt: skip
@on_loop
async def test_no_other_cookie_throws_a_visitor_out(other, first):
    stage = Stage()
    cookie = await stage.log_in()
    answer = await stage.get(cookies(f"{other}; {cookie}" if first else f"{cookie}; {other}"))
    assert (answer.status, answer.body) == (200, b"ann")


@on_loop
async def test_of_several_cookies_of_our_name_the_first_that_leads_to_a_session_counts():
    stage = Stage()
    ann, bob = await stage.log_in(), await stage.log_in("bob", "hush")
    name, value = ann.split("=")
    assert (await stage.get(cookies(f'{name}="{value}"'))).body == b"ann"
    orders = (
        ("sid=old", ann, b"ann"),
        (ann, "sid=old", b"ann"),
        (bob, ann, b"bob"),
        (ann, bob, b"ann"),
    )
    for header, who in ((f"{first}; {second}", who) for first, second, who in orders):
        assert (await stage.get(cookies(header))).body == who
    with_header = await stage.get(cookies(f"{bob}; {ann}"), basic())
    assert (with_header.body, with_header.cookies) == (b"ann", [])
    many = "; ".join(f"sid={number:043}" for number in range(5000))
    assert (await stage.get(cookies(f"{ann}; {many}"))).body == b"ann"
    assert (await stage.get(cookies(many))).status == 401


@on_loop
async def test_a_refusal_does_not_take_the_cookie_of_a_session_that_lives():
    """Another site's page, or one wrong password, would log a visitor out."""
    stage = Stage()
    cookie = await stage.log_in()
    evil = await stage.get(cookies(cookie), (b"origin", b"http://evil.example"), method="POST")
    assert (evil.status, evil.cookies) == (401, [])
    assert (await stage.get(cookies(cookie), basic("ann", "wrong"))).cookies == []
    assert (await stage.get(cookies(cookie))).body == b"ann"
    assert (await stage.get(cookies("sid=old"))).cookies == [
        "sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
    ]


@pytest.mark.parametrize("name", ["", "a b", "a;b", "a=b", "\u00e9", "__Host-"])
def test_a_name_that_no_cookie_can_have_is_an_error(name):
    with pytest.raises(ValueError, match="cookie"):
        AuthMiddleware(app, None, Reader, cookie=name)  # type: ignore[arg-type]


# -- TLS and proxies -----------------------------------------------------------------------------


@on_loop
async def test_by_https_the_cookie_is_secure_and_of_this_host_only():
    for name in ("sid", "__Host-sid"):
        stage = Stage(cookie=name)
        first = await stage.get(basic(), scheme="https")
        value = first.cookies[0].partition(";")[0]
        assert value.startswith("__Host-sid=")
        assert first.cookies[0].endswith("; Path=/; HttpOnly; SameSite=Lax; Secure")
        assert (await stage.get(cookies(value), scheme="https")).body == b"ann"
        # What another host of the domain, or somebody in between, could have set.
        assert (
            await stage.get(cookies(value.removeprefix("__Host-")), scheme="https")
        ).status == 401
        assert (await stage.log_in()).startswith("sid=")
    assert (await Stage(cookie="__Secure-id").log_in(scheme="https")).startswith("__Secure-id=")


HTTPS, HTTP = (b"x-forwarded-proto", b"https"), (b"X-Forwarded-Proto", b"http")
FORWARDED = (b"forwarded", b'for=192.0.2.1;proto=http, for="[2001:db8::1]";Proto="https";host=x')


@pytest.mark.parametrize(
    ("said", "header"),
    [
        (HTTPS, "x-forwarded"),
        (FORWARDED, "forwarded"),
        ((b"x-forwarded-proto", b"http, https"), "x-forwarded"),
    ],
)
@pytest.mark.parametrize(
    ("proxies", "client"),
    [
        (["127.0.0.1"], ("127.0.0.1", 5)), (["10.0.0.0/8", "::1"], ("::1", 5)),
        (["10.0.0.0/8"], ("::ffff:10.1.2.3", 5)), (["unix"], None),
        (["fe80::/10"], ("fe80::1%eth0", 5)),
    ],
)  # fmt: skip
@on_loop
async def test_a_trusted_proxy_says_that_its_client_came_by_https(proxies, client, said, header):
    stage = Stage(trusted_proxies=TrustedProxy(tuple(proxies), header=header))
    cookie = await stage.log_in("ann", "s3cret", said, client=client)
    assert cookie.startswith("__Host-sid=")
    assert (await stage.get(cookies(cookie), said, client=client)).body == b"ann"


@on_loop
async def test_nobody_else_says_so():
    stage = Stage(trusted_proxies=["10.0.0.0/8"])
    assert (await stage.log_in("ann", "s3cret", HTTPS)).startswith("sid=")
    assert (await Stage().log_in("ann", "s3cret", HTTPS)).startswith("sid=")
    stranger = await stage.get(HTTPS, basic(), client=("192.0.2.7", 5))
    assert stranger.status == 401  # no TLS, so no password


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [HTTP],
        [HTTPS, HTTP],
        [(b"x-forwarded-proto", b"https, http")],
        [HTTP, FORWARDED],
        [(b"forwarded", b"for=x")],
    ],
)
@on_loop
async def test_a_client_without_tls_is_not_private_because_its_proxy_is_near(headers):
    stage = Stage(trusted_proxies=["127.0.0.1"])
    assert (await stage.get(*headers, basic())).status == 401
    assert (await stage.get(HTTPS, basic())).status == 200


@pytest.mark.parametrize("proxies", [["nonsense"], "127.0.0.1", [""]])
def test_proxies_are_addresses(proxies):
    with pytest.raises((TypeError, ValueError), match=r"networks|not one string"):
        AuthMiddleware(app, None, Reader, trusted_proxies=proxies)  # type: ignore[arg-type]


# -- a logout by another request -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/news"])
@on_loop
async def test_a_logout_by_another_request_closes_a_websocket(path):
    stage = Stage()
    cookie = cookies(await stage.log_in())
    socket = stage.begin(cookie, kind="websocket", scheme="ws", path=path)
    await socket.begun.wait()
    assert (await stage.get(cookie, path="/logout")).body == b"nobody"
    await socket.task
    assert socket.sent[-1] == {
        "type": "websocket.close",
        "code": 1008,
        "reason": "logged out: logout",
    }


@on_loop
async def test_a_logout_by_another_request_ends_streams():
    stage = Stage()
    cookie = cookies(await stage.log_in())
    events, stream, news = (
        stage.begin(cookie, path=path) for path in ("/events", "/stream", "/news")
    )
    for one in (events, stream, news):
        await one.begun.wait()
    await stage.get(cookie, path="/logout")
    await events.task
    await news.task
    assert (events.body, events.sent[-1].get("more_body", False)) == (b"one\n", False)
    assert news.body == b"one"
    with pytest.raises(ConnectionAbortedError):
        await stream.task  # half a file must not look like a whole one


@on_loop
async def test_requests_that_are_not_yet_answered_have_time_but_not_for_ever(monkeypatch):
    stage = Stage()
    cookie = cookies(await stage.log_in())
    ended = await stage.get(
        cookie, path="/end"
    )  # an application that logs out by the session itself
    assert (ended.status, ended.body) == (200, b"nobody")
    monkeypatch.setattr("actorcred.adapters.asgi.ANSWER_GRACE", 0.01)
    cookie = cookies(await stage.log_in())
    slow = stage.begin(cookie, path="/wait")
    await asyncio.sleep(0)
    await stage.get(cookie, path="/logout")
    await slow.task
    assert (slow.status, slow.body) == (401, b"logged out: logout\n")


@on_loop
async def test_a_logout_ends_what_its_own_session_does_and_nothing_else():
    stage = Stage()
    cookie = cookies(await stage.log_in())
    socket = stage.begin(cookie, kind="websocket", scheme="ws")
    await socket.begun.wait()
    other = stage.begin(cookies(await stage.log_in("bob", "hush")), kind="websocket", scheme="ws")
    await other.begun.wait()
    assert (await stage.get(cookie, path="/logout")).status == 200
    await socket.task
    assert not other.task.done()
    await stage.middleware.close()
    await other.task
    assert other.sent[-1]["code"] == 1013
