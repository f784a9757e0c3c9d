"""The settings of a server, each default written once, here."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from actorcred.rpc.codec import WireLimits

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
        requests_per_second: of one connection on the average, notifications among them; None is no limit.
        request_burst: how many may come at once.
        max_connections: without a login, from everywhere; from half of that on some are refused at random, more the more
            there are, as OpenSSH's MaxStartups does.
        max_connections_per_source: the same from one address (of IPv6: one /64 network).
        penalty: seconds for which a source and an account are denied after a failed login; twice that after the next.
            It never exceeds `max_penalty`, and a while without failures takes it away again.
        free_failures: failed logins before the penalties begin.
        max_penalty: seconds.
        reauthentication: seconds for which `cred.end` believes a proof of the credentials.
        passwords_in_clear: offer PLAIN and OAUTHBEARER also where somebody may read along: neither TLS nor on this machine.
        origins: from which pages of the web browsers may connect, as ("https://play.example.org",); None is any. No cookie
            logs in here, so a strange page can do no more than any other client.
        identity_header: the header in which a proxy before the server says who the client is, as "X-Remote-User"; the proxy
            has to take it out of what clients send. It counts only from `trusted_fronts`, and for a checker that takes
            `ExternalIdentity`.
        trusted_fronts: the addresses or networks of such proxies, as ("127.0.0.1", "10.0.0.0/24"). They must take the header
            away from what their clients send. Where `WebApp` runs in another server, that one must not put other addresses
            in the place of the proxies' (`uvicorn --no-proxy-headers`).
        write_buffer: bytes that may wait for a slow reader in one connection before its mind holds back.
    """

    wire: WireLimits = field(default_factory=WireLimits)
    login_timeout: float = 30.0
    heartbeat: float = 20.0
    grace: float = 30.0
    replay: int = 256
    replay_bytes: int = 256 * 1024
    requests_per_second: float | None = 200.0
    request_burst: int = 400
    max_connections: int = 1000
    max_connections_per_source: int = 200
    penalty: float = 1.0
    free_failures: int = 5
    max_penalty: float = 60.0
    reauthentication: float = 300.0
    passwords_in_clear: bool = False
    origins: tuple[str, ...] | None = None
    identity_header: str = ""
    trusted_fronts: tuple[str, ...] = ()
    write_buffer: int = 64 * 1024

    def __post_init__(self) -> None:
        if bool(self.identity_header) != bool(self.trusted_fronts):
            raise ValueError("identity_header and trusted_fronts need each other")
        for front in self.trusted_fronts:
            ipaddress.ip_network(front)
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, bool | WireLimits | tuple | str) or value is None:
                continue
            if value < 0 or (value == 0 and name not in {"grace", "penalty", "free_failures"}):
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
