"""Presence over nodes: each node is told by the others of the users whom it watches, and no more.

Between each two nodes there are two series of numbered messages. `WatchUsers` go from the node that
watches to the one that may have the users, `UsersChanged` go back. Both are in order, but some may
get lost. A gap in the first is answered by `WatchAgain`, a gap in the second is seen at once, and
what was lost at the end is seen with the next beat, at which an empty `WatchUsers` asks for an
answer. Then the node that watches begins a new series: it names all its users again, and when that
is answered completely, it forgets what was not named in the answers.

Nothing of that is in a store, so there is nothing that NATS could lose.
"""

from __future__ import annotations

import itertools
import logging
import secrets
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol

import msgspec

from actorcred.cluster.errors import BusError
from actorcred.cluster.members import Members
from actorcred.cluster.messages import Message, UsersChanged, WatchAgain, WatchUsers
from actorcred.sessions.presence import Contribution, PresenceHost

__all__ = ["ClusterPresence"]

logger = logging.getLogger("actorcred.cluster")

BYTES_AT_A_TIME = 64 * 1024
"""About the most that one message says of users."""


class PresenceWay(Protocol):
    """What presence needs of its node."""

    id: str

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the cluster's event loop. Thread-safe."""

    def tell(self, node: str, message: Message) -> None:
        """Send a node a message."""


class _Source:
    """Another node, which tells this one of users: a series of messages between them.

    Attributes:
        sync: the name of the series.
        sent: how many messages were sent to it.
        heard: how many came from it.
        at: when the last one came.
        fresh: what was said so far of all users, until that is complete; None afterwards.
        complete_at: the number of the message whose answer completes it.
    """

    __slots__ = ("at", "complete_at", "fresh", "heard", "sent", "sync")

    def __init__(self, sync: str, at: float) -> None:
        self.sync = sync
        self.at = at
        self.sent = self.heard = 0
        self.fresh: dict[str, Contribution] | None = {}
        self.complete_at = 0


class _Audience:
    """Another node, which is told of users by this one.

    Attributes:
        sync: the name of the series of messages between them.
        received: how many messages came from it.
        sent: how many were sent to it.
        avatar_ids: the users whom it watches.
    """

    __slots__ = ("avatar_ids", "received", "sent", "sync")

    def __init__(self, sync: str) -> None:
        self.sync = sync
        self.received = self.sent = 0
        self.avatar_ids: set[str] = set()


