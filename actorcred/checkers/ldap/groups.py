"""Membership in groups of an LDAP directory, also through nested groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from actorcred.checkers.ldap.directory import LDAPDirectory, Search
from actorcred.checkers.ldap.settings import LDAPSettings
from actorcred.errors import UnauthorizedLogin

__all__ = ["LEVELS", "MOST_GROUPS", "LDAPGroup"]


LEVELS = 10
"""Levels of nested groups that are followed."""

MOST_GROUPS = 1000
"""Groups of one user that are followed."""

AT_A_TIME = 50
"""Members in one filter."""

IN_CHAIN = "1.2.840.113556.1.4.1941"
"""Active Directory's LDAP_MATCHING_RULE_IN_CHAIN."""


class LDAPGroup:
    """A group whose members may log in.

    Args:
        directory: the directory with the group.
        settings: which group it is, and whether nested groups count.
    """

    def __init__(self, directory: LDAPDirectory, settings: LDAPSettings) -> None:
        self._directory = directory
        self._dn = settings.group
        self._nested = settings.nested
        self._base = settings.group_base

    def has(self, dn: str, name: str) -> bool:
        """Return whether a user is a member.

        Args:
            dn: the user's entry.
            name: the user's name, for POSIX groups.

        Raises:
            UnauthorizedLogin: if the user is in more groups than are followed.
        """
        if self._nested == "in-chain":
            return self._directory.has(self._dn, in_chain(dn))
        if self._directory.has(self._dn, members([dn], name)):
            return True
        return self._nested == "yes" and self._walk(dn, name)

    def _walk(self, dn: str, name: str) -> bool:
        """Go up from the user, one level at a time.

        Names are compared by the server, since they can be written in several ways.
        """
        seen: set[str] = set()
        above = self._above([dn], name, seen)
        for _ in range(LEVELS):
            if not above:
                return False
            if any(self._directory.has(self._dn, members(some)) for some in _parts(above)):
                return True
            above = self._above(above, "", seen)
        raise UnauthorizedLogin(
            f"not found in the group within {LEVELS} levels of nested groups", known=True
        )

    def _above(self, below: list[str], name: str, seen: set[str]) -> list[str]:
        """Return the groups that have members in `below` and are not in `seen`."""
        import ldap

        found = []
        for some in _parts(below):
            try:
                entries = self._directory.search(
                    Search(self._where(), ldap.SCOPE_SUBTREE, members(some, name), most=MOST_GROUPS)
                )
            except ldap.SIZELIMIT_EXCEEDED:
                raise self._too_many() from None
            new = [dn for dn, _ in entries if dn not in seen]
            seen.update(new)
            found += new
            if len(seen) > MOST_GROUPS:
                raise self._too_many()
        return found

    def _where(self) -> str:
        if not self._base:
            self._base = self._context()
        return self._base

    def _context(self) -> str:
        """Return the naming context that holds the group; by default, the group's parent entry."""
        from ldap.dn import explode_dn

        own = _as_compared(self._dn)
        contexts = {
            context: _as_compared(context)
            for context in self._directory.root("namingContexts")
            if context
        }
        holding = [context for context, parts in contexts.items() if own[-len(parts) :] == parts]
        return max(holding, key=len, default=",".join(explode_dn(self._dn)[1:]))

    @staticmethod
    def _too_many() -> UnauthorizedLogin:
        return UnauthorizedLogin(
            f"in more than {MOST_GROUPS} groups, or in more than the server lists", known=True
        )


def members(entries: Iterable[str], name: str = "") -> str:
    """Return the filter for groups with one of these entries, or a user of that name, as member."""
    from ldap.filter import escape_filter_chars

    parts = [
        f"({kind}={escape_filter_chars(entry)})"
        for entry in entries
        for kind in ("member", "uniqueMember")
    ]
    if name:
        parts.append(f"(memberUid={escape_filter_chars(name)})")
    return f"(|{''.join(parts)})"


def in_chain(dn: str) -> str:
    """Return Active Directory's filter for groups with an entry as a direct or nested member."""
    from ldap.filter import escape_filter_chars

    return f"(member:{IN_CHAIN}:={escape_filter_chars(dn)})"


def _as_compared(dn: str) -> list[list[tuple[str, str]]]:
    from ldap.dn import str2dn

    return [
        [(attribute.lower(), value.casefold()) for attribute, value, _ in part]
        for part in str2dn(dn)
    ]


def _parts(entries: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(entries)
    while some := list(islice(rest, AT_A_TIME)):
        yield some
