"""The lines of password files, a user in each, as Apache's htpasswd writes them."""

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
"""Before a hash, it lets nobody log in; the convention of shadow(5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How the lines of a password file are to be read.

    Args:
        delimiter: between two fields.
        username_field: which field is the name, from 0.
        password_field: which field is the hash, from 0.
        case_sensitive: whether "Ann" and "ann" are two users.
        hash_function: `hash_function(username, password, stored)` returns what `stored` is if the password is right;
            for formats of your own. It runs on a thread of its own.
        encoding: of the file, "latin-1" for an old one. Its passwords may have been hashed in it, too.
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
        """Return the form of a name under which it is looked up."""
        return username if self.case_sensitive else username.casefold()

    def fields(self, line: bytes) -> list[str]:
        """Return the fields of a line.

        Raises:
            ValueError: if there are too few, or it is in another encoding.
        """
        fields = self._split(line.decode(self.encoding))
        if len(fields) <= max(self.username_field, self.password_field):
            raise ValueError(f"there are only {len(fields)} fields")
        return fields

    def _split(self, line: str) -> list[str]:
        """Return the parts between delimiters; a hash of Werkzeug's has colons of its own."""
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
    """A line.

    Args:
        number: from 1.
        name: the user, as names are compared.
        written: the user, as the line has it.
        stored: the hash.
    """

    number: int
    name: str
    written: str
    stored: str = field(repr=False)


def user_lines(
    raw: bytes, form: FileFormat, bad: Callable[[int, ValueError], object]
) -> Iterator[UserLine]:
    """Iterate over the lines of a file that can be used.

    Args:
        raw: the file.
        form: how to read it.
        bad: called with the number of another line, and why it cannot be used.
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
    """Return the lines of each user by the key of the name.

    The one that counts comes first: it has the name as names are compared, or else is the first one in the file.
    """
    found: dict[str, list[UserLine]] = {}
    for line in lines:
        found.setdefault(form.key(line.name), []).append(line)
    for same in found.values():
        same.sort(key=lambda line: line.written != line.name)
    return found
