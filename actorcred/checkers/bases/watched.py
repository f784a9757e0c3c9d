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
"""How often a file is read that changes while it is read."""

FRESH = 1.0
"""Seconds after its last change for which a file may still be being written, or change again without a new time."""

LONGEST_WRITING = 5.0
"""Seconds after which a file counts that is changed again and again, and never ends in a whole line."""

T = TypeVar("T")


def why(error: OSError | ValueError) -> str:
    """Return in a few words why a file cannot be used."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {'UTF-8' if error.encoding == 'utf-8' else error.encoding}"
    return str(error)


def check_encoding(encoding: str) -> None:
    """Refuse an encoding of which a file of lines cannot be.

    Raises:
        ValueError: if there is none of that name, or ASCII reads differently in it.
    """
    ascii_only = bytes(range(128))
    try:
        fits = ascii_only.decode(encoding) == ascii_only.decode("ascii")
    except (LookupError, UnicodeError):
        fits = False
    if not fits:
        raise ValueError(
            f"{encoding!r} is no encoding in which ASCII stays what it is, as utf-8 and latin-1 are"
        )


def lines_that_count(raw: bytes, *, keep: bytes = b"") -> Iterator[tuple[int, bytes]]:
    """Iterate over the lines of a file with their numbers from 1, without those that are empty or begin with #.

    They end at newlines and at nothing else, and are bytes, so that one in another encoding does no harm to the others.
    Blanks around them do not count, nor does a byte order mark.

    Args:
        raw: the file.
        keep: blanks that mean something, as between fields.

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
    """Return whether a time in nanoseconds is less than `FRESH` ago. One in the future is not: it may be so for years."""
    return 0 <= now - changed / 1e9 < FRESH


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=32).digest()


class WatchedFile(Generic[T]):
    """A file, and what it means.

    Args:
        path: the file.
        parse: makes a value of its bytes; a ValueError says what is wrong with them.
        lines: whether a fresh file whose last line has no end is still being written, as by programs that do not replace it.
        hint: what to do if there is no such file, for the error's text.

    Raises:
        AccountError: if the file cannot be read, or has no meaning.
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
        """What it meant when it was read last."""
        return self._value

    def read(self) -> T:
        """Return what the file means now.

        Raises:
            OSError: if it cannot be read.
            ValueError: if it has no meaning.
        """
        if self._settled and self._look() == self._signature:
            return self._value
        signature, raw, settled = self._load()
        if not self._is_being_written(raw, signature[0]):
            digest = _digest(raw)
            # The value first: whoever sees the new signature, on whatever thread, gets the new value.
            if digest != self._digest:
                self._value = self._meaning(raw, digest)
            self._digest, self._settled, self._signature = digest, settled, signature
        return self._value

    def _meaning(self, raw: bytes, digest: bytes) -> T:
        """Return what bytes mean; what is wrong with them is found out, and logged, once and not at each login."""
        if self._wrong is not None and self._wrong[0] == digest:
            raise self._wrong[1].with_traceback(None)
        try:
            return self._parse(raw)
        except ValueError as error:
            self._wrong = digest, error
            raise

    def _load(self) -> tuple[tuple[int, ...], bytes, bool]:
        """Return the file's signature and bytes, and whether another change would have another signature."""
        for _ in range(TRIES):
            before, now = self._look(), time.time()
            raw = self.path.read_bytes()
            if self._look() == before:
                break  # else the next reading will see the rest
        # Two changes within the grain of the file system's clock look alike. A time ahead of our clock says nothing.
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
        # The time of the last change to the inode, too: `touch`, `cp -p` and `rsync -t` set the other one as they like.
        return (
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
            status.st_dev,
            status.st_size,
        )

    def poll(self) -> tuple[T, T] | None:
        """Look at the file, at intervals.

        Returns:
            What it meant before and what it means now, for lines once they have stayed the same from one look to the next;
            None if nothing has changed. A file that cannot be used is logged, and changes nothing.
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
