"""The messages of a client that wait: for the answer to its login, or while its session moves."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any

from actorcred.actors import Future
from actorcred.rpc.protocol.codec import NotificationMessage, Request
from actorcred.rpc.protocol.connection import PREFIX, Connection
from actorcred.rpc.protocol.goodbye import GoodbyeCode
from actorcred.rpc.server.early import Early
from actorcred.rpc.server.hub import Hub

__all__ = ["Held"]


class Held:
    """The part of a connection that lets messages of the client wait."""

    __slots__ = ("_early", "_last")

    hub: Hub
    connection: Connection
    closed: bool
    _early: Early | None
    _last: int
    """The id of the last request that did not wait for a move."""

    @abstractmethod
    def _request(self, request: Request, *, waited: bool = False) -> None:
        """Handle a request; `waited`: its rate was checked when it arrived."""

    @abstractmethod
    def _tell(self, notice: NotificationMessage) -> None:
        """Handle a notification."""

    @abstractmethod
    def resume(self) -> None:
        """Stop holding notifications back."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send a message."""

    @abstractmethod
    def hang_up(self) -> None:
        """Close the connection when everything is sent."""

    # -- the answer to a login -------------------------------------------------------------------

    def _hold_until(self, answer: Future[Any]) -> None:
        """Let further messages wait until the answer to a step of a login is sent."""
        if not answer.done():
            self._early = Early(self.connection.limits.pending)
            answer.add_done_callback(partial(self.hub.here, self._answered))

    def _answered(self, _: object) -> None:
        """Handle the messages that waited for an answer, if there are any, in another turn."""
        if self._early is not None and self._early.messages:
            self.hub.loop.call_soon(self.release)
        else:
            self._early = None

    def release(self) -> None:
        """Handle the messages that waited. Their rate was checked when they arrived."""
        early, self._early = self._early, None
        for message in early.messages if early is not None else ():
            if self.closed:
                return
            if isinstance(message, NotificationMessage):
                self._tell(message)
            else:
                self._request(message, waited=True)

    def take_early(self) -> list[bytes]:
        """Return what the client has sent since its request, encoded, and what is incomplete."""
        early, self._early = self._early, None
        encode = self.connection.codec.encode
        data = [encode(message) for message in (early.messages if early is not None else ())]
        rest = self.connection.rest()
        return [*data, rest] if rest else data

    # -- a move ----------------------------------------------------------------------------------

    def hold(self) -> None:
        """Let further messages wait, since the session might move to another server."""
        self._early = Early(self.connection.limits.pending, self.hub.options.backlog_bytes)
        self.resume()  # the channel keeps what is sent from now on

    def move_on(self, token: str | None) -> list[NotificationMessage]:
        """Tell the client to resume at another server, and close the connection.

        Args:
            token: with which it resumes; None if that is not known.

        Returns:
            The notifications of the client that waited. It sends the requests again.
        """
        early, self._early = self._early, None
        reason = {
            "code": str(GoodbyeCode.MOVED),
            "message": "the session continues at another server",
            "token": token,
            "last": self._last,
        }
        self.send(self.connection.notify(PREFIX + "goodbye", (reason, None)))
        self.hang_up()
        waiting = early.messages if early is not None else ()
        return [message for message in waiting if isinstance(message, NotificationMessage)]
