"""Faces: objects through which Twisted's protocols use an avatar that is an actor."""

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
    """Return a future's result or raise its error; return a Deferred if it is not done yet.

    Avatars on the reactor answer immediately unless they wait for something. Twisted's protocols
    need many answers immediately.
    """
    return future.get() if future.done() else deferred_of(future)


class Face:
    """An avatar, as a Twisted protocol sees it. Each method asks the actor.

    Subclass it for a protocol whose methods are not those of the avatar. Notifications to the
    client call the face's method of the same name, if it has one.

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
    """Return the class of faces that provide an interface by calling the avatar's methods."""
    methods = {
        name: _asks(name)
        for name, what in interface.namesAndDescriptions(all=True)
        if isinstance(what, Method)
    }
    made: type[Face] = implementer(interface)(type(f"{interface.__name__}Face", (Face,), methods))
    return made
