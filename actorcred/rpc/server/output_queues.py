"""The output of a connection that its client has not read yet."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

__all__ = ["untaken"]


def untaken(transport: asyncio.Transport | None) -> int:
    """Return the number of bytes that wait in a transport and in the kernel.

    It is 0 if none wait in the transport. The kernel's part shows the progress of a slow reader,
    since the kernel accepts more from a transport only when a third of its own buffer is free.
    """
    if transport is None:
        return 0
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket") if waiting else None
    if sock is None or sock.fileno() < 0:
        return waiting
    try:
        (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    except OSError:  # not supported by every system
        return waiting
    return waiting + max(0, int(queued))
