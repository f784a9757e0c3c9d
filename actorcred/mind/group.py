"""Groups of minds, which get the same notifications."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import Any

from actorcred.mind.broadcast import broadcast
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Notification

__all__ = ["Group"]


class Group:
    """Minds that get the same notifications, such as the people in a room. Thread-safe.

    A mind leaves by itself when its session ends.
    """

    def __init__(self) -> None:
        self._minds: weakref.WeakKeyDictionary[MindRef, None] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open(None))

    def __iter__(self) -> Iterator[MindRef]:
        return iter(self._open(None))

    def __contains__(self, mind: object) -> bool:
        return isinstance(mind, MindRef) and mind in self._minds and not mind.outbox.closed

    def _open(self, but: MindRef | None) -> list[MindRef]:
        """Return the minds whose session has not ended, in one pass: there can be very many."""
        with self._lock:
            refs = self._minds.keyrefs()
        return [
            mind
            for ref in refs
            if (mind := ref()) is not None and mind is not but and not mind.outbox.closed
        ]

    def add(self, mind: MindRef) -> None:
        """Add a mind, which gets the notifications from now on."""
        with self._lock:
            self._minds[mind] = None

    def discard(self, mind: MindRef) -> None:
        """Remove a mind, if it is in the group."""
        with self._lock:
            self._minds.pop(mind, None)

    def notify(
        self, name: str, *args: Any, key: Hashable = None, but: MindRef | None = None
    ) -> int:
        """Send all minds one notification, which is encoded once.

        To very many, an event loop sends it in slices, between which it serves others; the order
        for each client stays the same.

        Args:
            name: the name of the notification.
            args: its arguments.
            key: see `MindRef.notify`.
            but: one mind that is left out, such as the speaker's own.

        Returns:
            The number of minds that it was sent to.
        """
        minds = self._open(but)
        broadcast(Notification(name, args, key), minds)
        return len(minds)
