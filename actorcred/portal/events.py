"""The events of a portal, for the application and the audit log; published by `publishing`."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from actorcred.errors import RefusalCause
from actorcred.identity import NO_CLIENT, ClientInfo, Identity
from actorcred.names import AvatarId
from actorcred.network import source_of
from actorcred.portal.repeats import OTHERS
from actorcred.portal.steps import NO_TIMES, StepTimes

__all__ = [
    "Event",
    "ForwardingIgnored",
    "IdentityChanged",
    "LoggedIn",
    "LoggedOut",
    "LoginRefused",
    "Reauthenticated",
    "RoleBack",
    "RoleDown",
    "RoleRestarted",
    "SessionKicked",
    "SessionMoved",
]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a portal.

    Class attributes:
        name: the event's name in the log.
        level: the level of its log record.

    Attributes:
        time: when it happened, in seconds since the epoch; also the time of its log record.
        node: the id of the node in its cluster; "" without a cluster.
    """

    name: ClassVar[str] = "event"
    level: ClassVar[int] = logging.INFO

    time: float = field(default_factory=time.time, kw_only=True, compare=False)
    node: str = field(default="", kw_only=True, compare=False)

    def summed_by(self) -> str | None:
        """Return the source by which such events are summed; None if each one is published.

        Sums are published once per interval, with a `count`.
        """
        return None

    def kind_of_sum(self) -> str:
        """Return the kind of events that are summed with this one if they have the same source."""
        return self.name

    def summed(self, count: int, *, others: bool) -> Event:
        """Return an event that stands for several.

        Args:
            count: their number.
            others: whether they come from more sources than are remembered.
        """
        changes: dict[str, Any] = {} if count == 1 else {"count": count}
        if others:
            names = {field.name for field in fields(self)}
            unknown = {"client": ClientInfo(address=OTHERS), "claimed": ""}
            changes |= {name: value for name, value in unknown.items() if name in names}
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    """A session was opened.

    Attributes:
        session_id: the session.
        avatar_id: the avatar id.
        claimed: the user name that the client claimed; "" if the credentials have none.
        interface: the interface that was granted.
        checker: the name of the checker that accepted the credentials.
        credentials: the kind of credentials.
        mechanism: how the client presented them, such as a SASL mechanism; the kind of credentials
            if the protocol does not say.
        client: where the client comes from.
        identity: who the user is; in the log, its issuer and methods.
        steps: how long each step took.
    """

    name: ClassVar[str] = "login"

    session_id: str
    avatar_id: AvatarId
    claimed: str
    interface: str
    checker: str
    credentials: str
    mechanism: str
    client: ClientInfo = NO_CLIENT
    identity: Identity | None = None
    steps: StepTimes = NO_TIMES

    def shows_name(self) -> bool:
        """Return True: the user with this name has logged in."""
        return True


@dataclass(frozen=True, slots=True)
class LoginRefused(Event):
    """A login failed.

    Attributes:
        code: `errors.LoginFailed.code` of the error that the client got.
        cause: the kind of the cause, which the client is not told.
        credentials: the kind of credentials.
        mechanism: how the client presented them, such as a SASL mechanism; the kind of credentials
            if the protocol does not say.
        claimed: the user name that the client claimed, if the credentials have one. If no checker
            knows it, it is shown according to `PortalOptions.log_unknown_names`.
        detail: the cause.
        checker: the name of the checker that was asked last; "" if none was.
        session_id: the session that it would have opened; "" if the credentials were not accepted.
            Of a reauthentication: its session.
        avatar_id: the avatar id; "" if the credentials were not accepted. Of a reauthentication:
            that of the session.
        identity: who the user is; None if the credentials were not accepted.
        known: whether a checker knows the account. Checkers from other packages might not report
            this.
        seen: whether the credentials were completely examined. If not, because the server was full,
            too many logins had failed before, or the client did not wait for the answer, such
            logins are summed by address.
        client: where the client comes from.
        steps: how long each step took.
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
    cause: RefusalCause = RefusalCause.WRONG_CREDENTIALS
    mechanism: str = ""
    checker: str = ""
    session_id: str = ""
    avatar_id: AvatarId = ""
    identity: Identity | None = None
    steps: StepTimes = NO_TIMES
    count: int = 1

    def shows_name(self) -> bool:
        """Return whether a checker knows the account."""
        return self.known

    def summed_by(self) -> str | None:
        """Return the source of a login whose credentials were not examined."""
        return None if self.seen else source_of(self.client.address)

    def kind_of_sum(self) -> str:
        """Return the name and the cause."""
        return f"{self.name} {self.cause}"


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
        session_id: the session.
        avatar_id: its avatar id.
        reason: a `LogoutCode`.
        detail: the detail that was given with the reason.
        duration: seconds from login to logout.
        checker: the name of the checker that had accepted the credentials.
        client: where the client came from last.
        identity: who the user was.
    """

    name: ClassVar[str] = "logout"

    session_id: str
    avatar_id: AvatarId
    reason: str
    detail: str
    duration: float
    checker: str = ""
    client: ClientInfo = NO_CLIENT
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class SessionKicked(Event):
    """A session was ended by `PortalRef.kick`; `LoggedOut` follows.

    Attributes:
        session_id: the session.
        avatar_id: its avatar id.
        detail: the reason that was given.
        checker: the name of the checker that had accepted the credentials.
        client: where the client came from last.
        identity: who the user was.
    """

    name: ClassVar[str] = "kicked"

    session_id: str
    avatar_id: AvatarId
    detail: str
    checker: str = ""
    client: ClientInfo = NO_CLIENT
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class SessionMoved(Event):
    """A session has moved from one server of the cluster to another. Both publish this event.

    Attributes:
        session_id: the session.
        avatar_id: its avatar id.
        source: the id of the server that it has left.
        target: the id of the server that has it now.
        fence: the number of its place there; see `Session.fence`.
        duration: seconds; at the target, those to restore the avatar.
        checker: the name of the checker that had accepted the credentials.
        client: where the client comes from.
        identity: who the user is.
    """

    name: ClassVar[str] = "moved"

    session_id: str
    avatar_id: AvatarId
    source: str
    target: str
    fence: int | None
    duration: float
    checker: str = ""
    client: ClientInfo = NO_CLIENT
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Reauthenticated(Event):
    """The user of a session has proven the credentials again.

    Attributes:
        session_id: the session.
        avatar_id: its avatar id.
        checker: the name of the checker that has accepted the credentials.
        credentials: the kind of credentials.
        mechanism: how the client presented them; see `LoginRefused`.
        client: where the client comes from.
        identity: who the user is, with all methods proven so far.
    """

    name: ClassVar[str] = "reauthenticated"

    session_id: str
    avatar_id: AvatarId
    checker: str
    credentials: str
    mechanism: str
    client: ClientInfo = NO_CLIENT
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class IdentityChanged(Event):
    """A checker says something new of a user who is logged in, such as other groups.

    Attributes:
        session_id: the session.
        avatar_id: its avatar id.
        checker: the name of the checker that had accepted the credentials.
        client: where the client came from last.
        identity: who the user is now.
    """

    name: ClassVar[str] = "identity"

    session_id: str
    avatar_id: AvatarId
    checker: str = ""
    client: ClientInfo = NO_CLIENT
    identity: Identity | None = None


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
