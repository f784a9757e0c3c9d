"""The methods of an interface that clients may call, with the types of their arguments. No I/O."""

from __future__ import annotations

import inspect
import typing
from abc import ABC
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
import pykka

from actorcred.errors import CallCode, CallError

__all__ = ["Method", "methods_of", "reauthenticated"]


F = TypeVar("F", bound=Callable[..., Any])

_RECENT = "_actorcred_reauthenticated_within"

_NO_INTERFACES: Final = (object, ABC, Protocol, Generic)


def reauthenticated(*, within: float) -> Callable[[F], F]:
    """Return a decorator for an interface's method that requires a recent reauthentication.

    A client that has not proven the credentials again gets the error "reauthenticate" and must call
    `cred.reauthenticate` (OWASP ASVS 5.0, 7.5.1).

    Args:
        within: maximum age of the proof, in seconds.

    Raises:
        ValueError: if `within` is not more than 0.
    """
    if not within > 0:
        raise ValueError(f"within must be more than 0 seconds, not {within!r}")

    def mark(function: F) -> F:
        setattr(function, _RECENT, within)
        return function

    return mark


class Method:
    """A method that clients may call.

    Args:
        name: its name.
        function: the function that the interface declares.

    Attributes:
        name: its name.
        reauthenticated_within: maximum age in seconds of the user's last proof of the credentials;
            None if not required.

    Raises:
        TypeError: if it cannot be called over the wire: it needs keyword arguments, or an argument
            has a type that cannot be sent.
    """

    __slots__ = ("_kinds", "_rest", "name", "reauthenticated_within")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.reauthenticated_within: float | None = getattr(function, _RECENT, None)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        hints = _hints(function, [parameter.name for parameter in parameters])
        kinds: list[Any] = []
        least, self._rest = 0, None
        for parameter in parameters:
            kind = hints.get(parameter.name, Any)
            _check_kind(kind, f"{function.__qualname__}({parameter.name})")
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = tuple[kind, ...]  # type: ignore[valid-type]
            elif parameter.kind is parameter.KEYWORD_ONLY:
                if parameter.default is parameter.empty:
                    raise TypeError(
                        f"{function.__qualname__}() needs the keyword {parameter.name!r}; "
                        "calls over the wire have no keywords"
                    )
            elif parameter.kind is not parameter.VAR_KEYWORD:
                kinds.append(kind)
                least += parameter.default is parameter.empty
        # By the number of arguments, since trailing ones can be omitted.
        self._kinds = {count: _tuple_of(kinds[:count]) for count in range(least, len(kinds) + 1)}

    def arguments(self, params: list[Any], convert: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        """Return the arguments for a call.

        Args:
            params: the arguments as received.
            convert: converts a decoded value to a type; `Codec.convert`.

        Raises:
            CallError: if they do not fit; the code is `CallCode.BAD_ARGUMENTS`.
        """
        kind = self._kinds.get(len(params))
        try:
            if kind is not None:
                return convert(params, kind)  # type: ignore[no-any-return]
            most = max(self._kinds)
            if self._rest is not None and len(params) > most:
                return (
                    *convert(params[:most], self._kinds[most]),
                    *convert(params[most:], self._rest),
                )
        except msgspec.ValidationError as error:
            # With a cause, the text is that of a check in a dataclass of the application.
            text = str(error) if error.__cause__ is None else type(error.__cause__).__name__
            raise CallError(f"{self.name}: {text}", CallCode.BAD_ARGUMENTS) from None
        except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
            # A set of arrays, or a check in a dataclass of the application, whose text clients must
            # not see.
            raise CallError(
                f"{self.name}: {type(error).__name__}", CallCode.BAD_ARGUMENTS
            ) from None
        wanted = " or ".join(str(count) for count in self._kinds) + (
            " or more" if self._rest is not None else ""
        )
        raise CallError(
            f"{self.name}: {len(params)} arguments instead of {wanted}", CallCode.BAD_ARGUMENTS
        )


def _hints(function: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    """Return the types of the named parameters; other annotations need not exist at run time."""
    annotations = {
        name: function.__annotations__[name] for name in names if name in function.__annotations__
    }
    try:
        return typing.get_type_hints(
            SimpleNamespace(__annotations__=annotations),
            globalns=function.__globals__,
            include_extras=True,
        )
    except NameError as error:
        raise TypeError(
            f"{function.__qualname__}() has an annotation that cannot be resolved: {error}"
        ) from None


def _tuple_of(kinds: list[Any]) -> Any:
    return tuple[tuple(kinds)] if kinds else tuple[()]  # type: ignore[misc]


def _check_kind(kind: Any, where: str) -> None:
    try:
        info = msgspec.inspect.type_info(kind)
    except TypeError as error:
        raise TypeError(f"{where} cannot be sent over the wire: {error}") from None
    if isinstance(info, msgspec.inspect.CustomType):
        raise TypeError(
            f"{where} cannot be sent over the wire: "
            f"{kind!r} is not a number, string, bytes, list, dict or dataclass"
        )


@lru_cache(256)
def methods_of(interface: type) -> dict[str, Method]:
    """Return the methods of an interface that clients may call: all that are not private.

    Args:
        interface: a class; the methods of its bases are included.

    Raises:
        TypeError: if a method cannot be called over the wire, or the class is an actor, whose other
            methods clients must not call.
    """
    if issubclass(interface, pykka.Actor):
        raise TypeError(
            f"{interface.__name__} is an actor and not an interface; "
            "list a plain class in Realm.interfaces, usually an ABC"
        )
    methods: dict[str, Method] = {}
    for base in reversed(interface.__mro__):
        if base in _NO_INTERFACES:
            continue
        for name, member in vars(base).items():
            methods.pop(name, None)
            if not name.startswith("_") and inspect.isfunction(member):
                methods[name] = Method(name, member)
    return methods
