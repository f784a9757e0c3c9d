"""Files that are read again when they have changed."""

from __future__ import annotations

import codecs
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from actorcred.errors import AccountError

__all__ = ["WatchedFile", "check_encoding", "lines_that_count", "why"]


logger = logging.getLogger("actorcred.checkers")

TRIES = 5
"""Attempts to read a file that changes while it is read."""

FRESH = 1.0
"""Seconds after a file's last change in which it might still be written.

A further change might not alter its time stamp.
"""

LONGEST_WRITING = 5.0
"""Seconds after which a file is used although it keeps changing and has no newline at its end."""

T = TypeVar("T")


def why(error: OSError | ValueError) -> str:
    """Return a short reason why a file cannot be used."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {'UTF-8' if error.encoding == 'utf-8' else error.encoding}"
    return str(error)


def check_encoding(encoding: str) -> None:
    """Check that an encoding can be used for files of lines.

    Raises:
        ValueError: if there is no such encoding, or it is not compatible with ASCII.
    """
    ascii_only = bytes(range(128))
    try:
        fits = ascii_only.decode(encoding) == ascii_only.decode("ascii")
    except (LookupError, UnicodeError):
        fits = False
    if not fits:
        raise ValueError(
            f"{encoding!r} is not an encoding compatible with ASCII, such as utf-8 or latin-1"
        )


def lines_that_count(raw: bytes, *, keep: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """Iterate over a file's lines with their numbers from 1, except empty lines and comments (#).

    Only a newline ends a line. Lines are bytes, so that one in another encoding does not affect the
    others. Blanks around them and a byte order mark are removed.

    Args:
        raw: the file.
        keep: blanks that are significant, such as a separator of fields.

    Raises:
        ValueError: if the file is UTF-16.
    """
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("it is UTF-16; save it as UTF-8")
    blanks = bytes(sign for sign in b" \t\r\v\f" if sign not in keep)
    for number, line in enumerate(raw.split(b"\n"), 1):
        stripped = line.removeprefix(codecs.BOM_UTF8).strip(blanks)
        if stripped and not stripped.startswith(b"#"):
            yield number, stripped


def _is_fresh(changed: int, now: float) -> bool:
    """Return whether a time in nanoseconds is less than `FRESH` seconds ago.

    A time in the future is not fresh, since it might stay in the future for years.
    """
    return 0 <= now - changed / 1e9 < FRESH


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=32).digest()


class WatchedFile(Generic[T]):
    """A file, and the value parsed from it.

    Args:
        path: the file.
        parse: makes a value of its bytes; a ValueError says what is wrong with them.
        lines: whether a fresh file whose last line has no newline counts as still being written,
            since some programs do not replace the file.
        hint: what to do if there is no such file, for the error's text.

    Raises:
        AccountError: if the file cannot be read or parsed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        parse: Callable[[bytes], T],
        *,
        lines: bool = False,
        hint: str = "",
    ) -> None:
        self.path = Path(path)
        self._parse = parse
        self._lines = lines
        self._complained = False
        self._writing_since: float | None = None
        self._wrong: tuple[bytes, ValueError] | None = None
        try:
            self._signature, raw, self._settled = self._load()
            self._value = parse(raw)
        except (OSError, ValueError) as error:
            advice = f"; {hint}" if hint and isinstance(error, FileNotFoundError) else ""
            raise AccountError(f"cannot read {os.fspath(path)!r}: {why(error)}{advice}") from None
        self._digest = _digest(raw)
        self._pending = self._digest
        self._confirmed = (self._digest, self._value)

    @property
    def value(self) -> T:
        """The value when the file was last read."""
        return self._value

    def read(self) -> T:
        """Return the current value.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it cannot be parsed.
        """
        if self._settled and self._look() == self._signature:
            return self._value
        signature, raw, settled = self._load()
        if not self._is_being_written(raw, signature[0]):
            digest = _digest(raw)
            # The value first: any thread that sees the new signature must get the new value.
            if digest != self._digest:
                self._value = self._meaning(raw, digest)
            self._digest, self._settled, self._signature = digest, settled, signature
        return self._value

    def _meaning(self, raw: bytes, digest: bytes) -> T:
        """Return the value of the file's bytes.

        An error is remembered, so that a bad file is parsed and logged once, not at each login.
        """
        if self._wrong is not None and self._wrong[0] == digest:
            raise self._wrong[1].with_traceback(None)
        try:
            return self._parse(raw)
        except ValueError as error:
            self._wrong = digest, error
            raise

    def _load(self) -> tuple[tuple[int, ...], bytes, bool]:
        """Return the file's signature and bytes, and whether a change would alter the signature."""
        for _ in range(TRIES):
            before, now = self._look(), time.time()
            raw = self.path.read_bytes()
            if self._look() == before:
                break  # else the next read will see the rest
        # Two changes within the resolution of the file system's clock look the same. A time ahead
        # of the system's clock says nothing.
        return before, raw, not _is_fresh(before[1], now)

    def _is_being_written(self, raw: bytes, changed: int) -> bool:
        if not self._lines or raw.endswith(b"\n") or not _is_fresh(changed, time.time()):
            self._writing_since = None
            return False
        now = time.monotonic()
        self._writing_since = now if self._writing_since is None else self._writing_since
        return now - self._writing_since < LONGEST_WRITING

    def _look(self) -> tuple[int, ...]:
        status = self.path.stat()
        # Includes the inode's change time, since `touch`, `cp -p` and `rsync -t` set the other one.
        return (
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            status.st_dev,
            status.st_size,
        )

    def poll(self) -> tuple[T, T] | None:
        """Check the file for changes; called at intervals.

        Returns:
            The old and the new value, or None if nothing has changed. With `lines`, a change counts
            once it was seen by two calls in a row. A file that cannot be used is logged, and does
            not count as a change.
        """
        try:
            value = self.read()
        except (OSError, ValueError) as error:
            if not self._complained:
                logger.error("%s cannot be used: %s", self.path, why(error))
            self._complained = True
            return None
        self._complained = False
        pending, self._pending = self._pending, self._digest
        (confirmed, old), now = self._confirmed, self._digest
        if now == confirmed or (self._lines and now != pending):
            return None
        self._confirmed = (now, value)
        return old, value
