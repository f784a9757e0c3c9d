"""What the claims of a JSON Web Token say about its user. Pure: the token has been verified."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from actorcred.checkers.bases.facts import LONGEST_FACT, bounded_groups
from actorcred.errors import UnauthorizedLogin
from actorcred.identity import Identity

__all__ = ["ClaimReader", "find_claim"]


MOST_METHODS = 16
"""Methods in the claim `amr`."""

_METHOD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,31}")
"""The form of names in the registry of RFC 8176. Issuers also have names of their own."""

_MISSING = object()
_LATEST = datetime.max.replace(tzinfo=UTC)


def find_claim(claims: Mapping[str, Any], path: str) -> object:
    """Return a claim; `None` if there is none.

    Args:
        claims: all claims.
        path: the claim's name, such as "groups" or "https://game.example/roles"; or the way to a
            nested one, such as "realm_access.roles". A name with dots in it comes first.
    """
    if path in claims:
        return claims[path]
    name, dot, rest = path.rpartition(".")
    tail = rest
    while dot:
        inner = claims.get(name, _MISSING)
        if inner is not _MISSING:
            return find_claim(inner, tail) if isinstance(inner, Mapping) else None
        name, dot, rest = name.rpartition(".")
        tail = f"{rest}.{tail}"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReader:
    """Makes an identity of the claims of a token.

    Args:
        name: the claim that is the avatar id, a string or an integer.
        groups: the claim with the groups; "" for none.
        attributes: the claims that are attributes.
        leeway: seconds by which clocks may differ.
        ignored: called with a claim that is ignored, and why.
    """

    name: str
    groups: str
    attributes: tuple[str, ...]
    leeway: float
    ignored: Callable[[str, str], object]

    @property
    def _leeway(self) -> timedelta:
        return timedelta(seconds=self.leeway)

    def identity(self, claims: Mapping[str, Any], now: datetime) -> Identity:
        """Return the identity of a token's user.

        Raises:
            UnauthorizedLogin: if a claim that says who the user is, or since when or until when,
                cannot be used. The text names it, and no value.
        """
        who = claims.get(self.name)
        try:
            return Identity(
                str(who) if type(who) is int else who,  # type: ignore[arg-type]
                issuer=_text_of(claims, "iss"),
                subject=_text_of(claims, "sub"),
                attributes=self._attributes(claims),
                groups=self._groups(claims),
                methods=self._methods(claims.get("amr")),
                authenticated=self._authenticated(claims, now),
                expires=self._expires(claims),
            )
        except (TypeError, ValueError) as error:  # of the avatar id
            raise UnauthorizedLogin(f"the claim {self.name} is not an avatar id: {error}") from None

    def _expires(self, claims: Mapping[str, Any]) -> datetime | None:
        """Return until when the token is accepted."""
        time = _time_of(claims, "exp")
        return None if time is None else min(time, _LATEST - self._leeway) + self._leeway

    def _authenticated(self, claims: Mapping[str, Any], now: datetime) -> datetime | None:
        """Return when the user was authenticated, or else when the token was issued."""
        for claim in ("auth_time", "iat"):
            time = _time_of(claims, claim)
            if time is not None:
                if time > now + self._leeway:
                    raise UnauthorizedLogin(f"the claim {claim} is in the future")
                return min(time, now)
        return None

    def _methods(self, value: object) -> frozenset[str]:
        if value is None:
            return frozenset()
        if not isinstance(value, list) or len(value) > MOST_METHODS:
            self.ignored("amr", f"it is not an array of at most {MOST_METHODS} names")
            return frozenset()
        found = [name for name in value if isinstance(name, str) and _METHOD.fullmatch(name)]
        if len(found) < len(value):
            self.ignored("amr", "one of its names does not have the form of RFC 8176")
        return frozenset(found)

    def _groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        if not self.groups:
            return frozenset()
        try:
            return bounded_groups(_words_in(find_claim(claims, self.groups)))
        except ValueError as error:
            self.ignored(self.groups, str(error))
            return frozenset()

    def _attributes(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        try:
            scope = bounded_groups(_words_in(claims.get("scope")))
        except ValueError as error:
            self.ignored("scope", str(error))
        else:
            if scope:
                found["scope"] = tuple(sorted(scope))
        for claim in self.attributes:
            value = find_claim(claims, claim)
            if value is None:
                continue
            value = tuple(value) if isinstance(value, list) else value
            if all(map(_is_plain, value if isinstance(value, tuple) else (value,))):
                found[claim] = value
            else:
                self.ignored(claim, "it is not a string, a number, a boolean or an array of them")
        return found


def _words_in(value: object) -> list[Any]:
    """Return the words of an array, or of a string with blanks between them (RFC 6749, 3.3).

    Raises:
        ValueError: if it is neither.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list):
        return value
    raise ValueError("it is neither an array of strings nor a string")


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_FACT
    return isinstance(value, int | float)


def _text_of(claims: Mapping[str, Any], claim: str) -> str | None:
    value = claims.get(claim)
    if value is None:
        return None
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_FACT:
        raise UnauthorizedLogin(
            f"the claim {claim} is not a string of 1 to {LONGEST_FACT} characters"
        )
    return text


def _time_of(claims: Mapping[str, Any], claim: str) -> datetime | None:
    value = claims.get(claim)
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise UnauthorizedLogin(f"the claim {claim} is not a time") from None
