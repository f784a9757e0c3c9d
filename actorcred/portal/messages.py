"""The messages that the portal receives. `Portal` matches them in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pykka

from actorcred.actors import ActorRef, ControlMessage, Future
from actorcred.checker import CheckerRef, Revocation
from actorcred.logout import LogoutReason
from actorcred.names import AvatarId
from actorcred.portal.attempt import Attempt
from actorcred.portal.events import Event, Subscriber
from actorcred.portal.pending_answer import PendingAnswer
from actorcred.sessions.registry import Place
from actorcred.sessions.session import Session
from actorcred.sessions.sharing import SharedAvatar

__all__ = [
    "Annotate",
    "AvatarGone",
    "AvatarOpened",
    "BeginLogin",
    "CheckerAnswered",
    "CountSessions",
    "Drain",
    "DrainTimeout",
    "EndSession",
    "ExpireLeaving",
    "ExpireLogins",
    "ExpireSessions",
    "FindSession",
    "FindSessions",
    "GiveUpLogin",
    "Kick",
    "ListCredentialsInterfaces",
    "ListDigestAlgorithms",
    "ListInterfaces",
    "PlaceClaimed",
    "Publish",
    "RealmAnswered",
    "RegisterChecker",
    "Revoke",
    "ServiceBegun",
    "ServiceCrashed",
    "ServiceGone",
    "SharedAvatarGone",
    "Subscribe",
    "TellRepeated",
    "Unsubscribe",
]

# -- logins ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class BeginLogin(ControlMessage):
    """Take in a new login."""

    attempt: Attempt


@dataclass(slots=True)
class CheckerAnswered(ControlMessage):
    """A checker has answered, later than immediately."""

    attempt: Attempt
    answer: PendingAnswer


@dataclass(slots=True)
class PlaceClaimed(ControlMessage):
    """The registry has decided on the place of a login, later than immediately."""

    attempt: Attempt
    done: Future[Place]


@dataclass(slots=True)
class RealmAnswered(ControlMessage):
    """The realm has answered, later than immediately."""

    attempt: Attempt
    answer: PendingAnswer


@dataclass(slots=True)
class GiveUpLogin(ControlMessage):
    """The client no longer waits for a login."""

    attempt: Attempt


@dataclass(slots=True)
class ExpireLogins(ControlMessage):
    """Fail the logins whose deadline has come."""


@dataclass(slots=True)
class AvatarOpened(ControlMessage):
    """An avatar has run `on_login`, or asks its client meanwhile."""

    session: Session


# -- sessions -------------------------------------------------------------------------------------


@dataclass(slots=True)
class EndSession(ControlMessage):
    """End a session; `done` is settled when nothing is left of it."""

    session: Session
    reason: LogoutReason
    done: Future[None] | None = None


@dataclass(slots=True)
class AvatarGone(ControlMessage):
    """The avatar of a session has stopped, or crashed with `cause`."""

    session: Session
    cause: BaseException | None


@dataclass(slots=True)
class SharedAvatarGone(ControlMessage):
    """The avatar that several sessions share has stopped, or crashed with `cause`."""

    shared: SharedAvatar[Session]
    cause: BaseException | None


@dataclass(slots=True)
class ExpireSessions(ControlMessage):
    """End the sessions whose time is over."""


@dataclass(slots=True)
class ExpireLeaving(ControlMessage):
    """Hurry up the avatars whose time to leave is over."""


@dataclass(slots=True)
class Kick(ControlMessage):
    """End sessions by order; the reply is their number."""

    session_id: str | None
    avatar_id: AvatarId | None
    detail: str


@dataclass(slots=True)
class Annotate(ControlMessage):
    """Note something about a session; the reply is whether there is such a session."""

    session_id: str
    notes: dict[str, Any]


@dataclass(slots=True)
class FindSession(ControlMessage):
    """The reply is the open session with this id, or None."""

    session_id: str


@dataclass(slots=True)
class FindSessions(ControlMessage):
    """The reply is the open sessions of an avatar id, or all."""

    avatar_id: AvatarId | None


@dataclass(slots=True)
class CountSessions(ControlMessage):
    """The reply is the number of open sessions."""


@dataclass(slots=True)
class Drain(ControlMessage):
    """Refuse new logins and end all sessions; `drained` is settled with their number."""

    timeout: float
    drained: Future[int]


@dataclass(slots=True)
class DrainTimeout(ControlMessage):
    """The time of a drain is over."""

    drained: Future[int]


# -- checkers and the realm -----------------------------------------------------------------------


@dataclass(slots=True)
class RegisterChecker(ControlMessage):
    """Ask a further checker."""

    checker: CheckerRef
    interfaces: tuple[type, ...]


@dataclass(slots=True)
class ListInterfaces(ControlMessage):
    """The reply is what clients may ask for."""


@dataclass(slots=True)
class ListCredentialsInterfaces(ControlMessage):
    """The reply is the kinds of credentials that some checker takes."""

    for_everybody: bool


@dataclass(slots=True)
class ListDigestAlgorithms(ControlMessage):
    """The reply is the algorithms of HTTP Digest that can be offered; None for any."""


@dataclass(slots=True)
class Revoke(ControlMessage):
    """An account was disabled, deleted, or has a new password."""

    checker: ActorRef[Any]
    avatar_id: AvatarId
    what: Revocation


@dataclass(slots=True)
class ServiceCrashed(ControlMessage):
    """A checker or the realm has crashed; the reply is the pause until it is made anew."""

    ref: ActorRef[Any]
    error: BaseException


@dataclass(slots=True)
class ServiceBegun(ControlMessage):
    """A checker or the realm works, perhaps again."""

    ref: ActorRef[Any]


@dataclass(slots=True)
class ServiceGone(ControlMessage):
    """A checker or the realm has ended for good."""

    ref: ActorRef[Any]
    cause: BaseException | None


# -- events ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Publish(ControlMessage):
    """Send an event to the subscribers and the audit log."""

    event: Event


@dataclass(slots=True)
class Subscribe(ControlMessage):
    """Send all events from now on to a function or an actor; the reply is the ref to unsubscribe."""

    subscriber: Subscriber


@dataclass(slots=True)
class Unsubscribe(ControlMessage):
    """Send a subscriber no more events."""

    subscription: pykka.ActorRef[Any]


@dataclass(slots=True)
class TellRepeated(ControlMessage):
    """Publish the sums of repeated events whose interval is over."""
