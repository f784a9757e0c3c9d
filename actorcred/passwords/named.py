"""Functions whose arguments must be named, since passwords and hashes are both strings."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["by_name"]

P = ParamSpec("P")
R = TypeVar("R")


def by_name(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function whose error for an argument without a name shows how to call it.

    Args:
        function: takes arguments by keyword only.
    """
    required = ", ".join(
        f"{one.name}=..."
        for one in inspect.signature(function).parameters.values()
        if one.default is one.empty
    )

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if args:
            raise TypeError(
                f"{function.__name__}() takes its arguments by name, since a password and a hash "
                f"are easily confused: {function.__name__}({required})"
            )
        return function(*args, **kwargs)

    return call
