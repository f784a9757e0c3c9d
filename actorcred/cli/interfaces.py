"""The methods of an interface and their types, for the command that writes stubs."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from actorcred.methods import functions_of

__all__ = ["InterfaceError", "InterfaceMethod", "methods_in"]


class InterfaceError(ValueError):
    """A stub cannot be made for an interface. The text says why, and what to change."""


@dataclass(frozen=True, slots=True)
class InterfaceMethod:
    """A method of an interface.

    Args:
        name: its name.
        where: its qualified name, for errors.
        parameters: its parameters, without `self`; their annotations are types.
        result: the type that a caller gets, without a coroutine around it.
    """

    name: str
    where: str
    parameters: tuple[inspect.Parameter, ...]
    result: Any


def methods_in(interface: type) -> list[InterfaceMethod]:
    """Return the public methods of an interface, in the order of their definition.

    Raises:
        InterfaceError: if it has none, or an annotation cannot be resolved.
    """
    found = [_method(name, function) for name, function in functions_of(interface).items()]
    if not found:
        raise InterfaceError(f"{interface.__qualname__} has no public methods")
    return found


def _method(name: str, function: Callable[..., Any]) -> InterfaceMethod:
    where = function.__qualname__
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise InterfaceError(
            f"{where}() has an annotation that cannot be resolved: {error}; "
            "import it outside of `if TYPE_CHECKING`"
        ) from None
    parameters = [*inspect.signature(function).parameters.values()][1:]
    return InterfaceMethod(
        name,
        where,
        tuple(one.replace(annotation=hints.get(one.name, Any)) for one in parameters),
        _awaited(hints.get("return", Any)),
    )


def _awaited(result: Any) -> Any:
    """Return what an actor answers with: the result of a coroutine that a method returns."""
    if typing.get_origin(result) is collections.abc.Coroutine:
        return typing.get_args(result)[2]
    return result
