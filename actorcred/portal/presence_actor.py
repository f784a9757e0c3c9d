"""The presence actor, which joins what all servers know of users, and tells those who watch."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import pykka

from actorcred.actors import Actor, ControlMessage, Future
from actorcred.actors.messages import describe
from actorcred.portal import presence_messages as m
from actorcred.portal.online import Online
from actorcred.portal.publishing import complain
from actorcred.portal.watches import Notice, Watch, WatchedUser
from actorcred.sessions.presence import (
    NOTHING,
    Contribution,
    PresenceLimits,
    PresenceLink,
    UserPresence,
)

__all__ = ["Parts", "PresenceActor"]

TURN = 500
"""Notices that are sent before others have their turn."""

RETRY = 0.1
"""Seconds until a client that takes no more is tried again."""


class Parts(Protocol):
    """What the actor works with."""

    limits: PresenceLimits
    online: Online
    link: PresenceLink | None

    def tell_if_alive(self, message: ControlMessage) -> None:
        """Send the actor a message."""

    def run(self, step: Callable[[], Any]) -> Future[Any]:
        """Run a function in the portal's context."""


class PresenceActor(Actor):
    """The actor behind a `Presence`. It joins what all servers know, and tells who watches.

    Args:
        parts: what it works with.
    """

    registered = False

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self._parts = parts
        self._users: dict[str, WatchedUser] = {}
        self._changed: dict[str, None] = {}
        """Users of whom something may have changed."""
        self._collect = False
        """Whether something has changed at this portal."""
        self._is_due = self._tries_again = self._goes_on = False
        self._ready: dict[Watch, None] = {}
        """Watches that have yet to be told."""
        self._slow: dict[Watch, None] = {}
        """Watches whose clients take no more at the moment."""

    def on_stop(self) -> None:
        """Tell the servers that watch users that the portal with their sessions has stopped."""
        now = time.time()
        gone = {
            user.avatar_id: Contribution(last_seen=now)
            for user in self._users.values()
            if user.followed and user.own.sessions
        }
        if gone and self._parts.link is not None:
            self._parts.link.changed(gone)

    def _actor_survives(self, error: BaseException, message: Any) -> bool:
        complain("Presence could not handle %s:", describe(message), error=error)
        return True

    def _actor_control(self, message: ControlMessage) -> Any:  # noqa: C901, PLR0912  # a table
        match message:
            case m.BeginWatch(watch, avatar_ids):
                self._begin(watch, avatar_ids)
            case m.EndWatch(watch, avatar_ids):
                self._end(watch, avatar_ids)
            case m.Follow(avatar_ids, answer):
                self._follow(avatar_ids, answer)
            case m.Unfollow(avatar_ids):
                self._unfollow(avatar_ids)
            case m.OwnKnown():
                self._own(message)
            case m.Heard(node, users, whole):
                self._heard(node, users, whole=whole)
            case m.OwnChanged():
                self._collect = True
                self._await_due()
            case m.ChangesDue():
                self._due()
            case m.NoticeLost(watch, avatar_id):
                self._lost(watch, avatar_id)
            case m.RetrySlow():
                self._retry()
            case m.GoOn():
                self._goes_on = False
                self._tell_ready()
            case m.DescribeUsers(avatar_ids):
                return self._describe(avatar_ids)
            case _:
                super()._actor_control(message)
        return None

    # -- who is watched ----------------------------------------------------------------------------

    def _begin(self, watch: Watch, avatar_ids: list[str]) -> None:
        new, first = [], []
        for avatar_id in avatar_ids:
            user = self._users.get(avatar_id)
            if user is None:
                user = self._users[avatar_id] = WatchedUser(avatar_id)
                new.append(avatar_id)
            if not user.watches:
                first.append(avatar_id)
            user.watches[watch] = None
            if user.notice is not None:
                self._owe(watch, avatar_id)
        if new:
            self._ask_portal(new)
        if first:
            self._changed.update(dict.fromkeys(first))
            self._await_due()
            if self._parts.link is not None:
                self._parts.link.watch(first)
        self._tell_ready()

    def _end(self, watch: Watch, avatar_ids: list[str]) -> None:
        last = []
        for avatar_id in avatar_ids:
            watch.waiting.pop(avatar_id, None)
            user = self._users.get(avatar_id)
            if user is None or watch not in user.watches:
                continue
            del user.watches[watch]
            if not user.watches:
                last.append(avatar_id)
                user.far.clear()
                user.notice = user.seen = None
        if not watch.active:
            self._ready.pop(watch, None)
            self._slow.pop(watch, None)
        if last and self._parts.link is not None:
            self._parts.link.unwatch(last)
        self._forget(last)

    def _follow(
        self, avatar_ids: list[str], answer: Callable[[dict[str, Contribution]], object]
    ) -> None:
        for avatar_id in avatar_ids:
            if avatar_id not in self._users:
                self._users[avatar_id] = WatchedUser(avatar_id)
            self._users[avatar_id].followed = True
        self._ask_portal(avatar_ids, answer)

    def _unfollow(self, avatar_ids: list[str]) -> None:
        for avatar_id in avatar_ids:
            if avatar_id in self._users:
                self._users[avatar_id].followed = False
        self._forget(avatar_ids)

    def _forget(self, avatar_ids: list[str]) -> None:
        """Forget those users whom neither a watch nor another server watches."""
        gone = []
        for avatar_id in avatar_ids:
            user = self._users.get(avatar_id)
            if user is not None and not user.watches and not user.followed:
                del self._users[avatar_id]
                self._changed.pop(avatar_id, None)
                gone.append(avatar_id)
        if gone:
            self._parts.run(partial(self._parts.online.unwatch, gone))

    def _describe(self, avatar_ids: list[str]) -> dict[str, UserPresence]:
        keys = self._parts.limits.status_keys
        users = (self._users[one].merged(keys) for one in avatar_ids if one in self._users)
        return {user.avatar_id: user for user in users if user.is_known}

    # -- what is known -----------------------------------------------------------------------------

    def _ask_portal(
        self,
        avatar_ids: list[str],
        answer: Callable[[dict[str, Contribution]], object] | None = None,
    ) -> None:
        def answered(done: Future[Any]) -> None:
            if _succeeded(done):
                self._parts.tell_if_alive(m.OwnKnown(done.get(), avatar_ids, answer))

        step = partial(self._parts.online.watch, avatar_ids)
        self._parts.run(step).add_done_callback(answered)

    def _own(self, message: m.OwnKnown) -> None:
        """Record what this portal knows, and tell it to the servers that watch these users."""
        follow = {}
        for avatar_id in message.avatar_ids:
            user = self._users.get(avatar_id)
            own = message.users.get(avatar_id, NOTHING)
            if user is not None and user.own != own:
                user.own = own
                self._changed[avatar_id] = None
                if user.followed:
                    follow[avatar_id] = own
        link = self._parts.link
        if follow and link is not None:
            link.changed(follow)
        if message.answer is not None:
            message.answer(message.users)
        if message.collected:
            self._tell_changed()
        elif self._changed:
            self._await_due()

    def _heard(self, node: str, users: dict[str, Contribution], *, whole: bool) -> None:
        if whole:
            silent = [one for one in self._users if node in self._users[one].far]
            users = dict.fromkeys(silent, NOTHING) | users
        for avatar_id, contribution in users.items():
            user = self._users.get(avatar_id)
            if user is not None and user.watches and user.set_far(node, contribution):
                self._changed[avatar_id] = None
        if self._changed:
            self._await_due()

    def _await_due(self) -> None:
        if not self._is_due:
            self._is_due = True
            self.send_after(self._parts.limits.window, m.ChangesDue())

    def _due(self) -> None:
        self._is_due = False
        if not self._collect:
            self._tell_changed()
            return
        self._collect = False

        def collected(done: Future[Any]) -> None:
            if _succeeded(done):
                users = done.get()
                self._parts.tell_if_alive(m.OwnKnown(users, list(users), collected=True))

        self._parts.run(self._parts.online.collect).add_done_callback(collected)

    # -- telling who watches -----------------------------------------------------------------------

    def _tell_changed(self) -> None:
        changed, self._changed = self._changed, {}
        keys = self._parts.limits.status_keys
        for avatar_id in changed:
            user = self._users.get(avatar_id)
            if user is None or not user.watches:
                continue
            now = user.merged(keys)
            told = UserPresence(avatar_id) if user.notice is None else user.notice.user
            if now != told:
                user.notice = Notice(now)
                for watch in user.watches:
                    self._owe(watch, avatar_id)
        self._tell_ready()

    def _owe(self, watch: Watch, avatar_id: str) -> None:
        if watch.active:
            watch.waiting[avatar_id] = None
            if watch not in self._slow:
                self._ready[watch] = None

    def _tell_ready(self) -> None:
        left = TURN
        while self._ready and left > 0:
            watch = next(iter(self._ready))
            del self._ready[watch]
            left -= 1 + watch.deliver(self._notice_of, left)
            if watch.waiting:
                (self._slow if left > 0 else self._ready)[watch] = None
        if self._ready and not self._goes_on:
            self._goes_on = True
            self._parts.tell_if_alive(m.GoOn())
        if self._slow and not self._tries_again:
            self._tries_again = True
            self.send_after(RETRY, m.RetrySlow())

    def _notice_of(self, avatar_id: str) -> Notice | None:
        user = self._users.get(avatar_id)
        return None if user is None else user.notice

    def _lost(self, watch: Watch, avatar_id: str) -> None:
        user = self._users.get(avatar_id)
        if user is not None and watch in user.watches and watch.active:
            watch.waiting[avatar_id] = None
            self._ready.pop(watch, None)
            self._slow[watch] = None
            self._tell_ready()

    def _retry(self) -> None:
        self._tries_again = False
        self._ready |= self._slow
        self._slow.clear()
        self._tell_ready()


def _succeeded(done: Future[Any]) -> bool:
    """Return whether the portal has answered, as opposed to stopped."""
    try:
        done.get()
    except pykka.ActorDeadError:
        return False
    return True
