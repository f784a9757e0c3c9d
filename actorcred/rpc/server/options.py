"""The settings of a server, with their defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from actorcred.fronts.trusted import TrustedProxy
from actorcred.rpc.protocol.codec import WireLimits
from actorcred.sasl.mechanisms import check_legacy
from actorcred.settings import check_settings

__all__ = ["Rates", "Resume", "ServerOptions", "TrustedProxy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast one connection may send.

    Args:
        bytes_per_second: bytes that are read on average; reading pauses when this is exceeded. None
            is no limit. Before the login it is 4 KB, and 32 KB at once.
        bytes_burst: bytes that may arrive at once.
        requests_per_second: requests and notifications on average; None is no limit.
        request_burst: how many of them may arrive at once.
    """

    bytes_per_second: float | None = 1024 * 1024
    bytes_burst: int = 1024 * 1024
    requests_per_second: float | None = 200.0
    request_burst: int = 400

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """How a session survives the loss of its connection.

    Args:
        grace: seconds for which the session waits for its client; 0 ends it immediately.
        replay: the number of notifications, at least 1, that are kept and sent when the client
            resumes.
        replay_bytes: their encoded size in bytes.
    """

    grace: float = 30.0
    replay: int = 256
    replay_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        check_settings(self, or_zero=frozenset(("grace",)))


def check_origins(origins: tuple[str, ...] | None) -> None:
    """Check origins in the form in which browsers send them (RFC 6454, section 6.2).

    Raises:
        TypeError: if they are not a tuple of strings.
        ValueError: if one is not an origin, which no browser would match.
    """
    if origins is None:
        return
    if not isinstance(origins, tuple | list) or not all(isinstance(o, str) for o in origins):
        raise TypeError(f"origins must be a tuple of strings, or None, not {origins!r}")
    for origin in origins:
        parts = urlsplit(origin)
        form = f"{parts.scheme}://{(parts.netloc or parts.path).lower()}"
        default = {"http": ":80", "https": ":443"}.get(parts.scheme, ":none")
        form = form.removesuffix(default)
        if origin != form or not parts.netloc:
            likely = form if parts.scheme and parts.netloc else "https://play.example.org"
            raise ValueError(f"origins: {origin!r} is not an origin; write {likely!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The settings of a server. Admission and penalties are settings of the portal.

    Args:
        wire: the limits on messages from clients.
        rates: how fast a connection may send.
        resume: how a session survives the loss of its connection.
        proxy: the trusted proxies, which report where clients come from, and with an
            `identity_header` who they are; None for none.
        login_timeout: seconds from the connection to the end of the login.
        heartbeat: seconds between the pings of a client that promised to send them. Its connection
            is closed after twice that time of silence. For other clients, the kernel checks the
            connection (TCP keepalive).
        write_timeout: seconds for which a client may read nothing of what waits for it before its
            connection is closed.
        reauthentication: seconds for which `cred.end` accepts a proof of the credentials.
        passwords_in_clear: whether to offer PLAIN and OAUTHBEARER also on connections that can be
            wiretapped, which are those without TLS that do not come from this machine.
        legacy_mechanisms: SASL mechanisms for old clients that are allowed despite their age, such
            as ("SCRAM-SHA-1",) or ("CRAM-MD5",).
        origins: the origins of web pages from which browsers may connect, such as
            ("https://play.example.org",). None allows all: no cookie logs in here, so a page of
            another site can do no more than any other client. If `proxy` has an `identity_header`,
            such a page could act as its visitor, so None then allows only the host that the request
            itself names.
        write_buffer: bytes that may wait for a slow reader in one connection before notifications
            are held back.
        backlog_bytes: bytes of memory that the calls and notifications of one session may take
            while they wait for its avatar; at most twice `wire.pending` of them wait. A single
            message may always wait, whatever its size.
        reuse_port: whether other processes of the same user may listen on the same TCP ports, so
            that the kernel spreads connections over them (SO_REUSEPORT; Linux only). Each of them
            has limits and sessions of its own.
    """

    wire: WireLimits = field(default_factory=WireLimits)
    rates: Rates = field(default_factory=Rates)
    resume: Resume = field(default_factory=Resume)
    proxy: TrustedProxy | None = None
    login_timeout: float = 30.0
    heartbeat: float = 20.0
    write_timeout: float = 60.0
    reauthentication: float = 300.0
    passwords_in_clear: bool = False
    legacy_mechanisms: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = None
    write_buffer: int = 64 * 1024
    backlog_bytes: int = 1024 * 1024
    reuse_port: bool = False

    def __post_init__(self) -> None:
        legacy: object = self.legacy_mechanisms
        if legacy is None:  # which means another thing to the adapters
            raise TypeError('legacy_mechanisms must be a tuple such as ("SCRAM-SHA-1",), not None')
        check_legacy(self.legacy_mechanisms)
        check_origins(self.origins)
        if self.proxy is not None and not isinstance(self.proxy, TrustedProxy):
            raise TypeError(f"proxy must be a TrustedProxy, not {self.proxy!r}")
        check_settings(self)
