"""The messages that the portal receives. `Portal` matches them in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka

from actorcred.actors import ActorRef, ControlMessage, Future
from actorcred.checker import CheckerRef, Revocation
from actorcred.errors import LoginFailed
from actorcred.identity import ClientInfo
from actorcred.logout import LogoutReason
from actorcred.names import AvatarId
from actorcred.portal.attempt import Attempt
from actorcred.portal.enquiries import Enquiry
from actorcred.portal.events import Event
from actorcred.portal.pending_answer import PendingAnswer
from actorcred.portal.publishing import Subscriber
from actorcred.sessions.registry import Place
from actorcred.sessions.session import Session
from actorcred.sessions.sharing import SharedAvatar

__all__ = [
    "Annotate",
    "AnswerChallenge",
    "AvatarGone",
    "AvatarOpened",
    "AvatarSlept",
    "AvatarWoke",
    "BeginLogin",
    "Challenged",
    "CheckStanding",
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
    "MeasureLag",
    "MoveSession",
    "PlaceClaimed",
    "Publish",
    "PutToSleep",
    "RealmAnswered",
    "Recheck",
    "RegisterChecker",
    "ReportRefusal",
    "Revoke",
    "RevokeNamed",
    "RunStep",
    "ServiceBegun",
    "ServiceCrashed",
    "ServiceGone",
    "SharedAvatarGone",
    "StandingAnswered",
    "Subscribe",
    "TellRepeated",
    "Unsubscribe",
]

# -- logins ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class BeginLogin(ControlMessage):
    """Begin a login."""

    attempt: Attempt


@dataclass(slots=True)
class CheckerAnswered(ControlMessage):
    """A checker has answered asynchronously."""

    attempt: Attempt
    answer: PendingAnswer


@dataclass(slots=True)
class Challenged(ControlMessage):
    """A checker challenges the client, which may take its time to answer."""

    attempt: Attempt


@dataclass(slots=True)
class AnswerChallenge(ControlMessage):
    """The client has answered a challenge: call `go` when it is the login's turn."""

    attempt: Attempt
    go: Callable[[], object]


@dataclass(slots=True)
class ReportRefusal(ControlMessage):
    """A protocol has refused a client without asking for a login."""

    error: LoginFailed
    kind: str
    claimed: str
    client: ClientInfo
    mechanism: str = ""


@dataclass(slots=True)
class PlaceClaimed(ControlMessage):
    """The registry has decided asynchronously on the place of a login."""

    attempt: Attempt
    done: Future[Place]


@dataclass(slots=True)
class RealmAnswered(ControlMessage):
    """The realm has answered asynchronously."""

    attempt: Attempt
    answer: PendingAnswer


@dataclass(slots=True)
class GiveUpLogin(ControlMessage):
    """The client no longer waits for a login."""

    attempt: Attempt


@dataclass(slots=True)
class ExpireLogins(ControlMessage):
    """Fail the logins whose deadline has passed."""


@dataclass(slots=True)
class AvatarOpened(ControlMessage):
    """An avatar has run `on_login`, or calls its client from there."""

    session: Session


# -- sessions -------------------------------------------------------------------------------------


@dataclass(slots=True)
class EndSession(ControlMessage):
    """End a session; `done` is settled when it has ended completely."""

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
class PutToSleep(ControlMessage):
    """Put the avatar of a session to sleep; the reply is a future of whether it sleeps."""

    session: Session


@dataclass(slots=True)
class MoveSession(ControlMessage):
    """Move a session to another server; the reply is a future of that server's id."""

    session: Session
    node: str


@dataclass(slots=True)
class AvatarSlept(ControlMessage):
    """The avatar of a session has fallen asleep, or has declined to."""

    session: Session


@dataclass(slots=True)
class AvatarWoke(ControlMessage):
    """A sleeping avatar of a session has woken."""

    session: Session


@dataclass(slots=True)
class ExpireSessions(ControlMessage):
    """End the sessions whose deadline has passed."""


@dataclass(slots=True)
class ExpireLeaving(ControlMessage):
    """Interrupt the avatars that did not leave in time."""


@dataclass(slots=True)
class Kick(ControlMessage):
    """End sessions at the application's request; the reply is their number."""

    session_id: str | None
    avatar_id: AvatarId | None
    detail: str


