"""What has become of the entries of users who are logged in."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from actorcred.checkers.ldap.directory import Attributes, LDAPDirectory, Search
from actorcred.checkers.ldap.facts import time_of
from actorcred.checkers.ldap.settings import LDAPPlace
from actorcred.standing import Revocation, fingerprint, named

__all__ = ["STATE", "Entries", "judge", "password_time"]


PASSWORD_TIMES: Final = ("pwdChangedTime", "pwdLastSet", "passwordChangedTime")
"""When the password was changed: at OpenLDAP (draft-behera-ldap-password-policy, section 5.3.2),
Active Directory, and others."""

LOCKS: Final = ("pwdAccountLockedTime", "userAccountControl", "nsAccountLock", "accountExpires")
"""Whether the account may be used: at OpenLDAP, Active Directory, 389 Directory Server."""

STATE: Final = (*PASSWORD_TIMES, *LOCKS)
"""Attributes to read for it."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

LOCKED_BY_ADMINISTRATOR: Final = b"000001010000Z"
"""Another value is the time of a lock after too many wrong passwords: anybody can cause one, and so
it ends no session."""

DISABLED_AT_ACTIVE_DIRECTORY: Final = 2


def password_time(entry: Attributes) -> bytes:
    """Return when the password of an entry was changed; empty if the directory does not tell."""
    return next((entry[name.lower()][0] for name in PASSWORD_TIMES if name.lower() in entry), b"")


def judge(name: str, entry: Attributes, now: datetime) -> Revocation | None:
    """Return why the user of an entry may no longer be logged in; None if nothing is against it.

    Args:
        name: the name from the session, with the fingerprint of the time when the password had been
            changed at its login.
        entry: the attributes of the entry now.
        now: the time.
    """
    if _is_locked(entry, now):
        return Revocation.DISABLED
    _, proof = named(name)
    changed = password_time(entry)
    if proof and changed and proof != fingerprint(changed):
        return Revocation.PASSWORD_CHANGED
    return None


def _is_locked(entry: Attributes, now: datetime) -> bool:
    if LOCKED_BY_ADMINISTRATOR in entry.get("pwdaccountlockedtime", ()):
        return True
    if any(value.lower() == b"true" for value in entry.get("nsaccountlock", ())):
        return True
    flags, expires = entry.get("useraccountcontrol", ()), entry.get("accountexpires", ())
    if any(v.isdigit() and int(v) & DISABLED_AT_ACTIVE_DIRECTORY for v in flags):
        return True
    return any(_is_over(value.decode("ascii", "replace"), now) for value in expires)


def _is_over(text: str, now: datetime) -> bool:
    try:
        end = time_of(text)
    except ValueError:
        return False
    return end is not None and end <= now


class Entries:
    """Finds the entries of many users by their avatar ids.

    Args:
        directory: the server.
        place: where users are.
        attribute: the attribute with the avatar id.
        wanted: the attributes to read.
        values: returns the values of an attribute of an entry, as avatar ids.
    """

    def __init__(
        self,
        directory: LDAPDirectory,
        place: LDAPPlace,
        attribute: str,
        wanted: Sequence[str],
        values: Callable[[Attributes, str], list[str]],
    ) -> None:
        self._directory = directory
        self._place = place
        self._attribute = attribute
        self._wanted = tuple(wanted)
        self._values = values

    def find(self, avatar_ids: Sequence[str]) -> dict[str, list[tuple[str, Attributes]]]:
        """Return the entries by avatar id.

        Raises:
            LDAPError: if the directory fails, also if it does not return all entries.
        """
        found: dict[str, list[tuple[str, Attributes]]] = {}
        wanted = set(avatar_ids)
        parts = "".join(f"({self._attribute}={_escaped(self._attribute, i)})" for i in avatar_ids)
        search = Search(
            self._place.base, self._place.scope, f"(&{self._place.filter}(|{parts}))", self._wanted
        )
        for dn, entry in self._directory.search(search):
            for avatar_id in set(self._ids(entry)) & wanted:
                found.setdefault(avatar_id, []).append((dn, entry))
        return found

    def _ids(self, entry: Attributes) -> Iterator[str]:
        try:
            yield from self._values(entry, self._attribute)
        except UnicodeError:  # an entry that nobody can log in as
            return


def _escaped(attribute: str, value: str) -> str:
    from ldap.filter import escape_filter_chars

    if attribute.lower() == "objectguid" and _UUID.fullmatch(value):
        return "".join(f"\\{byte:02x}" for byte in uuid.UUID(value).bytes_le)
    return str(escape_filter_chars(value))
