"""Lines of password files with one user each, as written by Apache's htpasswd."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from actorcred.checkers.bases.watched import check_encoding, lines_that_count
from actorcred.names import prepare_username

__all__ = ["LOCKED", "FileFormat", "HashFunction", "UserLine", "lines_by_user", "user_lines"]

_WERKZEUG = re.compile(r"(?:scrypt:[0-9]+:[0-9]+:[0-9]+|pbkdf2:[a-z0-9_]+:[0-9]+)\$")

HashFunction = Callable[[str, str, str], str]

LOCKED = "!"
"""A prefix of hashes that disables the account, by the convention of shadow(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How to read the lines of a password file.

    Args:
        delimiter: the string between two fields.
        username_field: which field is the name, from 0.
        password_field: which field is the hash, from 0.
        case_sensitive: whether "Ann" and "ann" are two users.
        hash_function: `hash_function(username, password, stored)` must return a string equal to
            `stored` if the password is right; for formats of your own. It runs on a thread of its
            own.
        encoding: the encoding of the file, "latin-1" for an old one. Its passwords may have been
            hashed in that encoding, too.
    """

    delimiter: str = ":"
    username_field: int = 0
    password_field: int = 1
    case_sensitive: bool = True
    hash_function: HashFunction | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if not self.delimiter:
            raise ValueError("the delimiter must not be empty")
        if (
            min(self.username_field, self.password_field) < 0
            or self.username_field == self.password_field
        ):
            raise ValueError(
                "username_field and password_field must be two different numbers from 0"
            )
        check_encoding(self.encoding)

    def key(self, username: str) -> str:
        """Return the form of a name that is used to look it up."""
        return username if self.case_sensitive else username.casefold()

    def fields(self, line: bytes) -> list[str]:
        """Return the fields of a line.

        Raises:
            ValueError: if there are too few, or the line is in another encoding.
        """
        fields = self._split(line.decode(self.encoding))
        if len(fields) <= max(self.username_field, self.password_field):
            raise ValueError(f"there are only {len(fields)} fields")
        return fields

    def _split(self, line: str) -> list[str]:
        """Return the parts between delimiters; Werkzeug's hashes have colons of their own."""
        fields: list[str] = []
        start = 0
        while True:
            own = _WERKZEUG.match(line, start)
            end = line.find(self.delimiter, start if own is None else own.end())
            if end < 0:
                return [*fields, line[start:]]
            fields.append(line[start:end])
            start = end + len(self.delimiter)


@dataclass(frozen=True, slots=True)
class UserLine:
    """The line of a user.

    Args:
        number: its number, from 1.
        name: the user's name, in the form in which names are compared.
        written: the user's name, as in the file.
        stored: the hash.
    """

    number: int
    name: str
    written: str
    stored: str = field(repr=False)


def user_lines(
    raw: bytes, form: FileFormat, bad: Callable[[int, ValueError], object]
) -> Iterator[UserLine]:
    """Iterate over the usable lines of a file.

    Args:
        raw: the file.
        form: how to read it.
        bad: called with the number of each other line, and why it cannot be used.
    """
    for number, line in lines_that_count(raw, keep=form.delimiter.encode(form.encoding)):
        try:
            fields = form.fields(line)
            written = fields[form.username_field]
            made = UserLine(
                number, prepare_username(written), written, fields[form.password_field].strip()
            )
        except ValueError as error:
            bad(number, error)
        else:
            yield made


def lines_by_user(lines: Iterable[UserLine], form: FileFormat) -> dict[str, list[UserLine]]:
    """Return the lines of each user, by the key of the name.

    The line that counts is the first in its list: one with the name in the form in which names are
    compared, or else the first one in the file.
    """
    found: dict[str, list[UserLine]] = {}
    for line in lines:
        found.setdefault(form.key(line.name), []).append(line)
    for same in found.values():
        same.sort(key=lambda line: line.written != line.name)
    return found
