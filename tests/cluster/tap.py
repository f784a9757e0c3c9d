"""A tap in the line between a node and NATS: it can be open, cut, blocked or slow."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator


class Tap:
    """Passes TCP connections on to a port on this machine, as it is told.

    Args:
        target: the port of the server.

    Attributes:
        port: where it listens itself.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        # Bound, but not listening: while the line is cut, nobody else gets the port.
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._delay = 0.0
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._opening: asyncio.Task[None] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address for clients of NATS."""
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, sock=_bound(self.port))

    async def stop(self) -> None:
        """Listen no longer, and close all connections."""
        if self._opening is not None:
            await self._opening
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._place.close()

    def open(self) -> None:
        """Pass all on at once; what was held back arrives now, late."""
        self._delay = 0.0
        self._flows.set()
        if self._server is None and (self._opening is None or self._opening.done()):
            self._opening = asyncio.get_running_loop().create_task(self.start())

    def cut(self) -> None:
        """Close the connections and refuse new ones; what was held back is lost."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()

    async def point(self, target: int) -> None:
        """Cut the line, and pass new connections on to another port, as a load balancer does."""
        self.cut()
        self._target = target
        await self.start()

    def black_hole(self) -> None:
        """Keep the connections, accept new ones, and pass nothing on."""
        self._flows.clear()

    def slow(self, delay: float) -> None:
        """Pass all on, some seconds later, in each direction."""
        self.open()
        self._delay = delay

    async def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(back)
        # The ends may close at any time, and cut() cancels.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._connect(near, back)
        back.transport.abort()
        self._writers.discard(back)
        self._tasks.discard(task)

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers.add(forth)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(near, forth))
                group.create_task(self._pass_on(far, back))
        except* OSError:
            pass
        finally:
            forth.transport.abort()
            self._writers.discard(forth)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one direction on; its end ends both."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def write() -> None:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(due - loop.time())
                await self._flows.wait()
                if not data:
                    raise ConnectionResetError
                writer.write(data)
                await writer.drain()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            while data := await reader.read(1 << 16):
                waiting.put_nowait((loop.time() + self._delay, data))
                # A black hole does not take more than fits into its buffers.
                await self._flows.wait()
            waiting.put_nowait((loop.time() + self._delay, b""))


class Taps:
    """Taps in the lines to several servers, which are told the same.

    Args:
        targets: the ports of the servers.

    Attributes:
        each: the taps, in the order of the servers.
    """

    def __init__(self, targets: list[int]) -> None:
        self.each = [Tap(target) for target in targets]

    @property
    def url(self) -> list[str]:
        """The addresses for clients of NATS."""
        return [tap.url for tap in self.each]

    async def start(self) -> None:
        """Listen."""
        for tap in self.each:
            await tap.start()

    async def stop(self) -> None:
        """Listen no longer, and close all connections."""
        for tap in self.each:
            await tap.stop()

    def open(self) -> None:
        """See `Tap.open`."""
        for tap in self.each:
            tap.open()

    def cut(self) -> None:
        """See `Tap.cut`."""
        for tap in self.each:
            tap.cut()

    def black_hole(self) -> None:
        """See `Tap.black_hole`."""
        for tap in self.each:
            tap.black_hole()

    def slow(self, delay: float) -> None:
        """See `Tap.slow`."""
        for tap in self.each:
            tap.slow(delay)


def _bound(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    return made


@contextlib.asynccontextmanager
async def tapped(target: int) -> AsyncIterator[Tap]:
    """Put a tap before a port."""
    tap = Tap(target)
    await tap.start()
    try:
        yield tap
    finally:
        await tap.stop()
