"""The event loop of a program of actorcred's own: uvloop's where it is installed, else asyncio's.

An application that embeds actorcred chooses its loop itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actorcred.errors import MissingExtra

__all__ = ["describe", "loop_factory"]


def loop_factory(uvloop: bool | None = None) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return a function that makes event loops.

    Args:
        uvloop: whether to use uvloop; None uses it if it is installed.

    Raises:
        MissingExtra: if it is to be used, but not installed.
    """
    if uvloop is False:
        return asyncio.new_event_loop
    try:
        from uvloop import new_event_loop
    except ImportError:
        if uvloop:
            raise MissingExtra("the event loop uvloop", "uvloop") from None
        return asyncio.new_event_loop
    return new_event_loop


def describe(loop: asyncio.AbstractEventLoop) -> str:
    """Return the name of an event loop, for the log."""
    package, _, _ = type(loop).__module__.partition(".")
    return package if package in {"asyncio", "uvloop"} else type(loop).__qualname__
