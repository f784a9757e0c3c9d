"""Keeping the roster true: what is released, told late, lost, or left by nodes that have died."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from actorcred.cluster._tasks import abreast
from actorcred.cluster.claims import Claims
from actorcred.cluster.errors import BusDown, TooLarge
from actorcred.cluster.holdings import Holding, Holdings
from actorcred.cluster.members import Life, Members
from actorcred.cluster.report import Report
from actorcred.cluster.roster import Entry, Roster, key_of
from actorcred.logout import LogoutCode, LogoutReason

__all__ = ["Upkeep"]

logger = logging.getLogger("actorcred.cluster")

WRITERS = 16
"""Keys that are written behind at a time."""

PAUSE = 0.5
"""Seconds until something that NATS did not take is tried again."""

HELD = 5
"""Leases for which the places of a node that is gone stay if it may hold its sessions."""

SWEPT_AT_A_TIME = 100
"""Entries of a dead node that are taken out before others have their turn."""


class Upkeep:
    """Does what no client waits for.

    Args:
        node: the id of this node.
        holdings: what this node has.
        roster: what NATS knows.
        members: which nodes live.
        claims: takes places out.
        report: publishes what happens.
        spawn: runs a coroutine in the background.
        holds: whether sessions are held while this node is cut off, see `CutOff.HOLD`.
    """

    def __init__(  # noqa: PLR0917  # the parts of a node
        self,
        node: str,
        holdings: Holdings,
        roster: Roster,
        members: Members,
        claims: Claims,
        report: Report,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        *,
        holds: bool = False,
    ) -> None:
        self._node = node
        self._holdings = holdings
        self._roster = roster
        self._members = members
        self._claims = claims
        self._report = report
        self._spawn = spawn
        self._holds = holds
        self._confirmed = 0
        """The generation of the lease in which the places were last confirmed."""
        self._doubtful = False
        """Whether others may have taken places in a roster that NATS has lost since.

        Then those of other nodes that are found count, and nothing is confirmed before all owners
        have told the new roster what they have.
        """
        self._owed: dict[str, Holding] = {}
        self._paying = False
        self._unwritten: dict[str, str] = {}
        """Keys whose sessions are told to the roster behind the login, with their avatar ids."""
        self._writers = 0

    @property
    def backlog(self) -> int:
        """How much the roster has yet to be told."""
        return len(self._owed) + len(self._unwritten) + self._writers

    @property
    def confirmed(self) -> bool:
        """Whether no place can have been taken by others since it was confirmed."""
        return self._confirmed == self._members.generation

    # -- releasing -------------------------------------------------------------------------------

    async def release(self, holding: Holding) -> None:
        """Give a place up, now or when NATS takes it."""
        try:
            await self._claims.take_out(holding)
        except BusDown as error:
            logger.debug("A place is given up later: %s", error)
            self._owed[holding.session_id] = holding
            return
        self._owed.pop(holding.session_id, None)
        self._holdings.forget(holding)

    async def pay(self) -> None:
        """Give up the places that could not be given up before."""
        if self._paying:
            return
        self._paying = True
        try:
            # Not one by one: a place can wait for another node, which might not answer.
            await abreast(self._owed.values(), self.release, WRITERS)
        finally:
            self._paying = False

    # -- written behind --------------------------------------------------------------------------

    def write_behind(self, holding: Holding) -> None:
        """Have the roster told of the sessions of an avatar id that need no permission."""
        if not holding.key:
            return
        self._unwritten[holding.key] = str(holding.avatar_id)
        if self._writers < WRITERS:
            self._writers += 1
            self._spawn(self._write())

    async def _write(self) -> None:
        try:
            while self._unwritten:
                key = next(iter(self._unwritten))
                avatar_id = self._unwritten.pop(key)
                try:
                    await self._tell(key, avatar_id)
                except BusDown:
                    self._unwritten[key] = avatar_id
                    await asyncio.sleep(PAUSE)
        finally:
            self._writers -= 1

    async def _tell(self, key: str, avatar_id: str) -> None:
        """Set this node's sessions of an avatar id in the roster."""
        while True:
            revision, entries = await self._roster.read(key)
            own = self._holdings.placed_of(key)
            ids = {one.session_id for one in own}
            others = [
                one
                for one in self._claims.living(entries)
                if one.node != self._node and one.id not in ids
            ]
            told = others + [self._holdings.entry(one) for one in own]
            try:
                done = await self._claims.put(key, revision, avatar_id, told)
            except TooLarge:  # one session of each node is enough to find the others there
                few = list({entry.node: entry for entry in reversed(told)}.values())
                done = await self._claims.put(key, revision, avatar_id, few)
            # What was released meanwhile was not yet there to be taken out.
            if done and all(one.is_placed for one in own):
                return

    # -- after an outage -------------------------------------------------------------------------

    async def heal(self) -> None:
        """Make good what NATS has lost, or could not be told.

        Raises:
            BusDown: if it cannot be done now; it must be called again.
        """
        await self._heal()
        if not self._members.holds:
            self._members.hurry()  # one that comes back counts from now on

    async def _heal(self) -> None:
        lost = await self._roster.verify()
        generation = self._members.generation
        if self._roster.certain and not self._members.holds:
            return  # the places are looked at when there is a lease again, and not twice
        gap = generation != self._confirmed
        self._doubtful = gap and (lost or self._doubtful)
        if lost:
            # At once: the numbers begin anew, and would be those of other places.
            for holding in self._holdings.with_guests():
                holding.granted(0, alone=False)
        if self._doubtful and self._roster.is_new and not lost:
            self._roster.complete()  # what is held stays so until all owners have told it
            await self.pay()
            return
        all_known = not (self._doubtful and self._roster.is_new)
        placed = [holding for holding in self._holdings.with_guests() if holding.is_placed]
        look = partial(self._look_at, generation=generation, lost=lost)
        all_known &= all(await abreast(placed, look, WRITERS))
        if all_known:  # else it is looked at again when the lease is renewed
            self._confirmed = generation
        self._roster.complete()
        await self.pay()

    async def _look_at(self, holding: Holding, *, generation: int, lost: bool) -> bool:
        """Make one place good, see `heal`; return whether it is known now whose it is."""
        if not holding.exclusive:
            if lost:
                self.write_behind(holding)
            return True
        if not await self._confirm(holding, generation, lost=lost):
            return False
        if not holding.lost and not (self._doubtful and self._roster.is_new):
            holding.generation = generation
        return True

    async def _confirm(self, holding: Holding, generation: int, *, lost: bool) -> bool:
        """End a session whose place others have taken while this node was cut off.

        Args:
            holding: the place.
            generation: that of the lease in which the places are looked at.
            lost: whether NATS has lost the roster.

        Returns:
            Whether it is known; not while the session moves.
        """
        avatar_id = str(holding.avatar_id)
        # Others may have taken this node for dead, and what they write on top of the old revision
        # must fail.
        again = generation != self._confirmed
        while True:
            revision, entries = await self._roster.read(holding.key)
            if not holding.is_placed:
                return True
            if holding.handing_over is not None:
                return False
            mine = self._holdings.mark(holding)
            others = [one for one in entries if (one.id, one.node) != mine]
            is_there = len(others) < len(entries)
            # An avatar that others had meanwhile is not gone on with, whether it has ended or not.
            gone = self._holds and not is_there and holding.known and not holding.avatar_at
            # No other node takes a place in a new roster before the lease of its owner is over.
            kept = lost and self._members.holds and generation == self._members.generation
            doubtful = self._doubtful or not (is_there or kept)
            if gone or (doubtful and await self._is_taken(holding, others)):
                holding.lose(LogoutReason(LogoutCode.REPLACED, "while this server was cut off"))
                if others:
                    self._report.lost(holding, others[-1])
                return True
            if is_there and not again:
                return True
            told = entries if is_there else [*others, self._holdings.entry(holding)]
            written = await self._roster.write(holding.key, revision, avatar_id, told)
            if written is not None:
                holding.granted(written, alone=not others)
                if holding not in self._holdings.placed_of(holding.key):
                    await self.release(holding)  # it ended before there was something to take out
                return True

    async def _is_taken(self, holding: Holding, others: list[Entry]) -> bool:
        """Return whether a place that others could take is lost to them."""
        if not self._claims.shares:
            return len(others) >= self._claims.most
        if not holding.avatar_at:
            return any(entry.host != self._node for entry in others)
        known = await self._claims.is_guest(self._holdings.entry(holding))
        if known is None:
            raise BusDown(f"{holding.avatar_at} does not answer")
        return not known

    def end_exclusive(self) -> None:
        """End the sessions that others may open now that this node is cut off."""
        for holding in self._holdings.with_guests():
            if holding.exclusive:
                self.cut_off(holding)

    @staticmethod
    def cut_off(holding: Holding) -> None:
        """End a session, or a login that has its place, because this node is cut off."""
        if not holding.claiming:
            holding.lose(
                LogoutReason(LogoutCode.CUT_OFF, "this server has lost touch with the others")
            )

    async def sweep(self, node: str) -> None:
        """Take the sessions of a node that has died out of the roster.

        The living node with the lowest id of those that have known it does that. What it misses,
        claims pass over anyway.
        """
        if self._holds and not self._members.has_left(node):
            await asyncio.sleep(HELD * self._members.lease)
            while (life := self._members.life_of(node)) is Life.UNSURE:
                await asyncio.sleep(self._members.beat)
            if life is Life.ALIVE:
                return
        if self._node != min(self._members.witnesses(node) | {self._node}):
            return
        swept = 0
        try:
            async for revision, avatar_id, entries in self._roster.all():
                if all(node not in {entry.node, entry.host} for entry in entries):
                    continue
                living = self._claims.living(entries)
                rest = [one for one in living if await self._stays(one)]
                if rest == entries:
                    continue  # and not written again, which this would come upon once more
                await self._claims.put(key_of(avatar_id), revision, avatar_id, rest)
                swept += 1
                if swept % SWEPT_AT_A_TIME == 0:
                    await asyncio.sleep(PAUSE)
        except BusDown as error:
            logger.debug("The sessions of %s were not all taken out: %s", node, error)
        logger.info("Node %s is gone; %d of its users are taken out of the roster", node, swept)

    async def _stays(self, entry: Entry) -> bool:
        """Return whether a session must stay in the roster.

        The avatar of a client whose node has died may still have it as a guest. Then the node of
        the avatar takes it out when it has ended.
        """
        if self._members.life_of(entry.node) is not Life.DEAD:  # it might be back meanwhile
            return True
        return await self._claims.is_guest(entry) is not False
