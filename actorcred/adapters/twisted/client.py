"""The channel to a client of a Twisted protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.interface import InterfaceClass

from actorcred.actors import Future
from actorcred.adapters.twisted.connection import ProtocolConnection
from actorcred.adapters.twisted.dispatcher import future_of, on_reactor, reactor_dispatcher
from actorcred.logout import LogoutReason
from actorcred.mind.channel import Channel
from actorcred.mind.outbox import Notification
from actorcred.sessions.session import Session

__all__ = ["ProtocolChannel"]


class ProtocolChannel(Channel):
    """The channel to a client of a Twisted protocol. It runs everything on the reactor.

    Args:
        mind: the mind that the protocol passed to `login`.
        connection: the client's connection, if it is known.

    Attributes:
        original: the mind.
        hears: the avatar's face, which gets the notifications that the mind has no method for.
        session: the client's session, once it is logged in.
        wanted: the interfaces that the client requested.
    """

    __slots__ = ("connection", "hears", "original", "session", "wanted")

    def __init__(self, mind: Any, connection: ProtocolConnection | None) -> None:
        self.original = mind
        self.connection = connection
        self.hears: Any = None
        self.session: Session | None = None
        self.wanted: tuple[InterfaceClass, ...] = ()

    def log_out(self) -> None:
        """Log out. This is the logout function that Twisted's protocols call."""
        if self.session is not None:
            self.session.end()

    def notify(self, notification: Notification) -> Any:
        """Send a notification to the mind, or to the avatar's face if only that has the method."""
        return _on_reactor(self._tell, notification.name, notification.args)

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Call the mind."""
        return _on_reactor(self._ask, name, args)

    def close(self, reason: LogoutReason) -> None:
        """End the connection with a farewell, unless the client itself logged out."""
        on_reactor(self._close, reason)

    def _tell(self, name: str, args: tuple[Any, ...]) -> Any:
        if hasattr(self.original, "callRemote"):
            return self._ask(name, args)
        for who in (self.original, self.hears):
            method = getattr(who, name, None)
            if method is not None:
                return method(*args)
        return None

    def _ask(self, name: str, args: tuple[Any, ...]) -> Any:
        mind = self.original
        if not hasattr(mind, "callRemote"):
            return getattr(mind, name)(*args)
        return mind.callRemote(name, *args)

    def _close(self, reason: LogoutReason) -> None:
        session, self.session = self.session, None
        connection, self.connection = self.connection, None
        mind, self.original, self.hears = (
            self.original,
            None,
            None,
        )  # the protocol might keep `log_out`, and with it this object
        if connection is None:
            return
        if session is not None:
            connection.closed(session)
        if not reason.by_client:
            if hasattr(mind, "callRemote"):
                # A last notification, for clients that have this method.
                mind.callRemote("logged_out", str(reason.code), reason.detail).addErrback(
                    lambda _: None
                )
            connection.farewell(reason)


def _on_reactor(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function on the reactor; return what it returns, or a future of it."""
    dispatcher = reactor_dispatcher()
    if dispatcher.runs_here():
        return _as_future(function(*args))
    later: Future[Any] = Future()

    def run() -> None:
        try:
            result = _as_future(function(*args))
        except Exception as error:
            later.settle_error(error)
        else:
            later.follow(result) if isinstance(result, Future) else later.settle(result)

    dispatcher.call(run)
    return later


def _as_future(result: Any) -> Any:
    return future_of(result) if isinstance(result, Deferred) else result
