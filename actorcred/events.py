"""What happens at a portal, for the application and for the audit log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeAlias

import pykka

from actorcred.actors import Actor, ActorRef
from actorcred.credentials import AvatarId

__all__ = [
    "Event",
    "Events",
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

audit = logging.getLogger("actorcred.audit")
logger = logging.getLogger("actorcred.portal")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a portal."""

    name: ClassVar[str] = "event"
    level: ClassVar[int] = logging.INFO


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    """A session was opened."""

    name: ClassVar[str] = "login"

    session_id: str
    avatar_id: AvatarId
    interface: str
    checker: str


@dataclass(frozen=True, slots=True)
class LoginRefused(Event):
    """A login failed.

    Attributes:
        code: `errors.LoginFailed.code` of the error that the client got.
        credentials: the kind of credentials.
        claimed: the user name that the client claimed, if the credentials have one. It may not exist.
        detail: the cause.
    """

    name: ClassVar[str] = "refused"
    level: ClassVar[int] = logging.WARNING

    code: str
    credentials: str
    claimed: str
    detail: str


@dataclass(frozen=True, slots=True)
class LoggedOut(Event):
    """A session ended, and nothing is left of it.

    Attributes:
        reason: a `LogoutCode`.
        detail: the text that was given with it.
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
    """Somebody ordered that a session ends; `LoggedOut` follows."""

    name: ClassVar[str] = "kicked"

    session_id: str
    avatar_id: AvatarId
    detail: str


@dataclass(frozen=True, slots=True)
class RoleRestarted(Event):
    """A checker or the realm crashed, and a fresh instance has taken its place."""

    name: ClassVar[str] = "restarted"
    level: ClassVar[int] = logging.WARNING

    role: str
    cause: str


@dataclass(frozen=True, slots=True)
class RoleDown(Event):
    """A checker or the realm stopped, or crashed too often; logins that need it are unavailable until `RoleBack`."""

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


def printable(text: object) -> str:
    """Return a text without control characters, so that a user's name cannot forge lines of a log."""
    return "".join(character if character.isprintable() else "?" for character in str(text))[:200]


def require_subscriber(subscriber: object) -> None:
    """Check what is to be told of events.

    Raises:
        TypeError: if it is neither a function nor an actor ref.
    """
    if not callable(subscriber) and not isinstance(subscriber, pykka.ActorRef):
        raise TypeError(f"a subscriber must be a function or an actor ref, not a {type(subscriber).__name__}")


class _Subscription(Actor):
    """Calls a subscriber's function in a context of its own: a slow one delays nobody."""

    registered = False

    def __init__(self, function: Callable[[Event], object]) -> None:
        super().__init__()
        self._function = function

    def on_receive(self, message: Event) -> Any:
        try:
            return self._function(message)
        except Exception:
            logger.exception("A subscriber of events failed:")
            return None


class Events:
    """The subscribers of a portal, and its audit log (logger `actorcred.audit`, one record per event).

    A record's `event`, `avatar_id`, `session_id` and so on are attributes of it, for formatters that write fields.
    """

    def __init__(self) -> None:
        self._subscribers: dict[pykka.ActorRef[Any], bool] = {}

    def subscribe(self, subscriber: Subscriber) -> pykka.ActorRef[Any]:
        """Send all events from now on to a function or an actor; return the ref with which to unsubscribe."""
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
        """Let all subscribers go, after the events that they were sent."""
        for ref in list(self._subscribers):
            self.unsubscribe(ref)

    def wanted(self, kind: type[Event]) -> bool:
        """Tell whether anybody listens to such events."""
        return bool(self._subscribers) or audit.isEnabledFor(kind.level)

    def emit(self, kind: type[Event], *fields: Any) -> None:
        """Tell the subscribers and the audit log of an event `kind(*fields)`, if anybody listens."""
        if self.wanted(kind):
            self.publish(kind(*fields))

    def publish(self, event: Event) -> None:
        """Tell the subscribers and the audit log of an event."""
        if audit.isEnabledFor(event.level):
            self._log(event)
        for ref in list(self._subscribers):
            try:
                ref.tell(event)
            except pykka.ActorDeadError:
                del self._subscribers[ref]
            except Exception:
                logger.exception("An event could not be told to %s:", ref)

    def _log(self, event: Event) -> None:
        fields = {name: value if isinstance(value, float) else printable(value) for name, value in asdict(event).items()}
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        # `name` is an attribute of every log record already.
        audit.log(event.level, "%s %s", event.name, text, extra={"event": event.name, **fields})
