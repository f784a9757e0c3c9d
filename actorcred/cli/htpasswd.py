"""Keeping accounts in an htpasswd file, which is replaced as a whole, so that a server never reads half of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from actorcred.errors import AccountError
from actorcred.passwords import hash_password
from actorcred.precis import prepare_username

__all__ = ["HtpasswdFile"]

LOCKED = "!"
"""Before a hash, it lets nobody log in; the convention of shadow(5)."""


class HtpasswdFile:
    """The accounts in a file.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def accounts(self) -> list[tuple[str, bool]]:
        """Return names and whether they are disabled, in the order of the file."""
        return [(name, stored.startswith(LOCKED)) for name, stored in self._entries(self._lines())]

    def add(self, name: str, password: str, *, scram: bool = False) -> None:
        """Add an account; the file is made if there is none."""
        self._refuse_scram(scram)
        if ":" in name or name.startswith("#"):
            raise AccountError("a name in an htpasswd file can have no colon, and no # at the beginning")
        name = prepare_username(name)
        entry = f"{name}:{hash_password(password=password)}"
        with self._changing() as lines:
            if any(known == name for known, _ in self._entries(lines)):
                raise AccountError(f"there is an account {name!r} already")
            lines.append(entry)

    def change_password(self, name: str, password: str, *, scram: bool = False) -> None:
        """Set a new password."""
        self._refuse_scram(scram)
        self._replace(name, hash_password(password=password))

    def _refuse_scram(self, scram: bool) -> None:
        if scram:
            raise AccountError("an htpasswd file has no place for SCRAM; use sqlite:PATH")

    def disable(self, name: str) -> None:
        """Let nobody log in to an account."""
        self._replace(name, None, lock=True)

    def enable(self, name: str) -> None:
        """Let the user of an account log in again."""
        self._replace(name, None, lock=False)

    def delete(self, name: str) -> None:
        """Delete an account."""
        with self._changing() as lines:
            del lines[self._find(lines, name)]

    def _replace(self, name: str, stored: str | None, *, lock: bool | None = None) -> None:
        with self._changing() as lines:
            index = self._find(lines, name)
            user, _, old = lines[index].partition(":")
            locked = old.startswith(LOCKED) if lock is None else lock
            lines[index] = f"{user}:{LOCKED if locked else ''}{stored or old.lstrip(LOCKED)}"

    def _find(self, lines: list[str], name: str) -> int:
        names = {name, prepare_username(name)}
        for index, line in enumerate(lines):
            if not line.startswith("#") and line.partition(":")[0] in names:
                return index
        raise AccountError(f"there is no account {name!r}")

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text().splitlines()
        except FileNotFoundError:
            raise AccountError(f"there is no file {str(self._path)!r}") from None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise AccountError(f"cannot read {str(self._path)!r}: {why}") from None

    @staticmethod
    def _entries(lines: list[str]) -> list[tuple[str, str]]:
        parts = [line.split(":") for line in lines if ":" in line and not line.startswith("#")]
        return [(part[0], part[1]) for part in parts]

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[str]]:
        """Give the lines out, and write them when the caller is done; another process waits meanwhile."""
        try:
            folder = os.open(self._path.parent, os.O_RDONLY)
        except OSError as error:
            raise AccountError(f"cannot write to {str(self._path.parent)!r}: {error.strerror}") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            lines = self._lines() if self._path.exists() else []
            yield lines
            self._write(lines)
        finally:
            os.close(folder)

    def _write(self, lines: list[str]) -> None:
        mode = self._path.stat().st_mode & 0o777 if self._path.exists() else 0o600
        try:
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
        except OSError as error:
            raise AccountError(f"cannot write {str(self._path)!r}: {error.strerror}") from None
        try:
            with os.fdopen(handle, "w") as file:
                file.write("".join(line + "\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, mode)
            os.replace(name, self._path)
        except BaseException:
            os.unlink(name)
            raise
