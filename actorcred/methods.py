"""The methods of an interface that clients may call, with the types of their arguments. No I/O."""

from __future__ import annotations

import inspect
import itertools
import math
import types
import typing
from abc import ABC
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
import pykka
from msgspec.structs import astuple

from actorcred.errors import CallCode, CallError

__all__ = [
    "Demand",
    "Method",
    "as_sendable",
    "demands_of",
    "functions_of",
    "methods_of",
    "reauthenticated",
    "requires",
]


F = TypeVar("F", bound=Any)

_RECENT = "_actorcred_reauthenticated"
_ROLES = "_actorcred_requires"

_NO_INTERFACES: Final = (object, ABC, Protocol, Generic)

_SIMPLE: Final[frozenset[type]] = frozenset({str, int, float, bool, bytes, type(None)})
"""Types whose values `Codec.convert` returns as they are, if exactly this type is asked for."""

_MOST_EXACT = 64
"""The most combinations of exact types that are remembered for one number of arguments."""


def requires(*roles: str) -> Callable[[F], F]:
    """Return a decorator for an interface or a method that only users of a role may call.

    A role is a group of the user's `Identity`. A client without it gets the error "forbidden", and
    the avatar does not see the call. On an interface, it applies to all of its methods. It holds
    for overrides in derived classes, too.

    Args:
        roles: one of these is enough. Several decorators must all be satisfied.

    Raises:
        TypeError: if no role is given, or one is not a non-empty string.
    """
    if not roles or not all(isinstance(role, str) and role for role in roles):
        raise TypeError('requires() needs roles, such as requires("moderator")')

    def mark(target: F) -> F:
        own = vars(target).get(_ROLES, ())
        setattr(target, _ROLES, (*own, frozenset(roles)))
        return target

    return mark


def reauthenticated(*, within: float, methods: Iterable[str] = ()) -> Callable[[F], F]:
    """Return a decorator for an interface's method that requires a recent reauthentication.

    A client that has not proven the credentials again gets the error "reauthenticate" and must call
    `cred.reauthenticate` (OWASP ASVS 5.0, 7.5.1).

    Args:
        within: maximum age of the proof, in seconds.
        methods: the methods (RFC 8176) that the proof must have, such as ("otp",) for a second
            factor (step-up, RFC 9470).

    Raises:
        ValueError: if `within` is not more than 0.
        TypeError: if `methods` is a string, or contains anything but strings.
    """
    if not within > 0:
        raise ValueError(f"within must be more than 0 seconds, not {within!r}")
    names = frozenset(methods)
    if isinstance(methods, str) or not all(isinstance(name, str) for name in names):
        raise TypeError('methods must be several names, such as ("otp",)')

    def mark(function: F) -> F:
        setattr(function, _RECENT, (within, names))
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Demand:
    """What a client must fulfil to call a method.

    Args:
        roles: groups of roles, of each of which the user must have one.
        within: maximum age in seconds of the user's last proof of the credentials; None if it need
            not be recent.
        methods: the methods that this proof must have.
    """

    roles: tuple[frozenset[str], ...] = ()
    within: float | None = None
    methods: frozenset[str] = frozenset()

    def joined(self, other: Demand) -> Demand:
        """Return the demand to fulfil both."""
        times = [one for one in (self.within, other.within) if one is not None]
        return Demand(
            self.roles + other.roles, min(times, default=None), self.methods | other.methods
        )


@lru_cache(256)
def demands_of(interface: type) -> Mapping[str, Demand] | None:
    """Return what the methods of an interface demand: name -> demand; None if nothing.

    See `requires` and `reauthenticated`.
    """
    found: dict[str, Demand] = {}
    for_all: tuple[frozenset[str], ...] = ()
    for base in reversed(interface.__mro__):
        if base in _NO_INTERFACES:
            continue
        for_all += vars(base).get(_ROLES, ())
        for name, member in vars(base).items():
            if name.startswith("_") or not callable(member):
                continue
            own = Demand(
                getattr(member, _ROLES, ()), *getattr(member, _RECENT, (None, frozenset()))
            )
            # What a base demands holds for its overrides, too, which must not open it by mistake.
            found[name] = found.get(name, Demand()).joined(own)
    if for_all:
        found = {name: replace(one, roles=for_all + one.roles) for name, one in found.items()}
    return {name: one for name, one in found.items() if one != Demand()} or None


