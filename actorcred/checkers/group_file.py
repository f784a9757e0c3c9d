"""Groups of users in a file, in the form of Apache's AuthGroupFile."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping

from actorcred.checkers.bases.facts import bounded_groups
from actorcred.checkers.bases.watched import WatchedFile, lines_that_count, why
from actorcred.errors import CheckerUnavailable
from actorcred.identity import NO_GROUPS
from actorcred.names import prepare_username

__all__ = ["GroupFile"]


logger = logging.getLogger("actorcred.checkers")

_WORD = re.compile(r""""((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|(\S+)""")
"""A name, in quotes if it has blanks in it, as in Apache's files."""


class GroupFile:
    """A file with a group on each line, `group: user user`, which is read again when it changes.

    A group can have several lines. A user name with blanks stands in quotes. Empty lines and those
    that begin with # are ignored. A line or a name that cannot be used is logged, and does not
    affect the others.

    Args:
        path: the file.
        encoding: its encoding.
        key: returns the form of a name in which names are compared.

    Raises:
        AccountError: if the file cannot be read.
    """

    def __init__(
        self, path: str | os.PathLike[str], encoding: str, key: Callable[[str], str]
    ) -> None:
        self._path = os.fspath(path)
        self._encoding = encoding
        self._key = key
        self._file: WatchedFile[Mapping[str, frozenset[str]]] = WatchedFile(
            path, self._parse, lines=True, hint="its lines are GROUP: USER USER"
        )

    def groups_of(self, username: str) -> frozenset[str]:
        """Return the groups of a user, from the current content of the file.

        Raises:
            CheckerUnavailable: if the file cannot be read.
        """
        try:
            groups = self._file.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"{self._path} cannot be used: {why(error)}") from None
        return groups.get(self._key(username), NO_GROUPS)

    def poll(self) -> frozenset[str]:
        """Check the file for changes; called at intervals.

        Returns:
            The keys of the users whose groups have changed.
        """
        old, new = self._file.poll() or ({}, {})
        return frozenset(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))

    def _parse(self, raw: bytes) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        unreadable: UnicodeDecodeError | None = None
        for number, line in lines_that_count(raw):
            try:
                group, members = _group_in(line.decode(self._encoding))
            except ValueError as error:
                self._complain(number, error)
                unreadable = error if isinstance(error, UnicodeDecodeError) else unreadable
                continue
            for member in members:
                try:
                    found.setdefault(self._key(prepare_username(member)), set()).add(group)
                except ValueError as error:
                    self._complain(number, error)
        if not found and unreadable is not None:
            raise unreadable
        return {key: self._bounded(key, groups) for key, groups in found.items()}

    def _bounded(self, key: str, groups: set[str]) -> frozenset[str]:
        try:
            return bounded_groups(groups)
        except ValueError as error:
            logger.warning("%s: %r has no groups: %s", self._path, key, error)
            return NO_GROUPS

    def _complain(self, number: int, error: ValueError) -> None:
        logger.warning("%s, line %d: %s", self._path, number, why(error))


def _group_in(line: str) -> tuple[str, list[str]]:
    """Return the group of a line, and its members.

    Raises:
        ValueError: if the line is damaged.
    """
    name, colon, rest = line.partition(":")
    group = name.strip()
    if not colon or not group:
        raise ValueError("this is not of the form GROUP: USER USER")
    bounded_groups((group,))
    return group, [_unquoted(found) for found in _WORD.finditer(rest)]


def _unquoted(found: re.Match[str]) -> str:
    double, single, plain = found.groups()
    quoted = double if double is not None else single
    return plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
