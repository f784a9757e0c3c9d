"""What waits to be sent to one client: bounded, in order, and only the latest of its kind where that is enough.

Pure but for a lock: no actor, no clock, no socket.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Protocol

__all__ = ["Notification", "Offer", "Outbox", "OutboxLimit", "OutboxOverflow"]

# Held for a few byte codes at a time, so one lock serves the outboxes of all clients and costs none of them memory.
_lock = threading.Lock()


class OutboxOverflow(StrEnum):
    """What happens when a client does not keep up and its outbox is full."""

    DROP_OLDEST = "drop oldest"
    DROP_NEWEST = "drop newest"
    END_SESSION = "end session"


@dataclass(frozen=True, slots=True)
class OutboxLimit:
    """How much may wait for one client.

    Args:
        bound: notifications and calls, at least 1.
        overflow: the policy at the bound.
    """

    bound: int = 256
    overflow: OutboxOverflow = OutboxOverflow.DROP_OLDEST

    def __post_init__(self) -> None:
        if self.bound < 1:
            raise ValueError(f"the bound of an outbox must be at least 1, not {self.bound}")
        object.__setattr__(self, "overflow", OutboxOverflow(self.overflow))


class Item(Protocol):
    """What an outbox holds."""

    @property
    def key(self) -> Hashable:
        """Items with the same key replace each other while they wait; None replaces nothing."""

    def dropped(self) -> None:
        """Learn that it will never be sent."""


class Notification:
    """A message to clients that wants no answer. One object may wait in many outboxes.

    Args:
        name: what happened.
        args: the particulars.
        key: while it waits, a later notification with the same key takes its place.
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
        """Return the bytes of this notification, made once for all clients that share a codec.

        Args:
            codec: the name of the codec.
            encode: makes the bytes out of name and arguments.
        """
        cache = self._encoded
        if cache is None:
            cache = self._encoded = {}
        data = cache.get(codec)
        if data is None:
            data = cache[codec] = encode(self.name, self.args)
        return data

    def dropped(self) -> None:
        """Nobody waits for a notification."""


class Offer(Enum):
    """What became of an item that was offered to an outbox."""

    WAKE = "accepted; the owner sleeps and has to be told"
    QUEUED = "accepted; the owner is at work"
    DROPPED = "not accepted"
    OVERFLOW = "not accepted; the session has to end"


class _Keyed:
    """The place in the queue of the latest item with some key."""

    __slots__ = ("key",)

    def __init__(self, key: Hashable) -> None:
        self.key = key


class Outbox:
    """A queue with a bound, in which an item with a key takes the place of the waiting one with the same key."""

    __slots__ = ("_awake", "_items", "_latest", "closed", "dropped", "limit")

    def __init__(self, limit: OutboxLimit) -> None:
        self.limit = limit
        self.dropped = 0
        self.closed = False
        self._awake = False
        # Most clients have nothing waiting at most times, so an idle outbox holds no queue.
        self._items: deque[Any] | None = None
        self._latest: dict[Hashable, Item] | None = None

    def __len__(self) -> int:
        return len(self._items or ())

    @property
    def idle(self) -> bool:
        """Whether nothing waits, nothing is being sent, and more is accepted."""
        return not self._awake and not self.closed

    def offer(self, item: Item) -> Offer:
        """Put an item at the end, or in the place of the one with the same key."""
        key = item.key
        victim: Item | None = None
        with _lock:
            verdict = Offer.DROPPED if self.closed else self._admit(key)
            if verdict is Offer.QUEUED:
                victim = self._insert(item, key)
                if not self._awake:
                    self._awake = True
                    verdict = Offer.WAKE
            elif not self.closed:
                self.dropped += 1
        if victim is not None:
            victim.dropped()
        return verdict

    def _admit(self, key: Hashable) -> Offer:
        replaces = key is not None and self._latest is not None and key in self._latest
        if replaces or len(self) < self.limit.bound or self.limit.overflow is OutboxOverflow.DROP_OLDEST:
            return Offer.QUEUED
        return Offer.DROPPED if self.limit.overflow is OutboxOverflow.DROP_NEWEST else Offer.OVERFLOW

    def _insert(self, item: Item, key: Hashable) -> Item | None:
        """Put an item in; return the one that had to go because of the bound."""
        if self._items is None:
            self._items = deque()
        if key is not None:
            if self._latest is None:
                self._latest = {}
            elif key in self._latest:
                self._latest[key] = item
                return None
        victim = None
        if len(self._items) >= self.limit.bound:
            victim = self._pop()
            self.dropped += 1
        if key is None:
            self._items.append(item)
        else:
            assert self._latest is not None
            self._latest[key] = item
            self._items.append(_Keyed(key))
        return victim

    def _pop(self) -> Item:
        assert self._items is not None
        item = self._items.popleft()
        if type(item) is not _Keyed:
            return item  # type: ignore[no-any-return]
        assert self._latest is not None
        return self._latest.pop(item.key)

    def take(self) -> Item | None:
        """Take the next item out; None if there is none, and the owner then sleeps until it is woken."""
        with _lock:
            if self._items:
                return self._pop()
            self._items = self._latest = None
            self._awake = False
            return None

    def close(self) -> list[Item]:
        """Accept nothing from now on; return what was waiting."""
        with _lock:
            self.closed = True
            left = [self._pop() for _ in range(len(self))]
            self._items = self._latest = None
            return left
