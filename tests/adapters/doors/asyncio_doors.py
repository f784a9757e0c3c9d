"""SSH by asyncssh, SMTP by aiosmtpd, HTTP by ASGI, the wire, and the portal itself."""

from __future__ import annotations

import base64
import functools
import http.client
import itertools
import re
import socket
from typing import Any, ClassVar

import asyncssh
import msgpack

from actorcred import LoginFailed, UsernamePassword
from actorcred.adapters import wsgi
from actorcred.adapters.aiosmtpd import SMTPServer
from actorcred.adapters.asgi import AuthMiddleware
from actorcred.adapters.asyncssh import SSHServer
from actorcred.identity import ClientInfo
from actorcred.rpc import serve
from actorcred.sasl.http_digest import DigestRequest
from actorcred.sasl.mechanism import Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS
from tests.adapters.doors.door import HOUSEHOLD, WAIT, Closed, Door, LineDoor, Lines
from tests.adapters.front import LOCALHOST, Guest
from tests.adapters.loops import HttpServer, WsgiServer, in_loop
from tests.sasl.test_http_digest import answer as digest_answer


@functools.cache
def keys() -> dict[str, Any]:
    """Return the key of each user, made once."""
    return {name: asyncssh.generate_private_key("ssh-ed25519") for name in (*HOUSEHOLD, "mallory")}


def listed_keys(name: str) -> str | None:
    """Return the authorized keys of a user; each invented name has ann's."""
    return keys()["ann" if name not in HOUSEHOLD else name].export_public_key().decode()


def scram(name: str, password: str) -> Any:
    return CLIENT_MECHANISMS["SCRAM-SHA-256"](Secrets(username=name, password=password))


# -- HTTP -----------------------------------------------------------------------------------------


