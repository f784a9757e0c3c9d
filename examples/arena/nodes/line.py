"""How nodes hear each other's worlds: by NATS, beside the sessions that they share.

Each message is complete in itself, and a later one takes its place, so that none needs to be sent
again. What a node has not taken yet, and what NATS does not take in time, is bounded, and dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any, Final

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from actorcred import ActorcredError
from examples.arena.nodes.board import Roll
from examples.arena.world.shard import Strip

logger = logging.getLogger("examples.arena")

MOST_STRIPS = 8
"""Strips that wait for the next tick; older ones are dropped."""

MOST_WAITING = 64
"""Messages that wait for NATS; newer ones are dropped."""

START: Final = 10.0
"""Seconds to connect in."""

FAULTS = (Error, OSError, asyncio.TimeoutError)
ROLLS = "arena.rolls"

_encode = msgspec.msgpack.Encoder().encode
_strips = msgspec.msgpack.Decoder(Strip)
_rolls = msgspec.msgpack.Decoder(Roll)


class Line:
    """The way of a node to the others.

    Args:
        number: of the node.

    Attributes:
        rolls: the last roll of each other node, by its number; that of a dead one, too.
    """

    def __init__(self, number: int) -> None:
        self.rolls: dict[int, Roll] = {}
        self._number = number
        self._strips: deque[Strip] = deque(maxlen=MOST_STRIPS)
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(MOST_WAITING)
        self._client: Client | None = None
        self._sending: asyncio.Task[None] | None = None

    async def open(self, url: str, user: str, password: str) -> None:
        """Connect.

        Raises:
            ActorcredError: if that is not possible.
        """
        try:
            async with asyncio.timeout(START):
                self._client = await nats.connect(
                    url, user=user, password=password, max_reconnect_attempts=-1, error_cb=_note
                )
                await self._client.subscribe(_strips_for(self._number), cb=self._take_strip)
                await self._client.subscribe(ROLLS, cb=self._take_roll)
        except FAULTS as error:
            raise ActorcredError(f"NATS cannot be reached: {error}") from None
        self._sending = asyncio.create_task(self._send(self._client))

    async def close(self) -> None:
        """Disconnect."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
        if self._client is not None:
            with contextlib.suppress(*FAULTS):  # NATS has ended before
                await self._client.close()

    # -- what the arena calls, on the same loop ----------------------------------------------------

    def take_strips(self) -> list[Strip]:
        """Return the strips that have come since the last call."""
        taken = list(self._strips)
        self._strips.clear()
        return taken

    def tell(self, node: int, strip: Strip) -> None:
        """Send a strip to the node that sees it."""
        self._put(_strips_for(node), strip)

    def announce(self, roll: Roll) -> None:
        """Send a roll to all nodes."""
        self._put(ROLLS, roll)

    def _put(self, subject: str, message: Any) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # the next one says the same
            self._waiting.put_nowait((subject, _encode(message)))

    # -- NATS --------------------------------------------------------------------------------------

    async def _send(self, client: Client) -> None:
        while True:
            subject, data = await self._waiting.get()
            if client.is_connected:
                try:
                    await client.publish(subject, data)
                except FAULTS as error:
                    logger.debug("The other nodes do not hear this one: %s", error)

    async def _take_strip(self, message: Msg) -> None:
        try:
            self._strips.append(_strips.decode(message.data))
        except msgspec.MsgspecError as error:
            logger.warning("A strip was ignored: %s", error)

    async def _take_roll(self, message: Msg) -> None:
        try:
            roll = _rolls.decode(message.data)
        except msgspec.MsgspecError as error:
            logger.warning("A roll was ignored: %s", error)
            return
        if roll.source != self._number:
            self.rolls[roll.source] = roll


def _strips_for(node: int) -> str:
    return f"arena.strips.{node}"


async def _note(error: Exception) -> None:
    logger.debug("NATS: %s", error)
