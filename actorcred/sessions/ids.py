"""Random ids of sessions, which are read from the system in blocks: each read is a system call."""

from __future__ import annotations

import os

__all__ = ["make_session_id"]

_BLOCK = 128
_spare: list[str] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_spare.clear)


def make_session_id() -> str:
    """Return a random string with 128 bits of entropy. Thread-safe."""
    try:
        return _spare.pop()
    except IndexError:
        block = os.urandom(16 * _BLOCK).hex()
        first, *others = [block[at : at + 32] for at in range(0, len(block), 32)]
        _spare.extend(others)
        return first
