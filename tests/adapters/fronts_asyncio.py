"""SSH by asyncssh, SMTP by aiosmtpd and HTTP by ASGI."""

from __future__ import annotations

import asyncio
import base64
import functools
import http.client
import logging
import smtplib
import socket
from collections.abc import Callable
from typing import Any

import asyncssh

from actorcred.actors import AsyncioDispatcher
from actorcred.adapters import wsgi
from actorcred.adapters.aiosmtpd import SMTPServer
from actorcred.adapters.asgi import AuthMiddleware
from actorcred.adapters.asyncssh import SSHServer
from tests.adapters.front import LOCALHOST, Client, Front, Guest, Refused, reset
from tests.adapters.loops import HttpServer, WsgiServer, in_loop, loop


@functools.cache
def _dispatcher() -> AsyncioDispatcher:
    return AsyncioDispatcher(loop(), "adapters")


class AsyncioFront(Front):
    def dispatcher(self) -> AsyncioDispatcher:
        return _dispatcher()


_last_words: list[str] = []
"""What servers sent to asyncssh's clients before closing a connection; only its log shows that."""


class _Ear(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if "Received disconnect" in record.getMessage():
            _last_words.append(record.getMessage())


logging.getLogger("asyncssh").addHandler(_Ear())
logging.getLogger("asyncssh").setLevel(logging.DEBUG)
logging.getLogger("asyncssh").propagate = False


class SSHGuest(Client):
    """A client of SSH, by asyncssh."""

    def __init__(self, connection: asyncssh.SSHClientConnection, said: list[str]) -> None:
        self.connection, self.said = connection, said

    @classmethod
    def connect(cls, port: int, name: str, password: str) -> SSHGuest:
        said: list[str] = []
        _last_words.clear()
        try:
            return cls(in_loop(cls._open(port, name, password, said)), said)
        except (asyncssh.Error, OSError) as refused:
            raise Refused(f"{''.join(said)}{type(refused).__name__}") from None

    @classmethod
    def begin(cls, port: int, name: str, password: str) -> Any:
        """Log in without waiting; return what closes the socket without a word."""
        held = _Held()
        in_loop(held.start(cls._open(port, name, password, [], held)))
        return held.vanish

    @staticmethod
    async def _open(
        port: int, name: str, password: str, said: list[str], held: Any = None
    ) -> asyncssh.SSHClientConnection:
        class Ear(asyncssh.SSHClient):
            def connection_made(self, conn: Any) -> None:
                if held is not None:
                    held.connection = conn

            def auth_banner_received(self, msg: str, lang: str) -> None:
                said.append(msg)

        options: Any = {
            "username": name,
            "password": password,
            "known_hosts": None,
            "config": None,
            "client_keys": None,
        }
        connection, _ = await asyncssh.create_connection(Ear, LOCALHOST, port, **options)
        return connection

    def who(self) -> str:
        return str(in_loop(self.connection.run("who")).stdout)

    def goodbye(self) -> str:
        in_loop(self.connection.wait_closed())
        return " ".join(_last_words)

    def leave(self) -> None:
        self._on_loop(self.connection.close)
        in_loop(self.connection.wait_closed())

    def vanish(self) -> None:
        self._on_loop(lambda: reset_transport(self.connection))

    def _on_loop(self, function: Any) -> None:
        async def call() -> None:
            function()

        in_loop(call())


class _Held:
    """A login that nobody waits for."""

    connection: Any = None
    task: Any = None

    async def start(self, coroutine: Any) -> None:
        self.task = asyncio.ensure_future(coroutine)

    def vanish(self) -> None:
        async def go() -> None:
            while self.connection is None:
                await asyncio.sleep(0)
            reset_transport(self.connection)
            await asyncio.wait([self.task])
            self.task.exception()

        in_loop(go())


def reset_transport(connection: Any) -> None:
    """Close the socket of a connection of asyncssh without a word."""
    connection._transport.abort()


class AsyncSSH(AsyncioFront):
    def start(self) -> None:
        self.server = SSHServer(self.portal, Guest)
        keys = [asyncssh.generate_private_key("ssh-ed25519")]
        self._acceptor = in_loop(self.server.listen(LOCALHOST, 0, server_host_keys=keys))
        self.port = self._acceptor.get_port()

    def stop(self) -> None:
        async def end() -> None:
            self._acceptor.close()
            await self.server.close()

        in_loop(end())

    def connections(self) -> int:
        return len(self.server.connections)

    def log_in(self, name: str, password: str) -> Client:
        return SSHGuest.connect(self.port, name, password)

    def begin(self, name: str, password: str) -> Any:
        return SSHGuest.begin(self.port, name, password)


class SmtpClient(Client):
    def __init__(self, connection: smtplib.SMTP) -> None:
        self.connection = connection

    def who(self) -> str:
        self.connection.mail("ann@example.org")
        self.connection.rcpt("bob@example.org")
        return self.connection.data("Subject: x\r\n\r\nx")[1].split()[-1].decode()

    def goodbye(self) -> str:
        assert self.connection.sock is not None
        text = b""
        while data := self.connection.sock.recv(1000):
            text += data
        self.connection.close()
        return text.decode()

    def leave(self) -> None:
        self.connection.quit()

    def vanish(self) -> None:
        assert self.connection.sock is not None
        if self.connection.file is not None:
            self.connection.file.close()
        reset(self.connection.sock)


class Smtp(AsyncioFront):
    def start(self) -> None:
        self.server = SMTPServer(self.portal, Guest, hostname="mail.example.org")
        self._listening = in_loop(self.server.listen(LOCALHOST, 0))
        self.port = self._listening.sockets[0].getsockname()[1]

    def stop(self) -> None:
        async def end() -> None:
            self._listening.close()
            await self.server.close()

        in_loop(end())

    def connections(self) -> int:
        return len(self.server.connections)

    def log_in(self, name: str, password: str) -> Client:
        connection = smtplib.SMTP(LOCALHOST, self.port, timeout=10)
        connection.ehlo()
        connection.user, connection.password = name, password
        try:
            connection.auth("PLAIN", connection.auth_plain)
        except smtplib.SMTPAuthenticationError as refused:
            connection.close()
            raise Refused(f"{refused.smtp_code} {refused.smtp_error!r}") from None
        return SmtpClient(connection)

    def begin(self, name: str, password: str) -> Callable[[], object]:
        sock = socket.create_connection((LOCALHOST, self.port), 10)
        sock.recv(1000)
        sock.sendall(b"EHLO x\r\n")
        sock.recv(1000)
        sock.sendall(b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode()) + b"\r\n")
        return lambda: reset(sock)


