"""The settings of a cluster."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from actorcred.cluster.errors import BusError
from actorcred.settings import check_settings

__all__ = ["CutOff", "NatsOptions"]


class CutOff(StrEnum):
    """What a node does with its sessions while it is cut off from the others."""

    END = "end"
    """It ends those that may exist only once, before another node may open them."""

    KEEP = "keep"
    """It keeps all. When it is back, those end that others have opened meanwhile."""

    HOLD = "hold"
    """It keeps all, but refuses what clients send to those that may exist only once.

    When it is back, those end that others have opened meanwhile, and the others go on. The places
    of a node that is cut off alone stay for five leases; after that its sessions end when it is
    back.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """How a node reaches NATS, and how NATS keeps what it is told.

    Args:
        servers: the addresses, such as "nats://127.0.0.1:4222" or "tls://nats.example:4222".
        cluster: the name of the cluster: letters, digits, "_" and "-". Portals with the same name
            on the same NATS account are one cluster.
        user: the name of the NATS user; "" without.
        password: the user's password.
        credentials: a credentials file of NATS (nkey and JWT); None without.
        tls: for certificates of one's own; None uses those of the system for "tls:" addresses.
        replicas: on how many servers NATS keeps the roster; 3 if NATS is a cluster.
        in_memory: keep the roster in memory only. It is told again if it is lost.
        is_new: whether this NATS was started for the cluster just now, with an empty store. A
            roster that is new then stands for none that was lost, and logins need not wait for it.
        replaces: the id of a node whose process has ended for certain, such as one that was started
            again; "" for none. The others then need not wait until its lease is over.
        timeout: seconds for an answer of NATS or of another node.
        insecure: permit connections without TLS to other machines.

    Raises:
        BusError: if an address or the name is malformed, or TLS is missing.
    """

    servers: tuple[str, ...]
    cluster: str = "default"
    user: str = ""
    password: str = field(default="", repr=False)
    credentials: Path | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    replicas: int = 1
    in_memory: bool = False
    is_new: bool = False
    replaces: str = ""
    timeout: float = 2.0
    insecure: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", self.cluster):
            raise BusError(
                f"the name of a cluster is 1 to 32 letters, digits, _ and -, not {self.cluster!r}"
            )
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,45}", self.replaces):
            raise BusError(f"a node that is replaced is named by its id, not {self.replaces!r}")
        if isinstance(self.servers, str) or not self.servers:  # type: ignore[unreachable]
            raise BusError("a cluster needs the addresses of its NATS servers, a tuple of strings")
        if self.credentials is not None and not self.credentials.is_file():
            raise BusError(f"there is no credentials file {str(self.credentials)!r}")
        for server in self.servers:
            self._check_server(server)

    def _check_server(self, server: str) -> None:
        try:
            parts = urlsplit(server)
            host = parts.hostname if parts.port != 0 else None
        except ValueError:
            host = None
        if host is None or parts.scheme not in {"nats", "tls"}:
            # Not the address itself, which may contain a password.
            raise BusError("an address of NATS is nats://HOST:PORT or tls://HOST:PORT")
        if parts.username is not None or parts.password is not None:
            raise BusError("the user and the password of NATS must not be in its address")
        if parts.scheme == "nats" and self.tls is None and needs_tls(self, "nats", host):
            raise BusError(
                f"the connection to NATS at {host} must use TLS: proofs and calls of clients "
                "go over it. Use tls://, or permit it (insecure) on a network that is private"
            )


def needs_tls(options: NatsOptions, scheme: str, host: str) -> bool:
    """Return whether the connection to a server must use TLS."""
    if options.tls is not None or scheme == "tls":
        return True
    return not options.insecure and not _is_here(host)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
