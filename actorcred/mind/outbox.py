"""The outbox: a bounded queue of what waits to be sent to one client.

Items with a key replace earlier ones with the same key, so that only the latest is sent. Pure
except for a lock: no actor, no clock, no socket.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, ClassVar, Protocol

__all__ = [
    "Notification",
    "Offer",
    "Outbox",
    "OutboxLimit",
    "OutboxOverflow",
    "dropped_items",
    "unused_outbox",
]


# Held for a few byte codes only, so one lock is enough for all outboxes and saves memory in each.
_lock = threading.Lock()

_dropped = 0


def dropped_items() -> int:
    """Return how many items all outboxes of this process have dropped because they were full."""
    return _dropped


class OutboxOverflow(StrEnum):
    """What happens when a client is too slow and its outbox is full."""

    DROP_OLDEST = "drop oldest"
    DROP_NEWEST = "drop newest"
    END_SESSION = "end session"


@dataclass(frozen=True, slots=True)
class OutboxLimit:
    """How much may wait for one client.

    Args:
        bound: the number of notifications and calls, at least 1.
        overflow: the policy when the outbox is full.
        size: the bytes of the notifications as sent, if the channel knows them. One notification of
            any size may always wait.
    """

    bound: int = 256
    overflow: OutboxOverflow = OutboxOverflow.DROP_OLDEST
    size: int = 1024 * 1024

    def __post_init__(self) -> None:
        if self.bound < 1 or self.size < 1:
            raise ValueError(
                f"the bounds of an outbox must be at least 1, not {min(self.bound, self.size)}"
            )
        object.__setattr__(self, "overflow", OutboxOverflow(self.overflow))


class Item(Protocol):
    """An item of an outbox."""

    @property
    def key(self) -> Hashable:
        """Items with the same key replace each other while they wait; None replaces nothing."""

    def dropped(self) -> None:
        """Called when the item will never be sent."""


class Notification:
    """A message to clients that has no answer. One object can wait in many outboxes.

    Args:
        name: the name of the notification.
        args: its arguments.
        key: while it waits, a later notification with the same key replaces it.
    """

    __slots__ = ("_encoded", "args", "key", "name")

    def __init__(self, name: str, args: tuple[Any, ...], key: Hashable = None) -> None:
        self.name = name
        self.args = args
        self.key = key
        self._encoded: dict[str, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Notification {self.name}>"

    def encoded(self, codec: str, encode: Callable[[str, tuple[Any, ...]], bytes]) -> bytes:
        """Return this notification as bytes, encoded once for all clients that share a codec.

        Args:
            codec: the name of the codec.
            encode: encodes the name and the arguments.
        """
        cache = self._encoded
        if cache is None:
            cache = self._encoded = {}
        data = cache.get(codec)
        if data is None:
            data = cache[codec] = encode(self.name, self.args)
        return data

    def dropped(self) -> None:
        """Do nothing, since no caller waits for a notification."""


class Offer(Enum):
    """The result of offering an item to an outbox."""

    WAKE = "accepted; the owner is idle and must be woken"
    QUEUED = "accepted; the owner is already sending"
    DROPPED = "not accepted"
    OVERFLOW = "not accepted; the session must end"


class _Waiting:
    """An item in the queue, and its size."""

    __slots__ = ("item", "size")

    def __init__(self, item: Item, size: int) -> None:
        self.item = item
        self.size = size


class Outbox:
    """A bounded queue in which an item with a key replaces the waiting one with the same key."""

    is_shared: ClassVar[bool] = False
    """Whether it stands for the outboxes of many clients for which nothing has ever waited."""

    over: Outbox
    """If it does: the closed outbox of those of them whose sessions have ended."""

    __slots__ = ("_awake", "_items", "_latest", "_size", "closed", "dropped", "limit")

    def __init__(self, limit: OutboxLimit) -> None:
        self.limit = limit
        self.dropped = 0
        self.closed = False
        self._awake = False
        self._size = 0
        # Most outboxes are empty most of the time, so an idle one holds no queue.
        self._items: deque[_Waiting] | None = None
        self._latest: dict[Hashable, _Waiting] | None = None

    def __len__(self) -> int:
        return len(self._items or ())

    @property
    def idle(self) -> bool:
        """Whether the outbox is open, nothing waits and nothing is being sent."""
        return not self._awake and not self.closed

    def offer(self, item: Item, size: int = 0) -> Offer:
        """Append an item, or replace the one with the same key.

        Args:
            item: what to send.
            size: its size in bytes; 0 if it is not known.
        """
        victims: list[Item] = []
        with _lock:
            verdict = Offer.DROPPED if self.closed else self._admit(item.key, size)
            if verdict is Offer.QUEUED:
                victims = self._insert(item, size)
                if not self._awake:
                    self._awake = True
                    verdict = Offer.WAKE
            elif not self.closed:
                self._count_dropped()
        for victim in victims:
            victim.dropped()
        return verdict

    def _admit(self, key: Hashable, size: int) -> Offer:
        earlier = self._earlier(key)
        room = (
            self._has_room(size - earlier.size, 0)
            if earlier is not None
            else self._has_room(size, 1)
        )
        if room or self.limit.overflow is OutboxOverflow.DROP_OLDEST:
            return Offer.QUEUED
        return (
            Offer.DROPPED if self.limit.overflow is OutboxOverflow.DROP_NEWEST else Offer.OVERFLOW
        )

    def _earlier(self, key: Hashable) -> _Waiting | None:
        """Return the waiting entry with the same key, or None."""
        return None if key is None or self._latest is None else self._latest.get(key)

    def _has_room(self, size: int, count: int) -> bool:
        waiting = len(self) + count
        return waiting <= 1 or (
            waiting <= self.limit.bound and self._size + size <= self.limit.size
        )

    def _insert(self, item: Item, size: int) -> list[Item]:
        """Insert an item; return those that were dropped because of the bounds."""
        if self._items is None:
            self._items = deque()
        earlier = self._earlier(item.key)
        if earlier is not None:
            self._size += size - earlier.size
            earlier.item, earlier.size = item, size
            return self._make_room(0, 0)
        victims = self._make_room(size, 1)
        waiting = _Waiting(item, size)
        self._items.append(waiting)
        self._size += size
        if item.key is not None:
            if self._latest is None:
                self._latest = {}
            self._latest[item.key] = waiting
        return victims

    def _make_room(self, size: int, count: int) -> list[Item]:
        victims = []
        while not self._has_room(size, count) and len(self):
            victims.append(self._pop())
            self._count_dropped()
        return victims

    def _count_dropped(self) -> None:
        global _dropped
        self.dropped += 1
        _dropped += 1  # all of it happens under one lock

    def _pop(self) -> Item:
        assert self._items is not None
        waiting = self._items.popleft()
        self._size -= waiting.size
        if self._latest is not None and waiting.item.key is not None:
            self._latest.pop(waiting.item.key, None)
        return waiting.item

    def take(self) -> Item | None:
        """Take out the next item; return None if there is none, after which the owner is idle."""
        with _lock:
            if self._items:
                return self._pop()
            self._items = self._latest = None
            self._awake = False
            return None

    def close(self) -> list[Item]:
        """Accept no more items; return those that were waiting."""
        with _lock:
            self.closed = True
            left = [self._pop() for _ in range(len(self))]
            self._items = self._latest = None
            return left


class _Unused(Outbox):
    __slots__ = ("over",)

    is_shared = True

    def __init__(self, limit: OutboxLimit) -> None:
        super().__init__(limit)
        self.over = Outbox(limit)
        self.over.closed = True


@lru_cache(16)
def unused_outbox(limit: OutboxLimit) -> Outbox:
    """Return an empty outbox that many clients share, to save memory.

    It can be read. A client for which something is to wait, or whose outbox is to be closed, needs
    one of its own first.
    """
    return _Unused(limit)