class Method:
    """A method that clients may call.

    Args:
        name: its name.
        function: the function that the interface declares.

    Attributes:
        name: its name.

    Raises:
        TypeError: if it cannot be called over the wire: it needs keyword arguments, or an argument
            has a type that cannot be sent.
    """

    __slots__ = ("_exact", "_kinds", "_rest", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
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
        counts = range(least, len(kinds) + 1)
        self._kinds = {count: _array_of(kinds[:count]) for count in counts}
        self._exact = frozenset(itertools.chain(*(_exact(kinds[:count]) for count in counts)))

    def arguments(self, params: list[Any], convert: Callable[[Any, Any], Any]) -> tuple[Any, ...]:
        """Return the arguments for a call.

        Args:
            params: the arguments as received.
            convert: converts a decoded value to a type; `Codec.convert`.

        Raises:
            CallError: if they do not fit; the code is `CallCode.BAD_ARGUMENTS`.
        """
        if tuple(map(type, params)) in self._exact:
            return tuple(params)  # nearly all calls, in a fraction of the time of a conversion
        kind = self._kinds.get(len(params))
        try:
            if kind is not None:
                return astuple(convert(params, kind))
            most = max(self._kinds)
            if self._rest is not None and len(params) > most:
                return (
                    *astuple(convert(params[:most], self._kinds[most])),
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


def as_sendable(value: Any) -> int:
    """Return what is sent of a result that msgspec cannot encode, as its `enc_hook`.

    A number of a class of its own, such as that of `PortalRef.count` in a cluster, is a number.

    Raises:
        TypeError: if nothing of it can be sent.
    """
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


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


def _array_of(kinds: list[Any]) -> type[msgspec.Struct]:
    """Return a type of arrays of exactly these types, converted to which they are checked.

    What msgspec finds out about a struct it remembers; about a tuple it finds it out each time,
    which takes longer than the conversion.
    """
    fields = [(f"_{number}", kind) for number, kind in enumerate(kinds)]
    return msgspec.defstruct("Arguments", fields, array_like=True, forbid_unknown_fields=True)


def _exact(kinds: list[Any]) -> Iterable[tuple[type, ...]]:
    """Return the types of arguments that need no conversion, as far as they are few."""
    choices = [_exact_types(kind) for kind in kinds]
    return itertools.product(*choices) if math.prod(map(len, choices)) <= _MOST_EXACT else ()


def _exact_types(kind: Any) -> frozenset[type]:
    """Return the types whose values are valid for an annotation, and are not converted."""
    if kind is Any:
        return _SIMPLE
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return frozenset().union(*map(_exact_types, typing.get_args(kind)))
    wanted = type(None) if kind is None else kind  # might not be hashable
    return frozenset(one for one in _SIMPLE if one is wanted)


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
    return {name: Method(name, function) for name, function in functions_of(interface).items()}


def functions_of(interface: type) -> dict[str, Callable[..., Any]]:
    """Return the functions of an interface that are not private.

    Args:
        interface: a class; the functions of its bases are included.

    Raises:
        TypeError: if the class is an actor, whose other methods clients must not call.
    """
    if issubclass(interface, pykka.Actor):
        raise TypeError(
            f"{interface.__name__} is an actor and not an interface; "
            "list a plain class in Realm.interfaces, usually an ABC"
        )
    functions: dict[str, Callable[..., Any]] = {}
    for base in reversed(interface.__mro__):
        if base in _NO_INTERFACES:
            continue
        for name, member in vars(base).items():
            functions.pop(name, None)
            if not name.startswith("_") and inspect.isfunction(member):
                functions[name] = member
    return functions
