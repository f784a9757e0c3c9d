"""Which nodes live, by leases: each node writes one to NATS again and again.

The write comes back on the subscription by which the node hears the others. Only that is the proof
that it holds its lease: whatever they wrote before, it has heard. Whoever does not hold its own
lease has no opinion on others, and a node is only declared dead by those who could hear it all the
time. No clocks are compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from time import monotonic
from typing import Protocol

from nats.aio.msg import Msg

from actorcred.cluster._tasks import cancel_all
from actorcred.cluster.complaints import Complaints
from actorcred.cluster.errors import BusDown, BusError, StoreLost
from actorcred.cluster.messages import Beat, Hello, pack, unpack

__all__ = ["LeaseBus", "Life", "Members"]

logger = logging.getLogger("actorcred.cluster")

MARGIN = 1.25
"""Others wait longer than the owner of a lease, by this factor: it has ended its sessions then."""

BEATS = 4
"""Writes of a lease in its time."""


CONFIRMATION = 2.0
"""Seconds for NATS to confirm a lease, before it is written again."""


class Life(Enum):
    """What a node knows of another one."""

    ALIVE = "alive"
    UNSURE = "unsure"
    DEAD = "dead"


class LeaseStore(Protocol):
    """Where leases are kept."""

    async def beat(self, data: bytes, timeout: float) -> None:
        """Write this node's lease."""


class LeaseBus(Protocol):
    """What leases need of the bus."""

    node: str

    async def listen(self, topic: str, handler: Callable[[Msg], object]) -> None:
        """Have a function called with the messages of a topic."""

    async def flush(self) -> None:
        """Wait until NATS has seen everything so far."""

    def tell_all(self, data: bytes) -> bool:
        """Send a message to all nodes, this one too."""

    async def change_server(self) -> None:
        """Leave this server of NATS for the next one, if there are others."""


@dataclass(slots=True)
class _Member:
    since: float
    heard: float
    beat: Beat


