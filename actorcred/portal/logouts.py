"""Ending sessions. All of it runs in the portal's context and never waits."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pykka

from actorcred.actors import Actor, ActorRef, Future, Timer
from actorcred.actors.future import error_of
from actorcred.actors.lifecycle import stops_all
from actorcred.avatar import Avatar, Detached, Leave
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.names import AvatarId
from actorcred.portal.events import LoggedOut, SessionKicked
from actorcred.portal.messages import DrainTimeout, ExpireLeaving, ExpireSessions
from actorcred.portal.observing import Counts
from actorcred.portal.publishing import Events
from actorcred.portal.ref import PortalRef
from actorcred.realm import LogOut
from actorcred.sessions.directory import Directory, Due
from actorcred.sessions.session import Session
from actorcred.sessions.sharing import SharedAvatar
from actorcred.sessions.states import OPEN, SessionEvent, State

__all__ = ["Logouts"]


logger = logging.getLogger("actorcred.portal")


class Logouts:
    """Ends the sessions of one portal.

    Args:
        portal: the portal's ref.
        directory: the portal's sessions.
        events: publishes logouts.
        timeout: seconds for an avatar to leave.
    """

    def __init__(
        self, portal: PortalRef, directory: Directory, events: Events, timeout: float
    ) -> None:
        self._portal = portal
        self._directory = directory
        self.events = events
        self.metrics: Counts | None = None
        """What logouts are counted by; None for nothing."""
        self._timeout = timeout
        # The deadlines of avatars that are leaving. They are in order, since the timeout is the
        # same for all.
        self._leaving: dict[Session, float] = {}
        self._leaving_timer: Timer | None = None
        self._hurried: set[Session] = set()
        self.when_free: Callable[[AvatarId, str], object] = lambda avatar_id, session_id: None
        """Called with the avatar id and the id of a session that has ended completely."""
        self.when_ending: Callable[[Session], object] = lambda session: None
        """Called with a session that is no longer open."""
        self.when_gone: Callable[[Session, BaseException | None], object] = lambda session, cause: (
            None
        )
        """Called with a session whose avatar has ended, and the exception if it crashed."""
        self.when_idle: Callable[[Session], object] = lambda session: None
        """Called with a session whose avatar can sleep."""
        self._deadline_timer: Timer | None = None
        self.when_arrived: Callable[[Session], object] = lambda session: None
        """Called with a session that has arrived from another server."""
        self.moving: dict[Session, LogoutReason | None] = {}
        """Sessions that move to another server, and why they must end if that was asked for."""
        self._drains: list[tuple[Future[int], int, Timer]] = []

    def end(
        self,
        session: Session,
        reason: LogoutReason,
        done: Future[None] | None = None,
        *,
        later: bool = False,
    ) -> None:
        """End a session, if it is open.

        Args:
            session: the session.
            reason: why.
            done: settled when it has ended completely.
            later: whether it must not end completely before this returns.
        """
        if done is not None:
            session.promise(done)
        if session.state is not OPEN:
            return
        if session in self.moving:
            if self.moving[session] is None:
                self.moving[session] = reason
            return
        session.end_for(reason)
        if not later and _leaves_at_once(session):
            self._directory.end_at_once(session)
            self.when_ending(session)
            self.when_gone(session, None)
            self._free(session)
            return
        self.begin_end(session)
        if session.has_company():
            session.part()
            if issubclass(session.avatar.actor_class, Avatar):
                session.avatar.actor_inbox.put(Detached(session.mind, reason))
            self._finish(session)
        else:
            self._leaving[session] = self._portal.now() + self._timeout
            if self._leaving_timer is None:
                self._watch_leaving()
            ask_to_leave(session, reason)

    def begin_end(self, session: Session) -> None:
        """Move a session to those that are ending, and tell those who watch its user."""
        self._directory.begin_end(session)
        if not session.is_guest:
            self.when_ending(session)

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        """Finish the end of a session whose avatar has stopped, even if it was still open."""
        if session.state is OPEN:
            code = LogoutCode.STOPPED if cause is None else LogoutCode.CRASHED
            session.end_for(LogoutReason(code))
            self.begin_end(session)
        self.when_gone(session, cause)
        if session.state is State.ENDING:
            self._finish(session)

    def shared_avatar_gone(
        self, shared: SharedAvatar[Session], cause: BaseException | None
    ) -> None:
        """Finish the end of all sessions that shared an avatar."""
        shared.hub.abandon()
        *others, last = shared.sessions.values()
        for session in others:
            session.leave_logout_to_another()
        for session in (*others, last):
            self.guard(self.avatar_gone, session, cause)
        shared.sessions.clear()

    def _finish(self, session: Session) -> None:
        self._directory.gone(session)
        self._leaving.pop(session, None)
        if self._hurried:
            self._hurried.discard(session)
        self._free(session)

    def _free(self, session: Session) -> None:
        """Release a session that has ended completely, and its place."""
        try:
            self._report(session)
            _release(session)
        finally:
            self.when_free(session.avatar_id, session.id)
            if self._drains:
                self._check_drains()

    def guard(self, step: Callable[..., object], session: Session, *args: Any) -> None:
        """Do a step for one of several sessions. Exceptions are logged and affect no other one."""
        try:
            step(session, *args)
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("Ending %r failed:", session)

    def _report(self, session: Session) -> None:
        reason = session.reason
        if session.is_guest:
            return  # the machine of the client reports it
        if reason is not None and session.announced:  # else it is a login that failed
            code = str(reason.code)
            if self.metrics is not None:
                self.metrics.logged_out(code)
            if self.events.wanted(LoggedOut):
                duration = self._portal.now() - session.opened
                whose = (session.checker, session.client, session.identity)
                self.events.emit(
                    LoggedOut, session.id, session.avatar_id, code, reason.detail, duration, *whose
                )

    def kick(self, sessions: Iterable[Session], detail: str) -> int:
        """End sessions at the application's request; return their number."""
        count = 0
        for session in sessions:
            whose = (session.checker, session.client, session.identity)
            self.events.emit(SessionKicked, session.id, session.avatar_id, detail, *whose)
            self.guard(self.end, session, LogoutReason(LogoutCode.KICKED, detail))
            count += 1
        return count

    # -- deadlines -------------------------------------------------------------------------------

    def watch_deadlines(self) -> None:
        """Start the timer that ends idle and old sessions; it runs while sessions exist."""
        if self._deadline_timer is None and self._directory.awaits_deadlines:
            self._deadline_timer = self._portal.send_every(
                self._directory.granularity, ExpireSessions()
            )

    def expire(self) -> None:
        """End the sessions whose deadline has passed, and do what else is due."""
        for session, due in self._directory.expired(self._portal.now()):
            if due is Due.NOTICE:
                self.guard(self._announce_expiry, session)
            elif due is Due.SLEEP:
                self.guard(self.when_idle, session)
            else:
                self.guard(self.end, session, LogoutReason(due))
        if not len(self._directory) and self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None

    def _announce_expiry(self, session: Session) -> None:
        assert session.expiry is not None
        session.mind.notify("proof_expires", round(session.expiry.at - self._portal.now(), 1))

    # -- avatars that do not leave ---------------------------------------------------------------

    def _watch_leaving(self) -> None:
        if self._leaving:
            wait = max(0.0, next(iter(self._leaving.values())) - self._portal.now())
            self._leaving_timer = self._portal.send_after(wait, ExpireLeaving())

    def expire_leaving(self) -> None:
        """Interrupt the avatars that did not leave in time."""
        self._leaving_timer = None
        now = self._portal.now()
        for session in list(self._leaving):
            if self._leaving[session] > now:
                break
            del self._leaving[session]
            self.guard(self._hurry_up, session, now)
        self._watch_leaving()

    def _hurry_up(self, session: Session, now: float) -> None:
        """Cancel what an avatar waits for; the second time, or if it waits for nothing, stop it."""
        mailbox = session.avatar.actor_inbox
        session.revoke()
        if session not in self._hurried and mailbox.interrupt():
            logger.error(
                "%s did not leave within %g s: what it awaits is cancelled",
                mailbox.label,
                self._timeout,
            )
            self._hurried.add(session)
            self._leaving[session] = now + self._timeout
        else:
            logger.error(
                "%s did not leave within %g s: it is stopped by force", mailbox.label, self._timeout
            )
            mailbox.kill(TimeoutError("the avatar did not leave in time"))

    # -- shutdown ----------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether all sessions end."""
        return bool(self._drains)

    def drain(
        self,
        timeout: float,
        drained: Future[int],
        move: Callable[[Session], Future[str]] | None = None,
    ) -> None:
        """End all sessions.

        Args:
            timeout: seconds to wait for their end.
            drained: settled with the number of sessions that ended, after `timeout` seconds at
                most.
            move: moves a session to another server; those that cannot move end.
        """
        sessions = [*self._directory, *self._directory.guests()]
        total = len(sessions) + self._directory.ending
        timer = self._portal.send_after(timeout, DrainTimeout(drained))
        self._drains.append((drained, total, timer))
        for session in sessions:
            if move is None:
                self.guard(self.end, session, LogoutReason(LogoutCode.DRAINED))
            else:
                self.guard(self._move, session, move)
        self._check_drains()

    def _move(self, session: Session, move: Callable[[Session], Future[str]]) -> None:
        def moved(done: Future[str]) -> None:
            if error_of(done) is not None:
                session.end(LogoutCode.DRAINED)

        move(session).add_done_callback(moved)

    def drain_timeout(self, drained: Future[int]) -> None:
        """Settle the future of a drain whose timeout has expired."""
        for entry in [entry for entry in self._drains if entry[0] is drained]:
            self._drains.remove(entry)
            for session in list(self._directory):
                self.guard(self.end, session, LogoutReason(LogoutCode.DRAINED))
            for session in self._leaving:
                session.revoke()  # the time for waiting calls is over
            # Those are still open that are about to move; they end if they do not.
            left = self._directory.ending + len(self._directory)
            logger.warning("%d sessions were still ending when the drain timed out", left)
            drained.settle(entry[1] - left)

    def _check_drains(self) -> None:
        if not self._directory.ending and not len(self._directory):
            drains, self._drains = self._drains, []
            for drained, total, timer in drains:
                timer.cancel()
                drained.settle(total)

    def abandon(self) -> None:
        """End all sessions of a portal that stops. They are released when their avatars end."""
        reason = LogoutReason(LogoutCode.DRAINED)
        for session in [*self._directory, *self._directory.guests()]:
            session.end_for(reason)
            self.guard(self.begin_end, session)
            self.guard(ask_to_leave, session, reason)
        for session in self._directory.ending_sessions():
            self.guard(self._abandon, session)
        for drained, total, _ in self._drains:
            drained.settle(total - self._directory.ending)

    def _abandon(self, session: Session) -> None:
        self._report(session)
        mailbox = session.avatar.actor_inbox
        timer = mailbox.dispatcher.call_later(
            self._timeout, mailbox.kill, TimeoutError("the avatar did not leave in time")
        )
        session.avatar.watch(partial(self._last_rites, session, timer))

    def _last_rites(self, session: Session, timer: Timer, _: object) -> None:
        """Finish the end of a session without the portal, on the thread of its avatar."""
        timer.cancel()
        session.step(SessionEvent.GONE)
        if session.shared is not None:
            session.shared.hub.abandon()
        _release(session)
        self.when_free(session.avatar_id, session.id)


def _leaves_at_once(session: Session) -> bool:
    """Stop an idle avatar that has no `on_logout` and no `on_stop`; return whether it was stopped.

    No code of the application runs, so this needs no turn of the avatar. One of several sessions is
    never its only user.
    """
    mailbox = session.avatar.actor_inbox
    kind: Any = mailbox.actor_class
    return (
        session.shared is None
        and not session.is_guest
        and Avatar in kind.__mro__
        and kind.on_logout is Avatar.on_logout
        and kind.on_stop is Actor.on_stop
        and mailbox.stop_idle(session)
    )


def ask_to_leave(session: Session, reason: LogoutReason) -> None:
    """Have a session's avatar run `on_logout` and stop."""
    mailbox = session.avatar.actor_inbox
    if issubclass(mailbox.actor_class, Avatar):
        mailbox.put(Leave(reason))
    else:
        ActorRef[Any](mailbox).stop(block=False)


def _release(session: Session) -> None:
    """Close a session's mind, call the realm's logout, and settle the futures of its end."""
    log_out = session.release()
    if log_out is not None:
        realm, function = log_out
        with contextlib.suppress(pykka.ActorDeadError):  # the realm is down
            realm.tell(LogOut(function))
    session.report_gone()
