"""What Twisted's protocols hold of an avatar that is an actor: an object with the interface that they asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from zope.interface import implementer
from zope.interface.interface import InterfaceClass, Method

from actorcred.actors import Future
from actorcred.adapters._answers import call, flat
from actorcred.adapters.twisted.dispatcher import deferred_of
from actorcred.sessions.session import AvatarRef

__all__ = ["Face", "answer_of", "face_class"]


def answer_of(future: Future[Any]) -> Any:
    """Return what a future holds, or raise it; a Deferred if that is still to come.

    Avatars on the reactor answer at once, unless they wait for something, and Twisted's protocols need many answers at once.
    """
    return future.get() if future.done() else deferred_of(future)


class Face:
    """An avatar, as one of Twisted's protocols sees it. Each method asks the actor.

    Subclass it for a protocol whose methods are not those of the avatar; notifications to the client are calls of the face's
    methods of the same name, where it has them.

    Args:
        avatar: the client's ref to the avatar.
    """

    def __init__(self, avatar: AvatarRef[Any]) -> None:
        self.avatar = avatar

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the avatar; return the answer, or a Deferred of it."""
        return answer_of(flat(call(self.avatar, name, *args, **kwargs)))


def _asks(name: str) -> Callable[..., Any]:
    def method(self: Face, *args: Any, **kwargs: Any) -> Any:
        return self.ask(name, *args, **kwargs)

    method.__name__ = name
    return method


@cache
def face_class(interface: InterfaceClass) -> type[Face]:
    """Return the class of faces that provide an interface by asking the avatar for each of its methods."""
    methods = {
        name: _asks(name)
        for name, what in interface.namesAndDescriptions(all=True)
        if isinstance(what, Method)
    }
    made: type[Face] = implementer(interface)(type(f"{interface.__name__}Face", (Face,), methods))
    return made
