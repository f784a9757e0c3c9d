"""Watches of users, and how those who watch are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from actorcred.actors import Dispatcher, Future
from actorcred.errors import ClientGone
from actorcred.mind.channel import Channel
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import Notification, Outbox, OutboxLimit
from actorcred.names import is_utf8
from actorcred.sessions.presence import (
    NOTHING,
    Contribution,
    PresenceLimits,
    UserPresence,
    merged,
)

__all__ = ["PRESENCE", "Notice", "Tally", "Watch", "WatchedUser", "Watcher", "function_mind"]

PRESENCE = "presence"
"""The notification by which a client is told: the avatar id, online, the status, last seen."""

LONGEST_ID = 4096
"""Characters."""

SHARE = 4
"""A watch fills at most this fraction of an outbox, whose rest is the application's."""

Watcher = Callable[[UserPresence], Any]


class Notice(Notification):
    """The notification about a user, encoded once for all clients that watch."""

    __slots__ = ("user",)

    def __init__(self, user: UserPresence) -> None:
        args = (user.avatar_id, user.online, dict(user.status), user.last_seen)
        super().__init__(PRESENCE, args, (PRESENCE, user.avatar_id))
        self.user = user


class _Copy(Notification):
    """A notice in the outbox of one client, which is sent again if it is dropped."""

    __slots__ = ("notice", "watch")

    def __init__(self, notice: Notice, watch: Watch) -> None:
        super().__init__(notice.name, notice.args, notice.key)
        self.notice = notice
        self.watch = watch

    def encoded(self, codec: str, encode: Callable[[str, tuple[Any, ...]], bytes]) -> bytes:
        return self.notice.encoded(codec, encode)

    def dropped(self) -> None:
        self.watch.lost(self.notice.user.avatar_id)


class _ToFunction(Channel):
    """Calls the function of a watch."""

    __slots__ = ("_function",)

    def __init__(self, function: Watcher) -> None:
        self._function = function

    def notify(self, notification: Notification) -> Any:
        assert isinstance(notification, _Copy)
        return self._function(notification.notice.user)

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        raise ClientGone("a watch has no client to call")


def function_mind(function: Watcher, dispatcher: Dispatcher, users: int) -> MindRef:
    """Return a mind that calls a function with the presence of so many users at most."""
    return MindRef(_ToFunction(function), Outbox(OutboxLimit(users * SHARE)), dispatcher)


class Tally:
    """Counts the watches of a portal and their users. Thread-safe."""

    def __init__(self, limits: PresenceLimits) -> None:
        self.limits = limits
        self.count = 0
        self._lock = threading.Lock()

    def take(self, more: int) -> None:
        """Count some more.

        Raises:
            ValueError: if there would be too many.
        """
        with self._lock:
            if self.count + more > self.limits.watched:
                raise ValueError(f"a portal watches {self.limits.watched} users, no more")
            self.count += more

    def give_back(self, less: int) -> None:
        """Count some less."""
        with self._lock:
            self.count -= less


class Watched(Protocol):
    """What a watch needs of the portal's presence. Thread-safe."""

    def begin(self, watch: Watch, avatar_ids: list[str]) -> None:
        """Watch further users."""

    def end(self, watch: Watch, avatar_ids: list[str]) -> None:
        """Watch some users no more."""

    def lost(self, watch: Watch, avatar_id: str) -> None:
        """Tell a watch again of a user."""

    def users_of(self, avatar_ids: list[str]) -> Future[dict[str, UserPresence]]:
        """Return what is known of users that are watched."""


