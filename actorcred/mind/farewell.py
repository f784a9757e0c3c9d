"""Notifying a client of the end of its session."""

from __future__ import annotations

import logging
from types import CoroutineType

from actorcred.actors import Dispatcher, starting_on
from actorcred.actors.lifecycle import stops_all
from actorcred.logout import LogoutReason
from actorcred.mind.channel import Channel

__all__ = ["Farewell", "close_channel"]

logger = logging.getLogger("actorcred.mind")


class Farewell:
    """Notifies the client of a mind without an actor that its session has ended.

    Args:
        channel: the channel to the client.
        reason: why the session has ended.
        dispatcher: where this runs, as the mind's actor would.
    """

    __slots__ = ("_channel", "_dispatcher", "_reason")

    def __init__(self, channel: Channel, reason: LogoutReason, dispatcher: Dispatcher) -> None:
        self._channel = channel
        self._reason = reason
        self._dispatcher = dispatcher

    def run(self) -> None:
        """Close the channel; called by the dispatcher."""
        with starting_on(self._dispatcher):
            close_channel(self._channel, self._reason, self._dispatcher)


def close_channel(channel: Channel, reason: LogoutReason, dispatcher: Dispatcher) -> None:
    """Notify a client of the end of its session; its errors affect no other one."""
    try:
        result = channel.close(reason)
    except BaseException as error:
        if stops_all(error):
            raise
        logger.debug("A client could not be notified of the end of its session: %r", error)
    else:
        if type(result) is CoroutineType:
            dispatcher.spawn(result)
