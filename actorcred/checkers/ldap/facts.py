"""What an LDAP entry says of its user: identity, attributes, times."""

from __future__ import annotations

import re
import unicodedata
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from actorcred.checkers.bases.records import Complaints
from actorcred.checkers.bases.stored_values import fact_of
from actorcred.checkers.ldap.directory import Attributes
from actorcred.checkers.ldap.settings import LDAPPlace, LDAPSettings
from actorcred.errors import UnauthorizedLogin
from actorcred.identity import NO_GROUPS, NO_INFO, Identity

__all__ = ["LDAPFacts", "text_of", "time_of"]


SUBJECTS: Final = ("entryUUID", "objectGUID")
"""Attributes that never change: of RFC 4530, and of Active Directory."""

_GENERALIZED = re.compile(r"(\d{10})(\d\d)?(\d\d)?(?:[.,]\d+)?(Z|[+-]\d\d(?:\d\d)?)")
"""RFC 4517, section 3.3.13."""

_NEVER = (0, 0x7FFF_FFFF_FFFF_FFFF)
"""Active Directory's `accountExpires` of accounts that do not expire."""

_MOST_DAYS = 1_000_000


class LDAPFacts:
    """Makes identities of entries.

    Args:
        settings: which facts are wanted.
        place: the directory's URL.
        values: returns the values of an attribute of an entry.

    Attributes:
        wanted: the attributes to read for it.
    """

    def __init__(
        self,
        settings: LDAPSettings,
        place: LDAPPlace,
        values: Callable[[Attributes, str], list[bytes]],
    ) -> None:
        self._settings = settings
        self._values = values
        self._complaints = Complaints()
        self._issuer = settings.issuer or place.host
        self._subjects = (settings.subject,) if settings.subject else SUBJECTS
        further = (settings.expires, settings.last_login, *settings.group_attributes)
        self.wanted = (*self._subjects, *settings.attributes, *filter(None, further))

    def identity(
        self, avatar_id: str, dn: str, entry: Attributes, groups: frozenset[str] = NO_GROUPS
    ) -> Identity:
        """Return the identity of a user.

        Args:
            avatar_id: the user's avatar id.
            dn: the user's entry.
            entry: its attributes.
            groups: the user's groups.

        Raises:
            UnauthorizedLogin: if the account has expired, or it is not known whether it has.
        """
        settings = self._settings
        return Identity(
            avatar_id,
            issuer=self._issuer,
            subject=self._subject(dn, entry),
            attributes=self._attributes(dn, entry) if settings.attributes else NO_INFO,
            groups=groups,
            expires=self._expires(dn, entry),
            last_login=self._time(dn, entry, settings.last_login),
        )

    def _subject(self, dn: str, entry: Attributes) -> str:
        for attribute in self._subjects:
            values = entry.get(attribute.lower())
            if values:
                return text_of(values[0], attribute)
        if self._settings.subject:
            raise UnauthorizedLogin(f"the entry has no attribute {self._subjects[0]}", known=True)
        return dn

    def _attributes(self, dn: str, entry: Attributes) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for attribute in self._settings.attributes:
            try:
                values = [text_of(value, attribute) for value in self._values(entry, attribute)]
                made = fact_of(sorted(values))
            except ValueError as error:  # also of bytes that are no text
                why = "it is binary" if isinstance(error, UnicodeError) else error
                self._complaints.lacks(dn, f"the attribute {attribute} of the entry: {why}")
                continue
            if made:
                found[attribute] = made[0] if len(made) == 1 else made
        return found

    def _expires(self, dn: str, entry: Attributes) -> datetime | None:
        attribute = self._settings.expires
        try:
            expires = self._read_time(entry, attribute)
        except ValueError as error:
            self._complaints.about(dn, f"the attribute {attribute}: {error}", "LDAP")
            raise UnauthorizedLogin(f"the attribute {attribute} is no time", known=True) from None
        if expires is not None and expires <= datetime.now(UTC):
            raise UnauthorizedLogin("the account has expired", known=True)
        return expires

    def _time(self, dn: str, entry: Attributes, attribute: str) -> datetime | None:
        try:
            return self._read_time(entry, attribute)
        except ValueError as error:
            self._complaints.lacks(dn, f"the attribute {attribute} of the entry: {error}")
            return None

    def _read_time(self, entry: Attributes, attribute: str) -> datetime | None:
        values = self._values(entry, attribute) if attribute else []
        return time_of(values[0].decode("ascii", "replace")) if values else None


def text_of(value: bytes, attribute: str) -> str:
    """Return a value as a string.

    Raises:
        UnicodeError: if it is not text.
    """
    if attribute.lower() == "objectguid" and len(value) == 16:
        return str(uuid.UUID(bytes_le=value))  # as Active Directory's own tools show it
    return unicodedata.normalize("NFC", value.decode())


def time_of(text: str) -> datetime | None:
    """Return a time: GeneralizedTime, Active Directory's ticks, or days as of `shadowExpire`.

    Returns:
        The time; None for the values that mean never.

    Raises:
        ValueError: if it is none of these.
    """
    match = _GENERALIZED.fullmatch(text)
    try:
        if match is not None:
            hours, minutes, seconds, zone = match.groups()
            zone = "+0000" if zone == "Z" else zone.ljust(5, "0")
            return datetime.strptime(
                f"{hours}{minutes or '00'}{seconds or '00'}{zone}", "%Y%m%d%H%M%S%z"
            )
        number = int(text)
        if number in _NEVER or number < 0:
            return None
        if number < _MOST_DAYS:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)
        # Since 1601, in units of 100 ns.
        return datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=number // 10)
    except (ValueError, OverflowError):
        raise ValueError("it is no time") from None