class Watch:
    """A watch of some users; see `Presence.watch`. Thread-safe.

    It ends with the session of its client, with that of `until`, or by `stop`.

    Attributes:
        active: whether it goes on.
        waiting: users of whom it has yet to be told; for the presence actor.
    """

    def __init__(
        self, presence: Watched, mind: MindRef, ends_with: set[MindRef], tally: Tally
    ) -> None:
        self._presence = presence
        self._mind = mind
        self._ends_with = ends_with
        self._tally = tally
        self._avatar_ids: dict[str, None] = {}
        self._lock = threading.RLock()
        self.active = True
        self.waiting: dict[str, None] = {}
        tally.take(1)

    def begin(self, avatar_ids: Iterable[str]) -> None:
        """Begin to watch, unless it has to end already.

        Raises:
            TypeError, ValueError: see `add`, and `MindRef.tie`.
        """
        try:
            if not all(mind.tie(self) for mind in self._ends_with):
                self.stop()
            self.add(*avatar_ids)
        except BaseException:
            self.stop()
            raise

    def __repr__(self) -> str:
        return f"<Watch of {len(self._avatar_ids)} users>"

    @property
    def avatar_ids(self) -> list[str]:
        """The users that are watched."""
        with self._lock:
            return list(self._avatar_ids)

    def add(self, *avatar_ids: str) -> None:
        """Watch further users. Do nothing if the watch has ended.

        Raises:
            TypeError: if an avatar id is not a string.
            ValueError: if these are too many, or one is none: it has lone surrogates, or more than
                4,096 characters.
        """
        for avatar_id in avatar_ids:
            if not isinstance(avatar_id, str):
                raise TypeError(f"only users with an avatar id can be watched, not {avatar_id!r}")
            if len(avatar_id) > LONGEST_ID or not is_utf8(avatar_id):
                # It could not be told to other servers, nor what is watched together with it.
                raise ValueError(f"no avatar id: {avatar_id[:40]!r}")
        with self._lock:
            new = [one for one in dict.fromkeys(avatar_ids) if one not in self._avatar_ids]
            if not self.active or not new:
                return
            most = self._tally.limits.users_per_watch
            if len(self._avatar_ids) + len(new) > most:
                raise ValueError(f"a watch has at most {most} users")
            self._tally.take(len(new))
            self._avatar_ids.update(dict.fromkeys(new))
            self._presence.begin(self, new)

    def remove(self, *avatar_ids: str) -> None:
        """Watch some users no more."""
        with self._lock:
            self._remove(avatar_ids)

    def tell_again(self) -> None:
        """Tell of all users that are online or were seen, for a client that has lost its state."""
        with self._lock:
            if self.active:
                self._presence.begin(self, self.avatar_ids)

    def stop(self) -> None:
        """End the watch."""
        with self._lock:
            if not self.active:
                return
            self.active = False
            self._tally.give_back(1)
            self._remove(self.avatar_ids)
        for mind in self._ends_with:
            mind.untie(self)
        if self._mind not in self._ends_with:  # it calls a function, and is this watch's own
            self._mind.abandon()

    def mind_over(self, mind: MindRef) -> None:
        """End the watch with the session of a mind."""
        self.stop()

    def users(self) -> Future[dict[str, UserPresence]]:
        """Return what is known now of the users that are online or were seen, by avatar id."""
        return self._presence.users_of(self.avatar_ids)

    def _remove(self, avatar_ids: Iterable[str]) -> None:
        gone = [one for one in avatar_ids if one in self._avatar_ids]
        for avatar_id in gone:
            del self._avatar_ids[avatar_id]
        if gone:
            self._tally.give_back(len(gone))
            self._presence.end(self, gone)

    # -- for the presence actor ------------------------------------------------------------------

    def lost(self, avatar_id: str) -> None:
        """Record that a notice was dropped since the client is slow."""
        if self.active:
            self._presence.lost(self, avatar_id)

    def deliver(self, notice_of: Callable[[str], Notice | None], most: int) -> int:
        """Tell of users who wait, as far as the client takes it; return how many these were.

        Args:
            notice_of: returns what is to be told of a user; None if nothing is.
            most: how many to tell at most.
        """
        sent = 0
        while self.waiting and sent < most and self._has_room():
            avatar_id = next(iter(self.waiting))
            del self.waiting[avatar_id]
            notice = notice_of(avatar_id)
            if notice is not None:
                sent += 1
                if not self._send(notice):
                    self.waiting[avatar_id] = None
                    break
        return sent

    def _has_room(self) -> bool:
        outbox = self._mind.outbox
        return len(outbox) < max(1, outbox.limit.bound // SHARE)

    def _send(self, notice: Notice) -> bool:
        """Return False if it must be sent again."""
        mind = self._mind
        if mind.outbox.closed or not mind.channel.takes_notifications:
            return True
        return mind.send(_Copy(notice, self))


class WatchedUser:
    """A user who is watched, here or by other servers."""

    __slots__ = ("avatar_id", "far", "followed", "notice", "own", "seen", "watches")

    def __init__(self, avatar_id: str) -> None:
        self.avatar_id = avatar_id
        self.watches: dict[Watch, None] = {}
        self.followed = False
        self.own = NOTHING
        self.far: dict[str, Contribution] = {}
        self.seen: float | None = None
        """When a server was gone at which the user was online."""
        self.notice: Notice | None = None
        """What was told last."""

    def merged(self, keys: int) -> UserPresence:
        """Return what is known of the user."""
        far = [self.far[node] for node in sorted(self.far)]
        return merged(self.avatar_id, [Contribution(last_seen=self.seen), *far, self.own], keys)

    def set_far(self, node: str, contribution: Contribution) -> bool:
        """Record what another server knows; return whether that is new."""
        old = self.far.get(node, NOTHING)
        if contribution.is_known:
            self.far[node] = contribution
        elif self.far.pop(node, None) is not None:
            seen = time.time() if old.sessions else old.last_seen
            self.seen = max(self.seen or 0.0, seen or 0.0) or None
        return old != contribution
