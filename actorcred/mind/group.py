"""Groups of minds, which get the same notifications."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import Any

from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Notification

__all__ = ["Group"]


class Group:
    """Minds that get the same notifications, as the people in a room. Safe to use from several actors.

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
        return (mind for mind in minds if not mind.outbox.closed)

    def __contains__(self, mind: object) -> bool:
        return mind in set(self)

    def add(self, mind: MindRef) -> None:
        """Let a mind hear what is said from now on."""
        with self._lock:
            self._minds.add(mind)

    def discard(self, mind: MindRef) -> None:
        """Let a mind hear no more."""
        with self._lock:
            self._minds.discard(mind)

    def notify(
        self, name: str, *args: Any, key: Hashable = None, but: MindRef | None = None
    ) -> int:
        """Send all minds one notification, which is encoded once.

        Args:
            name: what happened.
            args: the particulars.
            key: see `MindRef.notify`.
            but: one mind that need not be told, as the speaker's own.

        Returns:
            How many minds it went to.
        """
        notification = Notification(name, args, key)
        count = 0
        for mind in self:
            if mind is not but:
                mind.send(notification)
                count += 1
        return count