@dataclass(slots=True)
class Annotate(ControlMessage):
    """Add notes to a session; the reply is whether the session exists."""

    session_id: str
    notes: dict[str, Any]


@dataclass(slots=True)
class FindSession(ControlMessage):
    """The reply is the open session with this id, or None."""

    session_id: str


@dataclass(slots=True)
class FindSessions(ControlMessage):
    """The reply is the open sessions of an avatar id, or all open sessions."""

    avatar_id: AvatarId | None


@dataclass(slots=True)
class CountSessions(ControlMessage):
    """The reply is the number of open sessions."""


@dataclass(slots=True)
class Drain(ControlMessage):
    """Refuse new logins and end or move all sessions; `drained` is settled with their number."""

    timeout: float
    drained: Future[int]
    move: bool = False


@dataclass(slots=True)
class DrainTimeout(ControlMessage):
    """The timeout of a drain has expired."""

    drained: Future[int]


# -- checkers and the realm -----------------------------------------------------------------------


@dataclass(slots=True)
class RegisterChecker(ControlMessage):
    """Add a checker."""

    checker: CheckerRef
    interfaces: tuple[type, ...]


@dataclass(slots=True)
class ListInterfaces(ControlMessage):
    """The reply is the interfaces that clients may request."""


@dataclass(slots=True)
class ListCredentialsInterfaces(ControlMessage):
    """The reply is the kinds of credentials that some checker takes."""

    for_everybody: bool


@dataclass(slots=True)
class ListDigestAlgorithms(ControlMessage):
    """The reply is the algorithms of HTTP Digest that can be offered; None for any."""


@dataclass(slots=True)
class Revoke(ControlMessage):
    """An account was disabled, deleted, has a new password, or has changed in some other way."""

    checker: ActorRef[Any]
    avatar_id: AvatarId
    what: Revocation


@dataclass(slots=True)
class RevokeNamed(ControlMessage):
    """The same, reported at another machine by the checker with this name."""

    checker: str
    avatar_id: AvatarId
    what: Revocation


@dataclass(slots=True)
class Recheck(ControlMessage):
    """A checker might have missed changes of any account."""

    checker: ActorRef[Any]


@dataclass(slots=True)
class CheckStanding(ControlMessage):
    """Ask the checkers which users may stay logged in, as far as that is due."""


@dataclass(slots=True)
class StandingAnswered(ControlMessage):
    """A checker has answered which users may stay logged in, or could not."""

    enquiry: Enquiry[CheckerRef, Session]
    answer: Future[Any]


@dataclass(slots=True)
class ServiceCrashed(ControlMessage):
    """A checker or the realm has crashed; the reply is the seconds until its restart."""

    ref: ActorRef[Any]
    error: BaseException


@dataclass(slots=True)
class ServiceBegun(ControlMessage):
    """A checker or the realm has started or restarted."""

    ref: ActorRef[Any]


@dataclass(slots=True)
class ServiceGone(ControlMessage):
    """A checker or the realm has stopped permanently."""

    ref: ActorRef[Any]
    cause: BaseException | None


@dataclass(slots=True)
class RunStep(ControlMessage):
    """Run a function of the registry; the reply is its result."""

    step: Callable[[], Any]


@dataclass(slots=True)
class UseUp(ControlMessage):
    """Use up what can be used once; the reply is whether it was not used before."""

    key: str
    seconds: float
    use: str


# -- events ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Publish(ControlMessage):
    """Send an event to the subscribers and the audit log."""

    event: Event


@dataclass(slots=True)
class Subscribe(ControlMessage):
    """Subscribe a function or an actor to events; the reply is the ref for `Unsubscribe`."""

    subscriber: Subscriber


@dataclass(slots=True)
class Unsubscribe(ControlMessage):
    """Remove a subscriber."""

    subscription: pykka.ActorRef[Any]


@dataclass(slots=True)
class MeasureLag(ControlMessage):
    """Record how late this timer is; it was due at a time of the portal's clock."""

    due: float


@dataclass(slots=True)
class TellRepeated(ControlMessage):
    """Publish the sums of repeated events whose interval has ended."""
