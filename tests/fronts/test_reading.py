"""Reading a header and nothing else, from real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from actorcred.fronts.proxy_header import ProxyHeaderError
from actorcred.fronts.reading import VERSIONS, read_proxy_header
from tests.fronts.headers import v1, v2


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    yield near, far
    near.close()
    far.close()


@pytest.mark.parametrize("data", [v1(), v2(), v2("/run/x", 0)])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_follows_the_header_stays_in_the_socket(pair, data, size) -> None:
    near, far = pair

    async def send() -> None:
        whole = data + b"EHLO x\r\n"
        for at in range(0, len(whole), size):
            far.sendall(whole[at : at + size])
            await asyncio.sleep(0)

    async def main() -> None:
        reading = asyncio.ensure_future(read_proxy_header(near))
        await send()
        assert (await reading).size == len(data)
        assert near.recv(100) == b"EHLO x\r\n"

    asyncio.run(main())


def test_a_connection_without_a_header_is_refused(pair) -> None:
    near, far = pair
    far.sendall(b"EHLO x\r\n")
    with pytest.raises(ProxyHeaderError, match="does not begin"):
        asyncio.run(read_proxy_header(near))


def test_a_connection_that_ends_too_soon_is_refused(pair) -> None:
    near, far = pair
    far.sendall(v2()[:-1])
    far.close()
    with pytest.raises(ProxyHeaderError, match="closed within"):
        asyncio.run(read_proxy_header(near))


def test_a_header_that_does_not_come_is_not_waited_for(pair) -> None:
    near, far = pair
    far.sendall(b"PROXY ")
    with pytest.raises(ProxyHeaderError, match=r"no PROXY header within 0.01 s"):
        asyncio.run(read_proxy_header(near, VERSIONS["v1"], 0.01))
