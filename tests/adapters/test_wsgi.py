"""HTTP on threads: logins, cookies and ends of sessions in WSGI applications, by real servers."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import threading
import wsgiref.simple_server
import wsgiref.validate
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("werkzeug", reason="Werkzeug is not installed: pip install werkzeug")

from actorcred import LoginDenied, LoginFailed, Portal, PortalOptions, UsernamePassword, actors
from actorcred.actors.event_loop import background_loop
from actorcred.adapters.wsgi import AuthMiddleware, scope_of
from actorcred.checkers.memory import MemoryChecker
from tests.adapters.front import LOCALHOST, Slow
from tests.adapters.loops import WsgiServer
from tests.adapters.test_asgi import Full, Library, Reader, Tokens
from tests.helpers import django_application, until

PLAIN = [("Content-Type", "text/plain")]
WAIT = 10


class Site:
    """A WSGI application: each path does something else."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.closed = threading.Event()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        page = getattr(self, environ["PATH_INFO"].strip("/") or "who")
        return page(environ, start_response)

    def who(self, environ: Any, start_response: Any) -> Any:
        avatar = environ["actorcred.avatar"]
        body = b"nobody" if avatar is None else avatar.proxy().read().get(timeout=WAIT).encode()
        start_response("200 OK", [*PLAIN, ("Content-Length", str(len(body)))])
        return [body]

    def login(self, environ: Any, start_response: Any) -> Any:
        size = int(environ["CONTENT_LENGTH"])
        name, password = environ["wsgi.input"].read(size).decode().split(":")
        try:
            credentials = UsernamePassword(name, password)
            login = environ["actorcred.visit"].log_in(credentials, mechanism="form")
        except LoginFailed as error:
            start_response("403 Forbidden", PLAIN)
            return [str(error).encode()]
        assert environ["actorcred.visit"].login is login
        return self.who(environ, start_response)

    def logout(self, environ: Any, start_response: Any) -> Any:
        environ["actorcred.visit"].log_out()
        return self.who(environ, start_response)

    def slow(self, environ: Any, start_response: Any) -> Any:
        self.begun.set()
        self.go_on.wait(WAIT)
        start_response("200 OK", [*PLAIN, ("Content-Length", "4")])
        return [b"done"]

    def lazy(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from self.slow(environ, start_response)

    def crash(self, environ: Any, start_response: Any) -> Any:
        self.begun.set()
        self.go_on.wait(WAIT)
        raise LookupError("a bug")

    def lazy_crash(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        yield from self.crash(environ, start_response)

    def nothing(self, environ: Any, start_response: Any) -> Any:
        self.slow(environ, start_response)
        return []

    def failing(self, environ: Any, start_response: Any) -> Any:
        environ["actorcred.visit"].log_in(UsernamePassword("ann", "s3cret"))
        start_response("200 OK", PLAIN)
        try:
            raise LookupError("a bug")
        except LookupError as error:
            start_response("500 Oops", PLAIN, (type(error), error, error.__traceback__))
        return [b"sorry"]

    def written(self, environ: Any, start_response: Any) -> Any:
        self.begun.set()
        self.go_on.wait(WAIT)
        write = start_response("200 OK", PLAIN)
        write(b"by ")
        return [b"write"]

    def stream(self, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)
        return self._parts()

    def _parts(self) -> Iterator[bytes]:
        yield b"one"
        self.begun.set()
        self.go_on.wait(WAIT)
        yield b"two"

    def news(self, environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        environ["actorcred.avatar"].proxy().tell("one")
        return self._news(environ["actorcred.visit"])

    def _news(self, visit: Any) -> Iterator[bytes]:
        try:
            for notification in visit.notifications(heartbeat=0.02):
                yield b":\n\n" if notification is None else f"{notification}\n\n".encode()
        finally:
            self.closed.set()


def strictly(app: Any) -> Any:
    """Return an application that fails if PEP 3333 is violated, by it or by the server."""
    checked = wsgiref.validate.validator(app)

    def serve(environ: Any, start_response: Any) -> Any:
        environ["REMOTE_PORT"] = str(environ["REMOTE_PORT"])  # Werkzeug's is an integer
        return checked(environ, start_response)

    return serve


class Stage:
    """A portal, and a server with a thread for each request."""

    def __init__(self, *checkers: Any, options: Any = None, **settings: Any) -> None:
        self.log: list[Any] = []
        users = MemoryChecker.start({"ann": "s3cret", "bob": "hush"}, plaintext=True)
        self.portal = Portal.start(
            Library.start(self.log), checkers or [users, Tokens.start()], options
        )
        self.site = Site()
        checked: Any = wsgiref.validate.validator(self.site)
        self.middleware = AuthMiddleware(checked, self.portal, Reader, **settings)
        self.server = WsgiServer(strictly(self.middleware))
        self.url = f"http://{LOCALHOST}:{self.server.port}"

    def stop(self) -> None:
        self.site.go_on.set()
        self.server.stop()

    def client(self, **settings: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=WAIT, **settings)

    def get(self, path: str = "/", **settings: Any) -> httpx.Response:
        with self.client(**settings) as client:
            return client.get(path)

    def count(self) -> int:
        return int(self.portal.count().get(timeout=WAIT))

    def kick(self) -> None:
        assert self.portal.kick(avatar_id="ann", reason="no shouting").get(timeout=WAIT) == 1

    def wait_until_told(self) -> None:
        """Wait until the adapter has ended all requests on its loop."""

        async def others() -> set[Any]:
            return asyncio.all_tasks() - {asyncio.current_task()}

        until(lambda: not background_loop().spawn(others()).get(timeout=WAIT))


ANN = ("ann", "s3cret")
TICKET = {"authorization": "Bearer ticket"}


def test_each_scheme_lets_in_who_is_right_and_nobody_else(stages):
    stage = stages()
    assert stage.get(auth=ANN).text == "ann 1"
    assert stage.get(auth=httpx.DigestAuth(*ANN), params={"a": "b c"}).text == "ann 1"
    assert stage.get(headers=TICKET).text == "bea 1"
    for wrong in (
        {"auth": ("ann", "wrong")},
        {"auth": httpx.DigestAuth("nobody", "s3cret")},
        {"headers": {"authorization": "Bearer stolen"}},
        {},
    ):
        refused = stage.get(**wrong)
        assert (refused.status_code, refused.text) == (401, "login refused\n")
        schemes = re.findall(
            r"(\w+) realm=", ", ".join(refused.headers.get_list("www-authenticate"))
        )
        assert schemes == ["Digest", "Digest", "Bearer", "Basic"]
    assert stage.count() == 0


def test_a_session_lasts_for_one_request(stages):
    stage = stages()
    assert [stage.get(auth=ANN).text for _ in range(2)] == ["ann 1", "ann 1"]
    until(lambda: stage.log == [("ann", "logout")] * 2)


def test_denied_and_unavailable_are_told_apart(stages):
    denied = stages(Full.start()).get(auth=ANN)
    assert (denied.status_code, denied.headers["retry-after"]) == (429, "7")
    assert "try again in 6.6 s" in denied.text
    down = stages()
    for checker in down.portal.actor_inbox.actor._services._checkers:
        checker.ref.stop()
    assert down.get(auth=ANN).status_code == 503


def test_a_cookie_goes_on_with_the_session_until_the_logout(stages):
    stage = stages(cookie="sid", required=False)
    with stage.client() as client:
        assert client.get("/").text == "nobody"
        assert client.post("/login", content="ann:wrong").text == "login refused"
        assert client.post("/login", content="ann:s3cret").text == "ann 1"
        assert client.get("/").text == "ann 2"
        assert stage.count() == 1
        assert client.get("/logout").text == "nobody"
        assert not client.cookies
        assert client.get("/").text == "nobody"
    assert stage.log == [("ann", "logout")]


def test_an_ended_session_takes_its_cookie_with_it(stages):
    stage = stages(cookie="sid")
    with stage.client() as client:
        assert client.get("/", auth=ANN).text == "ann 1"
        stage.kick()
        gone = client.get("/")
        assert (gone.status_code, gone.text) == (401, "login refused\n")
        assert "Max-Age=0" in gone.headers["set-cookie"]


def test_a_cookie_is_not_used_for_a_form_of_another_site(stages):
    stage = stages(cookie="sid")
    with stage.client() as client:
        client.get("/", auth=ANN)
        foreign = {"origin": "https://evil.example"}
        assert client.post("/who", headers=foreign).status_code == 401
        assert client.post("/who", headers={"origin": stage.url}).text == "ann 2"


def test_sessions_with_cookies_end_with_the_server(stages):
    stage = stages(cookie="sid")
    stage.get(auth=ANN)
    assert stage.middleware.close() == 1
    assert stage.log == [("ann", "drained")]


@pytest.mark.parametrize("path", ["slow", "lazy", "crash", "lazy_crash", "nothing", "written"])
def test_a_session_that_is_ended_meanwhile_is_told_instead_of_the_answer(stages, path):
    stage = stages()

    def kick() -> None:
        stage.site.begun.wait(WAIT)
        stage.kick()
        stage.wait_until_told()
        stage.site.go_on.set()

    kicking = threading.Thread(target=kick)
    kicking.start()
    answer = stage.get(f"/{path}", auth=ANN)
    kicking.join(WAIT)
    assert answer.status_code == 401
    assert answer.text == "logged out: kicked: no shouting\n"


def test_an_answer_that_was_begun_is_cut_off_and_looks_incomplete(stages):
    stage = stages()
    with stage.client() as client, pytest.raises(httpx.RemoteProtocolError):  # noqa: SIM117
        with client.stream("GET", "/stream", auth=ANN) as answer:
            for part in answer.iter_raw():
                assert part == b"one"
                stage.site.begun.wait(WAIT)
                stage.kick()
                stage.wait_until_told()
                stage.site.go_on.set()


def test_notifications_come_between_heartbeats_and_end_with_the_session(stages):
    stage = stages()
    with stage.client() as client, client.stream("GET", "/news", auth=ANN) as answer:
        events = (line for line in answer.iter_lines() if line)
        assert [next(events) for _ in range(2)] == [":", "('news', ('one',))"]
        assert [next(events) for _ in range(3)] == [":"] * 3
        stage.kick()
        assert set(events) <= {":"}


def test_a_client_that_leaves_a_stream_is_logged_out(stages):
    stage = stages()
    token = base64.b64encode(b"ann:s3cret").decode()
    with socket.create_connection((LOCALHOST, stage.server.port), WAIT) as client:
        client.sendall(
            f"GET /news HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {token}\r\n\r\n".encode()
        )
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert stage.site.closed.wait(WAIT)
    until(lambda: stage.count() == 0)


def test_a_visit_without_a_login_has_no_notifications(stages):
    stage = stages(required=False)

    def page(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)
        return [repr(list(environ["actorcred.visit"].notifications())).encode()]

    stage.site.who = page
    assert stage.get().text == "[]"


def test_a_crash_of_the_application_is_the_servers_and_ends_the_session(stages):
    stage = stages()
    stage.site.go_on.set()
    assert stage.get("/crash", auth=ANN).status_code == 500
    until(lambda: stage.count() == 0)


def test_a_second_start_of_an_answer_has_the_cookie_too(stages):
    failed = stages(cookie="sid", required=False).get("/failing")
    assert (failed.status_code, failed.text) == (500, "sorry")
    assert failed.headers["set-cookie"].startswith("sid=")


def test_what_is_written_is_sent(stages):
    stage = stages()
    stage.site.go_on.set()
    assert stage.get("/written", auth=ANN).text == "by write"


def test_a_refusal_has_no_body_if_only_the_head_was_wanted_and_does_not_rule_the_connection():
    class Closing(Full):
        def request_avatar_id(self, credentials: Any) -> str:
            error = LoginDenied("full", retry_after=6.6)
            error.close = True
            raise error

    users = Closing.start()
    portal = Portal.start(Library.start([]), [users])
    middleware = AuthMiddleware(Site(), portal, Reader)
    token = base64.b64encode(b"ann:s3cret").decode()
    told: list[Any] = []
    environ: dict[str, Any] = {"REQUEST_METHOD": "HEAD", "HTTP_AUTHORIZATION": f"Basic {token}"}
    wsgiref.util.setup_testing_defaults(environ)
    environ["wsgi.url_scheme"] = "https"

    body = middleware(environ, lambda *answer: told.append(answer))

    assert b"".join(body) == b""
    ((status, headers),) = told
    assert status == "429 Too Many Requests"
    assert "connection" not in {name.lower() for name, _ in headers}


def test_digest_works_with_a_server_that_does_not_tell_the_target_as_it_was_received():
    """The server of the standard library tells only the path, decoded."""
    portal = Portal.start(
        Library.start([]), [MemoryChecker.start({"ann": "s3cret"}, plaintext=True)]
    )

    def page(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)
        return [environ["PATH_INFO"].encode("latin-1")]

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Log nothing."""

    app = AuthMiddleware(page, portal, Reader)
    with wsgiref.simple_server.make_server(LOCALHOST, 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://{LOCALHOST}:{server.server_port}/caf%C3%A9/a%20b;c=1?q=%C3%A9"
            answer = httpx.get(url, auth=httpx.DigestAuth(*ANN), timeout=WAIT)
        finally:
            server.shutdown()
            thread.join()
    assert (answer.status_code, answer.text) == (200, "/café/a b;c=1")


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ({"REQUEST_URI": "/a%2Fb?x=1"}, b"/a%2Fb"),
        ({"RAW_URI": "http://here.example/a%2Fb?x=1"}, b"/a%2Fb"),
        ({"SCRIPT_NAME": "/app", "PATH_INFO": "/caf\xc3\xa9"}, b"/app/caf%C3%A9"),
    ],
)
def test_the_target_of_a_request_is_what_the_client_sent(told, target):
    environ: dict[str, Any] = dict(told)
    wsgiref.util.setup_testing_defaults(environ)
    assert scope_of(environ)["raw_path"] == target


def test_where_a_client_comes_from_is_what_the_server_says_or_a_trusted_proxy():
    environ: dict[str, Any] = {
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "4711",
        "QUERY_STRING": "a=b",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "HTTP_X_FORWARDED_FOR": "198.51.100.1",
    }
    wsgiref.util.setup_testing_defaults(environ)
    scope = scope_of(environ)
    assert (scope["client"], scope["server"]) == (("192.0.2.7", "4711"), ("127.0.0.1", "80"))
    assert (scope["http_version"], scope["query_string"]) == ("1.0", b"a=b")
    assert (b"x-forwarded-for", b"198.51.100.1") in scope["headers"]
    del environ["REMOTE_ADDR"]
    assert scope_of(environ)["client"] is None  # by a Unix socket


def test_a_request_while_everything_is_shut_down_does_not_end_the_servers_thread(stages):
    stage = stages()
    ends: list[Any] = []

    def ask() -> None:
        ends.append(stage.get("/slow", auth=ANN).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    assert stage.site.begun.wait(WAIT)
    actors.shutdown(timeout=WAIT)
    stage.site.go_on.set()
    asking.join(WAIT)
    assert ends
    assert ends[0] >= 400


def test_a_login_that_the_thread_no_longer_waits_for_leaves_nothing(stages, monkeypatch):
    options = PortalOptions()
    patience = -options.login_timeout - options.logout_timeout + 0.2
    monkeypatch.setattr("actorcred.adapters.wsgi.MARGIN", patience)
    waiting: list[Any] = []
    stage = stages(Slow.start(waiting))
    assert stage.get(auth=ANN).status_code == 500
    until(lambda: len(waiting) == 1 and waiting[0].cancelled())
    assert (stage.count(), stage.log) == (0, [])


def test_a_setting_that_does_not_exist_is_refused():
    portal = Portal.start(Library.start([]), [], PortalOptions())
    with pytest.raises(TypeError, match="cooky"):
        AuthMiddleware(Site(), portal, Reader, cooky="sid")
    with pytest.raises(TypeError, match="at least one interface"):
        AuthMiddleware(Site(), portal)


def test_in_django_a_view_finds_the_avatar_in_its_request(stages):
    pytest.importorskip("django", reason="Django is not installed: pip install django")
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    def who(request: Any) -> Any:
        return HttpResponse(request.META["actorcred.avatar"].proxy().read().get(timeout=WAIT))

    django_application(path("who", who))
    stage = stages(cookie="sid")
    stage.site.who = WSGIHandler()
    with stage.client() as client:
        assert client.get("/who", auth=ANN).text == "ann 1"
        assert client.get("/who").text == "ann 2"
