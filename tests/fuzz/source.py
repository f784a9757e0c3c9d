"""A fuzzer's bytes as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Source:
    """Takes values from bytes, one after the other; when they are used up, all are zero.

    Args:
        data: the bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def more(self) -> bool:
        """Whether there are bytes left."""
        return self._place < len(self._data)

    def take(self, count: int) -> bytes:
        """Take so many bytes, or those that are left."""
        taken = self._data[self._place : self._place + count]
        self._place += count
        return taken

    def number(self, most: int = 255) -> int:
        """Take a number from 0 to `most`."""
        size = (most.bit_length() + 7) // 8 or 1
        return int.from_bytes(self.take(size), "big") % (most + 1)

    def choice(self, values: Sequence[T]) -> T:
        """Take one of some values."""
        return values[self.number(len(values) - 1)]

    def chunk(self) -> bytes:
        """Take a chunk of bytes, whose length is in the byte before it, or in two after 255."""
        size = self.number()
        return self.take(self.number(0xFFFF) if size == 255 else size)

    def text(self) -> str:
        """Take a string."""
        return self.chunk().decode("utf-8", "replace")

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.take(len(self._data))
