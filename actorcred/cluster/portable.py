"""What is told of a session at another node, as plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from actorcred.identity import ClientInfo, Identity
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.sessions.session import Session

__all__ = ["Portrait", "Whence", "Who", "name_of", "plain", "portrait_of", "whence", "who_is"]


class Who(msgspec.Struct, frozen=True, array_like=True):
    """An identity, without what only its own node can use."""

    avatar_id: str | None
    issuer: str | None = None
    subject: str | None = None
    attributes: dict[str, Any] = {}
    groups: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    authenticated: float | None = None
    expires: float | None = None
    last_login: float | None = None

    def identity(self) -> Identity:
        """Return the identity."""
        return Identity(
            ANONYMOUS if self.avatar_id is None else self.avatar_id,
            issuer=self.issuer,
            subject=self.subject,
            attributes=self.attributes,
            groups=frozenset(self.groups),
            methods=frozenset(self.methods),
            authenticated=_time(self.authenticated),
            expires=_time(self.expires),
            last_login=_time(self.last_login),
        )


class Whence(msgspec.Struct, frozen=True, array_like=True):
    """Where a client comes from, without the details of its TLS."""

    address: str = ""
    port: int = 0
    protocol: str = ""
    transport: str = ""
    local: str = ""
    encrypted: bool = False
    name: str = ""
    version: str = ""
    via: tuple[str, ...] = ()
    untrusted_front: bool = False

    def client(self) -> ClientInfo:
        """Return what is known of the client."""
        return ClientInfo(**{name: getattr(self, name) for name in self.__struct_fields__})


class Portrait(msgspec.Struct, frozen=True, array_like=True):
    """A session as its node describes it to others.

    Attributes:
        id: the session's id.
        node: the node that has it.
        avatar_id: who is logged in; None for an anonymous client.
        interface: the name of the interface, see `name_of`.
        checker: the name of the checker.
        since: when it was opened, in seconds since the epoch.
        last_active: when the client last used it.
        identity: who the user is.
        client: where the client comes from.
        notes: what the application noted, as far as it can cross to another node.
    """

    id: str
    node: str
    avatar_id: str | None
    interface: str
    checker: str
    since: float
    last_active: float
    identity: Who
    client: Whence
    notes: dict[str, Any] = {}

    @property
    def who(self) -> AvatarId:
        """The avatar id."""
        return ANONYMOUS if self.avatar_id is None else self.avatar_id


def name_of(interface: type) -> str:
    """Return the name by which nodes tell each other an interface."""
    return f"{interface.__module__}:{interface.__qualname__}"


def portrait_of(session: Session, node: str) -> Portrait:
    """Return the description of a session of this node."""
    identity, client = session.identity, session.client
    return Portrait(
        session.id,
        node,
        None if session.avatar_id is ANONYMOUS else session.avatar_id,
        name_of(session.interface),
        session.checker,
        session.since,
        session.last_active,
        who_is(identity),
        whence(client),
        plain(session.notes),
    )


def who_is(identity: Identity) -> Who:
    """Return an identity as it crosses to another node."""
    return Who(
        None if identity.avatar_id is ANONYMOUS else identity.avatar_id,
        identity.issuer,
        identity.subject,
        plain(identity.attributes),
        tuple(sorted(identity.groups)),
        tuple(sorted(identity.methods)),
        _seconds(identity.authenticated),
        _seconds(identity.expires),
        _seconds(identity.last_login),
    )


def whence(client: ClientInfo) -> Whence:
    """Return where a client comes from as it crosses to another node."""
    return Whence(**{name: getattr(client, name) for name in Whence.__struct_fields__})


def plain(values: Any) -> dict[str, Any]:
    """Return those values that can cross to another node."""
    plain = {}
    for name, value in values.items():
        try:
            msgspec.msgpack.encode(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            continue
        plain[name] = value
    return plain


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
