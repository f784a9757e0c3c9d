"""Revocations: what a checker of one node reports of an account, told to all nodes.

They are kept in a log on NATS for a day, so that a node that was cut off learns of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from nats.aio.msg import Msg

from actorcred.checker import Revocation
from actorcred.cluster.bus import Bus
from actorcred.cluster.complaints import Complaints
from actorcred.cluster.errors import BusDown, BusError
from actorcred.cluster.messages import Revoked, pack, unpack
from actorcred.cluster.roster import key_of
from actorcred.cluster.store import Store
from actorcred.sessions.registry import SessionHost

__all__ = ["Revocations"]

logger = logging.getLogger("actorcred.cluster")

LOG_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until a revocation that NATS did not take is told again."""


class Revocations:
    """Tells other nodes of revocations, and follows theirs.

    Args:
        bus: the way to the other nodes.
        store: has the log.
        spawn: runs a coroutine in the background.

    Attributes:
        host: the portal, once there is one.
    """

    def __init__(
        self, bus: Bus, store: Store, spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self.host: SessionHost | None = None
        self._bus = bus
        self._store = store
        self._spawn = spawn
        self._complaints = Complaints()
        self._heard = 0
        """The number of the last revocation that was followed."""

    async def open(self) -> None:
        """Begin to follow the revocations of other nodes.

        Raises:
            BusDown: if NATS does not answer.
        """
        await self._bus.listen("revoked.*", self._hear)
        self._heard = await self._store.logged()

    def tell(self, checker: str, avatar_id: str, what: Revocation) -> None:
        """Tell all nodes of a revocation, those that are cut off when they are back."""
        revoked = Revoked(self._bus.node, checker, avatar_id, str(what))
        self._spawn(self._tell(key_of(f"{checker}\0{avatar_id}"), pack(revoked)))

    async def _tell(self, key: str, data: bytes) -> None:
        for pause in LOG_PAUSES:
            try:
                await self._store.log(key, data)
            except BusDown as error:
                logger.debug("A revocation is told again: %s", error)
                await asyncio.sleep(pause)
            else:
                return
        logger.error("A revocation could not be told to the other nodes")

    def _hear(self, msg: Msg) -> None:
        self._follow(msg.data)
        number = (msg.headers or {}).get("Nats-Sequence", "")
        if number.isdigit() and int(number) == self._heard + 1:
            self._heard += 1

    async def catch_up(self) -> None:
        """Follow the revocations that were told while this node was cut off.

        Raises:
            BusDown: if NATS does not answer.
        """
        last = await self._store.logged()
        if last < self._heard:  # NATS has lost the log
            self._heard = 0
        async for number, data in self._store.log_after(self._heard):
            self._follow(data)
            self._heard = number

    def _follow(self, data: bytes) -> None:
        try:
            revoked = unpack(data)
            if not isinstance(revoked, Revoked):
                raise BusError(f"a {type(revoked).__name__} in the log of revocations")
            what = Revocation(revoked.what)
        except (BusError, ValueError) as error:
            self._complaints.warn("revocation", f"A revocation was ignored: {error}")
            return
        if revoked.node != self._bus.node and self.host is not None:
            self.host.revoke(revoked.checker, revoked.avatar_id, what)
