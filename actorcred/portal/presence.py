"""Presence: which users are online, at this server or another, for those who watch them.

The library shows presence to no client by itself: the application decides who may watch whom.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pykka

from actorcred.actors import ActorRef, ControlMessage, Future
from actorcred.mind.mind import MindRef
from actorcred.names import ANONYMOUS
from actorcred.portal import presence_messages as m
from actorcred.portal.messages import RunStep
from actorcred.portal.online import Online
from actorcred.portal.presence_actor import PresenceActor
from actorcred.portal.watches import Tally, Watch, Watcher, function_mind
from actorcred.sessions.presence import (
    Contribution,
    PresenceLimits,
    PresenceLink,
    UserPresence,
    changed_status,
)
from actorcred.sessions.session import Session

__all__ = ["Presence"]


class Presence:
    """The presence of users, as `PortalRef.presence`. Thread-safe.

    Its actor starts when it is first needed.

    Attributes:
        limits: how much is watched and remembered.
        online: the users that are watched and have sessions here; for the portal.
        link: the way to other servers; None if there are none.
    """

    def __init__(self, portal: ActorRef[Any], online: Online, limits: PresenceLimits) -> None:
        self._portal = portal
        self._tally = Tally(limits)
        self._actor: ActorRef[PresenceActor] | None = None
        self._lock = threading.Lock()
        self.limits = limits
        self.online = online
        self.link: PresenceLink | None = None
        online.when_changed = lambda: self.tell_if_alive(m.OwnChanged())

    def __repr__(self) -> str:
        return f"<Presence, {self._tally.count} watched>"

    # -- for the application -----------------------------------------------------------------------

    def watch(
        self, watcher: MindRef | Watcher, *avatar_ids: str, until: MindRef | None = None
    ) -> Watch:
        """Have a client or a function told which users are online, now and whenever it changes.

        At first it is told of the users that are online or were seen; all others count as offline
        until they come. Of several changes of a user that come in a row, the last one is told.
        Users in a cluster may be at any server. While this server is cut off, what was known
        before stands; afterwards it becomes what is true.

        Args:
            watcher: the mind of a client, which gets notifications
                `presence(avatar_id, online, status, last_seen)`, or a function, which is called
                with a `UserPresence` at a time, by an actor of its own. It may be `async def`.
            avatar_ids: the users; see also `Watch.add`.
            until: a mind whose session's end also ends the watch. The watch of a client ends with
                the client's session; that of a function lasts until `Watch.stop` without this.

        Raises:
            TypeError: if an argument has a wrong type.
            ValueError: if too much is watched, see `PresenceLimits`, or what is no avatar id.
        """
        if until is not None and not isinstance(until, MindRef):
            raise TypeError(f"until must be a mind, not {until!r}")
        ends_with = set() if until is None else {until}
        if isinstance(watcher, MindRef):
            mind = watcher
            ends_with.add(mind)
        elif callable(watcher):
            dispatcher = self._portal.actor_inbox.dispatcher
            mind = function_mind(watcher, dispatcher, self.limits.users_per_watch)
        else:
            raise TypeError(f"presence is told to a mind or a function, not to {watcher!r}")
        watch = Watch(self, mind, ends_with, self._tally)
        watch.begin(avatar_ids)
        return watch

    def set_status(self, session: Session, **status: Any) -> Future[bool]:
        """Change the status of a session, such as `away=True`; a value of None removes a key.

        Those who watch the user see the latest value of each key of all the user's sessions. The
        clocks of servers decide which one is the latest.

        Args:
            session: a session of this server, such as `Avatar.session`.
            status: values that can cross to another server.

        Returns:
            A future of whether the session is open. It fails with ValueError if the status has
            become too large.

        Raises:
            TypeError: if the session is none of this server, or a value cannot cross.
            ValueError: if the status is too large; see `PresenceLimits`.
        """
        _require_own(session)
        changed_status({}, status, 0.0, self.limits)
        return self.run(lambda: self.online.set_status(session, status))

    def hide(self, session: Session, *, hidden: bool = True) -> Future[bool]:
        """Have a session not count for presence, or count again.

        A session that is hidden in `on_login` is never seen.

        Args:
            session: a session of this server.
            hidden: whether it is hidden.

        Returns:
            A future of whether the session is open.

        Raises:
            TypeError: if the session is none of this server.
        """
        _require_own(session)
        return self.run(lambda: self.online.hide(session, hidden=hidden))

    # -- for watches -------------------------------------------------------------------------------

    def begin(self, watch: Watch, avatar_ids: list[str]) -> None:
        """Watch further users for a watch."""
        self.tell_if_alive(m.BeginWatch(watch, avatar_ids))

    def end(self, watch: Watch, avatar_ids: list[str]) -> None:
        """Watch some users no more for a watch."""
        self.tell_if_alive(m.EndWatch(watch, avatar_ids))

    def lost(self, watch: Watch, avatar_id: str) -> None:
        """Tell a watch again of a user."""
        self.tell_if_alive(m.NoticeLost(watch, avatar_id))

    def users_of(self, avatar_ids: list[str]) -> Future[dict[str, UserPresence]]:
        """Return what is known of users that are watched."""
        return self._ref().ask(m.DescribeUsers(avatar_ids), block=False)

    # -- for the link to other servers; see `PresenceHost` -----------------------------------------

    def follow(
        self, avatar_ids: list[str], answer: Callable[[dict[str, Contribution]], object]
    ) -> None:
        """Have the link told of users."""
        self.tell_if_alive(m.Follow(avatar_ids, answer))

    def unfollow(self, avatar_ids: list[str]) -> None:
        """Have the link told of users no more."""
        self.tell_if_alive(m.Unfollow(avatar_ids))

    def heard(self, node: str, users: dict[str, Contribution], *, whole: bool) -> None:
        """Record what another server knows of users."""
        self.tell_if_alive(m.Heard(node, users, whole))

    def gone(self, node: str) -> None:
        """Record that another server is gone."""
        self.tell_if_alive(m.Heard(node, {}, whole=True))

    # -- for the portal and the actor --------------------------------------------------------------

    def close(self) -> None:
        """Stop the actor, if it was started."""
        if self._actor is not None:
            self._actor.stop(block=False)

    def tell_if_alive(self, message: ControlMessage) -> None:
        """Send the actor a message, unless the portal has stopped."""
        with contextlib.suppress(pykka.ActorDeadError):
            self._ref().tell(message)

    def _ref(self) -> ActorRef[PresenceActor]:
        with self._lock:
            actor = self._actor
            if actor is None:
                dispatcher = self._portal.actor_inbox.dispatcher
                actor = self._actor = PresenceActor.start(self, dispatcher=dispatcher)
                if not self._portal.is_alive():
                    actor.stop(block=False)
            return actor

    def run(self, step: Callable[[], Any]) -> Future[Any]:
        """Run a function in the portal's context. Thread-safe."""
        return self._portal.ask(RunStep(step), block=False)


def _require_own(session: object) -> None:
    if not isinstance(session, Session):
        raise TypeError(
            f"presence is set at the server that has the session, as Avatar.session: {session!r}"
        )
    if session.avatar_id is ANONYMOUS:
        raise TypeError("an anonymous client has no presence")
