"""Reporting what happens in a cluster as events of the portal."""

from __future__ import annotations

from time import monotonic

from actorcred.cluster.events import NodeBack, NodeCutOff, NodeGone, PlaceLost, TakenOver
from actorcred.cluster.holdings import Holding, Holdings
from actorcred.cluster.members import Members
from actorcred.cluster.roster import Entry, Roster
from actorcred.cluster.settings import CutOff
from actorcred.portal.events import Event
from actorcred.sessions.registry import SessionHost

__all__ = ["Report"]


class Report:
    """Publishes the events of one node.

    Args:
        holdings: what the node has.
        members: the nodes.
        roster: numbers the places.

    Attributes:
        host: the portal, once there is one.
    """

    def __init__(self, holdings: Holdings, members: Members, roster: Roster) -> None:
        self.host: SessionHost | None = None
        self._holdings = holdings
        self._members = members
        self._roster = roster
        self._cut_off_at: float | None = None
        self._lost = 0

    def _publish(self, event: Event) -> None:
        if self.host is not None:
            self.host.publish(event)

    def _exclusive(self) -> int:
        return sum(one.exclusive and one.session is not None for one in self._holdings)

    def _cut_for(self) -> float:
        return 0.0 if self._cut_off_at is None else monotonic() - self._cut_off_at

    def opened(self, holding: Holding) -> None:
        """Report the sessions of other nodes whose places a session has."""
        for entry, cause in holding.taken:
            self._publish(
                TakenOver(
                    holding.session_id,
                    holding.avatar_id,
                    self._roster.fence(holding.revision),
                    entry.node,
                    entry.id,
                    cause,
                    holding.waited,
                )
            )
        holding.taken = ()

    def cut_off(self, policy: CutOff) -> None:
        """Report that this node has lost touch with the others."""
        self._cut_off_at = monotonic()
        self._publish(NodeCutOff(str(policy), self._exclusive()))

    def lost(self, holding: Holding, entry: Entry) -> None:
        """Report that a session has lost its place to another one."""
        self._lost += 1
        fence = self._roster.fence(holding.revision)
        self._publish(
            PlaceLost(
                holding.session_id,
                holding.avatar_id,
                fence,
                entry.node,
                entry.id,
                self._cut_for(),
            )
        )

    def healed(self) -> None:
        """Report that all is made good, if this node was cut off."""
        if self._cut_off_at is not None:
            if not self._members.holds:
                return  # it is healed again when it has a lease
            self._publish(NodeBack(self._cut_for(), self._exclusive(), self._lost))
            self._cut_off_at = None
        self._lost = 0

    def gone(self, node: str) -> None:
        """Report that another node is gone."""
        ago, left = self._members.last_heard(node)
        self._publish(NodeGone(node, left, ago))
