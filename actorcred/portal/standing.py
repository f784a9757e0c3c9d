"""Ending the sessions of users whose account is gone: asking the checkers who still stands.

All of it runs in the portal's context and never waits.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final, cast

import pykka

from actorcred.actors import ActorRef, ControlMessage, Future, Timer
from actorcred.avatar import Avatar, Reidentified
from actorcred.checker import CheckerRef
from actorcred.identity import Identity, refreshed
from actorcred.names import ANONYMOUS
from actorcred.portal.enquiries import Enquiries, Enquiry
from actorcred.portal.events import IdentityChanged
from actorcred.portal.messages import CheckStanding, Recheck, StandingAnswered
from actorcred.portal.publishing import Events
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.sessions.directory import Directory
from actorcred.sessions.session import Session
from actorcred.standing import AskStanding, Revocation, Standing

__all__ = ["StandingWatch"]


logger = logging.getLogger("actorcred.portal")

PAUSE: Final = 1.0
"""Seconds between two questions to one checker."""

TIMEOUT: Final = 120.0
"""Seconds for an answer. A checker that asks about 50 names at a time, for 10 s each, needs 100."""

SLICE: Final = 2000
"""Sessions that are looked through at a time, so that the event loop is not held up."""

SLICE_PAUSE: Final = 0.1
"""Seconds between two slices."""

JITTER: Final = 0.1
"""The part of the interval by which rounds vary, so that many servers do not ask at once."""


class _Answer(Future[Any]):
    """The future answer of a checker."""

    __slots__ = ("_work",)

    def __init__(self) -> None:
        super().__init__()
        self._work: Future[Any] | None = None

    def started(self, work: Future[Any]) -> None:
        """Remember the work, to cancel it after the time-out."""
        self._work = work

    def give_up(self) -> None:
        """Fail, since the checker has not answered in time."""
        if self.settle_error(TimeoutError()) and self._work is not None:
            self._work.cancel()


class StandingWatch:
    """Asks the checkers about the users who have sessions, in rounds and on demand.

    Args:
        portal: the portal's ref.
        directory: its sessions.
        services: its checkers.
        events: publishes changed identities.
        revoke: called with a session whose account is gone, and why.
    """

    def __init__(
        self,
        portal: PortalRef,
        directory: Directory,
        services: Services,
        events: Events,
        revoke: Callable[[Session, Revocation], object],
    ) -> None:
        self._portal = portal
        self._interval = portal.options.standing_interval
        self._directory = directory
        self._services = services
        self._events = events
        self._revoke = revoke
        self._enquiries: Enquiries[CheckerRef, Session] = Enquiries(
            portal.options.standing_batch, PAUSE
        )
        # Sessions to be looked through for names of all checkers (None), or of one.
        self._unread: dict[CheckerRef | None, Iterator[Session]] = {}
        self._next_round: float | None = None
        self._timer: Timer | None = None
        self._failing: set[CheckerRef] = set()
        self._told: dict[str, Revocation] = {}
        """What was done about sessions that go on after it, by their ids."""

    def begin(self) -> None:
        """Start the rounds, if any checker can be asked. Called when checkers are added."""
        if (
            self._next_round is None
            and self._interval is not None
            and self._services.anyone_tells_standing()
        ):
            self._next_round = self._portal.now() + self._until_next(self._interval)
            self._arm()

    @staticmethod
    def _until_next(interval: float) -> float:
        return interval * random.uniform(1 - JITTER, 1 + JITTER)

    def receive(self, message: ControlMessage) -> None:
        """Handle a message of the portal."""
        match message:
            case CheckStanding():
                self._check()
            case StandingAnswered(enquiry, answer):
                self._answered(enquiry, answer)
            case Recheck(checker):
                # Once, since the checker might have missed changes.
                self._unread[cast("CheckerRef", checker)] = iter(list(self._directory))
                self._check()

    # -- whom to ask -----------------------------------------------------------------------------

    def _check(self) -> None:
        """Do what is due."""
        now = self._portal.now()
        if self._next_round is not None and self._interval is not None and now >= self._next_round:
            self._next_round = now + self._until_next(self._interval)
            self._begin_round()
        for only, unread in list(self._unread.items()):
            some = list(islice(unread, SLICE))
            self._add(some, only)
            if len(some) < SLICE:
                del self._unread[only]
        self._ask()

    def _begin_round(self) -> None:
        if None not in self._unread:  # else the last one still goes on
            self._unread[None] = iter(list(self._directory))
        if self._told:
            self._told = {
                session.id: self._told[session.id]
                for session in self._directory
                if session.id in self._told
            }

    def ask_about(self, sessions: Iterable[Session]) -> None:
        """Ask about some sessions as soon as possible, since their account has changed."""
        self._add(sessions, None)
        self._ask()

    def _add(self, sessions: Iterable[Session], only: CheckerRef | None) -> None:
        for session in sessions:
            asked = self._services.checker_named(session.checker)
            if not session.is_open or asked is None or not asked.tells_standing:
                continue
            identity = session.identity
            if identity.avatar_id is ANONYMOUS:
                continue
            for checker, name in identity.vouchers or ((asked, identity.avatar_id),):
                if getattr(checker, "tells_standing", False) and (only is None or checker == only):
                    self._enquiries.add(checker, name, session)

    # -- asking ----------------------------------------------------------------------------------

    def _ask(self) -> None:
        for enquiry in self._enquiries.take(self._portal.now()):
            answer = _Answer()
            timer = self._portal.send_after(TIMEOUT, StandingAnswered(enquiry, answer))
            answer.add_done_callback(partial(self._tell, enquiry, timer))
            try:
                enquiry.checker.tell(AskStanding(answer, tuple(enquiry.about)))
            except pykka.ActorDeadError as error:
                answer.settle_error(error)
        self._arm()

    def _tell(self, enquiry: Any, timer: Timer, answer: Future[Any]) -> None:
        """Have the portal handle an answer; called on any thread."""
        timer.cancel()
        self._portal.tell_if_alive(StandingAnswered(enquiry, answer))

    def _arm(self) -> None:
        """Set the timer for what is due next."""
        now = self._portal.now()
        waits = [] if self._next_round is None else [self._next_round - now]
        waiting = self._enquiries.wait(now)
        if waiting is not None:
            waits.append(waiting)
        if self._unread:
            waits.append(SLICE_PAUSE)
        if not waits:
            return
        wait = max(0.0, min(waits))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._portal.send_after(wait, CheckStanding())

    # -- answers ---------------------------------------------------------------------------------

    def _answered(self, enquiry: Enquiry[CheckerRef, Session], answer: Future[Any]) -> None:
        """Do what a checker's answer calls for."""
        if not answer.done():
            if isinstance(answer, _Answer):
                answer.give_up()  # this is the time-out; the failure comes as another message
            return
        try:
            said = answer.get()
            why = said.mistake() if type(said) is Standing else f"a {type(said).__name__}"
            cause = f"standing() returned no usable Standing: {why}" if why else ""
        except Exception as error:
            said, cause = Standing(), getattr(error, "detail", "") or type(error).__name__
        self._enquiries.answered(enquiry, failed=bool(cause))
        self._note(enquiry.checker, cause)
        if not cause:
            for name, what in said.gone.items():
                self._end(enquiry.about.get(name, ()), what)
            for name, identity in said.identities.items():
                if name not in said.gone:
                    self._renew(enquiry.about.get(name, ()), (enquiry.checker, name), identity)
        self._ask()

    def _note(self, checker: CheckerRef, cause: str) -> None:
        """Log when a checker begins and ceases to fail, not each time."""
        name = checker.actor_class.__name__
        if cause and checker not in self._failing:
            self._failing.add(checker)
            logger.warning(
                "%s could not be asked which users may stay logged in (%s): nobody is logged out "
                "for that, and it is asked again",
                name,
                cause,
            )
        elif not cause and checker in self._failing:
            self._failing.discard(checker)
            logger.warning("%s can be asked again which users may stay logged in", name)

    def _end(self, sessions: Iterable[Session], what: Revocation) -> None:
        for session in sessions:
            if session.is_open and self._told.get(session.id) is not what:
                self._revoke(session, what)
                if session.is_open:  # as PortalOptions.on_password_change wants it
                    self._told[session.id] = what

    def _renew(
        self, sessions: Iterable[Session], voucher: tuple[ActorRef[Any], str], said: Identity
    ) -> None:
        for session in sessions:
            known = session.identity
            now = refreshed(known, voucher, said)
            if not session.is_open or now == known:
                continue
            session.refresh(now)
            whose = session.checker, session.client, now
            self._events.emit(IdentityChanged, session.id, session.avatar_id, *whose)
            if issubclass(session.avatar.actor_class, Avatar):
                session.avatar.actor_inbox.put(Reidentified(now))
