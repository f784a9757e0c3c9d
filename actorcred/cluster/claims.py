"""Claiming and releasing places in the roster, by compare-and-set.

A claim reads the roster, decides with the policy of a single process, and writes. It begins anew if
another node was faster, and after anything that makes an earlier answer doubtful: a gap in this
node's lease, or a roster that NATS has lost.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Set
from enum import Enum
from time import monotonic

from actorcred.cluster.errors import BusDown, TooLarge
from actorcred.cluster.holdings import Holding, Holdings
from actorcred.cluster.members import MARGIN, Life, Members
from actorcred.cluster.peers import Peers
from actorcred.cluster.roster import Entry, Roster
from actorcred.cluster.visits import Visits
from actorcred.errors import CheckerUnavailable, LoginDenied, RefusalCause
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.sessions.policies import Admit, Deny, Limits, Policy, decide
from actorcred.throttle import RETRY_AFTER

__all__ = ["Claims"]

logger = logging.getLogger("actorcred.cluster")

PATIENCE = 5.0
"""Seconds for which a login waits for a node that is cut off to be back."""

CONFLICTS = 50
"""Writes that may be lost in a row before a release is put off."""


class Outcome(Enum):
    """What came of one try to get a place."""

    GRANTED = "granted"

    AGAIN = "again"
    """What was in the way is gone: the next try can be made at once."""

    LATER = "later"
    """Another node was faster, or it cannot be decided now."""


class Claims:
    """Finds places for the logins of this node, and gives them up.

    Args:
        node: the id of this node.
        limits: the policy, the same on all nodes.
        holdings: what this node has.
        roster: what NATS knows.
        members: which nodes live.
        peers: the other nodes.
        visits: shares avatars of other nodes.

    Attributes:
        shares: whether the policy is SHARE.
    """

    def __init__(  # noqa: PLR0917  # the parts of a node
        self,
        node: str,
        limits: Limits,
        holdings: Holdings,
        roster: Roster,
        members: Members,
        peers: Peers,
        visits: Visits,
    ) -> None:
        self.shares = limits.policy is Policy.SHARE
        self._node = node
        self._limits = limits
        self._holdings = holdings
        self._roster = roster
        self._members = members
        self._peers = peers
        self._visits = visits

    @property
    def limited(self) -> bool:
        """Whether the policy limits how many sessions there may be."""
        return self._limits != Limits()

    @property
    def safe(self) -> bool:
        """Whether this node may decide about places."""
        return self._members.holds and self._roster.usable

    @property
    def most(self) -> float:
        """How many sessions of an avatar id there can be, if they do not share an avatar."""
        any_number = self._limits.policy is Policy.ALLOW
        return self._limits.per_avatar or (math.inf if any_number else 1)

    # -- claiming --------------------------------------------------------------------------------

    async def claim(self, holding: Holding, within: float) -> None:
        """Find a place.

        Args:
            holding: the place, of which `granted` is called.
            within: seconds.

        Raises:
            LoginDenied: if the policy denies it.
            CheckerUnavailable: if none was found in time, or this node is cut off.
        """
        began = monotonic()
        patience = began + min(within, PATIENCE)
        try:
            async with asyncio.timeout(within):
                if holding.follows is not None:
                    await holding.follows.wait_gone()
                disowned: set[tuple[str, str]] = set()
                pause = 0.0
                while (outcome := await self._try(holding, disowned)) is not Outcome.GRANTED:
                    if outcome is Outcome.AGAIN:
                        continue
                    if not self._members.holds and monotonic() > patience:
                        raise CheckerUnavailable("cut off from the other nodes")
                    # Those that compete for one avatar id must not do so in step.
                    pause = min(0.1, pause * 2 + 0.005)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        except TimeoutError:
            raise CheckerUnavailable("no place was found in time") from None
        holding.waited = monotonic() - began

    async def _try(self, holding: Holding, disowned: set[tuple[str, str]]) -> Outcome:
        """Try once to get a place.

        Args:
            holding: the place.
            disowned: ids of sessions in the roster, and of nodes that are known not to have them.
                A session can move meanwhile.
        """
        if not self.safe:
            return Outcome.LATER
        generation = self._members.generation
        try:
            revision, entries = await self._roster.read(holding.key)
            if not self._still_true(generation):
                return Outcome.LATER
            # If it was written and only the confirmation was lost, it is written again: others may
            # have taken this node for dead meanwhile, and only a new revision makes them fail.
            others = [entry for entry in entries if entry.id != holding.session_id]
            live = self._with_own(holding, self.living(others, disowned))
            present = [entry for entry in live if not self._is_dead(entry.node)]
            total = self._holdings.sessions + self._members.sessions_elsewhere()
            decision = decide(self._limits, present, 0, total)
            if isinstance(decision, Deny):
                return await self._deny(decision, present, disowned)
            if isinstance(decision, Admit) and decision.evict:
                return await self._evict(holding, decision.evict, disowned)
            if not await self._take(holding, revision, live):
                return Outcome.LATER
            good = self._still_true(generation)
            if good and holding.joins:
                good = await self._join(holding, live, disowned) and self._still_true(generation)
            if good:
                holding.generation = generation
                self._note_dead(holding, others)
                return Outcome.GRANTED
            # Somebody might think that this node is dead, or it is another roster.
            await self.take_out(holding)
        except TooLarge as error:
            raise CheckerUnavailable(f"too many sessions of one user: {error}") from None
        except BusDown as error:
            logger.debug("A claim has to wait: %s", error)
        return Outcome.LATER

    def _note_dead(self, holding: Holding, others: list[Entry]) -> None:
        """Record which sessions of dead nodes a login takes over, also if they are swept by now."""
        known = {one.entry.id for one in holding.taken}
        for entry in others:
            if entry.node != self._node and entry.id not in known:
                holding.takes_over(entry, "dead")
        holding.taken = tuple(
            one
            for one in holding.taken
            if one.cause == "replaced" or self._members.life_of(one.entry.node) is Life.DEAD
        )

    async def _take(self, holding: Holding, revision: int, live: list[Entry]) -> bool:
        """Write a place into the roster; return False if another node was faster."""
        # An avatar that is there is shared even if only a client is left whose node has died.
        host = live[0].host if self.shares and live else ""
        holding.placed("" if host == self._node else host, joins=bool(host))
        if not holding.avatar_at:
            await self._visits.leave(holding)
        told = [*live, self._holdings.entry(holding)]
        written = await self._roster.write(holding.key, revision, str(holding.avatar_id), told)
        if written is not None:
            holding.granted(written, alone=not live)
        return written is not None

    async def _join(
        self, holding: Holding, live: list[Entry], disowned: set[tuple[str, str]]
    ) -> bool:
        """Share the avatar that others have; return False if it is gone.

        Then those of the others are disowned that nobody has: nothing is left that they share.
        """
        if await self._visits.join(holding):
            return True
        host = holding.avatar_at or self._node
        there = [entry for entry in live if entry.host == host]
        known = await asyncio.gather(*map(self._is_known, there))
        disowned.update(
            (one.id, one.node) for one, knows in zip(there, known, strict=True) if knows is False
        )
        return False

    def _still_true(self, generation: int) -> bool:
        return self.safe and generation == self._members.generation

    def living(
        self, entries: list[Entry], disowned: Set[tuple[str, str]] = frozenset()
    ) -> list[Entry]:
        """Return the entries of avatars at nodes that may live; of its own, a node knows best.

        The avatar of a client whose node has died lives on until its own node has noticed that.
        """
        return [
            entry
            for entry in entries
            if (entry.id, entry.node) not in disowned
            and (entry.node != self._node or self._holdings.get(entry.id) is not None)
            and not self._is_dead(entry.host)
            and (not self._is_dead(entry.node) or self._may_be_guest(entry))
        ]

    def _is_dead(self, node: str) -> bool:
        return self._members.life_of(node) is Life.DEAD

    def _may_be_guest(self, entry: Entry) -> bool:
        return entry.host != self._node or entry.id in self._holdings.guests

    def _with_own(self, holding: Holding, live: list[Entry]) -> list[Entry]:
        there = {entry.id for entry in live}
        own = (one for one in self._holdings.placed_of(holding.key) if one is not holding)
        return live + [self._holdings.entry(one) for one in own if one.session_id not in there]

    async def _deny(
        self, decision: Deny, live: list[Entry], disowned: set[tuple[str, str]]
    ) -> Outcome:
        """Deny a login, unless a session that is in its way does not exist.

        A write that was given up can have come late, and nobody has that session.
        """
        known = await asyncio.gather(*map(self._is_known, live))
        ghosts = {
            (entry.id, entry.node)
            for entry, there in zip(live, known, strict=True)
            if there is False
        }
        if ghosts:
            disowned |= ghosts
            return Outcome.AGAIN
        unsure = any(self._members.life_of(entry.node) is not Life.ALIVE for entry in live)
        wait = self._members.lease * MARGIN if unsure else RETRY_AFTER
        denied = LoginDenied(decision.why, retry_after=wait)
        raise denied.because(RefusalCause.SESSION_LIMIT)

    async def _is_known(self, entry: Entry) -> bool | None:
        if entry.node == self._node:
            return self._holdings.knows(entry.id)
        return False if self._is_dead(entry.node) else await self._peers.is_known(entry)

    async def is_guest(self, entry: Entry) -> bool | None:
        """Return whether the node of an avatar has the session as a guest; None if unknown."""
        if entry.host == self._node:
            return entry.id in self._holdings.guests
        return await self._peers.is_known(Entry(entry.id, entry.host))

    async def _evict(
        self, holding: Holding, entries: tuple[Entry, ...], disowned: set[tuple[str, str]]
    ) -> Outcome:
        ended = await asyncio.gather(*map(self._end, entries))
        for entry, done in zip(entries, ended, strict=True):
            if done:
                disowned.add((entry.id, entry.node))
            if entry.node != self._node:
                holding.takes_over(entry, "replaced" if done else "dead")
        return Outcome.AGAIN if all(ended) else Outcome.LATER

    async def _end(self, entry: Entry) -> bool:
        reason = LogoutReason(LogoutCode.REPLACED)
        if entry.node != self._node:
            return await self._peers.end(entry, reason)
        holding = self._holdings.get(entry.id)
        if holding is not None:
            await holding.end(reason)
        return True

    # -- releasing -------------------------------------------------------------------------------

    async def take_out(self, holding: Holding) -> None:
        """Take a place out of the roster.

        Raises:
            BusDown: if that could not be done now.
        """
        await self._visits.leave(holding)
        # The revision is that of another place if NATS has lost the roster, see `Upkeep.heal`.
        known = self._roster.verified and holding.alone and holding.revision
        if known and await self._roster.remove(holding.revision):
            return
        for _ in range(CONFLICTS):
            revision, entries = await self._roster.read(holding.key)
            mine = self._holdings.mark(holding)
            if all((entry.id, entry.node) != mine for entry in entries):
                return
            rest = [entry for entry in self.living(entries) if (entry.id, entry.node) != mine]
            if await self.put(holding.key, revision, str(holding.avatar_id), rest):
                return
        raise BusDown("other nodes were faster again and again")

    async def put(self, key: str, revision: int, avatar_id: str, entries: list[Entry]) -> bool:
        """Set the sessions of a key; return False if another node was faster.

        Raises:
            BusDown: if NATS did not confirm it.
        """
        if not entries:
            return not revision or await self._roster.remove(revision)
        return await self._roster.write(key, revision, avatar_id, entries) is not None
