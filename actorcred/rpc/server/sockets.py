"""A transport of asyncio for sockets without TLS, on any loop that watches descriptors.

The loops' own transports cost more: setting one up takes a task, a future and up to five callbacks,
and each read of asyncio's passes two functions more.
"""

from __future__ import annotations

import asyncio
import socket
from socket import SO_ERROR, SOL_SOCKET
from typing import Any, Protocol

__all__ = ["Reader", "SocketTransport"]


READ = 64 * 1024
"""Bytes that are read at once. Many more would be allocated by a system call for each read."""


class Reader(Protocol):
    """What a transport reports to, by methods of `asyncio.Protocol`. None of them may raise."""

    def data_received(self, data: bytes) -> None:
        """Handle received data."""

    def pause_writing(self) -> None:
        """Called when too much waits to be sent."""

    def resume_writing(self) -> None:
        """Called when enough of it has been sent."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once, when the connection is over."""


class SocketTransport(asyncio.Transport):
    """The transport of a connected socket. It begins to read with `resume_reading`.

    Args:
        loop: the running loop.
        sock: the socket, which must not block. It is closed at the end.
        reader: what is reported to.
        high: how many bytes may wait to be sent until `reader` must pause, as long as more than a
            quarter of them waits.
    """

    __slots__ = (
        "_closing",
        "_fd",
        "_full",
        "_high",
        "_loop",
        "_lost",
        "_reader",
        "_reads",
        "_socket",
        "_stops",
        "_unsent",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, reader: Reader, high: int
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._fd = sock.fileno()
        self._reader: Any = reader
        self._high = high
        self._unsent: bytes | bytearray = b""
        self._full = self._closing = self._lost = self._reads = False
        # Uvloop calls a reader once more when the connection was reset, and then forgets it.
        self._stops = not isinstance(loop, asyncio.BaseEventLoop)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket by the name "socket"; nothing else is known."""
        return self._socket if name == "socket" else default

    # -- reading -----------------------------------------------------------------------------------

    def _read(self) -> None:
        if not self._reads:  # paused when it was about to be called
            return
        try:
            data = self._socket.recv(READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._stop()
            self._end(error)
            return
        if data:
            self._reader.data_received(data)
            if self._stops and self._reads and self._socket.getsockopt(SOL_SOCKET, SO_ERROR):
                # Watched anew, since the rest, or only the end, is still to be received.
                self.pause_reading()
                self.resume_reading()
        elif self._unsent:
            self.close()
        else:
            self._stop()
            self._end(None)

    def is_reading(self) -> bool:
        """Return whether data is received."""
        return self._reads

    def pause_reading(self) -> None:
        """Receive no more data for now."""
        if self._reads:
            self._reads = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Receive data from now on."""
        if not self._reads and not self._closing:
            self._loop.add_reader(self._fd, self._read)
            self._reads = True  # not if that failed, as the descriptor may be another's later

    # -- writing -----------------------------------------------------------------------------------

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait to be sent."""
        return len(self._unsent)

    def write(self, data: Any) -> None:
        """Send data, or let it wait. Nothing is done if the connection is lost."""
        if self._lost:
            return
        if self._unsent:
            self._unsent += data
        else:
            try:
                rest = data[self._socket.send(data) :]
            except (BlockingIOError, InterruptedError):
                rest = data
            except OSError as error:
                self._fail(error)
                return
            if not rest:
                return
            self._unsent = bytearray(rest)
            self._loop.add_writer(self._fd, self._write)
        if len(self._unsent) > self._high and not self._full:
            self._full = True
            self._reader.pause_writing()

    def _write(self) -> None:
        if not self._unsent:  # it failed when this was about to be called
            return
        try:
            del self._unsent[: self._socket.send(self._unsent)]  # type: ignore[union-attr]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(error)
            return
        if not self._unsent:
            # Before the reader is told, which may write to a client that is gone, or close.
            self._loop.remove_writer(self._fd)
        if self._full and len(self._unsent) <= self._high // 4:
            self._full = False
            self._reader.resume_writing()
        if self._closing and not self._unsent and not self._lost:
            self._stop()
            self._end(None)

    # -- the end -----------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        """Return whether the connection is closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Close when everything is sent."""
        if self._unsent:
            self._closing = True
            self.pause_reading()
        else:
            self._fail(None)

    def abort(self) -> None:
        """Close immediately."""
        self._fail(None)

    def _fail(self, error: Exception | None) -> None:
        if not self._lost:
            self._stop()
            # Not now: the caller does not expect that the connection ends meanwhile.
            self._loop.call_soon(self._end, error)

    def _stop(self) -> None:
        """Read and send no more."""
        self._closing = self._lost = True
        self.pause_reading()
        if self._unsent:
            self._unsent = b""
            self._loop.remove_writer(self._fd)

    def _end(self, error: Exception | None) -> None:
        reader, self._reader = self._reader, None  # it refers to this
        try:
            reader.connection_lost(error)
        finally:
            self._socket.close()
