"""The authorized_keys files of users."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path

from actorcred.checkers.bases.records import Complaints
from actorcred.errors import CheckerUnavailable

__all__ = ["LARGEST_FILE", "FilePattern"]


LARGEST_FILE = 1024 * 1024
"""Bytes of the largest authorized_keys file that is read."""


class FilePattern:
    """Reads the authorized_keys files of users.

    Args:
        pattern: the path of a user's file, with %u for the name.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._complaints = Complaints()
        self._devices: set[int] = set()
        """The file systems in which files were found."""

    def __call__(self, username: str) -> bytes | None:
        """Return the content of a user's file, or None if there is no usable file."""
        if username.startswith(".") or "/" in username or "\\" in username:
            return None  # would lead to another folder
        path = self._path_of(username)
        try:
            content = _read(path)
            self._devices.add(path.stat().st_dev)
            return content
        except OSError as error:
            if error.errno in _NO_FILE:
                return None
            if self._are_others_well():
                # "unavailable" for this name only would reveal that it exists.
                self._complaints.about(username, f"{path} cannot be read: {error.strerror}")
                return None
            raise CheckerUnavailable(f"{path} cannot be read: {error.strerror}") from None

    def lacks(self, username: str) -> bool:
        """Return whether a user has no file, in a file system where others have, or had, one.

        If a folder of files is not mounted, they all seem to be missing.
        """
        path = self._path_of(username)
        try:
            path.stat()
        except OSError as error:
            if error.errno not in _NO_FILE:
                return False
        else:
            return False
        nearest = next((folder for folder in path.parents if folder.exists()), None)
        return nearest is not None and nearest.stat().st_dev in self._devices

    def _path_of(self, username: str) -> Path:
        return Path("%".join(part.replace("%u", username) for part in self._pattern.split("%%")))

    def _are_others_well(self) -> bool:
        """Return whether the file of a user who does not exist can be looked for without errors."""
        try:
            _read(self._path_of(secrets.token_hex(16)))
        except OSError as error:
            return error.errno in _NO_FILE
        return True


_NO_FILE = frozenset((errno.ENOENT, errno.ENAMETOOLONG))


def _read(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: if it is not a regular file, or too large.
    """
    # Something else that a user has put there, such as a named pipe, must not block the thread.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        raw = file.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"it is larger than {LARGEST_FILE} bytes")
    return raw
