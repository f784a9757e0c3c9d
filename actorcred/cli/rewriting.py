"""Changing a file so that it stays what it is for everybody else: its owner, mode and links."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["locked", "rewrite"]

_NOT_BY_RENAMING = frozenset(
    (errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EINVAL, errno.EOVERFLOW)
)
"""Why a new file cannot take the place of another one, or not without a change of what the other one is: a folder that this user
may not write to, an owner that this user may not give, a mounted file, as of a container."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process is changing files in a file's folder, and keep them waiting.

    Raises:
        OSError: if there is no such folder, or it may not be read.
    """
    import fcntl

    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def rewrite(path: Path, raw: bytes) -> None:
    """Write a file as a whole; a new one is for its owner only.

    A new file is put in the place of the old one, with its owner, group, mode and access list, so that nobody
    reads half of it. Where that would lose something, as a second hard link, the old one is overwritten.

    Args:
        path: the file itself, no link to it.
        raw: its new content.

    Raises:
        OSError: if it cannot be written; the file is as it was then.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        _replace(path, raw, None)
        return
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if status.st_nlink == 1:
        try:
            _replace(path, raw, status)
        except OSError as error:
            if error.errno not in _NOT_BY_RENAMING:
                raise
        else:
            return
    _overwrite(path, raw)


def _replace(path: Path, raw: bytes, old: os.stat_result | None) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".actorcred-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            if old is not None:
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
                shutil.copystat(path, name)
                os.utime(name)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _overwrite(path: Path, raw: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        _reserve(file.fileno(), os.fstat(file.fileno()).st_size, len(raw))
        rest = memoryview(raw)
        while rest:
            rest = rest[file.write(rest) :]
        file.truncate()
        os.fsync(file.fileno())


def _reserve(handle: int, size: int, wanted: int) -> None:
    """Find out that a disk is full before anything of the old content is gone."""
    if wanted <= size:
        return
    try:
        os.posix_fallocate(handle, size, wanted - size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            os.ftruncate(handle, size)
            raise
