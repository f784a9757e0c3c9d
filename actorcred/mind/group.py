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
        self._minds: weakref.WeakSet[MindRef] = weakref.WeakSet()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[MindRef]:
        with self._lock:
            minds = list(self._minds)
        return iter([mind for mind in minds if not mind.outbox.closed])

    def __contains__(self, mind: object) -> bool:
        return mind in set(self)

    def add(self, mind: MindRef) -> None:
        """Add a mind, which gets the notifications from now on."""
        with self._lock:
            self._minds.add(mind)

    def discard(self, mind: MindRef) -> None:
        """Remove a mind, if it is in the group."""
        with self._lock:
            self._minds.discard(mind)

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
        minds = [mind for mind in self if mind is not but]
        broadcast(Notification(name, args, key), minds)
        return len(minds)
