"""Conversion between Zope's interfaces and classes, so that portals can be asked for interfaces."""

from __future__ import annotations

from abc import ABCMeta
from functools import cache
from typing import Any

from zope.interface.interface import InterfaceClass

__all__ = ["class_of", "interface_of", "original_of"]


def original_of(thing: Any) -> Any:
    """Return the Twisted object that one of our objects wraps; the object itself if none."""
    return getattr(thing, "original", thing)


class _OfInterface(ABCMeta):
    """The metaclass of classes that stand for a Zope interface."""

    interface: InterfaceClass

    def __instancecheck__(cls, instance: Any) -> bool:
        return bool(cls.interface.providedBy(original_of(instance)))

    def __subclasscheck__(cls, subclass: type) -> bool:
        provides = getattr(subclass, "provides", None)  # of TwistedAvatar
        return provides is cls.interface or (
            isinstance(subclass, type) and bool(cls.interface.implementedBy(subclass))
        )


@cache
def class_of(interface: InterfaceClass) -> type:
    """Return the class that stands for a Zope interface; providers of it are its instances."""
    return _OfInterface(
        interface.__name__,
        (),
        {"interface": interface, "__doc__": f"{interface.__identifier__}, as a class."},
    )


def interface_of(cls: type) -> InterfaceClass | None:
    """Return the interface that a class stands for, or None if it stands for none."""
    return cls.interface if isinstance(cls, _OfInterface) else None
