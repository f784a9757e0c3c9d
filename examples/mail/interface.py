"""What mail protocols can ask of a postbox. Each asks for an interface of its own, and all see the same mail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from actorcred.adapters.aiosmtpd import Screening

__all__ = ["Entry", "Mailbox", "Maildrop", "Outgoing"]


@dataclass(frozen=True, slots=True)
class Entry:
    r"""A message, without its text.

    Args:
        uid: its number, which no other message of the mailbox ever had.
        size: in bytes.
        received: when it came, in seconds since the epoch.
        flags: as "\\Seen".
    """

    uid: int
    size: int
    received: int
    flags: tuple[str, ...] = ()


class Maildrop(ABC):
    """What POP3 needs. Methods return futures."""

    @abstractmethod
    def entries(self) -> Any:
        """Return the messages, a list of `Entry`, in the order of their numbers."""

    @abstractmethod
    def texts(self, uids: list[int]) -> Any:
        """Return the texts of messages: number -> bytes; those that are gone are left out."""

    @abstractmethod
    def remove(self, uids: list[int]) -> Any:
        """Remove messages; return the numbers of those that were there."""


class Mailbox(Maildrop):
    """What IMAP needs. The client is told `arrived(entry)`, `changed(entry)` and `removed(uids)`."""

    @abstractmethod
    def numbers(self) -> Any:
        """Return the validity of the numbers, and the next one."""

    @abstractmethod
    def add(self, data: bytes, flags: list[str], received: int) -> Any:
        """Put a message in; return its `Entry`."""

    @abstractmethod
    def flag(self, uids: list[int], flags: list[str], mode: int) -> Any:
        """Add flags (mode 1), take them away (-1) or set them (0); return the entries."""


class Outgoing(Screening, ABC):
    """What SMTP needs."""
