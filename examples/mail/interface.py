"""What mail protocols can ask of a postbox. Each asks for an interface of its own, and all see the same mail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from actorcred.adapters.aiosmtpd import Screening

__all__ = ["INBOX", "Entry", "Folder", "Mailbox", "Maildrop", "Outgoing", "canonical"]

INBOX = 0
"""The number of the folder where mail arrives."""


def canonical(name: str) -> str:
    """Return a folder's name, with INBOX in capitals if it is that or in it, as it has no case of its own."""
    first, slash, rest = name.partition("/")
    return f"INBOX{slash}{rest}" if first.upper() == "INBOX" else name


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


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a mailbox.

    Args:
        number: which stays its own, also under another name; 0 is INBOX.
        name: as people see it; "/" stands between the parts of one.
        subscribed: whether clients show it that go by that.
        validity: what changes when its messages are numbered anew.
        next_uid: the number of its next message.
    """

    number: int
    name: str
    subscribed: bool
    validity: int
    next_uid: int


class Maildrop(ABC):
    """What POP3 needs: the messages of a folder, which is INBOX. Methods return futures."""

    @abstractmethod
    def entries(self, folder: int = INBOX, first: int = 1) -> Any:
        """Return the messages from a number on, a list of `Entry`, in the order of their numbers."""

    @abstractmethod
    def texts(self, folder: int, uids: list[int]) -> Any:
        """Return the texts of messages: number -> bytes; those that are gone are left out."""

    @abstractmethod
    def remove(self, folder: int, uids: list[int]) -> Any:
        """Remove messages; return the numbers of those that were there."""


class Mailbox(Maildrop):
    """What IMAP needs.

    The client is told `arrived(folder, entry)`, `changed(folder, entry)` and `removed(folder, uids)`. What cannot be done raises
    `CallError`.
    """

    @abstractmethod
    def folders(self) -> Any:
        """Return all folders, a list of `Folder`."""

    @abstractmethod
    def create(self, name: str) -> Any:
        """Make a folder, and those that it is in."""

    @abstractmethod
    def rename(self, name: str, new: str) -> Any:
        """Give a folder another name, and with it those that are in it."""

    @abstractmethod
    def delete(self, name: str) -> Any:
        """Remove a folder and its messages."""

    @abstractmethod
    def subscribe(self, name: str, wanted: bool) -> Any:
        """Say whether clients are to show a folder."""

    @abstractmethod
    def add(self, folder: int, data: bytes, flags: list[str], received: int) -> Any:
        """Put a message in; return its `Entry`."""

    @abstractmethod
    def flag(self, folder: int, uids: list[int], flags: list[str], mode: int) -> Any:
        """Add flags (mode 1), take them away (-1) or set them (0); return the entries."""

    @abstractmethod
    def transfer(self, folder: int, uids: list[int], target: int, move: bool) -> Any:
        """Copy or move messages, all or none; return their numbers: old -> new."""


class Outgoing(Screening, ABC):
    """What SMTP needs."""
