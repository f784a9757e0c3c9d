"""The session cookie (RFC 6265), which must be found among those of other applications."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

__all__ = ["SessionCookie"]

TRIED = 256
"""Cookies of our name that are tried in one request; browsers keep fewer for a whole site."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[0-9A-Za-z_.-]{1,256}")
_PREFIX = re.compile(r"(?i)__(?:Host|Secure)-")


class SessionCookie:
    """The cookie that continues a session.

    With TLS its name begins with `__Host-`: no other host of the domain, and no response without
    TLS, can set or shadow it (RFC 6265bis, section 4.1.3.2). Without TLS browsers refuse such a
    name.

    Args:
        name: its name; the prefix is added with TLS. A name that has a prefix keeps it.

    Raises:
        ValueError: if the name is not valid for a cookie.
    """

    def __init__(self, name: str) -> None:
        bare = _PREFIX.sub("", name, count=1)
        if not _NAME.fullmatch(bare):
            raise ValueError(f"no cookie can have the name {name!r}")
        self._bare = bare
        self._with_tls = name if bare != name else f"__Host-{name}"

    def name(self, encrypted: bool) -> str:
        """Return the cookie's name, with or without TLS."""
        return self._with_tls if encrypted else self._bare

    def values(self, headers: Iterable[str], encrypted: bool) -> list[str]:
        """Return the values of the cookie in a request, in the client's order: longest path first.

        Args:
            headers: the Cookie headers; with HTTP/2 there can be one for each cookie (RFC 9113,
                section 8.2.3).
            encrypted: whether the request came over TLS.
        """
        name, found = self.name(encrypted), []
        for other, value in _pairs(headers):
            if other == name and _VALUE.fullmatch(value):
                found.append(value)
                if len(found) == TRIED:
                    break
        return found

    def header(self, token: str, encrypted: bool) -> bytes:
        """Return the value of a Set-Cookie header; an empty token deletes the cookie."""
        parts = [f"{self.name(encrypted)}={token}", "Path=/", "HttpOnly", "SameSite=Lax"]
        parts += ["Secure"] if encrypted else []
        return "; ".join(parts if token else [*parts, "Max-Age=0"]).encode()


def _pairs(headers: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Iterate over names and values (RFC 6265, section 5.4), whatever other cookies look like."""
    for header in headers:
        for part in header.split(";"):
            name, _, value = part.partition("=")
            value = value.strip(" \t")
            yield (
                name.strip(" \t"),
                value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value,
            )
