"""Replies to the calls of a client, and the accounting of what waits for an avatar."""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError
from threading import get_ident
from typing import Any

import pykka

from actorcred.actors import Future, MailboxFull
from actorcred.actors.cell import Cell
from actorcred.errors import CallCode, CallError, ClientGone, LoginDenied, LoginFailed
from actorcred.mind.broadcast import catch_up, under_way
from actorcred.rpc.protocol.codec import weigh
from actorcred.rpc.server.guard import Backlog
from actorcred.rpc.server.hub import Hub, Peer
from actorcred.rpc.server.session_channel import SessionChannel

__all__ = ["Receipt", "Reply", "send_answer", "wait_in"]


logger = logging.getLogger("actorcred.rpc")


class Receipt:
    """Counts a call or notification until its avatar has handled it. Used in place of a future.

    Args:
        hub: the hub, on whose loop it is counted.
        backlog: the count.
        inbox: the avatar's mailbox.
        message: the call or notification.
        reply: gets the result; None for a notification, whose failure is the avatar's.
    """

    __slots__ = ("_backlog", "_hub", "_inbox", "_message", "_reply", "size")

    def __init__(
        self, hub: Hub, backlog: Backlog, inbox: Cell, message: Any, reply: Reply | None
    ) -> None:
        self._hub = hub
        self._backlog = backlog
        self._inbox = inbox
        self._message = message
        self._reply = reply
        self.size = 0

    def settle(self, value: Any = None) -> bool:
        """Pass a result on."""
        self._hub.here(self._backlog.leave, self.size)
        return self._reply is None or self._reply.settle(value)

    def settle_error(self, error: BaseException, traceback: Any = None) -> bool:
        """Pass an error on."""
        self._hub.here(self._backlog.leave, self.size)
        if self._reply is not None:
            return self._reply.settle_error(error)
        actor = self._inbox.actor
        if actor is None or isinstance(error, pykka.ActorDeadError | MailboxFull):
            self._hub.ignored_notices += 1
        elif not actor._actor_survives(error, self._message):
            self._inbox.fail(actor, error)
        return True


def wait_in(channel: SessionChannel, params: list[Any], receipt: Receipt) -> Receipt:
    """Count a call or notification that waits for the avatar.

    Raises:
        MailboxFull: if too much waits already.
    """
    if not channel.backlog.full:
        receipt.size = weigh(params)
        if channel.backlog.enter(receipt.size):
            return receipt
    raise MailboxFull("too much waits for the avatar")


class Reply:
    """Sends the result of a call to the client, from any thread. Used in place of a future."""

    __slots__ = ("_id", "_method", "_peer")

    def __init__(self, peer: Peer, request_id: int, method: str) -> None:
        self._peer = peer
        self._id = request_id
        self._method = method

    def settle(self, value: Any = None) -> bool:
        """Send a result; if it is a future, when that is done."""
        hub = self._peer.hub
        if isinstance(value, pykka.Future):
            Future.adopt(value).add_done_callback(self._done)
        elif get_ident() == hub.thread:
            send_answer(self._peer, self._id, self._method, value)
        else:
            hub.from_thread(send_answer, self._peer, self._id, self._method, value)
        return True

    def settle_error(self, error: BaseException, traceback: Any = None) -> bool:
        """Send an error."""
        self._peer.hub.here(_send_error, self._peer, self._id, self._method, error)
        return True

    def _done(self, done: Future[Any]) -> None:
        try:
            value = done.get()
        except BaseException as error:
            self.settle_error(error)
        else:
            self.settle(value)


def send_answer(peer: Peer, request_id: int, method: str, value: Any) -> None:
    """Send the result of a call, which is no future. Called on the loop's thread."""
    if peer.closed:
        return
    if under_way:
        _catch_up(peer)
    try:
        data = peer.connection.answer(request_id, value)
    except Exception as error:
        # Objects of the application can raise anything when they are encoded.
        _send_error(peer, request_id, method, error)
    else:
        peer.send(data)


def _send_error(peer: Peer, request_id: int, method: str, error: BaseException) -> None:
    if isinstance(error, LoginFailed):
        retry_after = error.retry_after if isinstance(error, LoginDenied) else None
        error = CallError(str(error), error.code, retry_after=retry_after)
    elif isinstance(error, pykka.ActorDeadError) or (
        isinstance(error, CancelledError) and not peer.in_session
    ):
        error = CallError("the session is over", CallCode.GONE)
    elif isinstance(error, ClientGone | pykka.Timeout):
        # The avatar had called a client or another actor.
        logger.info("A call of %r was not answered: %s", method, type(error).__name__)
        error = CallError("no answer", CallCode.UNANSWERED)
    elif isinstance(error, MailboxFull):
        error = CallError("too many requests wait for the avatar", CallCode.TOO_MANY_REQUESTS)
    elif not isinstance(error, CallError):
        logger.error("A call of %r failed:", method, exc_info=error)
        error = CallError("internal error", CallCode.INTERNAL)
    if peer.closed:
        return
    if under_way:
        _catch_up(peer)
    peer.send(peer.connection.fail(request_id, error))


def _catch_up(peer: Peer) -> None:
    """Send the client the broadcasts that it was promised before this answer."""
    if peer.channel is not None:
        catch_up(peer.channel.session.mind)
