"""Our wire behind proxies: who the client is, what is private, and who is limited."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actorcred import Admission, LoginFailed, Portal, PortalOptions, rpc
from actorcred.checkers.memory import MemoryChecker
from actorcred.errors import ActorcredError, CallError, ConnectionLost
from actorcred.identity import ClientInfo
from actorcred.portal.events import ForwardingIgnored, LoggedIn
from actorcred.rpc.server.events import ConnectionBroken, ConnectionRefused
from tests.fronts.headers import ssl_field, v1, v2
from tests.fronts.relay import relay
from tests.rpc.stage import USERS, Game, authority, on_both_loops, on_loop, pump

LOCAL = rpc.TrustedProxy(("127.0.0.1", "unix"))


class Served:
    """A server, and what a test needs of it."""

    def __init__(self, portal: Any, server: rpc.Server) -> None:
        self.portal, self.server = portal, server
        self.events: list[Any] = []

    @property
    def port(self) -> int:
        return self.server.addresses[0].port

    async def client_of(self, session_id: str) -> ClientInfo:
        session = await self.portal.session(session_id)
        assert session is not None
        return session.client  # type: ignore[no-any-return]

    def seen(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until_seen(self, kind: type) -> Any:
        async with asyncio.timeout(10):
            while not self.seen(kind):
                await asyncio.sleep(0.001)
        return self.seen(kind)[0]


@contextlib.asynccontextmanager
async def serving(
    address: str,
    proxy: rpc.TrustedProxy | None = LOCAL,
    context: ssl.SSLContext | None = None,
    **admission: Any,
) -> AsyncIterator[Served]:
    portal = Portal.start(
        Game.start([], []),
        [MemoryChecker.start(USERS, plaintext=True, scram_iterations=4096)],
        PortalOptions(admission=Admission(**admission)),
    )
    options = rpc.ServerOptions(proxy=proxy, resume=rpc.Resume(grace=0))
    async with await rpc.serve(portal, address, options=options, context=context) as server:
        served = Served(portal, server)
        await portal.subscribe(served.events.append)
        yield served


@contextlib.asynccontextmanager
async def logged_in(port: int, kind: str = "tcp", **options: Any) -> AsyncIterator[rpc.Client]:
    settings = rpc.ClientOptions(**options)
    address = f"{kind}:127.0.0.1:{port}"
    async with await rpc.connect(address, "ann", "s3cret", options=settings) as client:
        yield client


@pytest.mark.parametrize(("versions", "header"), [("v1", v1()), ("v2", v2()), ("any", v2())])
@on_both_loops
async def test_a_proxy_header_names_the_client(versions: str, header: bytes) -> None:
    async with serving(f"tcp:127.0.0.1:0?proxy={versions}") as served:
        async with relay(served.port, header) as front, logged_in(front) as client:
            info = await served.client_of(client.session)
            assert info.endpoint == "198.51.100.7:5000"
            assert info.local == "192.0.2.1:25"
            assert info.via == ("127.0.0.1",)
            assert info.transport == "tcp"
            (own,) = await client.sessions()
            assert own["address"] == "198.51.100.7:5000"
            assert own["via"] == ["127.0.0.1"]
        (event,) = served.seen(LoggedIn)
        assert event.client.address == "198.51.100.7"


@on_loop
async def test_a_proxy_may_come_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "game.sock")
    async with serving(f"unix:{path}?proxy=v2") as served:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(v2(fields=ssl_field()))

        async def forward(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
            await asyncio.gather(pump(near, writer), pump(reader, back))

        async with await asyncio.start_server(forward, "127.0.0.1", 0) as front:
            port = front.sockets[0].getsockname()[1]
            async with logged_in(port, mechanism="PLAIN") as client:
                info = await served.client_of(client.session)
        assert (info.address, info.via, info.encrypted) == ("198.51.100.7", ("unix",), True)


@pytest.mark.parametrize("kind", ["tls", "wss"])
@on_both_loops
async def test_the_header_is_read_before_tls_begins(kind: str) -> None:
    own, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority().issue_cert("127.0.0.1").configure_cert(own)
    authority().configure_trust(theirs)
    async with (
        serving(f"{kind}:127.0.0.1:0?proxy=v2", context=own) as served,
        relay(served.port, v2("2001:db8::7")) as front,
        logged_in(front, kind, context=theirs) as client,
    ):
        info = await served.client_of(client.session)
        assert info.endpoint == "[2001:db8::7]:5000"
        assert info.private
        assert info.tls is not None
        assert info.tls.binding is not None  # the TLS is the client's own


@on_loop
async def test_a_websocket_has_the_client_of_the_header() -> None:
    async with (
        serving("ws:127.0.0.1:0?proxy=v1") as served,
        relay(served.port, v1()) as front,
        logged_in(front, "ws") as client,
    ):
        info = await served.client_of(client.session)
        assert (info.address, info.transport, info.private) == ("198.51.100.7", "websocket", False)


@on_loop
async def test_a_http_proxy_names_the_client_of_a_websocket() -> None:
    lines = ("X-Forwarded-For: 10.9.9.9, 198.51.100.7", "X-Forwarded-Proto: https")
    async with (
        serving("ws:127.0.0.1:0") as served,
        relay(served.port, b"", *lines) as front,
        logged_in(front, "ws", mechanism="PLAIN") as client,
    ):
        info = await served.client_of(client.session)
        assert (info.address, info.via) == ("198.51.100.7", ("127.0.0.1",))
        assert info.encrypted
        assert info.tls is None


@on_loop
async def test_a_http_proxy_may_be_behind_one_that_sends_a_header() -> None:
    proxies = rpc.TrustedProxy(("127.0.0.1", "10.0.0.5"), header="forwarded")  # type: ignore[arg-type]
    async with (
        serving("ws:127.0.0.1:0?proxy=v2", proxies) as served,
        relay(served.port, v2("10.0.0.5"), 'Forwarded: for="[2001:db8::7]:80"') as front,
        logged_in(front, "ws") as client,
    ):
        info = await served.client_of(client.session)
        assert info.endpoint == "[2001:db8::7]:80"
        assert info.via == ("10.0.0.5", "127.0.0.1")


# -- what is private -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "header", "lines"),
    [
        ("tcp", v1(), []),
        ("tcp", v1("127.0.0.1"), []),
        ("tcp", v2(), []),
        ("tcp", v2(fields=ssl_field(client=0)), []),
        ("tcp", v2(command=0), []),
        ("tcp", b"PROXY UNKNOWN\r\n", []),
        ("ws", b"", ["X-Forwarded-For: 198.51.100.7"]),
        ("ws", b"", ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"]),
        ("ws", b"", ["X-Forwarded-For: 198.51.100.7", "Forwarded: for=1.2.3.4;proto=https"]),
        ("ws", b"", ["X-Nothing: 1"]),
    ],
)
@on_loop
async def test_a_near_proxy_that_does_not_report_tls_makes_nothing_private(
    kind: str, header: bytes, lines: list[str]
) -> None:
    option = "?proxy=any" if header else ""
    async with (
        serving(f"{kind}:127.0.0.1:0{option}") as served,
        relay(served.port, header, *lines) as front,
    ):
        with pytest.raises(CallError, match="not offered"):
            async with logged_in(front, kind, mechanism="PLAIN"):
                pass
        async with logged_in(front, kind, mechanism="SCRAM-SHA-256") as client:
            assert not (await served.client_of(client.session)).private


@on_loop
async def test_a_proxy_that_reports_tls_makes_a_connection_private() -> None:
    async with (
        serving("tcp:127.0.0.1:0?proxy=v2") as served,
        relay(served.port, v2(fields=ssl_field())) as front,
        logged_in(front, mechanism="PLAIN") as client,
    ):
        assert (await served.client_of(client.session)).private


@on_loop
async def test_a_near_proxy_that_is_not_trusted_is_no_client_of_this_machine() -> None:
    async with (
        serving("ws:127.0.0.1:0", None) as served,
        relay(served.port, b"", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https") as front,
    ):
        with pytest.raises(CallError, match="not offered"):
            async with logged_in(front, "ws", mechanism="PLAIN"):
                pass
        async with logged_in(front, "ws") as client:
            info = await served.client_of(client.session)
        assert info.address == "127.0.0.1"
        assert info.untrusted_front
        event = await served.until_seen(ForwardingIgnored)
        assert event.header == "x-forwarded-for"
        assert event.client.address == "127.0.0.1"


# -- who is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"\x94\0\1\xaccred.logout\x90", v2(), b"PROXY TCP4 x\r\n"])
@on_loop
async def test_a_connection_without_a_header_is_refused(said: bytes) -> None:
    async with serving("tcp:127.0.0.1:0?proxy=v1") as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        if said:
            writer.write(said)
        else:
            writer.write_eof()
        with contextlib.suppress(ConnectionResetError):  # of what was not read
            assert await reader.read() == b""
        writer.close()
        event = await served.until_seen(ConnectionBroken)
        assert "PROXY header" in event.detail


@on_loop
async def test_somebody_who_is_no_proxy_is_refused() -> None:
    async with serving("tcp:127.0.0.1:0?proxy=v2", rpc.TrustedProxy(("10.0.0.1",))) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        with contextlib.suppress(ConnectionError):
            writer.write(v2())
            assert await reader.read() == b""
        writer.close()
        event = await served.until_seen(ConnectionRefused)
        assert (event.client.address, event.detail) == ("127.0.0.1", "it is not a trusted proxy")


@pytest.mark.parametrize("kind", ["tcp", "ws-header", "ws"])
@on_loop
async def test_limits_count_the_real_client(kind: str) -> None:
    lines = ["X-Forwarded-For: 198.51.100.7"] if kind == "ws" else []
    other = ["X-Forwarded-For: 198.51.100.8"] if kind == "ws" else []
    option = "" if kind == "ws" else "?proxy=any"
    scheme = kind.partition("-")[0]
    async with (
        serving(
            f"{scheme}:127.0.0.1:0{option}", unauthenticated_per_source=1, unauthenticated=100
        ) as served,
        relay(served.port, b"" if kind == "ws" else v1(), *lines) as front,
        relay(served.port, b"" if kind == "ws" else v1("198.51.100.8"), *other) as neighbour,
    ):
        silent = await _silent(scheme, front)
        async with asyncio.timeout(10):
            while len(served.server.hub.peers) < 1 and kind != "ws-header":
                await asyncio.sleep(0.001)
        with pytest.raises((ConnectionLost, LoginFailed)):
            async with logged_in(front, scheme):
                pass
        event = await served.until_seen(ConnectionRefused)
        assert event.client.address == "198.51.100.7"
        async with logged_in(neighbour, scheme):
            pass
        await silent()


async def _silent(scheme: str, port: int) -> Any:
    """Connect without logging in; return what disconnects."""
    if scheme == "tcp":
        _, writer = await asyncio.open_connection("127.0.0.1", port)

        async def close() -> None:
            writer.close()

        return close
    from websockets.asyncio.client import connect as open_socket

    subprotocols: Any = ["actorcred.msgpack"]
    socket = await open_socket(f"ws://127.0.0.1:{port}", subprotocols=subprotocols, proxy=None)
    return socket.close


@pytest.mark.parametrize(
    ("address", "proxy", "error"),
    [
        ("tcp:127.0.0.1:0?proxy=v2", None, "no proxy is trusted"),
        ("ws:127.0.0.1:0?proxy=v2", None, "no proxy is trusted"),
        ("tcp:127.0.0.1:0?proxy=v3", LOCAL, "must be one of v1, v2, any, not 'v3'"),
    ],
)
@on_loop
async def test_what_cannot_be_served_is_named(address: str, proxy: Any, error: str) -> None:
    with pytest.raises(ActorcredError, match=error):
        async with serving(address, proxy):
            pass


# -- what the client says of itself --------------------------------------------------------------


@pytest.mark.parametrize("json", [False, True])
@on_loop
async def test_a_client_tells_the_realm_more(json: bool) -> None:
    async with serving("ws:127.0.0.1:0", None) as served:
        info = {"language": "de", "screen": [1, 2]}
        async with logged_in(served.port, "ws", json=json, info=info) as client:
            session = await served.portal.session(client.session)
            assert session.mind.info == info
            with pytest.raises(TypeError):
                session.mind.info["language"] = "fr"
            assert session.client.name == "actorcred"


@on_loop
async def test_what_a_client_tells_has_a_bound() -> None:
    async with serving("tcp:127.0.0.1:0", None) as served:
        with pytest.raises(CallError, match="info is too large"):
            async with logged_in(served.port, info={"x": "y" * 5000}):
                pass
    with pytest.raises(TypeError, match="keys are strings"):
        rpc.ClientOptions(info={1: "x"})  # type: ignore[dict-item]
