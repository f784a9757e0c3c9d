"""The way to a client, and those that need no class of the user's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import pykka
from pykka.messages import ProxyCall

from actorcred.errors import ClientGone
from actorcred.logout import LogoutReason
from actorcred.mind.outbox import Notification

__all__ = ["Channel"]


class Channel(ABC):
    """The way to a client, as a protocol implements it; simpler minds need none.

    Either method may return a future or a coroutine. That of `notify` says when the client can take more; until then
    the mind sends nothing. That of `call` is the client's answer. An `OSError` says that the client is gone.

    Attributes:
        takes_notifications: whether the client takes what it did not ask for. A notification to one that does not is dropped at
            once, and `call` should fail.
    """

    __slots__ = ()

    takes_notifications: bool = True

    def ready(self) -> bool:
        """Tell whether the calling thread may call `notify` itself, while nothing waits, which spares it the mind's turn."""
        return False

    def size(self, notification: Notification) -> int:
        """Return the bytes of a notification as it is sent, if they are known, so that what waits can be bounded. Never raises."""
        return 0

    @abstractmethod
    def notify(self, notification: Notification) -> Any:
        """Send a notification. `Notification.encoded` makes its bytes once for all clients that get it."""

    @abstractmethod
    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Ask the client; return its answer or a future of it."""

    def close(self, reason: LogoutReason) -> Any:
        """Tell the client that the session is over. Called once; nothing more is sent after it."""
        return None


LOGGED_OUT = "logged_out"
"""What such a client is told at the end, if it is no object or actor without a method of that name."""


class _Nobody(Channel):
    __slots__ = ()

    def notify(self, notification: Notification) -> None:
        pass

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        raise ClientGone("this session has no client to call")


class _ToCallable(Channel):
    __slots__ = ("_target",)

    def __init__(self, target: Callable[..., Any]) -> None:
        self._target = target

    def notify(self, notification: Notification) -> Any:
        return self._target(notification.name, *notification.args)

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        return self._target(name, *args)

    def close(self, reason: LogoutReason) -> Any:
        return self.call(LOGGED_OUT, (str(reason.code), reason.detail))


class _ToObject(_ToCallable):
    __slots__ = ()

    def notify(self, notification: Notification) -> Any:
        return self.call(notification.name, notification.args)

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        return getattr(self._target, name)(*args)

    def close(self, reason: LogoutReason) -> Any:
        return super().close(reason) if hasattr(self._target, LOGGED_OUT) else None


class _ToActor(Channel):
    __slots__ = ("_target",)

    def __init__(self, target: pykka.ActorRef[Any]) -> None:
        self._target = target

    def notify(self, notification: Notification) -> None:
        self._target.tell(ProxyCall((notification.name,), notification.args, {}))

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        return self._target.ask(ProxyCall((name,), args, {}), block=False)

    def close(self, reason: LogoutReason) -> None:
        if hasattr(self._target.actor_class, LOGGED_OUT):
            self._target.tell(ProxyCall((LOGGED_OUT,), (str(reason.code), reason.detail), {}))


NOBODY = _Nobody()

_FUNCTIONS = frozenset({FunctionType, MethodType, BuiltinFunctionType})


def channel_to(target: Any) -> Channel:
    if target is None:
        return NOBODY
    if type(target) in _FUNCTIONS:  # by far the most frequent in large numbers
        return _ToCallable(target)
    if isinstance(target, Channel):
        return target
    if isinstance(target, pykka.ActorRef):
        return _ToActor(target)
    return _ToCallable(target) if callable(target) else _ToObject(target)
