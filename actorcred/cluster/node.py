"""One node of a cluster: its parts, and how they work together. It runs on one event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from actorcred.actors import AsyncioDispatcher, Future
from actorcred.cluster import messages as m
from actorcred.cluster._tasks import cancel_all, logged
from actorcred.cluster.adoption import Adopt
from actorcred.cluster.answers import Answers
from actorcred.cluster.bus import Bus
from actorcred.cluster.claims import Claims
from actorcred.cluster.errors import BusDown, BusError
from actorcred.cluster.groups import ClusterGroups
from actorcred.cluster.guests import Guests
from actorcred.cluster.holdings import Holding, Holdings
from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.members import MARGIN, Life, Members
from actorcred.cluster.messages import Message, pack
from actorcred.cluster.moves import Moves
from actorcred.cluster.peers import Peers
from actorcred.cluster.penalties import Penalties
from actorcred.cluster.pipes import Pipes
from actorcred.cluster.presence import ClusterPresence
from actorcred.cluster.replies import answer_later
from actorcred.cluster.report import Report
from actorcred.cluster.revocations import Revocations
from actorcred.cluster.roster import Roster, key_of
from actorcred.cluster.settings import CutOff, NatsOptions
from actorcred.cluster.store import Store
from actorcred.cluster.upkeep import Upkeep
from actorcred.cluster.used import Used
from actorcred.cluster.visits import Visits
from actorcred.sessions.groups import Groups
from actorcred.sessions.policies import Limits
from actorcred.sessions.presence import PresenceHost, PresenceLink
from actorcred.sessions.registry import SessionHost
from actorcred.sessions.session import Session

__all__ = ["ClusterNode"]

logger = logging.getLogger("actorcred.cluster")

R = TypeVar("R")

SKEW = 30.0
"""Seconds between the clocks of a node and of NATS that are reported."""

HEAL_PAUSE = 0.5
"""Seconds until healing is tried again."""


class ClusterNode:
    """A node of a cluster.

    Args:
        node: its id, new at each start, so that nothing old is inherited.
        options: where NATS is.
        lease: seconds; see `Cluster.connect`.
        cut_off: what happens to sessions while this node is cut off.
        dispatcher: the event loop on which all of it runs.

    Attributes:
        id: the node's id.
        draining: whether it lets nobody in.
        used: what can be used once.
        penalties: what has failed.
    """

    def __init__(
        self,
        node: str,
        options: NatsOptions,
        lease: float,
        cut_off: CutOff,
        dispatcher: AsyncioDispatcher,
    ) -> None:
        self.id = node
        self.draining = False
        self._cut_off = cut_off
        self._dispatcher = dispatcher
        self._tasks: set[asyncio.Task[None]] = set()
        self._healing = self._checking = self._check_again = False
        self.holdings = Holdings(node)
        self.interfaces = Interfaces()
        self.answers = Answers(node, self.holdings, self._spawn, self._hurry)
        self.guests = Guests(self, self._spawn)
        self.visits = self.answers.visits = Visits(self, self.guests)
        self.bus = Bus(options, node, self.answers.receive)
        self.store = Store(self.bus)
        self.members = Members(self.bus, self.store, lease, self._describe)
        self.roster = Roster(self.store, lease * MARGIN)
        self.members.certain = self._is_certain
        self.peers = Peers(self.bus, self.members)
        self.pipes = Pipes(node, self.bus, self.members, self)
        self.used = Used(self.store, self.heal)
        self.revocations = Revocations(self.bus, self.store, self._spawn)
        self.penalties = Penalties(self.bus, self._spawn, self.members.others, self.peers.ask)
        self._groups = ClusterGroups(self, self.bus, self._spawn)
        self._presence = ClusterPresence(self, self.members)
        self.answers.handlers |= dict.fromkeys(Guests.MESSAGES, self.guests.receive)
        self.answers.handlers |= dict.fromkeys(Visits.MESSAGES, self.visits.receive)
        self.answers.handlers |= dict.fromkeys(Pipes.MESSAGES, self.pipes.receive)
        self.moves: Moves
        self.answers.handlers |= {
            m.Failed: lambda message, _: self.penalties.hear(message),
            m.ListFailures: lambda _, answer: answer_later(self.penalties.standing(), answer),
            m.JoinGroup: self._groups.receive,
            m.ListGroup: self._groups.receive,
            m.WatchUsers: lambda message, _: self._presence.hear_watch(message),
            m.UsersChanged: lambda message, _: self._presence.hear(message),
            m.WatchAgain: lambda message, _: self._presence.hear_again(message),
            Adopt: lambda message, answer: self._spawn(self.moves.receive(message, answer)),
        }
        self._report = Report(self.holdings, self.members, self.roster)
        self._claims: Claims
        self._upkeep: Upkeep
        self.serve(Limits(), None)

    def serve(self, limits: Limits, host: SessionHost | None) -> None:
        """Set the policy and the portal. They must be set before the first login."""
        self._claims = Claims(
            self.id, limits, self.holdings, self.roster, self.members, self.peers, self.visits
        )
        self._upkeep = Upkeep(
            self.id,
            self.holdings,
            self.roster,
            self.members,
            self._claims,
            self._report,
            self._spawn,
            holds=self._cut_off is CutOff.HOLD,
        )
        self.moves = Moves(
            self.id,
            self.bus,
            self.holdings,
            self.roster,
            self.members,
            self._claims,
            self.peers,
            self.release,
            self._upkeep.write_behind,
        )
        self.answers.host = self.guests.host = self.moves.host = host
        self._report.host = self.penalties.host = self.revocations.host = host
        if host is not None:
            self.interfaces.add(host.interfaces())
            self.members.rules = _rules_of(limits)
            self.post(self._learn_penalties)

    def _learn_penalties(self) -> None:
        self._spawn(self.penalties.catch_up())

    @property
    def groups(self) -> Groups:
        """The named groups of the portal."""
        return self._groups.groups

    def link(self, presence: PresenceHost) -> PresenceLink:
        """Return the way to the presence of users at other nodes."""
        self._presence.serve(presence)
        return self._presence

    def find(self, session_id: str) -> Session | None:
        """Return an open session of this node; on the event loop."""
        holding = self.holdings.get(session_id)
        return None if holding is None else holding.session

    def home_of(self, session: Session) -> str:
        """Return the node of a session's client, which is another one for a guest."""
        guest = self.holdings.guests.get(session.id)
        return self.id if guest is None else guest.node

    def _hurry(self) -> None:
        self.members.hurry()

    def _describe(self) -> tuple[int, bool]:
        return self.holdings.sessions, self.draining

    # -- start and end ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect to NATS, and take a lease.

        Raises:
            BusError: if that is not possible.
        """
        await self.bus.open()
        try:
            await self.store.open()
            await self.revocations.open()
            await self.roster.verify()
            self.roster.complete()
            self.bus.when_away += [self.roster.doubt, self.members.interrupt, self.guests.interrupt]
            self.bus.when_back += [self.heal, self.members.hurry, self.check]
            self.members.when_store_lost += [self.roster.doubt, self.heal]
            self.members.when_cut_off.append(self._when_cut_off)
            self.members.when_joined.append(self.penalties.meet)
            self.members.when_back += [self.heal, self.check]
            self.members.when_renewed.append(self._when_renewed)
            self.members.when_dead += [
                self.bus.forget,
                self.guests.node_died,
                self.visits.node_died,
                self._when_dead,
            ]
            await self.members.open()
            now = await self.store.time()
            self._compare_clocks(now)
            if not self.bus.options.is_new:
                self.roster.join(now)
            if self.bus.options.replaces:
                await self._bury(self.bus.options.replaces)
        except (BusDown, BusError) as error:
            said = self.bus.client.refusal
            await self._leave()
            why = f"NATS does not answer: {error}" if isinstance(error, BusDown) else str(error)
            raise BusError(f"{why}. NATS says: {said}" if said else why) from None
        except BaseException:
            await self._leave()
            raise

    async def _bury(self, node: str) -> None:
        """Tell all that a node has ended; see `NatsOptions.replaces`."""
        try:
            await self.members.bury(node)
        except BusDown as error:
            logger.warning("The others find out themselves that %s has ended: %s", node, error)

    def _compare_clocks(self, now: datetime) -> None:
        if abs(ahead := (datetime.now(UTC) - now).total_seconds()) > SKEW:
            logger.warning(
                "The clock of node %s is %.0f s ahead of that of NATS. Sessions are in the order "
                "of the clocks of their nodes: check which one is wrong",
                self.id,
                ahead,
            )

    async def close(self, timeout: float) -> None:
        """Give up what is left, and leave the cluster.

        Args:
            timeout: seconds for NATS to take what it is told.
        """
        self.draining = True
        deadline = self._dispatcher.loop.time() + timeout
        while (len(self.holdings) or self._upkeep.backlog) and self.bus.connected:
            if self._dispatcher.loop.time() >= deadline:
                break
            await asyncio.sleep(0.01)
        await self._leave()

    async def _leave(self) -> None:
        self.pipes.close()
        await self.members.leave()
        await cancel_all(self._tasks)
        await self.bus.close()

    def gauges(self) -> Mapping[str, float]:
        """Return the numbers of this node for metrics. Thread-safe."""
        return {
            "cluster_members": len(self.members.others()) + 1,
            "cluster_lease_held": float(self.members.holds),
            "cluster_releases_owed": self._upkeep.backlog,
            "cluster_gaps": self.members.gaps,
            "cluster_messages_dropped": self.bus.dropped + self.penalties.dropped,
        }

    # -- from other threads ----------------------------------------------------------------------

    def run(self, coroutine: Coroutine[Any, Any, R]) -> Future[R]:
        """Run a coroutine on the event loop. Thread-safe."""
        return self._dispatcher.spawn(coroutine)

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the event loop; at once if that is the running one. Thread-safe."""
        if asyncio._get_running_loop() is self._dispatcher.loop:
            function(*args)
            return
        try:
            self._dispatcher.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            logger.debug("The event loop of the cluster has ended")

    def tell(self, node: str, message: Message) -> None:
        """Send a node a message. Thread-safe."""
        data = pack(message)  # here, so that the caller gets the errors
        if asyncio._get_running_loop() is self._dispatcher.loop:
            self.bus.tell(node, data)
        else:
            self.bus.check_size(data)
            self.post(self.bus.tell, node, data)

    def publish(self, node: str, data: bytes) -> bool:
        """Send a node a message; return whether it is on its way."""
        return self.bus.tell(node, data)

    @property
    def backlog(self) -> int:
        """The number of messages that wait for NATS. Thread-safe."""
        return self.bus.backlog

    async def sent(self) -> None:
        """Wait until what waits for NATS is sent, or dropped."""
        await self.bus.sent()

    def check_size(self, data: bytes, more: int = 0) -> None:
        """Check that NATS takes a message; see `Bus.check_size`. Thread-safe."""
        self.bus.check_size(data, more)

    async def ask(self, node: str, message: Message, timeout: float | None = None) -> Any:
        """Ask a node; see `Peers.ask`."""
        return await self.peers.ask(node, message, timeout)

    async def gather(self, message: Message) -> tuple[dict[str, Any], frozenset[str]]:
        """Ask all other nodes; see `Peers.gather`."""
        return await self.peers.gather(message)

    async def nodes_of(self, avatar_id: str) -> set[str]:
        """Return the other nodes that have sessions of an avatar id.

        Raises:
            BusDown: if NATS does not answer.
        """
        _, entries = await self.roster.read(key_of(avatar_id))
        return {entry.node for entry in self._claims.living(entries)} - {self.id}

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._dispatcher.loop.create_task(logged(coroutine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: coroutine.close())  # if it was cancelled before it began

    # -- places ----------------------------------------------------------------------------------

    def hold(self, holding: Holding) -> None:
        """Record a login, for which `claim` is called next if it is exclusive, or a session."""
        holding.claiming = holding.exclusive
        if holding.exclusive or self.holdings.get(holding.session_id) is None:
            self.holdings.add(holding)

    async def claim(self, holding: Holding, within: float) -> None:
        """Find a place for a login; see `Claims.claim`. It is released if there is none."""
        granted = False
        try:
            if not holding.dropped:
                await self._claims.claim(holding, within)
            granted = not holding.dropped
        finally:
            holding.settled()
            if not granted:
                holding.leaving = True
                self._spawn(self._upkeep.release(holding))

    def is_lost(self, holding: Holding) -> bool:
        """Return whether others may have a place that was granted. Thread-safe."""
        return holding.lost or (self._cut_off is not CutOff.KEEP and not self.members.holds)

    def suspension(self, session_id: str) -> Callable[[], float] | None:
        """Return what decides about the calls of a session; see `Session.suspension`. Thread-safe.

        Calls must wait from the end of the lease until it is known again that others have not taken
        the place. That is looked at with each call, so that none gets through when the process has
        paused for long.
        """
        holding = self.holdings.get(session_id) or self.holdings.guests.get(session_id)
        if self._cut_off is not CutOff.HOLD or holding is None or not holding.exclusive:
            return None
        members = self.members

        def wait() -> float:
            # In this order: a lease that begins anew after a gap has another generation by then.
            held = members.holds and holding.generation == members.generation
            return 0.0 if held else members.beat

        return wait

    def fence(self, revision: int) -> int:
        """Return the number of a place."""
        return self.roster.fence(revision)

    def opened(self, session: Session) -> None:
        """Record a session."""
        holding = self.holdings.opened(session)
        if holding is None:
            return
        self._report.opened(holding)
        if not holding.exclusive:
            self._upkeep.write_behind(holding)
        elif holding.avatar_at and self.members.life_of(holding.avatar_at) is Life.DEAD:
            self.visits.node_died(holding.avatar_at)  # before there was a session to end
        elif self._cut_off is CutOff.END and not self.members.holds:
            self._upkeep.cut_off(holding)

    def release(self, session_id: str) -> None:
        """Record that nothing is left of a session, or that its login has failed."""
        holding = self.holdings.get(session_id)
        if holding is not None and holding.claiming:
            holding.dropped = True
            return
        holding = self.holdings.leave(session_id)
        if holding is None:
            self.guests.released(session_id)
        elif holding.exclusive:
            self._spawn(self._upkeep.release(holding))
        else:
            self.holdings.forget(holding)
            self._upkeep.write_behind(holding)

    def may_decide(self) -> bool:
        """Return whether this node may let a client share an avatar."""
        return self.members.holds and not self.draining

    def forget_guest(self, guest: Holding) -> None:
        """Record that nothing is left of a guest."""
        if self.members.life_of(guest.node) is Life.DEAD:
            self._spawn(self._upkeep.release(guest))  # its own node cannot do that any more
        else:
            self.holdings.forget(guest)

    # -- cut off, and back -----------------------------------------------------------------------

    def _when_cut_off(self) -> None:
        why = self.members.trouble or "NATS does not return its lease"
        logger.warning("Node %s has lost touch with the others: %s", self.id, why)
        self._report.cut_off(self._cut_off)
        if self._cut_off is CutOff.END:
            self._upkeep.end_exclusive()

    def _when_dead(self, node: str) -> None:
        self._report.gone(node)
        self._spawn(self._upkeep.sweep(node))

    def _is_certain(self) -> bool:
        if not self.roster.certain:
            self.heal()
        return self.roster.certain

    def _when_renewed(self) -> None:
        if self.roster.verified and self._upkeep.confirmed:
            self._spawn(self._upkeep.pay())
        else:
            self.heal()

    def heal(self) -> None:
        """Make good what NATS has lost or could not be told, until that has succeeded."""
        if not self._healing:
            self._healing = True
            self._spawn(self._heal())

    async def _heal(self) -> None:
        try:
            while True:
                try:
                    await self._upkeep.heal()
                    await self.revocations.catch_up()
                except BusDown as error:
                    logger.debug("Not healed yet: %s", error)
                    await asyncio.sleep(HEAL_PAUSE)
                else:
                    if self._upkeep.confirmed:
                        self._report.healed()
                    self._learn_penalties()
                    return
        finally:
            self._healing = False

    def check(self) -> None:
        """Compare shared avatars with the other nodes, until that has succeeded."""
        self._check_again = True
        if not self._checking:
            self._checking = True
            self._spawn(self._check())

    async def _check(self) -> None:
        try:
            while self._check_again:
                self._check_again = False
                try:
                    await self.visits.check()
                    await self.guests.check()
                except BusDown as error:
                    logger.debug("Shared avatars are compared later: %s", error)
                    self._check_again = True
                    await asyncio.sleep(HEAL_PAUSE)
        finally:
            self._checking = False


def _rules_of(limits: Limits) -> str:
    each = "no limit" if limits.per_avatar is None else str(limits.per_avatar)
    total = "no limit" if limits.total is None else str(limits.total)
    return f"policy {limits.policy}, per user {each}, in all {total}"
