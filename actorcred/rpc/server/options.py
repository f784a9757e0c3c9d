"""The settings of a server, each default written once, here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from actorcred.rpc.protocol.codec import WireLimits
from actorcred.sasl.mechanisms import check_legacy

__all__ = ["ServerOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """The settings of a server.

    Args:
        wire: what is accepted from clients.
        login_timeout: seconds from the connection to the end of the login.
        heartbeat: seconds after which a client that promised to ping does so; it is given up after twice that. With other
            clients it is left to the kernel, which asks the peer's (TCP keepalive).
        grace: seconds for which a session survives the loss of its connection; 0 ends it at once.
        replay: notifications that are kept for a client to get again when it resumes; at least 1.
        replay_bytes: the bytes of them, encoded.
        bytes_per_second: what is read of one connection on the average; then nothing is read of it for a while. None is no
            limit. Before the login it is 4 KB, and 32 KB at once.
        bytes_burst: how many may come at once.
        requests_per_second: of one connection on the average, notifications among them; None is no limit.
        request_burst: how many may come at once.
        write_timeout: seconds for which a client may take nothing of what waits for it; then it is given up.
        max_connections: connections of every transport, those without a login among them; None is what the process may
            have of file descriptors (RLIMIT_NOFILE) less 64, which stay for databases, files and logs.
        max_unauthenticated: connections without a login, but no more than half of `max_connections`. From half of that
            on some are refused at random, more the more there are, as OpenSSH's MaxStartups does.
        max_unauthenticated_per_source: the same from one address (of IPv6: one /64 network).
        max_anonymous_per_source: sessions of anonymous clients from one address.
        limit_loopback: whether connections from this machine have a source, too. By default neither they nor those of Unix
            sockets have limits or penalties per source, since a proxy or any number of users may stand behind them.
        penalty: seconds for which a source and an account are denied after a failed login; twice that after the next.
            It never exceeds `max_penalty`, and a while without failures takes it away again.
        free_failures: failed logins before the penalties begin.
        free_denials: logins that a source may try in vain while it is penalised. At one more its connection is closed, and
            new ones are refused until the penalty is over.
        max_penalty: seconds.
        reauthentication: seconds for which `cred.end` believes a proof of the credentials.
        passwords_in_clear: offer PLAIN and OAUTHBEARER also where somebody may read along: neither TLS nor on this machine.
        legacy_mechanisms: SASL mechanisms for old clients that are allowed in spite of their age,
            such as ("SCRAM-SHA-1",) or ("CRAM-MD5",).
        origins: from which pages of the web browsers may connect, as ("https://play.example.org",). None is any, since no
            cookie logs in here, so that a strange page can do no more than any other client; with `identity_header`, by
            which a strange page would act as its visitor, None is only the host that the request itself names.
        identity_header: the header in which a proxy before the server says who the client is, as "X-Remote-User"; the proxy
            has to take it out of what clients send. It counts only from `trusted_fronts`, and for a checker that takes
            `ExternalIdentity`.
        trusted_fronts: the addresses or networks of such proxies, as ("127.0.0.1", "10.0.0.0/24"). They must take the header
            away from what their clients send. Where `WebApp` runs in another server, that one must not put other addresses
            in the place of the proxies' (`uvicorn --no-proxy-headers`).
        write_buffer: bytes that may wait for a slow reader in one connection before its mind holds back.
        backlog_bytes: bytes of memory that the calls and notifications of one session may take while they wait for its
            avatar; at most `wire.pending` of each kind wait. One may always wait.
    """

    wire: WireLimits = field(default_factory=WireLimits)
    login_timeout: float = 30.0
    heartbeat: float = 20.0
    grace: float = 30.0
    replay: int = 256
    replay_bytes: int = 256 * 1024
    requests_per_second: float | None = 200.0
    bytes_per_second: float | None = 1024 * 1024
    bytes_burst: int = 1024 * 1024
    request_burst: int = 400
    write_timeout: float = 60.0
    max_connections: int | None = None
    max_unauthenticated: int = 1000
    max_unauthenticated_per_source: int = 200
    max_anonymous_per_source: int = 100
    limit_loopback: bool = False
    penalty: float = 1.0
    free_failures: int = 5
    free_denials: int = 20
    max_penalty: float = 60.0
    reauthentication: float = 300.0
    passwords_in_clear: bool = False
    legacy_mechanisms: tuple[str, ...] = ()
    origins: tuple[str, ...] | None = None
    identity_header: str = ""
    trusted_fronts: tuple[str, ...] = ()
    write_buffer: int = 64 * 1024
    backlog_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        check_legacy(self.legacy_mechanisms)
        if bool(self.identity_header) != bool(self.trusted_fronts):
            raise ValueError("identity_header and trusted_fronts need each other")
        for front in self.trusted_fronts:
            ipaddress.ip_network(front)
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, bool | WireLimits | tuple | str) or value is None:
                continue
            if value < 0 or (
                value == 0 and name not in {"grace", "penalty", "free_failures", "free_denials"}
            ):
                raise ValueError(f"{name} must be more than 0, not {value!r}")

    def trusts(self, host: str) -> bool:
        """Tell whether what comes from an address may say who a client is."""
        if not self.trusted_fronts:
            return False
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return False
        return any(address in ipaddress.ip_network(front) for front in self.trusted_fronts)
