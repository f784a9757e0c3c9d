"""The buffer into which all connections of a thread receive: one by one, and each takes out at once what came."""

from __future__ import annotations

import threading

__all__ = ["receive_buffer"]


SIZE = 64 * 1024
"""Bytes. asyncio's own way allots 256 KB for each piece, which costs more than all the rest of a call."""

_local = threading.local()


def receive_buffer() -> memoryview:
    """Return this thread's buffer."""
    buffer: memoryview | None = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = memoryview(bytearray(SIZE))
    return buffer
