"""The interfaces that a node knows by the names by which nodes tell each other of them."""

from __future__ import annotations

from collections.abc import Iterable

from actorcred.avatar import implements
from actorcred.cluster.portable import name_of

__all__ = ["Interfaces"]

BOUND = 1000
"""Interfaces that are remembered; more are made by mistake, such as one for each login."""


class Interfaces:
    """Remembers interfaces: those that the realm lists, and those that logins have requested."""

    def __init__(self) -> None:
        self._seen: set[type] = set()
        self._by_name: dict[str, type] = {}

    def add(self, interfaces: Iterable[type]) -> None:
        """Remember interfaces. Thread-safe."""
        if self._seen.issuperset(interfaces):
            return
        for interface in interfaces:
            if len(self._seen) < BOUND:
                self._seen.add(interface)
                self._by_name[name_of(interface)] = interface

    def get(self, name: str) -> type | None:
        """Return the interface with a name; None if this node has not seen it."""
        return self._by_name.get(name)

    def choose(self, names: Iterable[str], avatar_class: type) -> type | None:
        """Return the first of some interfaces that the class of an avatar implements, or None."""
        for name in names:
            interface = self.get(name) or next(
                (base for base in avatar_class.__mro__ if name_of(base) == name), None
            )
            if interface is not None and implements(avatar_class, interface):
                return interface
        return None
