"""Reading a PROXY header from a socket, before anything else uses the socket."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from actorcred.fronts.proxy_header import LONGEST, ProxyHeader, ProxyHeaderError, ProxyVersion

__all__ = ["HEADER_TIMEOUT", "VERSIONS", "read_proxy_header"]

HEADER_TIMEOUT: Final = 5.0
"""Seconds for a proxy to send its header, which it does at once."""

VERSIONS: Final[dict[str, frozenset[ProxyVersion]]] = {
    "v1": frozenset({1}),
    "v2": frozenset({2}),
    "any": frozenset({1, 2}),
}
"""The versions that a listener accepts, by the value of its option `proxy`."""


async def read_proxy_header(
    sock: socket.socket,
    versions: frozenset[ProxyVersion] = VERSIONS["any"],
    timeout: float = HEADER_TIMEOUT,
) -> ProxyHeader:
    """Read the PROXY header of a connection, and nothing that follows it.

    Args:
        sock: the socket, which must not block.
        versions: the versions that are accepted.
        timeout: seconds for the whole header.

    Raises:
        ProxyHeaderError: if there is no valid header, or not in time.
        OSError: if the connection was lost.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _read(sock, versions)
    except TimeoutError:
        raise ProxyHeaderError(f"no PROXY header within {timeout:g} s") from None


async def _read(sock: socket.socket, versions: frozenset[ProxyVersion]) -> ProxyHeader:
    data = b""
    while True:
        # What follows the header must stay in the socket, so it is looked at before it is taken.
        seen = await _peek(sock, LONGEST - len(data))
        if not seen:
            raise ProxyHeaderError("the connection was closed within its PROXY header")
        header = ProxyHeader.parse(data + seen, versions)
        taken = len(seen) if header is None else header.size - len(data)
        data += sock.recv(taken)
        if header is not None:
            return header


async def _peek(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.recv(size, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            readable = loop.create_future()
            loop.add_reader(sock, _wake, readable)
            try:
                await readable
            finally:
                loop.remove_reader(sock)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
