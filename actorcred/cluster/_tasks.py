"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

__all__ = ["cancel_all"]


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, and wait until they have ended.

    Before Python 3.12, `asyncio.wait_for` loses a cancellation that comes with what it waits for,
    so they are cancelled until they end.
    """
    every = list(tasks)
    while waiting := [task for task in every if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=0.05)
