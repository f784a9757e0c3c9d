"""Listening sockets: ports that several processes share, and sockets that were there before."""

from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import pytest

from actorcred import Portal, rpc
from actorcred.checkers.memory import MemoryChecker
from actorcred.errors import ActorcredError
from actorcred.rpc import ServerOptions
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.listeners import bind, reserve
from tests.rpc.stage import Game, on_both_loops, on_loop

linux = pytest.mark.skipif(sys.platform != "linux", reason="the rules of Linux")


def at(port: int, host: str = "127.0.0.1") -> Address:
    return Address("tcp", host, port)


@linux
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_reserved_port_is_for_those_that_share_it_and_for_no_other_program(host: str) -> None:
    with reserve(at(0, host)) as reserved:
        where = at(reserved.getsockname()[1], host)
        with pytest.raises(ActorcredError, match="another program listens there"):
            bind(where)
        with pytest.raises(ActorcredError, match="another program listens there"):
            reserve(where)
        with bind(where, reuse_port=True) as first, bind(where, reuse_port=True) as second:
            assert first.getsockname() == second.getsockname()
            with pytest.raises(ActorcredError, match="another program listens there"):
                reserve(where)
            # All connections go to those that listen.
            first.setblocking(False)
            second.setblocking(False)
            clients = [socket.create_connection((host, where.port)) for _ in range(20)]
            accepted = [stream for listening in (first, second) for stream in _all_of(listening)]
            assert len(accepted) == 20
            for stream in (*clients, *accepted):
                stream.close()


def _all_of(listening: socket.socket) -> list[socket.socket]:
    found = []
    while True:
        try:
            found.append(listening.accept()[0])
        except BlockingIOError:
            return found


@linux
def test_a_port_that_is_shared_by_another_program_cannot_be_reserved() -> None:
    with (
        bind(at(0), reuse_port=True) as other,
        pytest.raises(ActorcredError, match="another program listens there"),
    ):
        reserve(at(other.getsockname()[1]))


def test_where_ports_cannot_be_shared_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    with pytest.raises(ActorcredError, match="no SO_REUSEPORT"):
        bind(at(0), reuse_port=True)


async def served(options: ServerOptions | None = None) -> rpc.Server:
    """Return a server of a portal of its own, which does not listen yet."""
    checker = MemoryChecker.start({"ann": "s3cret"}, rounds=4)
    portal = Portal.start(Game.start([], []), [checker])
    return await rpc.serve(portal, options=options)


@on_loop
async def test_a_server_can_listen_on_sockets_that_were_there_before(tmp_path: Path) -> None:
    server = await served()
    path = tmp_path / "game.sock"
    for where in (f"unix:{path}", "tcp:127.0.0.1:0", "ws:127.0.0.1:0"):
        address = Address.parse(where)
        sock = bind(address)
        found = await server.listen(address, sock=sock)
        assert address.kind == "unix" or found.port == sock.getsockname()[1]
        async with await rpc.connect(found, "ann", "s3cret") as client:
            assert client.avatar_id == "ann"
    await server.close()
    assert sock.fileno() == -1
    assert path.exists()


@pytest.mark.parametrize("kind", ["tcp", "ws"])
@on_both_loops
async def test_small_messages_do_not_wait_for_acknowledgements(kind: str) -> None:
    server = await served()
    with socket.create_server(("127.0.0.1", 0)) as sock:  # without an option of ours
        where = await server.listen(f"{kind}:127.0.0.1:0", sock=sock)
        async with await rpc.connect(where, "ann", "s3cret"):
            (peer,) = server.hub.peers
            stream = peer.transport
            if kind == "ws":
                stream = peer.transport._visitor  # type: ignore[attr-defined]
            used = stream._transport.get_extra_info("socket")  # type: ignore[attr-defined]
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await server.close()


@linux
@pytest.mark.parametrize("kind", ["tcp", "ws"])
@on_loop
async def test_servers_that_share_a_port_both_serve_it(kind: str) -> None:
    options = ServerOptions(reuse_port=True)
    first, second = await served(options), await served(options)
    where = await first.listen(f"{kind}:127.0.0.1:0")
    assert await second.listen(where) == where
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            await stack.enter_async_context(await rpc.connect(where, "ann", "s3cret"))
            if first.hub.peers and second.hub.peers:
                break
        assert first.hub.peers
        assert second.hub.peers
    await first.close()
    async with await rpc.connect(where, "ann", "s3cret") as client:
        assert client.avatar_id == "ann"
    await second.close()
