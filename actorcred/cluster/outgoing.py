"""Messages that wait to be sent. Those to one subject are sent together, which costs less."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from actorcred.cluster._tasks import cancel_all

__all__ = ["OVERHEAD", "Item", "Outgoing", "pack_items", "unpack_items"]

Item: TypeAlias = bytes | tuple[int, bytes]
"""A message; one that asks or answers has the number of the question."""

WAITING = 20_000
"""Messages that may wait for a slow NATS; more are dropped."""

BATCH = 64 << 10
"""Bytes that are sent together; a larger message is sent alone."""

OVERHEAD = 64
"""Bytes at most that are sent beside a message that is alone."""

Send: TypeAlias = Callable[[str, bytes, str], Awaitable[bool]]

SendNow: TypeAlias = Callable[[str, Item, str], bool]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Item]).decode


class Outgoing:
    """The messages of one node that wait to be sent, in their order for each subject.

    Args:
        send: sends bytes to a subject, with another one for answers; returns whether it did.
        send_now: sends one message in the same way at once, or returns False if it would wait.

    Attributes:
        count: how many messages wait.
        dropped: how many messages were not sent.
        largest: bytes that can be sent together.
    """

    def __init__(self, send: Send, send_now: SendNow = lambda *_: False) -> None:
        self._send = send
        self._send_now = send_now
        self.dropped = 0
        self.largest = BATCH
        self._waiting: dict[tuple[str, str], deque[Item]] = {}
        self.count = 0
        self._writer: asyncio.Task[None] | None = None

    def put(self, subject: str, reply: str, item: Item) -> bool:
        """Have a message sent; return False if too many wait.

        Args:
            subject: where to.
            reply: where answers go, always the same for a subject; "" if there are none.
            item: the message.
        """
        # Somebody waits for the answer, or for what it asks. All else goes together.
        at_once = isinstance(item, tuple) and self._writer is None
        if at_once and self._send_now(subject, item, reply):
            return True
        if self.count >= WAITING:
            self.dropped += 1
            return False
        items = self._waiting.get((subject, reply))
        if items is None:
            items = self._waiting[subject, reply] = deque()
        items.append(item)
        self.count += 1
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())
        return True

    def drop(self) -> None:
        """Drop all that waits."""
        self.dropped += self.count
        self._waiting.clear()
        self.count = 0

    async def sent(self) -> None:
        """Wait until all is sent."""
        if self._writer is not None:
            await asyncio.shield(self._writer)

    async def stop(self) -> None:
        """Send no more, not even what waits."""
        if self._writer is not None:
            await cancel_all([self._writer])

    async def _write(self) -> None:
        try:
            while self._waiting:
                (subject, reply), batch = self._next()
                if not await self._send(subject, pack_items(batch), reply):
                    self.dropped += len(batch)
        finally:
            self._writer = None

    def _next(self) -> tuple[tuple[str, str], list[Item]]:
        """Remove messages that are sent together. Then the other subjects have their turns."""
        where = next(iter(self._waiting))
        items = self._waiting.pop(where)
        batch = [items.popleft()]
        room = min(BATCH, self.largest) - _size(batch[0])
        while items and (room := room - _size(items[0])) >= 0:
            batch.append(items.popleft())
        if items:
            self._waiting[where] = items
        self.count -= len(batch)
        return where, batch


def _size(item: Item) -> int:
    return OVERHEAD + len(item if isinstance(item, bytes) else item[1])


def pack_items(items: list[Item]) -> bytes:
    """Return messages that are sent together as bytes."""
    return _encode(items)


def unpack_items(data: bytes) -> list[Item]:
    """Return the messages that were sent together.

    Raises:
        ValueError: if the data is none.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a message between nodes: {error}") from None
