"""HTTP with curl: each scheme, sessions per request or by cookie, in Starlette, FastAPI, Django."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.exceptions

from actorcred import (
    Avatar,
    BearerToken,
    Checker,
    LoginDenied,
    NoInterface,
    Portal,
    PortalOptions,
    Realm,
    UnauthorizedLogin,
)
from actorcred.actors import AsyncioDispatcher
from actorcred.adapters.asgi import AuthMiddleware
from actorcred.checkers.memory import MemoryChecker
from actorcred.credentials import UsernamePassword
from tests.adapters.front import LOCALHOST
from tests.adapters.loops import HttpServer, in_loop, loop
from tests.backends.servers import program
from tests.helpers import django_application, until


class Reader(ABC):
    @abstractmethod
    def read(self) -> str: ...


class Editor(ABC):
    @abstractmethod
    def edit(self) -> None: ...


class Person(Avatar, Reader):
    def __init__(self, avatar_id: Any, mind: Any, log: list[Any]) -> None:
        super().__init__(avatar_id, mind)
        self.log = log
        self.count = 0

    def on_logout(self, reason: Any) -> None:
        self.log.append((self.avatar_id, str(reason.code)))

    def read(self) -> str:
        self.count += 1
        return f"{self.avatar_id} {self.count}"

    def tell(self, text: str) -> None:
        self.mind.notify("news", text)


class Library(Realm):
    interfaces = (Reader,)

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        if Reader not in interfaces:
            raise NoInterface(interfaces)
        avatar = Person.start(avatar_id, mind, self.log)
        return Reader, avatar, avatar.stop


class Tokens(Checker):
    credential_interfaces = (BearerToken,)

    def request_avatar_id(self, credentials: BearerToken) -> str:
        if credentials.token != "ticket":
            raise UnauthorizedLogin("no such token")
        return "bea"


class Full(Checker):
    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> str:
        raise LoginDenied("full", retry_after=6.6)


async def answer(send: Any, status: int, body: str) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-length", b"%d" % len(body))],
        }
    )
    await send({"type": "http.response.body", "body": body.encode()})


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says who is there; and more, by the path."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send(
                {
                    "type": "websocket.send",
                    "text": f"{await scope['avatar'].proxy().read()} {message['text']}",
                }
            )
        return
    visit = scope["actorcred"]
    if scope["path"] == "/login":
        body = (await receive())["body"].decode()
        try:
            await visit.log_in(UsernamePassword(*body.split(":")))
        except UnauthorizedLogin:
            await answer(send, 403, "wrong")
            return
    elif scope["path"] == "/logout":
        await visit.log_out()
    elif scope["path"] == "/body":
        body = b""
        while (message := await receive()).get("more_body", False):
            body += message["body"]
        await answer(send, 200, f"{len(body + message['body'])} bytes")
        return
    elif scope["path"] == "/news":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        scope["avatar"].proxy().tell("one")
        async for name, args in visit.notifications():
            await send(
                {
                    "type": "http.response.body",
                    "body": f"{name} {args[0]}\n".encode(),
                    "more_body": True,
                }
            )
        return
    avatar = scope["avatar"]
    await answer(send, 200, "nobody" if avatar is None else await avatar.proxy().read())


class Stage:
    def __init__(
        self,
        *checkers: Any,
        application: Any = app,
        options: Any = None,
        wrap: bool = True,
        **settings: Any,
    ) -> None:
        self.log: list[Any] = []
        self.dispatcher = AsyncioDispatcher(loop(), "http")
        users = MemoryChecker.start({"ann": "s3cret", "bob": "hush"}, plaintext=True)
        realm = Library.start(self.log, dispatcher=self.dispatcher)
        self.portal = Portal.start(
            realm, checkers or [users, Tokens.start()], options, dispatcher=self.dispatcher
        )
        self.middleware: Any = (
            AuthMiddleware(application, self.portal, Reader, **settings)
            if wrap
            else application(self.portal)
        )
        self.server = HttpServer(self.middleware)
        self.port = self.server.port

    def stop(self) -> None:
        self.server.stop()

    def curl(self, *words: str, path: str = "/") -> tuple[int, str, str]:
        """Return the status, the headers and the body of the last answer."""
        command = [
            program("curl", "curl"),
            "-s",
            "-i",
            "--max-time",
            "30",
            *words,
            f"http://{LOCALHOST}:{self.port}{path}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        head, _, body = (
            done.stdout.replace("\r", "").rpartition("\n\n")
            if "\n\n" in done.stdout.replace("\r", "")
            else ("", "", "")
        )
        statuses = re.findall(r"^HTTP/1.1 (\d+)", done.stdout, re.MULTILINE)
        return int(statuses[-1]) if statuses else 0, head.lower(), body

    def count(self) -> int:
        return int(self.portal.count().get(timeout=10))


ANN = ("-u", "ann:s3cret")


def test_each_scheme_lets_in_who_is_right_and_nobody_else(stages):
    stage = stages()
    for words, who in (
        (("-u", "ann:s3cret"), "ann 1"),
        (("--digest", "-u", "ann:s3cret"), "ann 1"),
        (("-H", "Authorization: Bearer ticket"), "bea 1"),
    ):
        assert stage.curl(*words)[::2] == (200, who), words
    for words in (
        ("-u", "ann:wrong"), ("-u", "nobody:s3cret"),
        ("--digest", "-u", "ann:wrong"), ("--digest", "-u", "nobody:s3cret"),
        ("-H", "Authorization: Bearer stolen"), ("-H", "Authorization: Basic !!!"),
        ("-H", "Authorization: Basic YW5u"), ("-H", "Authorization: Digest nonsense"),
        ("-H", "Authorization: Nonsense x"), ("-H", "Authorization:"),
        ("-H", "Authorization: Bearer ticket", "-H", "Authorization: Basic x"),
        ("-u", "ann\x01:s3cret"),
    ):  # fmt: skip
        status, headers, body = stage.curl(*words)
        assert (status, body) == (401, "login refused\n"), words
        assert "www-authenticate: digest" in headers
    assert stage.count() == 0


def test_the_question_names_what_can_be_used(stages):
    _, headers, _ = stages(realm='the "library"').curl()
    assert re.findall(r"www-authenticate: (\w+)", headers) == [
        "digest",
        "digest",
        "bearer",
        "basic",
    ]
    assert r'realm="the \"library\""' in headers
    _, headers, _ = stages(Tokens.start()).curl()
    assert re.findall(r"www-authenticate: (\w+)", headers) == ["bearer"]


def test_a_session_lasts_for_one_request(stages):
    stage = stages()
    assert stage.curl(*ANN)[2] == "ann 1"
    assert stage.curl(*ANN)[2] == "ann 1"
    until(lambda: stage.log == [("ann", "logout")] * 2)
    assert stage.count() == 0


def test_denied_unavailable_and_without_interface_are_told_apart(stages):
    status, headers, body = stages(Full.start()).curl(*ANN)
    assert (status, body) == (429, "login denied, try again in 6.6 s\n")
    assert "retry-after: 7" in headers
    stage = stages()
    for checker in stage.portal.actor_inbox.actor._services._checkers:
        checker.ref.stop()
    assert stage.curl(*ANN)[0] == 503

    class Odd(AuthMiddleware):
        pass

    editors = stages(wrap=False, application=lambda portal: Odd(app, portal, Editor))
    assert editors.curl(*ANN)[0] == 403


def test_where_others_may_read_along_no_password_is_taken(stages, monkeypatch):
    monkeypatch.setattr("actorcred.identity.is_loopback", lambda host: False)
    status, headers, _ = stages().curl(*ANN)
    assert status == 401
    assert re.findall(r"www-authenticate: (\w+)", headers) == ["digest", "digest"]
    assert stages().curl("--digest", *ANN)[0] == 200
    assert stages(passwords_in_clear=True).curl(*ANN)[0] == 200


def test_a_cookie_goes_on_with_the_session(stages, tmp_path):
    stage = stages(cookie="sid")
    jar = str(tmp_path / "jar")
    status, headers, body = stage.curl(*ANN, "-c", jar)
    assert (status, body) == (200, "ann 1")
    assert re.search(
        r"set-cookie: sid=[\w-]{43}; path=/; httponly; samesite=lax$", headers, re.MULTILINE
    )
    assert stage.curl("-b", jar)[2] == "ann 2"
    status, headers, body = stage.curl(*ANN, "-b", jar)
    assert (body, "set-cookie" in headers) == ("ann 3", False)
    assert stage.curl("-u", "ann:wrong", "-b", jar)[0] == 401
    assert stage.curl("-u", "bob:hush", "-b", jar)[2] == "bob 1"
    assert stage.curl("-b", "sid=guessed")[0] == 401
    assert stage.count() == 2


def test_an_ended_session_takes_its_cookie_with_it(stages, tmp_path):
    stage = stages(cookie="sid")
    jar = str(tmp_path / "jar")
    stage.curl(*ANN, "-c", jar)
    assert stage.portal.kick(avatar_id="ann").get(timeout=10) == 1
    status, headers, _ = stage.curl("-b", jar)
    assert status == 401
    assert "set-cookie: sid=; path=/; httponly; samesite=lax; max-age=0" in headers
    assert stage.middleware.sessions.kept == {}


def test_a_cookies_session_ends_when_it_is_idle_and_at_the_end_of_the_server(stages, tmp_path):
    stage = stages(cookie="sid", options=PortalOptions(idle_timeout=0.05))
    stage.curl(*ANN)
    until(lambda: stage.count() == 0)
    assert stage.log == [("ann", "idle")]
    other = stages(cookie="sid")
    other.curl(*ANN)
    assert in_loop(other.middleware.close()) == 1
    assert other.log == [("ann", "drained")]


def test_a_client_that_does_not_bring_its_cookie_leaves_no_session(stages, tmp_path, monkeypatch):
    monkeypatch.setattr("actorcred.adapters._http_sessions.COOKIE_GRACE", 0.05)
    stage = stages(cookie="sid", required=False)
    stage.curl(*ANN, "-c", str(tmp_path / "jar"))
    until(lambda: stage.count() == 0)
    assert (stage.log, stage.middleware.sessions.kept) == ([("ann", "idle")], {})
    monkeypatch.setattr("actorcred.adapters._http_sessions.COOKIE_GRACE", 30.0)
    stage.curl(*ANN, "-c", str(tmp_path / "jar"))
    (kept,) = stage.middleware.sessions.kept.values()
    assert kept._grace.when() - kept._grace._loop.time() > 0
    assert stage.curl("-b", str(tmp_path / "jar"))[2] == "ann 2"
    assert kept._grace.cancelled()


def test_a_session_whose_cookie_could_not_be_sent_is_ended(stages):
    async def crash(*_: Any) -> None:
        raise LookupError("a bug")

    stage = stages(application=crash, cookie="sid")
    assert stage.curl(*ANN)[0] == 500
    until(lambda: stage.count() == 0)
    assert (stage.log, stage.middleware.sessions.kept) == ([("ann", "logout")], {})


def test_a_session_that_is_ended_before_its_login_is_answered_is_not_kept(
    stages, tmp_path, monkeypatch
):
    stage = stages(cookie="sid")
    jar = str(tmp_path / "jar")
    stage.curl(*ANN, "-c", jar)

    async def take_bob_along(person: Person, reason: Any) -> None:
        if person.avatar_id == "ann":
            await stage.portal.kick(avatar_id="bob")

    monkeypatch.setattr(Person, "on_logout", take_bob_along)
    assert stage.curl("-d", "bob:hush", "-b", jar, path="/login")[::2] == (
        401,
        "logged out: kicked\n",
    )
    assert (stage.count(), stage.middleware.sessions.kept) == (0, {})


def test_an_application_logs_in_and_out_with_its_own_form(stages, tmp_path):
    stage = stages(cookie="sid", required=False)
    jar = str(tmp_path / "jar")
    assert stage.curl()[::2] == (200, "nobody")
    assert stage.curl("-d", "ann:wrong", "-c", jar, path="/login")[::2] == (403, "wrong")
    assert stage.curl("-b", jar)[2] == "nobody"
    assert stage.curl("-d", "ann:s3cret", "-c", jar, path="/login")[2] == "ann 1"
    assert stage.curl("-b", jar)[2] == "ann 2"
    assert stage.curl("-d", "bob:hush", "-b", jar, "-c", jar, path="/login")[2] == "bob 1"
    assert stage.curl("-b", jar)[2] == "bob 2"
    assert stage.curl("-b", jar, "-c", jar, path="/logout")[2] == "nobody"
    assert stage.curl("-b", jar)[2] == "nobody"
    assert stage.log == [("ann", "logout"), ("bob", "logout")]


def test_another_sites_page_cannot_act_with_the_cookie(stages, tmp_path):
    stage = stages(cookie="sid")
    jar = str(tmp_path / "jar")
    stage.curl(*ANN, "-c", jar)
    own, other = f"Origin: http://{LOCALHOST}:{stage.port}", "Origin: http://evil.example"
    assert stage.curl("-b", jar, "-d", "x", "-H", own)[0] == 200
    assert stage.curl("-b", jar, "-d", "x", "-H", other)[0] == 401
    assert stage.curl("-b", jar, "-H", other)[0] == 200  # reading is the browser's to forbid


def test_odd_headers_of_strangers_are_none(stages, tmp_path):
    stage = stages(cookie="sid")
    jar = str(tmp_path / "jar")
    stage.curl(*ANN, "-c", jar)
    assert stage.curl("-b", jar, "-d", "x", "-H", "Origin: http://[")[0] == 401
    cookie = re.search(r"sid\s+(\S+)", Path(jar).read_text())
    assert cookie is not None
    for other in ('a="x', "a[b]=1", "=;;=", "a", 'q="' + "\\" * 6000 + '"'):
        assert stage.curl("-H", f"Cookie: {other}; sid={cookie[1]}")[0] == 200
    assert stage.curl("-H", "Cookie: sid=\u00e9")[0] == 401


def test_a_large_body_comes_whole(stages, tmp_path):
    (tmp_path / "body").write_bytes(b"x" * 3_000_000)
    assert (
        stages().curl(*ANN, "--data-binary", f"@{tmp_path / 'body'}", path="/body")[2]
        == "3000000 bytes"
    )


def test_notifications_are_an_event_stream_that_a_kick_cuts_off(stages):
    stage = stages()
    url = f"http://{LOCALHOST}:{stage.port}/news"
    with subprocess.Popen(
        [program("curl", "curl"), "-sN", *ANN, url], stdout=subprocess.PIPE, text=True
    ) as curl:
        assert curl.stdout is not None
        assert curl.stdout.readline() == "news one\n"
        (session,) = stage.portal.sessions().get(timeout=10)
        session.mind.notify("news", "two")
        assert curl.stdout.readline() == "news two\n"
        stage.portal.kick(everyone=True).get(timeout=10)
        assert curl.stdout.read() == ""
    assert curl.returncode == 18  # a part is missing


def test_a_websocket_has_an_avatar_and_is_closed_with_the_session(stages):
    stage = stages()
    url = f"ws://{LOCALHOST}:{stage.port}/"
    right = {"Authorization": "Bearer ticket"}

    async def talk() -> None:
        async with websockets.asyncio.client.connect(url, additional_headers=right) as socket:
            await socket.send("hi")
            assert await socket.recv() == "bea 1 hi"
            await stage.portal.kick(avatar_id="bea", reason="late")
            with pytest.raises(websockets.exceptions.ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (1008, "logged out: kicked: late")
        for headers in ({}, {"Authorization": "Bearer stolen"}):
            with pytest.raises(websockets.exceptions.InvalidStatus):
                await websockets.asyncio.client.connect(url, additional_headers=headers)

    in_loop(talk())
    assert stage.count() == 0


def test_other_scopes_pass_through():
    seen: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(AuthMiddleware(inner, None, Reader)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
    with pytest.raises(TypeError, match="interface"):
        AuthMiddleware(inner, None)  # type: ignore[arg-type]


# -- frameworks ----------------------------------------------------------------------------------


def starlette_app(portal: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def who(request: Any) -> Any:
        return JSONResponse({"who": await request.scope["avatar"].proxy().read()})

    return Starlette(
        routes=[Route("/", who)],
        middleware=[Middleware(AuthMiddleware, portal, Reader, cookie="sid")],
    )


def fastapi_app(portal: Any) -> Any:
    from fastapi import FastAPI, Request

    made = FastAPI()

    async def who(request: Request) -> dict[str, str]:
        return {"who": await request.scope["avatar"].proxy().read()}

    who.__annotations__["request"] = Request
    made.get("/")(who)
    made.add_middleware(AuthMiddleware, portal, Reader, cookie="sid")  # type: ignore[arg-type]
    return made


def django_app(portal: Any) -> Any:
    from django.http import JsonResponse
    from django.urls import path

    async def who(request: Any) -> Any:
        return JsonResponse({"who": await request.scope["avatar"].proxy().read()})

    return AuthMiddleware(django_application(path("", who)), portal, Reader, cookie="sid")


@pytest.mark.parametrize("make", [starlette_app, fastapi_app, django_app])
def test_the_avatar_is_there_in_each_framework(stages, make, tmp_path):
    stage = stages(application=make, wrap=False)
    jar = str(Path(tmp_path) / "jar")
    assert json.loads(stage.curl(*ANN, "-c", jar)[2]) == {"who": "ann 1"}
    assert json.loads(stage.curl("-b", jar)[2]) == {"who": "ann 2"}
    assert stage.curl("-u", "ann:wrong")[0] == 401
