"""Rewrite a file without changing its owner, mode and links."""

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
"""Errors because of which a new file cannot replace the old one, or not with the same attributes.

Examples are a folder that this user may not write to, an owner that this user may not set, and a
file that is mounted, as in a container.
"""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock a file's folder, so that only one process at a time changes files in it.

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
    """Write a whole file; if it did not exist, only its owner can read it.

    A new file replaces the old one, with its owner, group, mode and access list, so that no process
    reads half of it. If something would get lost, such as a second hard link, the old file is
    overwritten instead.

    Args:
        path: the file itself, not a link to it.
        raw: its new content.

    Raises:
        OSError: if it cannot be written; the file is then unchanged.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        _replace(path, raw, None)
        return
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
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
    """Detect a full disk before any of the old content is overwritten."""
    if wanted <= size:
        return
    try:
        os.posix_fallocate(handle, size, wanted - size)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            os.ftruncate(handle, size)
            raise