class HttpDoor(Door):
    door = "HTTP (ASGI)"
    mechanism = "Basic"

    def start(self, portal: Any) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000, "reason": "IN"})
                return
            body = b"IN"
            headers = [(b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        self.app = AuthMiddleware(app, portal, Guest)
        self.server = HttpServer(self.app)
        self.port = self.server.port

    def stop(self) -> None:
        self.server.stop()

    def connect(self, source: str) -> None:
        self.http = http.client.HTTPConnection(
            LOCALHOST, self.port, timeout=WAIT, source_address=(source, 0)
        )
        self.http.connect()

    def guess(self, name: str, password: str) -> str:
        return self.get(self.authorization(name, password))

    def get(self, authorization: str) -> str:
        if self.http.sock is None:  # by "Connection: close" in the last answer
            raise Closed("Connection: close")
        try:
            self.http.request("GET", "/", headers={"Authorization": authorization})
            self.answer = self.http.getresponse()
            body = self.answer.read().decode().strip()
        except (ConnectionError, http.client.HTTPException):
            raise Closed("") from None
        later = self.answer.headers["retry-after"]
        return f"{self.answer.status} {body}" + (f", Retry-After: {later}" if later else "")

    def authorization(self, name: str, password: str) -> str:
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()

    def hang_up(self) -> None:
        self.http.close()


class DigestDoor(HttpDoor):
    mechanism = "Digest"

    def guess(self, name: str, password: str) -> str:
        first = self.get("")
        if not first.startswith("401"):
            return first
        challenges = self.answer.headers.get_all("www-authenticate")
        challenge = next(text for text in challenges if "SHA-256" in text)
        return self.get(digest_answer(challenge, name, password, DigestRequest("GET", "/", "")))


class BearerDoor(HttpDoor):
    mechanism = "Bearer"

    def authorization(self, name: str, password: str) -> str:
        return f"Bearer {password}"


class SocketDoor(HttpDoor):
    door = "WebSocket (ASGI)"
    mechanism = "Basic"

    def guess(self, name: str, password: str) -> str:
        """Ask the application itself: uvicorn shows each early close as 403."""

        async def knock() -> list[Any]:
            sent: list[Any] = []

            async def receive() -> Any:
                return {"type": "websocket.connect"}

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {
                "type": "websocket",
                "path": "/",
                "client": (self.source, 5000),
                "headers": [(b"authorization", self.authorization(name, password).encode())],
            }
            await self.app(scope, receive, send)
            return sent

        closed = in_loop(knock())[-1]
        return f"close {closed['code']} {closed['reason']}"

    def connect(self, source: str) -> None:
        self.source = source

    def hang_up(self) -> None: ...


class ThreadsDoor(HttpDoor):
    """A server with a thread for each request, which closes each connection after the answer."""

    door = "HTTP (WSGI)"

    def start(self, portal: Any) -> None:
        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Length", "2")])
            return [b"IN"]

        self.server = WsgiServer(wsgi.AuthMiddleware(app, portal, Guest))
        self.port = self.server.port

    def connect(self, source: str) -> None:
        self.source = source
        super().connect(source)

    def get(self, authorization: str) -> str:
        self.hang_up()
        self.connect(self.source)
        return super().get(authorization)


# -- SMTP -----------------------------------------------------------------------------------------


class SmtpDoor(LineDoor):
    door = "SMTP (aiosmtpd)"
    mechanism = "PLAIN"

    def start(self, portal: Any) -> None:
        self.server = SMTPServer(portal, Guest, hostname="mail.example.org")
        self._listening = in_loop(self.server.listen(LOCALHOST, 0))
        self.port = self._listening.sockets[0].getsockname()[1]

    def stop(self) -> None:
        async def end() -> None:
            self._listening.close()
            await self.server.close()

        in_loop(end())

    def greet(self) -> None:
        greeting = self.lines.read()
        if not greeting.startswith("220"):
            raise Closed(greeting)
        self.lines.send(b"EHLO x\r\n")
        while self.lines.read()[3:4] == "-":
            pass

    def guess(self, name: str, password: str) -> str:
        self.begin(name, password)
        return self.outcome()

    def begin(self, name: str, password: str) -> None:
        """Send a password without waiting for the answer."""
        plain = base64.b64encode(f"\0{name}\0{password}".encode())
        self.lines.send(b"AUTH PLAIN " + plain + b"\r\n")

    def outcome(self) -> str:
        """Return the answer."""
        return self._told(self.lines.read())

    @staticmethod
    def _told(reply: str) -> str:
        return reply.replace("235 ", "235 IN ")


class SmtpScramDoor(SmtpDoor):
    mechanism = "SCRAM-SHA-256"

    def guess(self, name: str, password: str) -> str:
        client = scram(name, password)
        first = base64.b64encode(client.start()).decode()
        reply = self.lines.ask(f"AUTH SCRAM-SHA-256 {first}")
        while reply.startswith("334 "):
            challenge = base64.b64decode(reply[4:])
            if challenge.startswith(b"v="):
                reply = self.lines.ask("")
            else:
                reply = self.lines.ask(base64.b64encode(client.answer(challenge)).decode())
        return self._told(reply)


# -- SSH ------------------------------------------------------------------------------------------


class Guesser(asyncssh.SSHClient):
    """A client that tries one proof, and hears what the server says."""

    def __init__(self, door: SSHClientDoor, password: str) -> None:
        self.door = door
        self.password: str | None = password

    def _once(self) -> str | None:
        password, self.password = self.password, None
        return password

    def password_auth_requested(self) -> Any:
        return self._once()

    def kbdint_auth_requested(self) -> Any:
        return ""

    def kbdint_challenge_received(self, *_: Any) -> Any:
        password = self._once()
        return None if password is None else [password]

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.door.said = msg


class SSHClientDoor(Door):
    """A door for clients of SSH: each guess needs a connection, which has one name."""

    method: ClassVar[str] = "password"
    said = ""

    def connect(self, source: str) -> None:
        self.source = source

    def guess(self, name: str, password: str) -> str:
        options: dict[str, Any] = {
            "username": name,
            "known_hosts": None,
            "config": None,
            "agent_path": None,
            "client_keys": [self.forged(name, password)] if self.method == "publickey" else None,
            "preferred_auth": (self.method,),
            "local_addr": (self.source, 0),
        }

        async def knock() -> str:
            try:
                connection, _ = await asyncssh.create_connection(
                    lambda: Guesser(self, password), LOCALHOST, self.port, **options
                )
            except asyncssh.PermissionDenied:
                return "failure"
            except asyncssh.ConnectionLost:
                return "connection refused"
            except asyncssh.DisconnectError as error:
                return f"disconnect: {error.reason}"
            except OSError:
                return "connection refused"
            connection.close()
            await connection.wait_closed()
            return "IN"

        answer = in_loop(knock())
        if answer == "connection refused":
            raise Closed("")
        return answer

    def forged(self, name: str, password: str) -> Any:
        """Return a key pair: the user's own, or one with it and another one's signatures."""
        owner = keys()["ann" if name not in HOUSEHOLD else name]
        right = HOUSEHOLD.get(name) == password
        pair = asyncssh.load_keypairs([owner if right else keys()["mallory"]])[0]
        if not right:
            pair.public_data = owner.public_data
        return pair

    def hang_up(self) -> None: ...


class AsyncSSHDoor(SSHClientDoor):
    door = "SSH (asyncssh)"
    mechanism = "password"

    def start(self, portal: Any) -> None:
        self.server = SSHServer(portal, Guest)
        host_keys = [asyncssh.generate_private_key("ssh-ed25519")]
        self._acceptor = in_loop(self.server.listen(LOCALHOST, 0, server_host_keys=host_keys))
        self.port = self._acceptor.get_port()

    def stop(self) -> None:
        async def end() -> None:
            self._acceptor.close()
            await self.server.close()

        in_loop(end())


class AsyncSSHTypedDoor(AsyncSSHDoor):
    mechanism = "keyboard-interactive"
    method = "keyboard-interactive"


class AsyncSSHKeyDoor(AsyncSSHDoor):
    mechanism = "key, forged signature"
    method = "publickey"


# -- the wire -------------------------------------------------------------------------------------


class WireDoor(Door):
    """Our wire over TCP."""

    door = "wire (TCP)"
    mechanism = "PLAIN"
    kind = "tcp"

    def start(self, portal: Any) -> None:
        async def begin() -> Any:
            return await serve(portal, f"{self.kind}:{LOCALHOST}:0")

        self.portal = portal
        self.server = in_loop(begin())
        self.port = self.server.addresses[0].port

    def stop(self) -> None:
        in_loop(self.server.close(1))

    def connect(self, source: str) -> None:
        self.lines = Lines(self.port, source)
        self._unpacker = msgpack.Unpacker()
        self._numbers = itertools.count(1)

    def hang_up(self) -> None:
        self.lines.close()

    def begin(self, name: str, password: str) -> None:
        """Send a password without waiting for the answer."""
        plain = f"\0{name}\0{password}".encode()
        self._send([0, 0, "cred.login", ["PLAIN", plain]])

    def outcome(self) -> str:
        """Return the answer."""
        try:
            return f"IN {self._answer_to(0)}"
        except ValueError as error:
            return str(error)

    def call(self, method: str, *params: Any) -> Any:
        """Call a method; return the result.

        Raises:
            Closed: if the server closes the connection instead.
            ValueError: if it answers with an error.
        """
        number = next(self._numbers)
        self._send([0, number, method, list(params)])
        return self._answer_to(number)

    def _answer_to(self, number: int) -> Any:
        last = ""
        while (message := self._receive()) is not None:
            if message[0] == 2 and message[1] == "cred.goodbye":
                last = f"goodbye: {message[2][0]['code']}"
            elif message[0] == 1 and message[1] == number:
                if message[2] is not None:
                    raise ValueError(_shown(message[2]))
                return message[3]
        raise Closed(last)

    def _send(self, message: Any) -> None:
        try:
            self.lines.sock.sendall(msgpack.packb(message))
        except ConnectionError:
            return  # what it said before is still to be read

    def _receive(self) -> Any:
        while True:
            for message in self._unpacker:
                return message
            try:
                data = self.lines.sock.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._unpacker.feed(data)

    def guess(self, name: str, password: str) -> str:
        try:
            return f"IN {self.log_in(name, password)}"
        except ValueError as error:
            return str(error)

    def log_in(self, name: str, password: str) -> Any:
        plain = f"\0{name}\0{password}".encode()
        return self.call("cred.login", "PLAIN", plain)["avatar_id"]


def _shown(error: Any) -> str:
    later = error.get("retry_after")
    return f"{error['code']}: {error['message']}" + (f", retry_after {later}" if later else "")


class WireScramDoor(WireDoor):
    mechanism = "SCRAM-SHA-256"

    def log_in(self, name: str, password: str) -> Any:
        client = scram(name, password)
        answer = self.call("cred.login", "SCRAM-SHA-256", client.start())
        while "challenge" in answer:
            answer = self.call("cred.respond", client.answer(answer["challenge"]))
        return answer["avatar_id"]


class WireResumeDoor(WireDoor):
    mechanism = "cred.resume"

    def log_in(self, name: str, password: str) -> Any:
        return self.call("cred.resume", password, 0)["avatar_id"]


class WireAgainDoor(WireDoor):
    """Somebody at the computer of bob, who has left it, tries to learn his password."""

    mechanism = "cred.reauthenticate"

    def connect(self, source: str) -> None:
        super().connect(source)
        try:
            super().log_in("bob", HOUSEHOLD["bob"])
        except (ValueError, Closed) as error:
            self.hang_up()
            raise Closed(str(error)) from None

    def log_in(self, name: str, password: str) -> Any:
        plain = f"\0{name}\0{password}".encode()
        return self.call("cred.reauthenticate", "PLAIN", plain)["avatar_id"]


class WireSocketDoor(WireDoor):
    door = "wire (WebSocket)"
    kind = "ws"

    def connect(self, source: str) -> None:
        from websockets.exceptions import ConnectionClosed, InvalidHandshake
        from websockets.sync.client import connect

        sock = None
        try:
            sock = socket.create_connection((LOCALHOST, self.port), WAIT, (source, 0))
            self._made = connect(
                f"ws://{LOCALHOST}:{self.port}/",
                sock=sock,
                subprotocols=["actorcred.msgpack"],  # type: ignore[list-item]
            )
            self.socket = self._made.__enter__()
        except (InvalidHandshake, ConnectionClosed, OSError, EOFError):
            if sock is not None:
                sock.close()
            raise Closed("") from None
        self._numbers = itertools.count(1)

    def hang_up(self) -> None:
        self.socket.close()

    def _send(self, message: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self.socket.send(msgpack.packb(message))
        except ConnectionClosed:
            return

    def _receive(self) -> Any:
        from websockets.exceptions import ConnectionClosed

        try:
            return msgpack.unpackb(self.socket.recv(WAIT))
        except ConnectionClosed:
            return None


# -- the portal -----------------------------------------------------------------------------------


class VerifyDoor(Door):
    door = "`portal.verify`"
    mechanism = "in the process"

    def start(self, portal: Any) -> None:
        self.portal = portal

    def stop(self) -> None: ...

    def connect(self, source: str) -> None:
        self.client = ClientInfo(address=source)

    def guess(self, name: str, password: str) -> str:
        try:
            self.portal.verify(UsernamePassword(name, password), client=self.client).get(timeout=10)
        except LoginFailed as error:
            return f"{type(error).__name__}: {error}"
        return "IN"

    def hang_up(self) -> None: ...


def without_seconds(text: str) -> str:
    """Return an answer without the number of seconds, which depends on the time."""
    return re.sub(
        r"(\d+(?:\.\d+)?)(?= s\b)|(?<=Retry-After: )\d+|(?<=retry_after )[\d.]+", "N", text
    )


DOORS: tuple[type[Door], ...] = (
    HttpDoor,
    DigestDoor,
    BearerDoor,
    SocketDoor,
    ThreadsDoor,
    AsyncSSHDoor,
    AsyncSSHTypedDoor,
    AsyncSSHKeyDoor,
    SmtpDoor,
    SmtpScramDoor,
    WireDoor,
    WireScramDoor,
    WireResumeDoor,
    WireAgainDoor,
    WireSocketDoor,
    VerifyDoor,
)
