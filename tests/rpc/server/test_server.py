"""Serving: what can be served where and by whom, and the errors for the rest."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actorcred import (
    ActorcredError,
    Avatar,
    BearerToken,
    CallError,
    Certificate,
    Checker,
    CheckerUnavailable,
    LoginFailed,
    LogoutCode,
    Policy,
    Portal,
    PortalOptions,
    ProtocolError,
    Realm,
    UnauthorizedLogin,
    rpc,
)
from actorcred.checkers.memory import MemoryChecker
from actorcred.portal.events import LoggedIn
from tests.rpc.stage import USERS, Actor2, Game, Recorder, authority, on_loop, pump, stage
from tests.settings import server_options


class Certificates(Checker):
    """Identifies clients by the name in the certificate."""

    credential_interfaces = (Certificate,)

    def request_avatar_id(self, credentials: Certificate) -> str:
        return dict(credentials.names)["email"]


class Tokens(Checker):
    credential_interfaces = (BearerToken,)

    def request_avatar_id(self, credentials: BearerToken) -> str:
        if credentials.token != "good-token":
            raise UnauthorizedLogin("bad token")
        return credentials.username or "tokenholder"


@on_loop
async def test_a_client_certificate_lets_its_owner_in() -> None:
    async with stage("tls", checkers=[Certificates.start()]) as game:
        context = game.client_context()
        assert context is not None
        authority().issue_cert("ann@example.org").configure_cert(context)
        client = await game.connect("ann@example.org", None, context=context)
        assert client.avatar_id == "ann@example.org"
        with pytest.raises(LoginFailed):
            await game.connect(
                "ann@example.org", None
            )  # without the certificate EXTERNAL is not offered
        with pytest.raises(LoginFailed):
            await game.connect("", None, context=context, mechanism="EXTERNAL", authorize_as="bob")


@on_loop
async def test_a_bearer_token_lets_its_holder_in() -> None:
    async with stage(checkers=[Tokens.start()]) as game:
        client = await game.connect("", None, token="good-token")
        assert client.avatar_id == "tokenholder"
        with pytest.raises(UnauthorizedLogin):
            await game.connect("", None, token="bad")
        with pytest.raises(UnauthorizedLogin):
            await game.connect("", None, token="bad", authorize_as="ann")


@on_loop
async def test_passwords_are_not_taken_where_somebody_may_read_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actorcred.identity.is_loopback", lambda host: False)
    for transport, clear, offered in (
        ("tcp", False, False),
        ("tcp", True, True),
        ("websocket", False, False),
        ("tls", False, True),
    ):
        async with stage(transport, passwords_in_clear=clear) as game:
            if offered:
                await game.connect(mechanism="PLAIN")
            else:
                with pytest.raises(CallError, match="not offered"):
                    await game.connect(mechanism="PLAIN")
                client = await game.connect()  # SCRAM reveals the password to no one
                assert "PLAIN" not in await client.call("cred.mechanisms")


@on_loop
async def test_mechanisms_for_old_clients_are_off_unless_they_are_named() -> None:
    async with stage() as game:
        client = await game.connect()
        names = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "ANONYMOUS"]
        assert await client.call("cred.mechanisms") == names
        for mechanism in ("CRAM-MD5", "SCRAM-SHA-1"):
            with pytest.raises(CallError, match="not offered here") as refused:
                await game.connect(mechanism=mechanism)
            assert refused.value.code == "bad-arguments"
            with pytest.raises(CallError, match="not offered here"):
                await client._request("cred.reauthenticate", (mechanism, None))
    async with stage(legacy_mechanisms=("CRAM-MD5",)) as game:
        client = await game.connect(mechanism="CRAM-MD5")
        offered = await client.call("cred.mechanisms")
        assert "CRAM-MD5" in offered
        assert "SCRAM-SHA-1" not in offered


@on_loop
async def test_a_client_chooses_no_mechanism_for_old_servers_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def first_answer(self: Any, method: str) -> list[str]:
        return ["SCRAM-SHA-1", "CRAM-MD5"]

    async with stage(legacy_mechanisms=("CRAM-MD5",)) as game:
        monkeypatch.setattr("actorcred.rpc.client.client.Client._first_answer", first_answer)
        with pytest.raises(LoginFailed) as refused:
            await game.connect()
        assert "must be asked for by name" in refused.value.detail
        await game.connect(mechanism="CRAM-MD5")


@on_loop
async def test_the_second_login_follows_the_policy() -> None:
    async with stage("tcp", None, PortalOptions(policy=Policy.REPLACE)) as game:
        first = await game.connect()
        await game.connect()
        assert (await first.wait_closed()).code == "replaced"


@on_loop
async def test_a_session_that_ends_at_its_login_says_goodbye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def turn_away(avatar: Actor2) -> None:
        assert avatar.session is not None
        avatar.session.end(LogoutCode.KICKED, "no room")

    monkeypatch.setattr(Actor2, "on_login", turn_away)
    for transport in ("tcp", "websocket"):
        async with stage(transport) as game:
            client = await game.connect(reconnect=True)
            assert (await client.wait_closed()).code == "kicked"


@on_loop
async def test_sessions_that_share_an_avatar_are_all_told() -> None:
    async with stage("tcp", None, PortalOptions(policy=Policy.SHARE)) as game:
        heard = [Recorder(), Recorder()]
        first, second = [await game.connect(handler=one) for one in heard]
        assert await first.call("move", 1) == [1.0, 0.0]
        assert await second.call("move", 1) == [2.0, 0.0]
        await first.call("shout", "both")
        for one in heard:
            await one.until(lambda events: ("heard", "both") in events)


@on_loop
async def test_a_login_by_the_network_is_an_event() -> None:
    async with stage() as game:
        client = await game.connect(client=("tester", "7"))
        await game.until(lambda: any(isinstance(event, LoggedIn) for event in game.events))
        session = await game.portal.session(client.session)
        at = session.client
        assert (at.protocol, at.transport, at.name, at.version) == ("rpc", "tcp", "tester", "7")
        assert at.local == f"127.0.0.1:{game.address.port}"
        assert dict(session.notes) == {}


@on_loop
async def test_a_checker_that_is_down_is_unavailable_and_no_way_in() -> None:
    async with stage() as game:
        await game.checker.stop(block=False)
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            with pytest.raises(CheckerUnavailable):
                await game.connect(mechanism=mechanism)


# -- errors of serving ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "error", "text"),
    [
        ("tcp:127.0.0.1", ValueError, "tcp:HOST:PORT"),
        ("tcp:127.0.0.1:1", ActorcredError, "cannot listen on tcp"),
        ("tcp:203.0.113.1:9986", ActorcredError, "cannot listen on tcp"),
        ("ws:203.0.113.1:9986", ActorcredError, "cannot listen on ws"),
        ("unix:/no/such/folder/x", ActorcredError, "cannot listen on unix"),
        ("tls:127.0.0.1:0", ActorcredError, "needs a certificate"),
        ("wss:127.0.0.1:0", ActorcredError, "needs a certificate"),
        ("tls:127.0.0.1:0?cert=/no/such", ActorcredError, "cannot be used"),
    ],
)
@on_loop
async def test_an_address_that_cannot_be_listened_on_is_named(
    address: str, error: type[Exception], text: str
) -> None:
    if address == "tcp:127.0.0.1:1":
        taken = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        address = f"tcp:127.0.0.1:{taken.sockets[0].getsockname()[1]}"
    portal = Portal.start(Game.start([], []), [MemoryChecker.start({}, plaintext=True)])
    with pytest.raises(error, match=text):
        await rpc.serve(portal, "tcp:127.0.0.1:0", address)
    if text == "cannot listen on tcp" and "203" not in address:
        taken.close()


@on_loop
async def test_certificates_may_come_by_the_address(tmp_path: Path) -> None:
    issued = authority().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    portal = Portal.start(Game.start([], []), [MemoryChecker.start(USERS, plaintext=True)])
    for kind in ("tls", "wss"):
        async with await rpc.serve(
            portal, f"{kind}:127.0.0.1:0?cert={tmp_path}/both.pem"
        ) as server:
            address = str(server.addresses[0])
            async with await rpc.connect(
                f"{address}?ca={tmp_path}/ca.pem",
                "ann",
                "s3cret",
                options=rpc.ClientOptions(mechanism="PLAIN"),
            ) as client:
                assert await client.call("echo", kind) == kind
            with pytest.raises(ConnectionError, match="cannot connect"):
                await rpc.connect(address, "ann", "s3cret")  # a self-signed certificate


@on_loop
async def test_a_server_that_ends_closes_connections_in_whatever_moment_of_their_handshake(
    tmp_path: Path,
) -> None:
    authority().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "both.pem")
    )
    portal = Portal.start(Game.start([], []), [MemoryChecker.start({}, plaintext=True)])
    for turns in range(8):
        server = await rpc.serve(portal, f"tls:127.0.0.1:0?cert={tmp_path}/both.pem")
        port = int(str(server.addresses[0]).rsplit(":", 1)[1])
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close(timeout=5)
        gc.collect()  # anything not closed is a warning now, and so an error
        for client in clients:
            client.close()


@on_loop
async def test_scram_is_bound_to_a_tls_connection(tmp_path: Path) -> None:
    for name, issued in (
        ("here", authority().issue_cert("127.0.0.1")),
        ("between", authority().issue_cert("127.0.0.1")),
    ):
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    authority().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    portal = Portal.start(
        Game.start([], []), [MemoryChecker.start(USERS, plaintext=True, scram_iterations=4096)]
    )
    options = server_options(grace=0, legacy_mechanisms=("SCRAM-SHA-1",))
    async with await rpc.serve(
        portal,
        f"tls:127.0.0.1:0?cert={tmp_path}/here.pem",
        options=options,
    ) as server:
        address = f"{server.addresses[0]}?ca={tmp_path}/ca.pem"
        for mechanism in ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", None):
            async with await rpc.connect(
                address, "ann", "s3cret", options=rpc.ClientOptions(mechanism=mechanism)
            ) as client:
                assert client.avatar_id == "ann"
        for username, password in (("ann", "wrong"), ("nobody", "s3cret")):
            with pytest.raises(UnauthorizedLogin):
                await rpc.connect(
                    address,
                    username,
                    password,
                    options=rpc.ClientOptions(mechanism="SCRAM-SHA-256-PLUS"),
                )
        # A man in the middle with a certificate that the client trusts forwards everything.
        async with relay(
            server.addresses[0], tmp_path / "between.pem", tmp_path / "ca.pem"
        ) as port:
            with pytest.raises(UnauthorizedLogin):
                await rpc.connect(
                    f"tls://127.0.0.1:{port}?ca={tmp_path}/ca.pem",
                    "ann",
                    "s3cret",
                    options=rpc.ClientOptions(mechanism="SCRAM-SHA-256-PLUS"),
                )


@contextlib.asynccontextmanager
async def relay(address: Any, certificate: Path, ca: Path) -> AsyncIterator[int]:
    """Forward bytes between TLS clients and a TLS server."""
    outward = ssl.create_default_context(cafile=str(ca))
    inward = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    inward.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = str(address).removeprefix("tls://").rsplit(":", 1)
        far_reader, far_writer = await asyncio.open_connection(
            host, int(port), ssl=outward, server_hostname="127.0.0.1"
        )
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=inward)
    async with server:
        yield server.sockets[0].getsockname()[1]


@on_loop
async def test_a_socket_file_of_a_killed_server_is_taken_over_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "game.sock"))
    dead.close()
    async with stage("unix", tmp_path) as game:
        await game.connect()
        with pytest.raises(ActorcredError, match="another server"):
            await game.server.listen(f"unix:{tmp_path}/game.sock")
    assert not (tmp_path / "game.sock").exists()
    (tmp_path / "precious").write_text("data")
    with pytest.raises(ActorcredError):
        async with stage("unix", tmp_path) as game:
            await game.server.listen(f"unix:{tmp_path}/precious")
    assert (tmp_path / "precious").read_text() == "data"


@on_loop
async def test_a_realm_that_cannot_be_served_is_refused_at_once() -> None:
    class Nameless(Realm):
        def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any: ...

    class Twins(Nameless):
        interfaces = (type("Player", (), {}), type("Player", (), {}))

    class Actors(Nameless):
        interfaces = (Avatar,)

    for realm, error, text in (
        (Nameless, ValueError, "lists no interfaces"),
        (Twins, ValueError, "same name"),
        (Actors, TypeError, "is an actor"),
    ):
        with pytest.raises(error, match=text):
            await rpc.serve(Portal.start(realm.start()), "tcp:127.0.0.1:0")


@pytest.mark.parametrize(
    "settings",
    [
        {"login_timeout": 0},
        {"heartbeat": -1},
        {"replay": 0},
        {"bytes_burst": 0},
        {"requests_per_second": 0},
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        server_options(**settings)


@pytest.mark.parametrize("names", ["CRAM-MD5", ("SCRAM-SHA-256",), ("MD5",)])
def test_a_legacy_mechanism_that_is_none_is_named(names: Any) -> None:
    with pytest.raises(ValueError, match="legacy_mechanisms"):
        rpc.ServerOptions(legacy_mechanisms=names)


def test_limits_that_make_no_sense_are_named() -> None:
    with pytest.raises(ValueError, match="frame"):
        rpc.WireLimits(frame=0)


# -- clients -------------------------------------------------------------------------------------


@on_loop
async def test_a_client_says_what_is_wrong() -> None:
    with pytest.raises(ConnectionError, match=r"cannot connect to tcp://127\.0\.0\.1:1"):
        await rpc.connect("tcp:127.0.0.1:1")
    with pytest.raises(ConnectionError, match="cannot connect to ws"):
        await rpc.connect("ws:127.0.0.1:1")
    with pytest.raises(ConnectionError, match="cannot connect to unix"):
        await rpc.connect("unix:/no/such")
    with pytest.raises(ValueError, match="must begin with"):
        await rpc.connect("http://x")
    async with stage() as game:
        with pytest.raises(ValueError, match="stream"):
            await game.connect(json=True)
        with pytest.raises(ValueError, match="unknown"):
            await game.connect(mechanism="MAGIC")
        with pytest.raises(LoginFailed):
            await game.connect("ann", None)


@on_loop
async def test_a_client_gives_up_a_server_that_does_not_answer() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionError, match=r"within 0\.1 s"):
            await rpc.connect(
                f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}",
                options=rpc.ClientOptions(timeout=0.1),
            )


@on_loop
async def test_a_client_notices_a_server_that_speaks_something_else() -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        with pytest.raises((ConnectionError, ProtocolError), match="protocol"):
            await rpc.connect(
                f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}",
                options=rpc.ClientOptions(timeout=5),
            )


@on_loop
async def test_a_handler_may_be_an_object_whose_private_methods_are_its_own() -> None:
    class Handler:
        def __init__(self) -> None:
            self.place: list[Any] = []

        async def moved(self, x: int) -> None:
            self.place.append(x)

        def answer(self, number: int) -> int:
            return number + 1

        def _secret(self, number: int) -> str:
            return "never"

    async with stage() as game:
        handler = Handler()
        client = await game.connect(handler=handler)
        assert await client.call("ask_client", "answer") == 7
        for name in ("_secret", "__init__", "nothing"):
            with pytest.raises(CallError) as error:
                await client.call("ask_client", name)
            assert error.value.code == "unknown-method"
        await client.call("tell", 3, "moved")
        await game.until(lambda: handler.place == [0, 1, 2])


def test_a_program_without_an_event_loop_serves_and_calls() -> None:
    class Greeter(ABC):
        @abstractmethod
        def greet(self) -> str: ...
        @abstractmethod
        def ask(self) -> Any: ...

    class Hello(Avatar, Greeter):
        def greet(self) -> str:
            self.mind.notify("greeted", threading.current_thread().name)
            return f"hello {self.avatar_id}"

        def ask(self) -> Any:
            return self.mind.call("question", timeout=5)

    class House(Realm):
        interfaces = (Greeter,)

        def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
            avatar = Hello.start(avatar_id, mind)
            return Greeter, avatar, avatar.stop

    heard: list[Any] = []
    event = threading.Event()

    def handler(name: str, *args: Any) -> Any:
        heard.append(name)
        event.set()
        return 42

    portal = Portal.start(
        House.start(), [MemoryChecker.start(USERS, plaintext=True, scram_iterations=4096)]
    )
    with rpc.serve_in_thread(portal, "tcp:127.0.0.1:0") as server:
        address = server.addresses[0]
        with rpc.connect_blocking(address, "ann", "s3cret", handler=handler) as client:
            assert client.avatar_id == "ann"
            assert client.call("greet", timeout=10) == "hello ann"
            assert event.wait(10)
            assert client.call("ask") == 42
            client.reauthenticate()
            (session,) = client.sessions()
            assert session["current"]
            assert not client.end_session("of somebody else")
            client.notify("greet")
        with pytest.raises(ConnectionError):
            client.call("greet")
        client.close()
        with pytest.raises(UnauthorizedLogin):
            rpc.connect_blocking(address, "ann", "wrong")
        other = rpc.connect_blocking(address, "ann", "s3cret")
    assert portal.count().get(timeout=10) == 0
    with pytest.raises(ConnectionError):
        other.call("greet")
    other.close()
    with pytest.raises(ValueError, match="must begin"):
        rpc.serve_in_thread(portal, "nonsense")
