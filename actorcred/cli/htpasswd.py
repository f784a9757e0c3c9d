"""Manage accounts in an htpasswd file.

Everything that is not an account, such as a comment, is kept byte for byte.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from actorcred.checkers.bases.watched import why
from actorcred.checkers.htpasswd import LOCKED, FileFormat, UserLine, lines_by_user, user_lines
from actorcred.cli.rewriting import locked, rewrite
from actorcred.errors import AccountError
from actorcred.names import prepare_username
from actorcred.passwords.hashing import hash_password

__all__ = ["HtpasswdFile"]


class HtpasswdFile:
    """The accounts in a file. If a method fails, it raises an `AccountError` that says why.

    Args:
        path: the file, or a link to it.
        form: the format of its lines.
    """

    def __init__(self, path: str, form: FileFormat | None = None) -> None:
        self._name = path
        self._path = Path(os.path.realpath(path))
        self._form = form or FileFormat()

    def accounts(self) -> list[tuple[str, bool]]:
        """Return the names and whether they are disabled, in the order of the file."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            raise AccountError(f"there is no file {self._name!r}") from None
        except OSError as error:
            raise AccountError(f"cannot read {self._name!r}: {why(error)}") from None
        return [
            (line.name, line.stored.startswith(LOCKED)) for line, *_ in self._users(raw).values()
        ]

    def add(self, name: str, password: str, *, scram: bool = False) -> None:
        """Add an account; the file is created if it does not exist."""
        self._refuse_scram(scram)
        name = prepare_username(name)
        entry = self._new_line(name, hash_password(password=password))
        with self._changing(make=True) as lines:
            if self._form.key(name) in self._users(b"\n".join(lines)):
                raise AccountError(f"there is an account {name!r} already")
            lines.append(entry + (b"\r" if lines and lines[0].endswith(b"\r") else b""))

    def change_password(self, name: str, password: str, *, scram: bool = False) -> None:
        """Set a new password. Further lines of the user, with old passwords, are removed."""
        self._refuse_scram(scram)
        stored = hash_password(password=password)
        with self._changing() as lines:
            first, *others = self._find(lines, name)
            self._set_hash(
                lines, first, (LOCKED if first.stored.startswith(LOCKED) else "") + stored
            )
            _remove(lines, others)

    def disable(self, name: str) -> None:
        """Disable an account, so that its user cannot log in."""
        self._set_hashes(name, lambda stored: LOCKED + stored.lstrip(LOCKED))

    def enable(self, name: str) -> None:
        """Enable an account that was disabled."""
        self._set_hashes(name, lambda stored: stored.lstrip(LOCKED))

    def delete(self, name: str) -> None:
        """Delete an account: all lines of the user."""
        with self._changing() as lines:
            _remove(lines, self._find(lines, name))

    # -- lines -------------------------------------------------------------------------------------

    def _refuse_scram(self, scram: bool) -> None:
        if scram:
            raise AccountError("an htpasswd file has no place for SCRAM; use sqlite:PATH")

    def _users(self, raw: bytes) -> dict[str, list[UserLine]]:
        try:
            return lines_by_user(
                user_lines(raw, self._form, lambda number, error: None), self._form
            )
        except ValueError as error:
            raise AccountError(f"{self._name!r} cannot be used: {error}") from None

    def _find(self, lines: list[bytes], name: str) -> list[UserLine]:
        found = self._users(b"\n".join(lines)).get(self._form.key(prepare_username(name)))
        if found is None:
            raise AccountError(f"there is no account {name!r}")
        return found

    def _new_line(self, name: str, stored: str) -> bytes:
        if name.startswith("#") or self._form.delimiter in name:
            sign = "colon" if self._form.delimiter == ":" else repr(self._form.delimiter)
            raise AccountError(
                f"a name in an htpasswd file can have no {sign}, and no # at the beginning"
            )
        fields = [""] * (max(self._form.username_field, self._form.password_field) + 1)
        fields[self._form.username_field], fields[self._form.password_field] = name, stored
        try:
            return self._form.delimiter.join(fields).encode(self._form.encoding)
        except UnicodeEncodeError:
            raise AccountError(f"the name cannot be written in {self._form.encoding}") from None

    def _set_hashes(self, name: str, change: Callable[[str], str]) -> None:
        with self._changing() as lines:
            for line in self._find(lines, name):
                self._set_hash(lines, line, change(line.stored))

    def _set_hash(self, lines: list[bytes], line: UserLine, stored: str) -> None:
        """Replace the hash in a line, and leave the rest unchanged."""
        whole = lines[line.number - 1]
        content = whole.rstrip(b"\r")
        fields = self._form.fields(content)
        fields[self._form.password_field] = stored
        lines[line.number - 1] = (
            self._form.delimiter.join(fields).encode(self._form.encoding) + whole[len(content) :]
        )

    # -- the file ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _changing(self, *, make: bool = False) -> Iterator[list[bytes]]:
        """Yield the lines and write them back afterwards; other processes wait meanwhile."""
        try:
            with locked(self._path):
                raw = b"" if make and not self._path.exists() else self._path.read_bytes()
                lines = raw.removesuffix(b"\n").split(b"\n") if raw else []
                yield lines
                rewrite(self._path, b"".join(line + b"\n" for line in lines))
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not make:
                raise AccountError(f"there is no file {self._name!r}") from None
            raise AccountError(f"cannot write {self._name!r}: {why(error)}") from None


def _remove(lines: list[bytes], wrong: list[UserLine]) -> None:
    for number in sorted((line.number for line in wrong), reverse=True):
        del lines[number - 1]
