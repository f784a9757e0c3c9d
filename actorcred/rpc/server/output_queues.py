"""What of a connection's output its client has not taken yet."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

__all__ = ["untaken"]


def untaken(transport: asyncio.Transport | None) -> int:
    """Return the bytes that wait in a transport, and in the system if any do; 0 if none wait in the transport.

    The system's part shows the pace of a slow reader, since it lets a transport go on only when a third of its own is free.
    """
    if transport is None:
        return 0
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket") if waiting else None
    if sock is None or sock.fileno() < 0:
        return waiting
    try:
        (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:  # not every system can tell
        return waiting
    return waiting + max(0, int(queued))
