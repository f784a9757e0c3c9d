"""A proxy for tests: it forwards connections, after a header of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.rpc.stage import pump


@contextlib.asynccontextmanager
async def relay(port: int, header: bytes = b"", *lines: str) -> AsyncIterator[int]:
    """Forward connections to a port of this machine.

    Args:
        port: where the server listens.
        header: what is sent first.
        lines: headers that are added to the first HTTP request.
    """
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        far_writer.write(header)
        if lines:
            head = await reader.readuntil(b"\r\n\r\n")
            far_writer.write(
                head[:-2] + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
            )
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*tasks)
