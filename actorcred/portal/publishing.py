"""Publishing events: to the subscribers of a portal, and to its audit log."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pykka

from actorcred.actors import Actor, ActorRef, MailboxLimit, Overflow
from actorcred.audit import ClaimedNames, UnknownNames, audit, plain, write
from actorcred.portal.events import Event, LoggedIn, LoginRefused
from actorcred.portal.repeats import OTHERS, Repeats, Told

__all__ = ["Events", "Subscriber", "complain", "dropped_events", "require_subscriber"]


logger = logging.getLogger("actorcred.portal")


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


_dropped = 0

_counting = threading.Lock()


def _count_dropped(count: int) -> None:
    global _dropped
    with _counting:  # subscribers run on several threads
        _dropped += count


def dropped_events() -> int:
    """Return how many events the subscribers of this process have lost by being too slow."""
    return _dropped


class _Subscription(Actor):
    """Calls a subscriber's function in an actor of its own.

    A slow function delays no one. Beyond the limit of the mailbox it loses the oldest events.
    """

    registered = False
    mailbox_limit = MailboxLimit(10_000, Overflow.DROP_OLDEST)

    def __init__(self, function: Callable[[Event], object]) -> None:
        super().__init__()
        self._function = function
        self._lost = 0

    def on_receive(self, message: Event) -> Any:
        lost = getattr(self.actor_inbox, "dropped", 0)
        if lost > self._lost:
            _count_dropped(lost - self._lost)
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
        omit: fields that are left out of the audit log.

    Attributes:
        node: the id of the node in its cluster, which events get; "" without a cluster.
    """

    def __init__(
        self,
        names: ClaimedNames | None = None,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float], object] | None = None,
        omit: frozenset[str] = frozenset(),
    ) -> None:
        self.node = ""
        self._omit = omit
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

    def emit(self, kind: type[Event], *fields: Any, **more: Any) -> None:
        """Publish an event `kind(*fields, **more)`, if it is wanted. Never raises."""
        try:
            event = kind(*fields, **more) if self.wanted(kind) else None
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
                kind, now = event.kind_of_sum(), self._clock()
                self._tell_sums(self._repeats.note(kind, source, event, now))
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
        known = event.shows_name() if isinstance(event, LoggedIn | LoginRefused) else False
        shown = self._names.shown(claimed, known=known)
        return event if shown is event.claimed else replace(event, claimed=shown)

    def _tell(self, event: Event) -> None:
        event = self._with_name_treated(event)
        if self.node:
            event = replace(event, node=self.node)
        try:
            write(event, self._omit)
        except Exception:
            complain("An event could not be logged:")
        for ref in list(self._subscribers):
            try:
                ref.tell(event)
            except pykka.ActorDeadError:
                del self._subscribers[ref]
            except Exception:
                complain("An event could not be sent to %s:", ref)
