"""Channels to clients: the base class, and adapters for callables, objects and actors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import pykka
from pykka.messages import ProxyCall

from actorcred.actors import Future
from actorcred.errors import ClientGone
from actorcred.logout import LogoutReason
from actorcred.mind.outbox import Notification

__all__ = ["Channel", "Leftovers", "MovableChannel"]


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


@dataclass(slots=True)
class Leftovers:
    """What came for a session while it moved, and must follow it.

    Attributes:
        notifications: for the client.
        calls: notifications of the client for its avatar: method and parameters.
    """

    notifications: list[Notification] = field(default_factory=list)
    calls: list[tuple[str, list[Any]]] = field(default_factory=list)


class MovableChannel(Channel):
    """A channel whose client can continue at another server, implemented by a protocol.

    Attributes:
        kind: the name under which the portal of the other server makes such a channel.
    """

    __slots__ = ()

    kind: str

    @abstractmethod
    def halt(self) -> Future[None]:
        """Keep what is to be sent, and hold what the client sends, until `go_on` or `leave`.

        Returns:
            A future that fails with `MoveFailed` if the client cannot continue elsewhere now.
        """

    @abstractmethod
    def state(self) -> Future[Any]:
        """Return what the channel at the other server needs, as MessagePack can encode it."""

    @abstractmethod
    def go_on(self) -> None:
        """Send and handle what was kept, since the session stays."""

    @abstractmethod
    def leave(self, welcome: Any) -> Future[Leftovers]:
        """Tell the client to continue at the other server, and close the connection.

        Args:
            welcome: what `arrive` returned there; None if that is not known.

        Returns:
            A future of what has come since `state`.
        """

    @abstractmethod
    def arrive(self, session: Any) -> Future[Any]:
        """Belong to a session that has arrived here; return what `leave` needs."""


LOGGED_OUT = "logged_out"
"""The name that is called at the end of a session; objects and actors need not have it."""


def _done(value: Any = None) -> Future[Any]:
    future: Future[Any] = Future()
    future.settle(value)
    return future


class _Nobody(MovableChannel):
    __slots__ = ()

    kind = "nobody"

    def halt(self) -> Future[None]:
        return _done()

    def state(self) -> Future[Any]:
        return _done()

    def go_on(self) -> None:
        pass

    def leave(self, welcome: Any) -> Future[Leftovers]:
        return _done(Leftovers())

    def arrive(self, session: Any) -> Future[Any]:
        return _done()

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
    # Faster than `isinstance` for an abstract class.
    if Channel in type(target).__mro__:
        return target  # type: ignore[no-any-return]
    if isinstance(target, pykka.ActorRef):
        return _ToActor(target)
    return _ToCallable(target) if callable(target) else _ToObject(target)
