"""Membership in groups of an LDAP directory, also through nested groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from actorcred.checkers.ldap.directory import LDAPDirectory, Search
from actorcred.checkers.ldap.settings import SEARCH, LDAPSettings
from actorcred.errors import UnauthorizedLogin

__all__ = ["LEVELS", "MOST_GROUPS", "LDAPGroup", "LDAPGroups", "own_name"]


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
        return groups_above(self._directory, self._where(), below, seen, name)

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


class LDAPGroups:
    """The groups that a user is in, for `Identity.groups`.

    Args:
        directory: the directory with the groups.
        settings: where groups are found, and whether nested groups count.
    """

    def __init__(self, directory: LDAPDirectory, settings: LDAPSettings) -> None:
        self._directory = directory
        self._searches = SEARCH in settings.groups
        self._nested = settings.nested
        self._base = settings.group_base
        self._under = _as_compared(settings.group_base)

    def of(self, dn: str, name: str, listed: Iterable[str]) -> frozenset[str]:
        """Return the names of a user's groups.

        Args:
            dn: the user's entry.
            name: the user's name, for POSIX groups.
            listed: the DNs of groups in the user's entry.

        Raises:
            UnauthorizedLogin: if the user is in more groups, or more levels of them, than are
                followed.
        """
        seen: set[str] = set()
        found = [group for group in listed if self._counts(group)]
        seen.update(found)
        if len(found) > MOST_GROUPS:
            raise _too_many()
        if self._nested == "in-chain":
            found += self._search(in_chain(dn), seen)
        elif self._searches:
            found += groups_above(self._directory, self._base, [dn], seen, name)
        if self._nested == "yes":
            self._walk(found, seen)
        return frozenset(own_name(group)[0][1] for group in seen)

    def _walk(self, found: list[str], seen: set[str]) -> None:
        for _ in range(LEVELS):
            if not found:
                return
            found = groups_above(self._directory, self._base, found, seen)
        if found:
            raise UnauthorizedLogin(f"in more than {LEVELS} levels of nested groups", known=True)

    def _search(self, wanted: str, seen: set[str]) -> list[str]:
        return _new_of(self._directory, self._base, wanted, seen)

    def _counts(self, group: str) -> bool:
        try:
            parts = _as_compared(group)
        except _bad_dn():
            return False
        return len(parts) > len(self._under) and parts[-len(self._under) :] == self._under


def groups_above(
    directory: LDAPDirectory, base: str, below: Iterable[str], seen: set[str], name: str = ""
) -> list[str]:
    """Return groups that have certain members, and add them to those seen.

    Args:
        directory: the directory.
        base: where to search.
        below: the members, of which groups have at least one.
        seen: groups that are not returned again.
        name: the name of a user, who can be a member of POSIX groups.

    Raises:
        UnauthorizedLogin: if there are more than `MOST_GROUPS`.
    """
    return [
        group
        for some in _parts(below)
        for group in _new_of(directory, base, members(some, name), seen)
    ]


def _new_of(directory: LDAPDirectory, base: str, wanted: str, seen: set[str]) -> list[str]:
    import ldap

    try:
        entries = directory.search(Search(base, ldap.SCOPE_SUBTREE, wanted, most=MOST_GROUPS))
    except ldap.SIZELIMIT_EXCEEDED:
        raise _too_many() from None
    new = [dn for dn, _ in entries if dn not in seen]
    seen.update(new)
    if len(seen) > MOST_GROUPS:
        raise _too_many()
    return new


def _too_many() -> UnauthorizedLogin:
    return UnauthorizedLogin(
        f"in more than {MOST_GROUPS} groups, or in more than the server lists", known=True
    )


def _bad_dn() -> type[Exception]:
    import ldap

    error: type[Exception] = ldap.DECODING_ERROR
    return error


def own_name(dn: str) -> list[tuple[str, str]]:
    """Return the attributes and values in an entry's own name, the first part of its DN."""
    from ldap.dn import str2dn

    return [(attribute, value) for attribute, value, _ in str2dn(dn)[0]]


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
