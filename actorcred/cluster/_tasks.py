"""What tasks are run with, and ended for certain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["abreast", "cancel_all", "logged"]

logger = logging.getLogger("actorcred.cluster")

Item = TypeVar("Item")
Result = TypeVar("Result")


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


async def abreast(
    items: Iterable[Item], function: Callable[[Item], Coroutine[Any, Any, Result]], most: int
) -> list[Result]:
    """Call a coroutine function for each item, some at a time; return what they return.

    Args:
        items: the items.
        function: the function.
        most: how many run at a time.

    Raises:
        Exception: the first that one of them raises, when those have ended that ran beside it.
    """
    every, results = list(items), list[Result]()
    for start in range(0, len(every), most):
        done = await asyncio.gather(
            *map(function, every[start : start + most]), return_exceptions=True
        )
        for one in done:
            if isinstance(one, BaseException):
                raise one
            results.append(one)
    return results


async def logged(coroutine: Coroutine[Any, Any, None]) -> None:
    """Await a coroutine, and log what it raises."""
    try:
        await coroutine
    except Exception:
        logger.exception("A task of the cluster failed:")
