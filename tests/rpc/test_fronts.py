"""Our wire behind HAProxy and nginx: the address of the real client arrives."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from actorcred import rpc
from actorcred.errors import CallError
from actorcred.identity import ClientInfo
from tests.backends.fronts import FRONT, haproxy, nginx
from tests.backends.servers import Backend, running
from tests.rpc.server.test_proxies import Served, logged_in, serving
from tests.rpc.stage import authority, on_loop

TRUSTED = rpc.TrustedProxy((FRONT,))


@contextlib.asynccontextmanager
async def behind(make: Callable[[Path], Backend]) -> AsyncIterator[int]:
    """Run a proxy; the loop goes on serving while it starts."""
    context = running(make)
    backend = await asyncio.to_thread(context.__enter__)
    try:
        yield backend.port
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


async def check(served: Served, client: rpc.Client, *, private: bool) -> ClientInfo:
    """Check that the client is on this machine, and came by the proxy."""
    info = await served.client_of(client.session)
    assert info.address == "127.0.0.1"
    assert info.via == (FRONT,)
    assert info.private is private
    (own,) = await client.sessions()
    assert (own["address"].partition(":")[0], own["via"]) == ("127.0.0.1", [FRONT])
    return info


def contexts(folder: Path) -> tuple[Path, ssl.SSLContext, ssl.SSLContext]:
    """Return the certificate for the proxy, the server's TLS, and the client's."""
    issued = authority().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "cert.pem"))
    own, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    issued.configure_cert(own)
    authority().configure_trust(theirs)
    return folder / "cert.pem", own, theirs


@pytest.mark.parametrize(("version", "option"), [("v1", "send-proxy"), ("v2", "send-proxy-v2")])
@on_loop
async def test_haproxy_in_front_of_tcp(version: str, option: str) -> None:
    async with (
        serving(f"tcp:127.0.0.1:0?proxy={version}", TRUSTED) as served,
        behind(lambda folder: haproxy(folder, served.port, option)) as port,
    ):
        with pytest.raises(CallError, match="not offered"):
            async with logged_in(port, mechanism="PLAIN"):
                pass
        async with logged_in(port) as client:
            info = await check(served, client, private=False)
            assert info.local == f"127.0.0.1:{port}"


@on_loop
async def test_haproxy_says_that_its_client_has_tls(tmp_path: Path) -> None:
    certificate, _, theirs = contexts(tmp_path)
    option = "send-proxy-v2-ssl-cn proxy-v2-options crc32c,unique-id"
    async with (
        serving("tcp:127.0.0.1:0?proxy=v2", TRUSTED) as served,
        behind(
            lambda folder: haproxy(
                folder,
                served.port,
                option,
                certificate=certificate,
                lines="unique-id-format %[uuid()]",
            )
        ) as port,
        logged_in(port, "tls", context=theirs, mechanism="PLAIN") as client,
    ):
        info = await check(served, client, private=True)
        assert info.tls is None


@on_loop
async def test_haproxy_passes_tls_through(tmp_path: Path) -> None:
    _, own, theirs = contexts(tmp_path)
    async with (
        serving("tls:127.0.0.1:0?proxy=v2", TRUSTED, own) as served,
        behind(lambda folder: haproxy(folder, served.port, "send-proxy-v2")) as port,
        logged_in(port, "tls", context=theirs) as client,
    ):
        info = await check(served, client, private=True)
        assert info.tls is not None


@on_loop
async def test_haproxy_in_front_of_websocket() -> None:
    async with (
        serving("ws:127.0.0.1:0", TRUSTED) as served,
        behind(
            lambda folder: haproxy(
                folder, served.port, mode="http", lines="option forwardfor\n    timeout tunnel 1m"
            )
        ) as port,
        logged_in(port, "ws") as client,
    ):
        await check(served, client, private=False)


@pytest.mark.parametrize("encrypted", [False, True])
@on_loop
async def test_nginx_in_front_of_websocket(tmp_path: Path, encrypted: bool) -> None:
    certificate, _, theirs = contexts(tmp_path)
    more: dict[str, Any] = {"context": theirs, "mechanism": "PLAIN"} if encrypted else {}
    async with (
        serving("ws:127.0.0.1:0", TRUSTED) as served,
        behind(
            lambda folder: nginx(folder, served.port, certificate if encrypted else None)
        ) as port,
        logged_in(port, "wss" if encrypted else "ws", **more) as client,
    ):
        await check(served, client, private=encrypted)