class Members:
    """The nodes of a cluster, as this one sees them.

    Args:
        bus: the way to the others.
        store: where leases are kept.
        lease: seconds; see `Cluster.connect`.
        describe: returns how many sessions this node has, and whether it is draining.

    Attributes:
        gaps: how many gaps there were in this node's lease.
        rules: the policy and the limits of this node's portal, in words; "" as long as it has none.
        trouble: why the lease was not renewed; "" if it was, or if that is not known.
        generation: grows with each gap in this node's lease. An answer to what was asked before a
            gap must not be believed.
        when_cut_off: functions that are called when this node's lease is over.
        when_back: functions that are called when it holds one again.
        when_joined: functions that are called with the id of a node that has come, or come back.
        when_dead: functions that are called once with the id of a node that has died or left.
        when_renewed: functions that are called with each renewal of the lease.
        when_store_lost: functions that are called when NATS has lost the leases.
        certain: says whether the roster has the places of this node, as far as it can know. If NATS
            might have lost it, a lease that comes back counts for nothing: the places might be
            given to others, who wait for no longer than a lease for their owners.
    """

    def __init__(
        self,
        bus: LeaseBus,
        store: LeaseStore,
        lease: float,
        describe: Callable[[], tuple[int, bool]],
    ) -> None:
        self._bus = bus
        self._store = store
        self.lease = lease
        self.beat = lease / BEATS
        self._describe = describe
        self.gaps = self.generation = 0
        self.when_cut_off: list[Callable[[], object]] = []
        self.when_back: list[Callable[[], object]] = []
        self.when_joined: list[Callable[[str], object]] = []
        self.when_dead: list[Callable[[str], object]] = []
        self.when_renewed: list[Callable[[], object]] = []
        self.when_store_lost: list[Callable[[], object]] = []
        self.certain: Callable[[], bool] = lambda: True
        self._known: dict[str, _Member] = {}
        self._buried: set[str] = set()
        self._held_since = self._valid_until = self._echo_at = 0.0
        self._deaf_since: float | None = None
        """When the connection was lost, until a beat that was sent later has come back."""
        self._changed_at = 0.0
        self._cut_off = True
        self.trouble = self.rules = ""
        self._odd: set[str] = set()
        self._complaints = Complaints()
        self._wake = asyncio.Event()
        self._first = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Take a lease, and begin to renew it.

        Raises:
            BusError: if there is none within a lease's time.
        """
        await self._bus.listen("lease.*", self._heard)
        await self._bus.flush()
        self._changed_at = monotonic()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._renew()), loop.create_task(self._watch())]
        # Whoever is there says so at once, so that a newcomer need not wait for the next beat.
        self._bus.tell_all(pack(Hello(self._bus.node)))
        try:
            await asyncio.wait_for(self._first.wait(), max(self.lease, 5.0))
        except TimeoutError:
            await cancel_all(self._tasks)
            raise BusError("NATS does not return the lease of this node") from None

    async def leave(self) -> None:
        """End the lease in good order: the others need not wait until it is over."""
        await cancel_all(self._tasks)
        self._valid_until = 0.0
        with contextlib.suppress(BusDown):
            await self.bury(self._bus.node)

    async def bury(self, node: str) -> None:
        """Tell all that a node has ended, so that they need not wait until its lease is over.

        Raises:
            BusDown: if NATS did not confirm it in time.
        """
        left = Beat(node, monotonic(), left=True)
        await self._store.beat(pack(left), self.beat)

    # -- this node -------------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        """Whether this node holds its lease."""
        return monotonic() < self._valid_until

    def hurry(self) -> None:
        """Renew the lease at once."""
        self._wake.set()

    def interrupt(self) -> None:
        """Note that the connection is lost, and with it what others say until it is back."""
        self._deaf_since = monotonic()

    async def _renew(self) -> None:
        while True:
            pause = self.beat
            sessions, draining = self._describe()
            beat = Beat(
                self._bus.node,
                monotonic(),
                sessions,
                draining,
                lease=self.lease,
                rules=self.rules,
            )
            try:
                await self._store.beat(pack(beat), min(self.beat, CONFIRMATION))
            except BusDown as error:
                logger.debug("The lease was not renewed: %s", error)
                self.trouble = str(error)
                pause = min(0.25, pause)
                if isinstance(error, StoreLost):
                    self._call(self.when_store_lost)
            except Exception:  # whatever it is, the next one must be written
                logger.exception("The lease was not renewed:")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause)
            self._wake.clear()

    def _echo(self, sent: float) -> None:
        """Note that a lease of this node has come back."""
        now = monotonic()
        self.trouble = ""
        if not self.certain():
            self.trouble = "NATS might have lost the roster"
            self._changed_at = now  # this server does return the lease, so it is not left
            return
        # By now, not by when it was sent: late beats can come back in a row, a lease apart.
        if now >= self._valid_until:
            self.gaps += self._valid_until > 0.0
            self._held_since = now
            self.generation += 1
        if self._deaf_since is not None and sent >= self._deaf_since:
            self._deaf_since = None
            self._held_since = now
        # When it was sent: what others wrote between that and now can be on its way.
        self._echo_at = sent
        self._valid_until = max(self._valid_until, sent + self.lease)
        if not self.holds:
            return
        self._first.set()
        if self._cut_off:
            self._cut_off = False
            self._call(self.when_back)
        self._call(self.when_renewed)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 20)
            await self._change_server()
            if not self.holds and not self._cut_off:
                self._cut_off = True
                self.generation += 1
                self._call(self.when_cut_off)
            for node in list(self._known):
                if node not in self._buried and self.life_of(node) is Life.DEAD:
                    self._buried.add(node)
                    self._call(self.when_dead, node)
            self._forget()

    async def _change_server(self) -> None:
        """Go to another server of NATS in time if this one does not renew the lease.

        It can have lost touch with the others, and still be connected to this node.
        """
        now, patience = monotonic(), self.lease / 2
        if now - max(self._echo_at, self._changed_at) > patience:
            self._changed_at = now
            await self._bus.change_server()

    def _forget(self) -> None:
        """Forget nodes that have been dead for long; ids do not come again."""
        old = monotonic() - 10 * self.lease
        for node in [node for node in self._buried if self._known[node].heard < old]:
            self._buried.discard(node)
            self._odd.discard(node)
            del self._known[node]

    @staticmethod
    def _call(functions: list[Callable[..., object]], *args: object) -> None:
        for function in functions:
            try:
                function(*args)
            except Exception:
                logger.exception("A change of the cluster could not be followed:")

    # -- the others ------------------------------------------------------------------------------

    def _heard(self, msg: Msg) -> None:
        try:
            beat = unpack(msg.data)
        except BusError as error:
            self._complaints.warn("no lease", f"Not a lease: {error}")
            return
        if not isinstance(beat, Beat):
            self._complaints.warn("no lease", f"Not a lease: {type(beat).__name__}")
        elif beat.node != self._bus.node:
            now, known = monotonic(), self._known.get(beat.node)
            joins = known is None or beat.node in self._buried
            since = now if known is None or joins else known.since
            self._known[beat.node] = _Member(since, now, beat)
            if not beat.left:
                self._buried.discard(beat.node)
                self._compare(beat)
                if joins:
                    self._call(self.when_joined, beat.node)
        elif not beat.left:
            self._echo(beat.at)

    def _compare(self, beat: Beat) -> None:
        """Report a node that decides by other rules: there, a user might get in twice."""
        theirs, ours = (
            f"{beat.rules}, lease {beat.lease:g} s",
            f"{self.rules}, lease {self.lease:g} s",
        )
        if theirs == ours or not beat.rules or not self.rules or beat.node in self._odd:
            return
        self._odd.add(beat.node)
        logger.error(
            "Node %s has other rules (%s) than node %s (%s). All nodes of a cluster must have the "
            "same, or a user can get in more often than is allowed",
            beat.node,
            theirs,
            self._bus.node,
            ours,
        )

    def life_of(self, node: str) -> Life:
        """Return whether a node lives."""
        if node == self._bus.node:
            return Life.ALIVE
        member = self._known.get(node)
        if member is not None and member.beat.left:
            return Life.DEAD
        if not self.holds or self._deaf_since is not None:
            return Life.UNSURE
        # Its silence counts only while this node could hear it, and only until this node sent the
        # last beat that came back: what was said since may be on its way.
        heard = self._held_since if member is None else max(member.heard, self._held_since)
        lease = self.lease if member is None else max(self.lease, member.beat.lease)
        if self._echo_at - heard >= lease * MARGIN:
            return Life.DEAD
        if member is not None and monotonic() - member.heard < 2.5 * self.beat:
            return Life.ALIVE
        return Life.UNSURE

    def last_heard(self, node: str) -> tuple[float, bool]:
        """Return how many seconds ago a node was heard last, and whether it has left."""
        member = self._known[node]
        return monotonic() - member.heard, member.beat.left

    def has_left(self, node: str) -> bool:
        """Return whether a node has said that it ends, or was known to have ended."""
        member = self._known.get(node)
        return member is not None and member.beat.left

    def witnesses(self, node: str) -> set[str]:
        """Return the ids of the others that know that a node has died: they came before that."""
        member = self._known.get(node)
        last = monotonic() if member is None else member.heard
        return {other for other in self.others() if self._known[other].since <= last}

    def others(self) -> set[str]:
        """Return the ids of the other nodes that are not known to be dead."""
        known = list(self._known)  # thread-safe
        return {node for node in known if self.life_of(node) is not Life.DEAD}

    def loads(self) -> dict[str, int]:
        """Return the nodes that let sessions in, with how many they had when last heard."""
        return {
            node: self._known[node].beat.sessions
            for node in self.others()
            if not self._known[node].beat.draining
        }

    def sessions_elsewhere(self) -> int:
        """Return how many sessions the others had when they were last heard."""
        return sum(self._known[node].beat.sessions for node in self.others())