class ClusterPresence:
    """The way of one node's presence to the others. Implements `PresenceLink`.

    Everything but the methods of the link runs on the cluster's event loop.

    Args:
        way: the node.
        members: which nodes live.
    """

    def __init__(self, way: PresenceWay, members: Members) -> None:
        self._way = way
        self._members = members
        self._host: PresenceHost | None = None
        self._watched: dict[str, None] = {}
        self._sources: dict[str, _Source] = {}
        self._audiences: dict[str, _Audience] = {}
        self._followers: dict[str, set[str]] = {}
        """The nodes that watch a user, by the user."""
        self._early: dict[str, str] = {}
        """The series of nodes that have asked before there was a portal."""
        self._series = (f"{secrets.token_hex(4)}-{number}" for number in itertools.count())
        members.when_joined.append(self._joined)
        members.when_dead.append(self._gone)
        members.when_renewed.append(self._check)
        members.when_back.append(self.begin_again)

    def serve(self, host: PresenceHost) -> None:
        """Set the presence of the portal, and answer the nodes that have asked before."""
        self._host = host
        self._way.post(self._answer_early)

    # -- what the portal calls, on any thread ----------------------------------------------------

    def watch(self, avatar_ids: list[str]) -> None:
        """Have the portal told of users; see `PresenceLink`."""
        self._way.post(self._watch, avatar_ids)

    def unwatch(self, avatar_ids: list[str]) -> None:
        """Undo `watch`."""
        self._way.post(self._unwatch, avatar_ids)

    def changed(self, users: dict[str, Contribution]) -> None:
        """Tell the nodes that watch these users; see `PresenceLink`."""
        self._way.post(self._tell_followers, users)

    # -- this node watches -----------------------------------------------------------------------

    def _watch(self, avatar_ids: list[str]) -> None:
        first = not self._watched
        self._watched.update(dict.fromkeys(avatar_ids))
        if first:
            self.begin_again()
            return
        for node, source in self._sources.items():
            for some in _parts(avatar_ids):
                self._ask(node, source, some, [])

    def _unwatch(self, avatar_ids: list[str]) -> None:
        for avatar_id in avatar_ids:
            self._watched.pop(avatar_id, None)
        for node, source in self._sources.items():
            for some in _parts(avatar_ids):
                if source.fresh is not None:
                    for avatar_id in some:
                        source.fresh.pop(avatar_id, None)
                self._ask(node, source, [], some)
        if not self._watched:
            self._sources.clear()

    def begin_again(self) -> None:
        """Ask all other nodes anew, such as after this one was cut off."""
        for node in self._members.others():
            self._begin(node)

    def _begin(self, node: str) -> None:
        if not self._watched:
            return
        source = self._sources[node] = _Source(next(self._series), monotonic())
        for some in _parts(list(self._watched)):
            source.complete_at = source.sent
            self._ask(node, source, some, [])

    def _ask(self, node: str, source: _Source, more: list[str], no_more: list[str]) -> None:
        self._tell(node, WatchUsers(self._way.id, source.sync, source.sent, more, no_more))
        source.sent += 1

    def _joined(self, node: str) -> None:
        self._begin(node)

    def _check(self) -> None:
        """Ask for an answer, so that what was lost shows; at each beat."""
        now = monotonic()
        for node in self._members.others() if self._watched else ():
            source = self._sources.get(node)
            if source is None or now - source.at > self._members.lease:
                self._begin(node)
            else:
                self._ask(node, source, [], [])

    def hear(self, message: UsersChanged) -> None:
        """Record what another node says of users."""
        node, source = message.node, self._sources.get(message.node)
        if source is None or source.sync != message.sync or self._host is None:
            return  # of an earlier series
        if message.number != source.heard:
            logger.debug("Something that %s said of users was lost", node)
            self._begin(node)
            return
        source.heard += 1
        source.at = monotonic()
        if source.fresh is None:
            if message.users:
                self._host.heard(node, message.users, whole=False)
            return
        source.fresh.update(message.users)
        if message.answers == source.complete_at:
            fresh, source.fresh = source.fresh, None
            self._host.heard(node, fresh, whole=True)

    def hear_again(self, message: WatchAgain) -> None:
        """Begin a new series with a node that has missed something."""
        source = self._sources.get(message.node)
        if source is not None and source.sync == message.sync:
            self._begin(message.node)

    # -- other nodes watch -----------------------------------------------------------------------

    def hear_watch(self, message: WatchUsers) -> None:
        """Note whom another node watches, and tell it what is known of them."""
        node, audience = message.node, self._audiences.get(message.node)
        if self._host is None:
            self._early[node] = message.sync
            return
        if message.number == 0:
            self._drop_audience(node)
            audience = self._audiences[node] = _Audience(message.sync)
        elif (
            audience is None or audience.sync != message.sync or audience.received != message.number
        ):
            self._tell(node, WatchAgain(self._way.id, message.sync))
            return
        audience.received += 1
        self._drop_followers(node, audience, message.no_more)
        if message.avatar_ids:
            for avatar_id in message.avatar_ids:
                audience.avatar_ids.add(avatar_id)
                self._followers.setdefault(avatar_id, set()).add(node)
            self._host.follow(
                message.avatar_ids,
                lambda users: self._way.post(self._answer, message, users),
            )
        else:
            self._answer(message, {})
        if not audience.avatar_ids:
            self._audiences.pop(node, None)

    def _answer_early(self) -> None:
        early, self._early = self._early, {}
        for node, sync in early.items():
            self._tell(node, WatchAgain(self._way.id, sync))

    def _answer(self, message: WatchUsers, users: dict[str, Contribution]) -> None:
        audience = self._audiences.get(message.node)
        if audience is None or audience.sync != message.sync:
            return
        *most, last = _encoded(users)
        for some in most:
            self._tell_users(message.node, audience, some)
        self._tell_users(message.node, audience, last, message.number)

    def _tell_followers(self, users: dict[str, Contribution]) -> None:
        for part in _encoded(users):  # once for all nodes
            for_node: dict[str, dict[str, msgspec.Raw]] = {}
            for avatar_id, contribution in part.items():
                for node in self._followers.get(avatar_id, ()):
                    for_node.setdefault(node, {})[avatar_id] = contribution
            for node, some in for_node.items():
                self._tell_users(node, self._audiences[node], some)

    def _tell_users(
        self, node: str, audience: _Audience, users: dict[str, msgspec.Raw], answers: int = -1
    ) -> None:
        number, audience.sent = audience.sent, audience.sent + 1
        known: Any = users  # encoded already
        self._tell(node, UsersChanged(self._way.id, audience.sync, number, known, answers))

    def _drop_audience(self, node: str) -> None:
        audience = self._audiences.pop(node, None)
        if audience is not None:
            self._drop_followers(node, audience, list(audience.avatar_ids))

    def _drop_followers(self, node: str, audience: _Audience, avatar_ids: Iterable[str]) -> None:
        alone = []
        for avatar_id in avatar_ids:
            audience.avatar_ids.discard(avatar_id)
            followers = self._followers.get(avatar_id)
            if followers is not None:
                followers.discard(node)
                if not followers:
                    del self._followers[avatar_id]
                    alone.append(avatar_id)
        if alone and self._host is not None:
            self._host.unfollow(alone)

    # -- nodes -----------------------------------------------------------------------------------

    def _gone(self, node: str) -> None:
        self._early.pop(node, None)
        self._drop_audience(node)
        if self._sources.pop(node, None) is not None and self._host is not None:
            self._host.gone(node)

    def _tell(self, node: str, message: Message) -> None:
        try:
            self._way.tell(node, message)
        except BusError as error:
            logger.warning("Presence could not be told to %s: %s", node, error)


def _parts(avatar_ids: Iterable[str]) -> list[list[str]]:
    """Return parts of a list of users that fit into a message."""
    return [list(part) for part in _split(dict.fromkeys(avatar_ids, b""))]


def _encoded(users: dict[str, Contribution]) -> list[dict[str, msgspec.Raw]]:
    """Return what is known of users as bytes, in parts that fit into a message; at least one."""
    encode = msgspec.msgpack.encode
    parts = _split({one: encode(contribution) for one, contribution in users.items()})
    return [{one: msgspec.Raw(data) for one, data in part.items()} for part in parts] or [{}]


def _split(users: dict[str, bytes]) -> list[dict[str, bytes]]:
    parts: list[dict[str, bytes]] = []
    size = BYTES_AT_A_TIME
    for avatar_id, data in users.items():
        more = 4 * len(avatar_id) + len(data) + 8
        if size + more > BYTES_AT_A_TIME:
            parts.append({})
            size = 0
        parts[-1][avatar_id] = data
        size += more
    return parts