class HttpClient(Client):
    """A client whose session is one long request."""

    def __init__(self, connection: http.client.HTTPConnection, name: str) -> None:
        self.connection, self.name = connection, name

    def who(self) -> str:
        return self.name

    def goodbye(self) -> str:
        answer = self.connection.getresponse()
        text = f"{answer.status} {answer.read().decode()}"
        self.connection.close()
        return text

    def leave(self) -> None:
        self.connection.close()

    def vanish(self) -> None:
        reset(self.connection.sock)


class Http(AsyncioFront):
    """HTTP by ASGI. A client asks who it is, and keeps its session by an unanswered request."""

    def start(self) -> None:
        self.open = 0
        self.waits = asyncio.Semaphore(0)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/wait":
                self.open += 1
                self.waits.release()
                try:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    return
                finally:
                    self.open -= 1
            body = (await scope["avatar"].proxy().who()).encode()
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-length", b"%d" % len(body))],
                }
            )
            await send({"type": "http.response.body", "body": body})

        self.server = HttpServer(AuthMiddleware(app, self.portal, Guest))
        self.port = self.server.port

    def stop(self) -> None:
        self.server.stop()

    def connections(self) -> int:
        return self.open

    def _get(self, path: str, name: str, password: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(LOCALHOST, self.port, timeout=10)
        token = base64.b64encode(f"{name}:{password}".encode()).decode()
        connection.request("GET", path, headers={"Authorization": f"Basic {token}"})
        return connection

    def log_in(self, name: str, password: str) -> Client:
        first = self._get("/", name, password)
        answer = first.getresponse()
        text = answer.read().decode()
        first.close()
        if answer.status != 200:
            raise Refused(f"{answer.status} {text}")
        connection = self._get("/wait", name, password)
        in_loop(self.waits.acquire())
        return HttpClient(connection, text)

    def begin(self, name: str, password: str) -> Callable[[], object]:
        sock = self._get("/", name, password).sock
        return lambda: reset(sock)


class HttpOfThreads(Http):
    """HTTP by WSGI, with a thread for each request; otherwise the same."""

    notices = False

    def log_in(self, name: str, password: str) -> Client:
        client = super().log_in(name, password)
        close = client.leave

        def leave() -> None:
            self.leaving.add(name)
            close()

        client.leave = leave  # type: ignore[method-assign]
        return client

    def start(self) -> None:
        self.leaving: set[str] = set()
        self.open = 0
        self.waits = asyncio.Semaphore(0)

        def app(environ: Any, start_response: Any) -> list[bytes]:
            if environ["PATH_INFO"] == "/wait":
                self.open += 1
                loop().call_soon_threadsafe(self.waits.release)
                visit = environ["actorcred.visit"]
                for _ in visit.notifications(heartbeat=0.01):
                    if visit.login.session.avatar_id in self.leaving:
                        break
                self.open -= 1
                body = b""
            else:
                body = environ["actorcred.avatar"].proxy().who().get(timeout=10).encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]

        self.server = WsgiServer(wsgi.AuthMiddleware(app, self.portal, Guest))
        self.port = self.server.port
