"""The check of arguments where the application calls, so that the portal need not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from actorcred.identity import ClientInfo

__all__ = ["LoginOptions", "require", "require_interfaces", "require_list"]


class LoginOptions(TypedDict, total=False):
    """The options of `PortalRef.login`, which says what they are."""

    authorize_as: str | None
    client: ClientInfo
    info: Mapping[str, Any]
    mechanism: str


def require_list(checkers: object) -> Iterable[Any]:
    """Return the checkers of a portal.

    Raises:
        TypeError: if they are not in a list or another iterable.
    """
    if not isinstance(checkers, Iterable):
        raise TypeError(
            "the checkers of a portal must be a list, also if it is one: "
            f"Portal.start(realm, [checker]); not {checkers!r}"
        )
    return checkers


def require_interfaces(interfaces: tuple[object, ...]) -> tuple[type, ...]:
    """Return the interfaces of a login, which are classes.

    Raises:
        TypeError: if there is none, or one is not a class.
    """
    for interface in interfaces or (None,):
        if not isinstance(interface, type):
            raise TypeError("login() needs at least one interface, a class, after the mind")
    return interfaces  # type: ignore[return-value]


def require(name: str, value: object, kind: type | tuple[type, ...], *others: object) -> None:
    """Check the type of an argument.

    Raises:
        TypeError: if the value is not of a given type and not one of the others.
    """
    if not isinstance(value, kind) and not any(value is other for other in others):
        kinds = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise TypeError(f"{name} must be a {kinds}, not a {type(value).__name__}")
