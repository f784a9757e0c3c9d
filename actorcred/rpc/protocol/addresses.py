"""Addresses of servers as strings: `tcp:127.0.0.1:9986`, `tls:...`, `unix:/path`, `ws:...`."""

from __future__ import annotations

import errno
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from actorcred.network import is_loopback

__all__ = ["Address"]


_KINDS = ("tcp", "tls", "unix", "ws", "wss")

_HOST_PORT = re.compile(r"(\[[^]]*\]|[^:/\[\]]*):(\d{1,5})(/.*)?")

_TLS_OPTIONS = ("cert", "key", "client_ca", "ca", "name")
"""The files of a server, and what a client verifies it with."""

_OPTIONS = ("proxy",)
"""The options of all addresses."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on or to connect to.

    Args:
        kind: "tcp", "tls", "unix", "ws" or "wss".
        host: a name or an address; "" for a Unix socket.
        port: 0 for any free one, when listening.
        path: the path of a Unix socket, or of a WebSocket's URL.
        options: the options after the question mark, such as `cert` and `key`. `proxy` is for
            servers behind a proxy that sends a PROXY header: "v1", "v2" or "any".
    """

    kind: str
    host: str = ""
    port: int = 0
    path: str = ""
    options: dict[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address.

        Examples are `tcp:127.0.0.1:9986`, `tls:[::1]:9987?cert=c.pem&key=k.pem`,
        `unix:/run/arena`, `ws:0.0.0.0:80/rpc`. Two slashes after the kind are accepted, as in URLs.

        Raises:
            ValueError: if the address is not valid; the text says why.
        """
        kind, colon, rest = text.partition(":")
        if kind not in _KINDS or not colon:
            raise ValueError(
                f"the address {text!r} must begin with one of {', '.join(k + ':' for k in _KINDS)}"
            )
        rest, _, query = rest.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        known = (*_TLS_OPTIONS, *_OPTIONS) if kind in {"tls", "wss"} else _OPTIONS
        if unknown := [name for name in options if name not in known]:
            raise ValueError(
                f"the address {text!r} has the option {unknown[0]!r}, which is not known: "
                f"{kind} may have {', '.join(known)}"
            )
        rest = rest.removeprefix("//")
        if kind == "unix":
            if not rest:
                raise ValueError(f"the address {text!r} lacks the path of the socket")
            return cls(kind, path=unquote(rest), options=options)
        match = _HOST_PORT.fullmatch(rest)
        if match is None or int(match[2]) > 65535:
            raise ValueError(
                f"the address {text!r} must have the form {kind}:HOST:PORT, "
                "with the port from 0 to 65535"
            )
        path = match[3] or ""
        if path and kind in {"tcp", "tls"}:
            raise ValueError(
                f"the address {text!r} has a path, {path!r}, but {kind} addresses have none"
            )
        return cls(kind, match[1].strip("[]") or "127.0.0.1", int(match[2]), path or "/", options)

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = self.path if self.kind in {"ws", "wss"} else ""
        return f"{self.kind}://{host}:{self.port}{path}"

    @property
    def encrypted(self) -> bool:
        """Whether connections use TLS."""
        return self.kind in {"tls", "wss"}

    @property
    def private(self) -> bool:
        """Whether no one on a network can eavesdrop on connections."""
        return self.encrypted or self.kind == "unix" or is_loopback(self.host)


ADVICE = {
    errno.EADDRINUSE: "another program listens there: use another port, or 0 for any free one",
    errno.EADDRNOTAVAIL: (
        "this machine has no such address: "
        "use 127.0.0.1 for local clients only, 0.0.0.0 for all of its addresses"
    ),
    errno.EACCES: (
        "the process lacks the permission: use a port from 1024 up, or another directory"
    ),
    errno.EPERM: "the process lacks the permission: use a port from 1024 up, or another directory",
    errno.ENOENT: "the directory must exist",
}
"""What to do if listening on an address failed, by error number."""


def advice(error: OSError) -> str:
    """Return what to do after listening on an address failed; "" if that is unknown."""
    unknown_host = isinstance(error, socket.gaierror)
    return (
        "the host is not known: use a name or an address of this machine"
        if unknown_host
        else ADVICE.get(error.errno or 0, "")
    )
