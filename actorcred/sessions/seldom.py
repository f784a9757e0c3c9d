"""Attributes that few objects of a class have, which cost the others no memory."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

__all__ = ["Seldom"]

T = TypeVar("T")


class Seldom(Generic[T]):
    """An attribute that is None for most instances.

    Its class must have a slot `_seldom`, which is None or a dictionary of such attributes.
    """

    _name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type[Any]) -> T | None:
        seldom: dict[str, T] | None = instance._seldom
        return None if seldom is None else seldom.get(self._name)

    def __set__(self, instance: Any, value: T | None) -> None:
        seldom: dict[str, T] | None = instance._seldom
        if value is not None:
            if seldom is None:
                instance._seldom = seldom = {}
            seldom[self._name] = value
        elif seldom is not None:
            seldom.pop(self._name, None)
