"""The receive buffer that all connections of a thread share.

Each connection copies the received bytes out of it before another one receives.
"""

from __future__ import annotations

import threading

__all__ = ["receive_buffer"]


SIZE = 64 * 1024
"""Bytes. By default asyncio allocates 256 KB per read, which costs more than the rest of a call."""

_local = threading.local()


def receive_buffer() -> memoryview:
    """Return this thread's buffer."""
    buffer: memoryview | None = getattr(_local, "buffer", None)
    if buffer is None:
        buffer = _local.buffer = memoryview(bytearray(SIZE))
    return buffer
