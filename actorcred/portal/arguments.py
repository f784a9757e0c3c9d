"""The check of arguments where the application calls, so that the portal need not."""

from __future__ import annotations

__all__ = ["require"]


def require(name: str, value: object, kind: type | tuple[type, ...], *others: object) -> None:
    """Check the type of an argument.

    Raises:
        TypeError: if the value is not of a given type and not one of the others.
    """
    if not isinstance(value, kind) and not any(value is other for other in others):
        kinds = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        raise TypeError(f"{name} must be a {kinds}, not a {type(value).__name__}")
