"""Who a user is, as a checker says, and where a client comes from, as a protocol knows.

Both are plain values. A checker answers with an avatar id or with an `Identity`; a protocol gives
the portal a `ClientInfo` with each login.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

from actorcred.credentials import Certificate, ExternalIdentity
from actorcred.exchange import PASSWORD
from actorcred.names import ANONYMOUS, AvatarId, make_avatar_id
from actorcred.network import is_loopback

__all__ = [
    "NO_CLIENT",
    "NO_INFO",
    "ClientInfo",
    "Identity",
    "InvalidIdentity",
    "TLSInfo",
    "combined",
    "identity_of",
    "proofs_of",
    "refreshed",
    "seconds_left",
]


NO_INFO: Final[Mapping[str, Any]] = MappingProxyType({})
"""No further information: the shared default of mappings."""


NO_GROUPS: Final[frozenset[str]] = frozenset()


class InvalidIdentity(TypeError, ValueError):
    """A field of an `Identity` cannot be used. The text names the field and no value."""


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Identity:
    """Who a user is, and how that was proven.

    Args:
        avatar_id: the avatar id, or `ANONYMOUS`.
        issuer: who named the user, such as the URL of a token's issuer or the name of a directory;
            None if that is this server's own store.
        subject: the issuer's name for the user, which never changes; None if there is none.
        attributes: further facts, such as {"mail": "ann@example.org"}. Values are strings, numbers,
            booleans, or tuples of them.
        groups: the groups or roles of the user.
        methods: how the user proved it, by the names of RFC 8176: "pwd", "otp", "hwk" (a key in
            hardware), "swk" (a key in software), "sc" (a smart card), ...
        authenticated: when the credentials were proven, an aware datetime; None is now. A token
            can be older than the login (`auth_time`).
        expires: when the proof ends, and the session with it, an aware datetime; None is never.
        last_login: the user's previous login, if the store keeps it; an aware datetime.
        vouchers: which checkers vouch for the user, each with the name by which it knows the user.
            Checkers that wrap others fill it in. So does one whose `standing` must know more than
            the avatar id, with its own ref; others leave it empty.
        parts: what each of several checkers said, if all of them had to accept the user; see
            `combined`.

    Raises:
        InvalidIdentity: if a field has a wrong type or value. The text names the field.
    """

    avatar_id: AvatarId
    issuer: str | None
    subject: str | None
    attributes: Mapping[str, Any] = field(repr=False)
    groups: frozenset[str]
    methods: frozenset[str]
    authenticated: datetime | None
    expires: datetime | None
    last_login: datetime | None
    vouchers: tuple[tuple[Any, str], ...] = field(repr=False)
    parts: tuple[Identity, ...] = field(repr=False)

    def __init__(
        self,
        avatar_id: AvatarId,
        *,
        issuer: str | None = None,
        subject: str | None = None,
        attributes: Mapping[str, Any] = NO_INFO,
        groups: frozenset[str] = NO_GROUPS,
        methods: frozenset[str] = PASSWORD,
        authenticated: datetime | None = None,
        expires: datetime | None = None,
        last_login: datetime | None = None,
        vouchers: tuple[tuple[Any, str], ...] = (),
        parts: tuple[Identity, ...] = (),
    ) -> None:
        put = object.__setattr__
        put(self, "avatar_id", _avatar_id(avatar_id))
        put(self, "issuer", _text_or_none("issuer", issuer))
        put(self, "subject", _text_or_none("subject", subject))
        put(self, "attributes", _attributes(attributes))
        put(self, "groups", _words("groups", groups))
        put(self, "methods", _words("methods", methods))
        put(self, "authenticated", _time_or_none("authenticated", authenticated))
        put(self, "expires", _time_or_none("expires", expires))
        put(self, "last_login", _time_or_none("last_login", last_login))
        put(self, "vouchers", _vouchers(vouchers) if vouchers else ())
        put(self, "parts", parts)

    def __eq__(self, other: object) -> bool:
        if type(other) is not Identity:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)

    def __hash__(self) -> int:
        return hash((self.avatar_id, self.issuer, self.subject))

    def replaced(self, **changes: Any) -> Identity:
        """Return a copy with other values for some fields.

        Raises:
            InvalidIdentity: see the class.
        """
        return Identity(**{name: getattr(self, name) for name in _FIELDS} | changes)


_FIELDS: Final = tuple(one.name for one in fields(Identity))

_COMPARED: Final = tuple(name for name in _FIELDS if name not in ("vouchers", "parts"))


def _avatar_id(value: object) -> AvatarId:
    if value is ANONYMOUS:
        return ANONYMOUS
    if not isinstance(value, str | bytes):
        raise InvalidIdentity(f"avatar_id must be a string, not a {type(value).__name__}")
    try:
        return make_avatar_id(value)
    except ValueError as error:
        raise InvalidIdentity(f"avatar_id: {error}") from None


def _text_or_none(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidIdentity(f"{name} must be a string or None, not a {type(value).__name__}")
    return value


def _words(name: str, value: object) -> frozenset[str]:
    if isinstance(value, str | bytes) or not isinstance(value, frozenset | set | tuple | list):
        kind = type(value).__name__
        raise InvalidIdentity(f"{name} must be a frozenset of strings, not a {kind}")
    for word in value:
        if not isinstance(word, str) or not word:
            raise InvalidIdentity(f"{name} must contain only non-empty strings")
    return value if isinstance(value, frozenset) else frozenset(value)


def _vouchers(value: object) -> object:
    if not isinstance(value, tuple) or not all(
        isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], str) for pair in value
    ):
        raise InvalidIdentity("vouchers must be a tuple of pairs of a checker and a string")
    return value


def _attributes(value: object) -> Mapping[str, Any]:
    if value is NO_INFO:
        return NO_INFO
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidIdentity("attributes must be a mapping whose keys are strings")
    # A copy, so that nobody can change it later.
    return MappingProxyType(dict(value)) if value else NO_INFO


def _time_or_none(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidIdentity(f"{name} must be a datetime or None, not a {type(value).__name__}")
    if value.utcoffset() is None:
        raise InvalidIdentity(f"{name} must have a time zone, such as datetime.UTC")
    return value


def proofs_of(credentials: object) -> frozenset[str]:
    """Return the methods by which credentials prove who a client is, unless the checker says more.

    Credentials of other packages may have an attribute `proves`; the default is a password.
    """
    proves = getattr(credentials, "proves", PASSWORD)
    return proves if isinstance(proves, frozenset) else PASSWORD


def identity_of(answer: object, credentials: object = None) -> Identity:
    """Return the answer of a checker as an identity.

    Args:
        answer: an avatar id or an `Identity`.
        credentials: what the checker was asked about.

    Raises:
        InvalidIdentity: if it is neither.
    """
    if type(answer) is Identity:
        return answer
    if answer is ANONYMOUS and credentials is None:
        return Identity(ANONYMOUS, methods=NO_GROUPS)
    return Identity(answer, methods=proofs_of(credentials))  # type: ignore[arg-type]


def combined(first: Identity, second: Identity) -> Identity:
    """Return what two proofs of one user say together: the first one's facts come first.

    Groups, methods and attributes are joined. The older proof counts, and the earlier expiry.
    """
    times = [time for time in (first.authenticated, second.authenticated) if time is not None]
    ends = [time for time in (first.expires, second.expires) if time is not None]
    return first.replaced(
        issuer=first.issuer or second.issuer,
        subject=first.subject if first.issuer or first.subject else second.subject,
        attributes={**second.attributes, **first.attributes},
        groups=first.groups | second.groups,
        methods=first.methods | second.methods,
        authenticated=min(times, default=None),
        expires=min(ends, default=None),
        last_login=first.last_login or second.last_login,
        vouchers=first.vouchers + second.vouchers,
        parts=(first.parts or (first,)) + (second.parts or (second,)),
    )


def refreshed(known: Identity, voucher: tuple[Any, str], now: Identity) -> Identity:
    """Return an identity of which one of its checkers now says something else.

    Args:
        known: the identity of a session.
        voucher: that checker, and the name by which it knows the user.
        now: what it says now. The avatar id and what belongs to the login stay as they are.
    """
    parts = tuple(
        _of_login(part, now) if not part.vouchers or voucher in part.vouchers else part
        for part in known.parts or (known,)
    )
    said = _of_login(known, reduce(combined, parts))
    return said.replaced(parts=parts if known.parts else ())


def _of_login(login: Identity, said: Identity) -> Identity:
    """Return what is said of a user, with what belongs to a login."""
    kept = ("avatar_id", "methods", "authenticated", "expires", "last_login", "vouchers")
    return said.replaced(**{name: getattr(login, name) for name in kept})


def seconds_left(identity: Identity, now: datetime) -> float | None:
    """Return the seconds until a proof ends, at least 0; None if it does not end."""
    if identity.expires is None:
        return None
    return max(0.0, (identity.expires - now) / timedelta(seconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSInfo:
    """The TLS of a connection.

    Args:
        version: such as "TLSv1.3".
        cipher: the cipher suite, such as "TLS_AES_256_GCM_SHA384".
        server_name: the name of the server that the client asked for (SNI); "" if unknown.
        certificate: the client's certificate, verified; None without.
        binding: the channel binding for SCRAM: its kind and bytes (RFC 5929); None without.
        tls_unique: the bytes of the further binding that TLS 1.2 has (RFC 5929, section 3).
    """

    version: str = ""
    cipher: str = ""
    server_name: str = ""
    certificate: Certificate | None = None
    binding: tuple[str, bytes] | None = field(default=None, repr=False)
    tls_unique: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientInfo:
    """Where a client comes from, as far as the protocol knows.

    Args:
        address: the client's address; "" if it has none, as on a Unix socket or in the process.
            Behind a trusted proxy, it is the address that the proxy reports.
        port: the client's port; 0 if unknown.
        protocol: what the client speaks: "rpc", "http", "ssh", "smtp", "imap", "pop3", "pb", ...
        transport: what carries it: "tcp", "tls", "unix" or "websocket"; "" in the process.
        local: the server's own address and port that the client has reached, such as
            "192.0.2.1:8080", or the name under which it was reached; "" if unknown.
        encrypted: whether the connection has TLS or the like. Behind a trusted proxy: whether the
            proxy reports that the client's connection to it has.
        tls: the details of the TLS that ends in this server; None without.
        name: what the client calls itself, such as "arena-bot"; not to be trusted.
        version: of the client, as it says itself.
        via: the addresses of the trusted proxies between the client and this server, the client's
            nearest first; "unix" for one that connects over a Unix socket.
        untrusted_front: whether many users might share this address, because somebody who is not
            trusted says that the client is another one, or a trusted proxy does not know its
            client.
        asserted: the user's name as a trusted proxy states it; None without.
    """

    address: str = ""
    port: int = 0
    protocol: str = ""
    transport: str = ""
    local: str = ""
    encrypted: bool = False
    tls: TLSInfo | None = None
    name: str = ""
    version: str = ""
    via: tuple[str, ...] = ()
    untrusted_front: bool = False
    asserted: ExternalIdentity | None = None

    @property
    def private(self) -> bool:
        """Whether no third party can read the connection: TLS, a Unix socket, or one machine."""
        if self.encrypted:
            return True
        # A proxy can be on this machine, but its client is not.
        if self.via or self.untrusted_front:
            return False
        return self.transport == "unix" or is_loopback(self.address)

    @property
    def certificate(self) -> Certificate | None:
        """The client's certificate, verified; None without."""
        return None if self.tls is None else self.tls.certificate

    @property
    def endpoint(self) -> str:
        """The address and port for display, such as "192.0.2.7:5000" or "[2001:db8::1]:5000"."""
        if not self.address or not self.port:
            return self.address
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def named(self, name: str, version: str) -> ClientInfo:
        """Return this client with the name and version that it gives itself."""
        # `dataclasses.replace` takes three times as long, and each login of a network client needs
        # this.
        return ClientInfo(
            address=self.address,
            port=self.port,
            protocol=self.protocol,
            transport=self.transport,
            local=self.local,
            encrypted=self.encrypted,
            tls=self.tls,
            name=name,
            version=version,
            via=self.via,
            untrusted_front=self.untrusted_front,
            asserted=self.asserted,
        )

    def bindings(self) -> dict[str, bytes]:
        """Return all channel bindings of the connection: kind -> bytes."""
        tls = self.tls
        if tls is None:
            return {}
        found = {} if tls.tls_unique is None else {"tls-unique": tls.tls_unique}
        return found if tls.binding is None else {tls.binding[0]: tls.binding[1], **found}


NO_CLIENT: Final = ClientInfo()
"""The default: nothing is known of the client, such as for a login inside the process."""
