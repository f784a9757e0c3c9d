"""Channels to clients: the base class, and adapters for callables, objects and actors."""

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
    """A connection to a client, implemented by a protocol; simple clients need none.

    `notify` and `call` may return a future or a coroutine. For `notify`, it is done when the client
    can accept more; until then the mind sends nothing. For `call`, its result is the client's
    answer. An `OSError` means that the client has disconnected.

    Attributes:
        takes_notifications: whether the client accepts what it did not request. If not,
            notifications are dropped immediately, and `call` should fail.
    """

    __slots__ = ()

    takes_notifications: bool = True

    def ready(self) -> bool:
        """Return whether the calling thread may call `notify` itself while nothing waits.

        This saves a turn of the mind.
        """
        return False

    def size(self, notification: Notification) -> int:
        """Return the size of a notification in bytes as sent, or 0 if it is not known.

        It is used to bound the outbox. Must not raise.
        """
        return 0

    @abstractmethod
    def notify(self, notification: Notification) -> Any:
        """Send a notification. `Notification.encoded` encodes it once for all its clients."""

    @abstractmethod
    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Call the client; return its answer or a future of it."""

    def close(self, reason: LogoutReason) -> Any:
        """Notify the client that the session has ended. Called once; nothing is sent after it."""
        return None


LOGGED_OUT = "logged_out"
"""The name that is called at the end of a session; objects and actors need not have it."""


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
    if type(target) in _FUNCTIONS:  # by far the most frequent kind in large numbers
        return _ToCallable(target)
    if isinstance(target, Channel):
        return target
    if isinstance(target, pykka.ActorRef):
        return _ToActor(target)
    return _ToCallable(target) if callable(target) else _ToObject(target)
