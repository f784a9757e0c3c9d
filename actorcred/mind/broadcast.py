"""Broadcasts: notifications to very many clients, which an event loop sends in slices.

A loop that sends to a hundred thousand clients at once does nothing else for that long. So a
broadcast to many sends to some of them, and to the others in later turns of the loop.

What an observer could notice stays as if all had been sent at once:

* Each client gets its notifications in the order in which they were sent. Whatever else is sent to
  a client for which a broadcast still waits (a notification, a call, an answer, the goodbye) comes
  after that broadcast; see `catch_up`.
* The broadcasts of a loop are sent one after the other.
* A broadcast goes to the clients of the moment when it began, except for those whose session has
  ended meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Sequence
from contextvars import Context
from time import monotonic
from typing import Protocol

from actorcred.mind.outbox import Notification

__all__ = ["broadcast", "catch_up", "under_way"]


logger = logging.getLogger("actorcred.mind")

AT_ONCE = 512
"""The number of clients that are sent to at once; a broadcast to more of them is sliced."""

SLICE = 0.002
"""Seconds after which a broadcast yields to the other callbacks of the loop."""

CHUNK = 32
"""The number of clients that are sent to between two looks at the clock."""

MOST = 8
"""The number of broadcasts that wait; one more has the oldest sent completely, at once."""


# Held while something is sent, so that another thread does not overtake it. One for all broadcasts:
# to send one can have what waits in another one sent, and two threads must not wait for each other.
_lock = threading.RLock()


class Addressee(Protocol):
    """A mind."""

    def pass_on(self, notification: Notification) -> bool:
        """Send a notification, before the broadcasts that wait for this mind."""


class _Broadcast:
    """A notification, and the minds that it has still to be sent to, the last of them first."""

    __slots__ = ("_left", "_minds", "_notification", "loop")

    def __init__(
        self, notification: Notification, minds: list[Addressee], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._notification = notification
        self._minds = minds
        # The minds without those that were sent to before their turn. To make the set takes long
        # if there are very many, so it is made when the first one of them is asked for.
        self._left: set[Addressee] | None = None
        self.loop = loop

    def send_to(self, mind: Addressee) -> None:
        """Send to one mind, if that has not been done."""
        with _lock:
            if self._left is None:
                self._left = set(self._minds)
            if mind in self._left:
                self._left.discard(mind)
                self._send(mind)

    def send_until(self, deadline: float) -> bool:
        """Send until a time; return whether it was sent to all."""
        while True:
            with _lock:
                for _ in range(CHUNK):
                    if not self._minds:
                        return True
                    self._send_next()
            if monotonic() >= deadline:
                return False

    def _send_next(self) -> None:
        mind = self._minds.pop()
        if self._left is not None:
            if mind not in self._left:
                return
            self._left.discard(mind)
        self._send(mind)

    def _send(self, mind: Addressee) -> None:
        try:
            mind.pass_on(self._notification)
        except Exception as error:
            logger.error("%r could not be sent to a client:", self._notification, exc_info=error)


under_way: dict[_Broadcast, None] = {}
"""The broadcasts that wait, the oldest first. It is empty nearly always."""


def broadcast(notification: Notification, minds: Sequence[Addressee]) -> None:
    """Send a notification to minds; to many of them in slices, if this thread runs a loop."""
    loop = asyncio._get_running_loop()
    if loop is None or len(minds) <= AT_ONCE:
        for mind in minds:
            if under_way:
                catch_up(mind)
            mind.pass_on(notification)
        return
    ours = _of(loop)
    # What is taken from the end of a list takes the same time for any number.
    under_way[_Broadcast(notification, [*reversed(minds)], loop)] = None
    if not ours:
        _send_slice(loop)
    elif len(ours) >= MOST:
        ours[0].send_until(math.inf)
        under_way.pop(ours[0], None)


def catch_up(mind: Addressee) -> None:
    """Send a mind the broadcasts that wait for it, before something else is sent to it."""
    for one in list(under_way):
        one.send_to(mind)


def _of(loop: asyncio.AbstractEventLoop) -> list[_Broadcast]:
    """Return the broadcasts of a loop, the oldest first, and forget those of closed loops."""
    ours = []
    for one in list(under_way):
        if one.loop is loop:
            ours.append(one)
        elif one.loop.is_closed():
            under_way.pop(one, None)
    return ours


def _send_slice(loop: asyncio.AbstractEventLoop) -> None:
    deadline = monotonic() + SLICE
    try:
        # Looked up each time, as a client can begin a broadcast when it is sent one.
        while (ours := _of(loop)) and ours[0].send_until(deadline):
            under_way.pop(ours[0], None)
    finally:
        if _of(loop):
            # Not in the context of the actor that has begun the broadcast.
            loop.call_soon(_send_slice, loop, context=Context())
