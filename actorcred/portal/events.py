"""The events of a portal, for the application and the audit log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeAlias

import pykka

from actorcred.actors import Actor, ActorRef, MailboxLimit, Overflow
from actorcred.audit import ClaimedNames, UnknownNames, audit, plain, printable, write
from actorcred.identity import NO_CLIENT, ClientInfo, Identity
from actorcred.names import AvatarId
from actorcred.network import source_of
from actorcred.portal.repeats import OTHERS, Repeats, Told

__all__ = [
    "Event",
    "Events",
    "ForwardingIgnored",
    "LoggedIn",
    "LoggedOut",
    "LoginRefused",
    "RoleBack",
    "RoleDown",
    "RoleRestarted",
    "SessionKicked",
    "printable",
    "require_subscriber",
]


logger = logging.getLogger("actorcred.portal")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a portal.

    Class attributes:
        name: the event's name in the log.
        level: the level of its log record.
    """

    name: ClassVar[str] = "event"
    level: ClassVar[int] = logging.INFO

    def summed_by(self) -> str | None:
        """Return the source by which such events are summed; None if each one is published.

        Sums are published once per interval, with a `count`.
        """
        return None

    def summed(self, count: int, *, others: bool) -> Event:
        """Return an event that stands for several.

        Args:
            count: their number.
            others: whether they come from more sources than are remembered.
        """
        changes: dict[str, Any] = {} if count == 1 else {"count": count}
        if others:
            names = {field.name for field in fields(self)}
            unknown = {"address": OTHERS, "client": ClientInfo(address=OTHERS), "claimed": ""}
            changes |= {name: value for name, value in unknown.items() if name in names}
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    """A session was opened."""

    name: ClassVar[str] = "login"

    session_id: str
    avatar_id: AvatarId
    interface: str
    checker: str
    client: ClientInfo = NO_CLIENT
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class LoginRefused(Event):
    """A login failed.

    Attributes:
        code: `errors.LoginFailed.code` of the error that the client got.
        credentials: the kind of credentials.
        claimed: the user name that the client claimed, if the credentials have one. If no checker
            knows it, it is shown according to `PortalOptions.log_unknown_names`.
        detail: the cause.
        known: whether a checker knows the account. Checkers from other packages might not report
            this.
        seen: whether the credentials were completely examined. If not, because the server was full,
            too many logins had failed before, or the client did not wait for the answer, such
            logins are summed by address.
        client: where the client comes from.
        count: how many logins this stands for; the other fields are of the last one.
    """

    name: ClassVar[str] = "refused"
    level: ClassVar[int] = logging.WARNING

    code: str
    credentials: str
    claimed: str
    detail: str
    known: bool = False
    seen: bool = True
    client: ClientInfo = NO_CLIENT
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source of a login whose credentials were not examined."""
        return None if self.seen else source_of(self.client.address)


@dataclass(frozen=True, slots=True)
class ForwardingIgnored(Event):
    """A client that is not a trusted proxy reported another client, which was ignored.

    Either the proxy must be listed as trusted, or a client tries to hide its address.

    Attributes:
        header: the header that was ignored, such as "x-forwarded-for".
        client: where the client comes from.
        count: how many requests or connections this stands for.
    """

    name: ClassVar[str] = "forwarding-ignored"
    level: ClassVar[int] = logging.WARNING

    header: str
    client: ClientInfo
    count: int = 1

    def summed_by(self) -> str | None:
        """Return the source."""
        return source_of(self.client.address)


@dataclass(frozen=True, slots=True)
class LoggedOut(Event):
    """A session has ended completely.

    Attributes:
        reason: a `LogoutCode`.
        detail: the detail that was given with the reason.
        duration: seconds from login to logout.
    """

    name: ClassVar[str] = "logout"

    session_id: str
    avatar_id: AvatarId
    reason: str
    detail: str
    duration: float


@dataclass(frozen=True, slots=True)
class SessionKicked(Event):
    """A session was ended by `PortalRef.kick`; `LoggedOut` follows."""

    name: ClassVar[str] = "kicked"

    session_id: str
    avatar_id: AvatarId
    detail: str


@dataclass(frozen=True, slots=True)
class RoleRestarted(Event):
    """A checker or the realm crashed and was replaced by a new instance."""

    name: ClassVar[str] = "restarted"
    level: ClassVar[int] = logging.WARNING

    role: str
    cause: str


@dataclass(frozen=True, slots=True)
class RoleDown(Event):
    """A checker or the realm stopped, or crashed too often.

    Logins that need it are unavailable until `RoleBack`.
    """

    name: ClassVar[str] = "down"
    level: ClassVar[int] = logging.ERROR

    role: str
    cause: str


@dataclass(frozen=True, slots=True)
class RoleBack(Event):
    """A checker or the realm that was down works again."""

    name: ClassVar[str] = "back"
    level: ClassVar[int] = logging.WARNING

    role: str


Subscriber: TypeAlias = "Callable[[Event], object] | pykka.ActorRef[Any]"


def complain(text: str, *args: object, error: BaseException | None = None) -> None:
    """Log an exception, by default the one being handled. Never raises, even if logging fails."""
    try:
        logger.error(text, *args, exc_info=error or sys.exception())
    except Exception:
        # A handler or filter of the application is broken. Use logging's own, once per interval.
        record = logging.LogRecord(
            logger.name, logging.ERROR, __file__, 0, "logging failed: " + text, args, sys.exc_info()
        )
        with _complaining:
            due = _complaints.note("logging", "", None, time.monotonic())
        if due and logging.lastResort is not None:
            logging.lastResort.handle(record)


_complaints: Repeats[None] = Repeats()

_complaining = threading.Lock()


def require_subscriber(subscriber: object) -> None:
    """Check a subscriber of events.

    Raises:
        TypeError: if it is neither a function nor an actor ref.
    """
    if not callable(subscriber) and not isinstance(subscriber, pykka.ActorRef):
        raise TypeError(
            f"a subscriber must be a function or an actor ref, not a {type(subscriber).__name__}"
        )


class _Subscription(Actor):
    """Calls a subscriber's function in an actor of its own.

    A slow function delays no one, and loses events beyond the limit of the mailbox.
    """

    registered = False
    mailbox_limit = MailboxLimit(10_000, Overflow.DROP_NEWEST)

    def __init__(self, function: Callable[[Event], object]) -> None:
        super().__init__()
        self._function = function
        self._lost = 0

    def on_receive(self, message: Event) -> Any:
        lost = getattr(self.actor_inbox, "dropped", 0)
        if lost > self._lost:
            complain(
                "A subscriber of events is too slow: it lost %d events",
                lost - self._lost,
            )
            self._lost = lost
        try:
            return self._function(message)
        except Exception:
            complain("A subscriber of events failed:")
            return None


class Events:
    """The subscribers of a portal, and its audit log (see `actorcred.audit`).

    Args:
        names: how the names in failed logins are shown.
        clock: returns the time in seconds.
        later: `later(seconds)` must have `tell_repeated` called after that time. Without it, sums
            are published with the next event that is summed, and at the end.
    """

    def __init__(
        self,
        names: ClaimedNames | None = None,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float], object] | None = None,
    ) -> None:
        self._names = names or ClaimedNames(UnknownNames.HASH)
        self._clock = clock
        self._later = later
        self._timer_runs = False
        self._repeats: Repeats[Any] = Repeats()
        self._subscribers: dict[pykka.ActorRef[Any], bool] = {}

    def subscribe(self, subscriber: Subscriber) -> pykka.ActorRef[Any]:
        """Subscribe a function or an actor to all events; return the ref for `unsubscribe`."""
        require_subscriber(subscriber)
        if isinstance(subscriber, pykka.ActorRef):
            self._subscribers[subscriber] = False
            return subscriber
        ref: ActorRef[Any] = _Subscription.start(subscriber)
        self._subscribers[ref] = True
        return ref

    def unsubscribe(self, ref: pykka.ActorRef[Any]) -> None:
        """Send no more events to a subscriber."""
        if self._subscribers.pop(ref, False):
            ref.stop(block=False)

    def close(self) -> None:
        """Publish the sums so far, and remove all subscribers. Sent events still arrive."""
        self._tell_sums(self._repeats.flush())
        for ref in list(self._subscribers):
            self.unsubscribe(ref)

    def wanted(self, kind: type[Event]) -> bool:
        """Return whether such events have a subscriber or are logged."""
        return bool(self._subscribers) or audit.isEnabledFor(kind.level)

    def emit(self, kind: type[Event], *fields: Any) -> None:
        """Publish an event `kind(*fields)`, if it is wanted. Never raises."""
        try:
            event = kind(*fields) if self.wanted(kind) else None
        except Exception:
            complain("An event could not be created:")
        else:
            if event is not None:
                self.publish(event)

    def publish(self, event: Event) -> None:
        """Send an event to the subscribers and the audit log.

        Never raises, whatever a handler or filter of the log, a subscriber, or a value in the event
        does.
        """
        try:
            source = event.summed_by()
            if source is None:
                self._tell(event)
            else:
                self._tell_sums(self._repeats.note(event.name, source, event, self._clock()))
                self._remind()
        except Exception:
            complain("An event could not be published:")

    def tell_repeated(self) -> None:
        """Publish the sums of the intervals that have ended."""
        self._timer_runs = False
        self._tell_sums(self._repeats.due(self._clock()))
        self._remind()

    def _remind(self) -> None:
        if self._later is not None and not self._timer_runs and self._repeats:
            self._timer_runs = True
            self._later(max(0.0, self._repeats.next_due() - self._clock()))

    def _tell_sums(self, sums: list[Told[Any]]) -> None:
        for one in sums:
            try:
                self._tell(one.what.summed(one.count, others=one.source == OTHERS))
            except Exception:
                complain("A sum of events could not be published:")

    def _with_name_treated(self, event: Any) -> Any:
        claimed = getattr(event, "claimed", "")
        if not claimed:
            return event
        if not isinstance(claimed, str):
            claimed = str(plain(claimed))
        shown = self._names.shown(claimed, known=getattr(event, "known", False))
        return event if shown is event.claimed else replace(event, claimed=shown)

    def _tell(self, event: Event) -> None:
        event = self._with_name_treated(event)
        try:
            write(event)
        except Exception:
            complain("An event could not be logged:")
        for ref in list(self._subscribers):
            try:
                ref.tell(event)
            except pykka.ActorDeadError:
                del self._subscribers[ref]
            except Exception:
                complain("An event could not be sent to %s:", ref)
