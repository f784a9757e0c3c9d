"""Named groups of clients, wherever they are connected; see `PortalRef.group`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Iterator
from typing import Any, Protocol

from actorcred.actors import Future
from actorcred.mind.broadcast import broadcast
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Notification
from actorcred.names import is_utf8
from actorcred.sessions.info import ClientHandle, SessionInfo
from actorcred.sessions.session import Session
from actorcred.sessions.sharing import SharedAvatar

__all__ = ["GroupLink", "Groups", "NamedGroup"]

MOST_GROUPS = 100_000
"""The number of groups of one portal that have members or are in use."""

LONGEST_NAME = 256


class GroupLink(Protocol):
    """How groups reach their members at other machines. All methods can be called on any thread."""

    def changed(self, group: NamedGroup) -> Future[None]:
        """Called when a group has got its first member here, or has lost its last one.

        Returns:
            A future that is done when it gets the notifications of other machines, or no more.
        """

    def encode(
        self, name: str, args: tuple[Any, ...], key: Hashable, but: ClientHandle | None
    ) -> bytes:
        """Return a notification as bytes for the other machines.

        Raises:
            ActorcredError: if an argument cannot cross to another machine.
        """

    def send(self, group: NamedGroup, data: bytes) -> None:
        """Send an encoded notification to the members at other machines."""

    def add(self, group: NamedGroup, member: ClientHandle) -> Future[None]:
        """Add a client of another machine."""

    def discard(self, group: NamedGroup, member: ClientHandle) -> Future[None]:
        """Remove a client of another machine."""

    def count(self, group: NamedGroup, own: int) -> Future[int]:
        """Return the number of members, of which `own` are here."""

    def members(self, group: NamedGroup, own: list[Session]) -> Future[list[SessionInfo]]:
        """Return the sessions of the members, of which `own` are here."""


class NamedGroup:
    """Clients that get the same notifications, such as the people in a room. Thread-safe.

    In a cluster they may be connected to any server. A client leaves by itself when its session
    ends. Nothing is left of a group without members that is not in use.

    Attributes:
        name: the name.
    """

    def __init__(self, name: str, link: GroupLink | None) -> None:
        self.name = name
        self._link = link
        self._minds: dict[MindRef, None] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<NamedGroup {self.name!r}, {len(self._minds)} members here>"

    def add(self, member: ClientHandle) -> Future[None]:
        """Add a client; do nothing if its session has ended.

        Args:
            member: a mind of this portal, or the `mind` of a session of another server.

        Returns:
            A future that is done when the client gets the notifications of all servers; those of
            this server it gets from now on. It fails with `pykka.Timeout` if that cannot be told,
            and with `pykka.ActorDeadError` if the session of another server has ended.

        Raises:
            TypeError: if it is neither.
            ValueError: if the client is in too many groups.
        """
        if not isinstance(member, MindRef):
            return self._far(member).add(self, member)
        with self._lock:
            changed = not self._minds
            self._minds[member] = None
        try:
            tied = member.tie(self)
        except ValueError:
            self._remove(member)
            raise
        if not tied:
            self._remove(member)
        return self._changed() if changed else _done()

    def discard(self, member: ClientHandle) -> Future[None]:
        """Remove a client, if it is in the group; see `add`.

        Returns:
            A future that is done when it gets no more notifications.

        Raises:
            TypeError: if it is no client.
        """
        if not isinstance(member, MindRef):
            return self._far(member).discard(self, member)
        member.untie(self)
        self._remove(member)
        return _done()

    def mind_over(self, mind: MindRef) -> None:
        """Remove a client whose session has ended."""
        self._remove(mind)

    def notify(
        self, name: str, *args: Any, key: Hashable = None, but: ClientHandle | None = None
    ) -> None:
        """Send all members one notification, which is encoded once. It never blocks.

        To very many, an event loop sends it in slices; see `Group.notify`.

        Each member gets the notifications that one sender sends to this group in their order.

        Args:
            name: the name of the notification.
            args: its arguments; in a cluster numbers, strings, bytes, lists and dicts.
            key: see `MindRef.notify`.
            but: one client that is left out, such as the speaker's own.

        Raises:
            ActorcredError: in a cluster, if an argument cannot cross to another server. Nothing is
                sent then.
        """
        link = self._link
        data = b"" if link is None else link.encode(name, args, key, but)
        self.deliver(Notification(name, args, key), but)
        if link is not None:
            link.send(self, data)

    def count(self) -> Future[int]:
        """Return the number of members.

        In a cluster it has an attribute `missing` with the ids of the servers that did not answer.
        """
        link, own = self._link, len(self.own())
        return _done(own) if link is None else link.count(self, own)

    def members(self) -> Future[list[SessionInfo]]:
        """Return the sessions of the members, oldest first.

        In a cluster the list has an attribute `missing`, see `count`.
        """
        link, own = self._link, self.own_sessions()
        return _done([*own]) if link is None else link.members(self, own)

    # -- for this package --------------------------------------------------------------------------

    @property
    def has_members(self) -> bool:
        """Whether it has members of this portal."""
        return bool(self._minds)

    def own(self) -> list[MindRef]:
        """Return the members of this portal."""
        with self._lock:
            return list(self._minds)

    def own_sessions(self) -> list[Session]:
        """Return the open sessions of the members of this portal, oldest first."""
        found = [session for mind in self.own() for session in _sessions_of(mind)]
        return sorted(found, key=lambda session: session.since)

    def deliver(self, notification: Notification, but: object = None) -> None:
        """Send the members of this portal a notification."""
        broadcast(notification, [mind for mind in self.own() if mind is not but])

    def _remove(self, mind: MindRef) -> None:
        with self._lock:
            known = mind in self._minds
            self._minds.pop(mind, None)
            changed = known and not self._minds
        if changed:
            self._changed()

    def _changed(self) -> Future[None]:
        return _done() if self._link is None else self._link.changed(self)

    def _far(self, member: object) -> GroupLink:
        if self._link is None:
            raise TypeError(f"a member of a group is the mind of a session, not {member!r}")
        return self._link


class Groups:
    """The groups of one portal, by name. Thread-safe.

    Args:
        link: reaches the members at other machines; None if there are none.
    """

    def __init__(self, link: GroupLink | None = None) -> None:
        self._link = link
        self._groups: weakref.WeakValueDictionary[str, NamedGroup] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._groups)

    def __iter__(self) -> Iterator[NamedGroup]:
        return iter(list(self._groups.values()))

    def get(self, name: str) -> NamedGroup:
        """Return the group with a name; see `PortalRef.group`."""
        if not isinstance(name, str):
            raise TypeError(f"the name of a group must be a string, not a {type(name).__name__}")
        if not 0 < len(name) <= LONGEST_NAME:
            raise ValueError(f"the name of a group has 1 to {LONGEST_NAME} characters: {name!r}")
        if not is_utf8(name):
            raise ValueError(f"the name of a group must not have lone surrogates: {name!r}")
        with self._lock:
            group = self._groups.get(name)
            if group is None:
                if len(self._groups) >= MOST_GROUPS:
                    raise ValueError(f"a portal can have {MOST_GROUPS} groups, no more")
                group = self._groups[name] = NamedGroup(name, self._link)
            return group

    def find(self, name: str) -> NamedGroup | None:
        """Return the group with a name if it has members or is in use."""
        return self._groups.get(name)


def _sessions_of(mind: MindRef) -> list[Session]:
    shared: Any = mind.channel
    if isinstance(shared, SharedAvatar):
        found = [*shared.sessions.values()]
    else:
        found = [mind.session] if isinstance(mind.session, Session) else []
    return [session for session in found if session.is_open]


def _done(value: Any = None) -> Future[Any]:
    future: Future[Any] = Future()
    future.settle(value)
    return future
