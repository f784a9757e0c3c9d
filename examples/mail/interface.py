"""The interfaces of a mailbox for mail protocols.

Each protocol requests its own interface, and all see the same mail.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from actorcred.adapters.aiosmtpd import Screening

__all__ = ["INBOX", "Entry", "Folder", "Mailbox", "Maildrop", "Outgoing", "canonical"]

INBOX = 0
"""The number of the folder where mail arrives."""


def canonical(name: str) -> str:
    """Return a folder's name, with INBOX in capitals if it is that or below it.

    INBOX is case-insensitive.
    """
    first, slash, rest = name.partition("/")
    return f"INBOX{slash}{rest}" if first.upper() == "INBOX" else name


@dataclass(frozen=True, slots=True)
class Entry:
    r"""A message, without its text.

    Args:
        uid: its number, which no other message of the mailbox ever had.
        size: in bytes.
        received: when it arrived, in seconds since the epoch.
        flags: such as "\\Seen".
    """

    uid: int
    size: int
    received: int
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a mailbox.

    Args:
        number: permanent, also after a rename; 0 is INBOX.
        name: its full path, with "/" between the parts.
        subscribed: whether clients that go by subscriptions show it.
        validity: its UIDVALIDITY, which changes when its messages are renumbered.
        next_uid: the number of its next message.
    """

    number: int
    name: str
    subscribed: bool
    validity: int
    next_uid: int


class Maildrop(ABC):
    """The interface for POP3: the messages of a folder, which is INBOX. Methods return futures."""

    @abstractmethod
    def entries(self, folder: int = INBOX, first: int = 1) -> Any:
        """Return the messages from a number on, a list of `Entry`, ordered by number."""

    @abstractmethod
    def texts(self, folder: int, uids: list[int]) -> Any:
        """Return the texts of messages: number -> bytes; removed messages are left out."""

    @abstractmethod
    def remove(self, folder: int, uids: list[int]) -> Any:
        """Remove messages; return the numbers of those that existed."""


class Mailbox(Maildrop):
    """The interface for IMAP.

    The client is sent `arrived(folder, entry)`, `changed(folder, entry)` and
    `removed(folder, uids)`. Operations that cannot be done raise `CallError`.
    """

    @abstractmethod
    def folders(self) -> Any:
        """Return all folders, a list of `Folder`."""

    @abstractmethod
    def create(self, name: str) -> Any:
        """Create a folder and its missing parents."""

    @abstractmethod
    def rename(self, name: str, new: str) -> Any:
        """Rename a folder and its subfolders."""

    @abstractmethod
    def delete(self, name: str) -> Any:
        """Delete a folder and its messages."""

    @abstractmethod
    def subscribe(self, name: str, wanted: bool) -> Any:
        """Set whether the user is subscribed to a folder."""

    @abstractmethod
    def add(self, folder: int, data: bytes, flags: list[str], received: int) -> Any:
        """Add a message; return its `Entry`."""

    @abstractmethod
    def flag(self, folder: int, uids: list[int], flags: list[str], mode: int) -> Any:
        """Add flags (mode 1), remove them (-1) or set them (0); return the entries."""

    @abstractmethod
    def transfer(self, folder: int, uids: list[int], target: int, move: bool) -> Any:
        """Copy or move messages, all or none; return their numbers: old -> new."""


class Outgoing(Screening, ABC):
    """The interface for SMTP."""
