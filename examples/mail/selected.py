"""The folder that a session has selected.

Its message numbers stay the same until the client has been notified of a change.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from examples.mail.interface import Entry, Folder
from examples.mail.syntax import Numbers

__all__ = ["DELETED", "FLAGS", "SEEN", "Selected", "known_flags"]

DELETED, SEEN = "\\Deleted", "\\Seen"
FLAGS = ("\\Answered", "\\Flagged", DELETED, SEEN, "\\Draft")


class Selected:
    """A folder, as one session knows it.

    Args:
        folder: the folder.
        entries: its messages.
        writeable: whether it was selected for changes.
    """

    def __init__(self, folder: Folder, entries: list[Entry], writeable: bool) -> None:
        self.folder = folder
        self.entries = entries
        self.writeable = writeable
        self._next = entries[-1].uid + 1 if entries else 1
        self._gone: set[int] = set()
        self._untold: set[int] = set()
        self._arrived = False

    # -- changes by other sessions -----------------------------------------------------------------

    @property
    def next_uid(self) -> int:
        """The lowest number of a message that is not known yet."""
        return self._next

    def take(self, entry: Entry, told: bool = False) -> None:
        """Record a new message or its new flags.

        Args:
            entry: the message.
            told: whether the client is notified of the flags anyway.
        """
        if entry.uid >= self._next:
            self._next = entry.uid + 1
            self.entries.append(entry)
            self._arrived = True
            return
        index = self._index(entry.uid)
        if index is None:
            return
        if told:
            self._untold.discard(entry.uid)
        elif self.entries[index].flags != entry.flags:
            self._untold.add(entry.uid)
        self.entries[index] = entry

    def _index(self, uid: int) -> int | None:
        index = bisect_left(self.entries, uid, key=lambda entry: entry.uid)
        return index if index < len(self.entries) and self.entries[index].uid == uid else None

    def lose(self, uids: Iterable[int]) -> None:
        """Record the removal of messages."""
        self._gone.update(uids)

    def news(self) -> list[bytes]:
        """Return the pending responses for the client; its new numbers are valid after them."""
        told = self._expunged()
        if self._arrived:
            told.append(b"%d EXISTS" % len(self.entries))
        for number, entry in enumerate(self.entries, 1) if self._untold else ():
            if entry.uid in self._untold:
                told.append(
                    b"%d FETCH (UID %d FLAGS (%b))"
                    % (number, entry.uid, " ".join(entry.flags).encode())
                )
        self._arrived = False
        self._untold.clear()
        return told

    def forget_arrivals(self) -> None:
        """Note that the number of messages is sent to the client anyway."""
        self._arrived = False

    def _expunged(self) -> list[bytes]:
        if not self._gone:
            return []
        gone = [number for number, entry in enumerate(self.entries, 1) if entry.uid in self._gone]
        self.entries = [entry for entry in self.entries if entry.uid not in self._gone]
        self._gone.clear()
        return [
            b"%d EXPUNGE" % number for number in reversed(gone)
        ]  # from the end, so that each number is valid when the client reads it

    # -- queries of commands -----------------------------------------------------------------------

    @property
    def lasts(self) -> tuple[int, int]:
        """The last number and the last UID."""
        return len(self.entries), self.entries[-1].uid if self.entries else 0

    def chosen(self, numbers: Numbers, uid: bool) -> list[tuple[int, Entry]]:
        """Return the messages of a set, with their numbers."""
        contains = numbers.up_to(self.lasts[uid])
        return [
            (number, entry)
            for number, entry in enumerate(self.entries, 1)
            if contains(entry.uid if uid else number)
        ]

    def number(self, uid: int) -> int | None:
        """Return the number of a message, or None if it has none."""
        index = self._index(uid)
        return None if index is None else index + 1

    def deleted(self, numbers: Numbers | None) -> list[int]:
        """Return the UIDs of the messages marked as deleted, all or those of a set."""
        entries = (
            self.entries
            if numbers is None
            else [entry for _, entry in self.chosen(numbers, uid=True)]
        )
        return [entry.uid for entry in entries if DELETED in entry.flags]

    def first_unseen(self) -> int | None:
        """Return the number of the first unread message."""
        return next(
            (number for number, entry in enumerate(self.entries, 1) if SEEN not in entry.flags),
            None,
        )


def known_flags(flags: Iterable[str]) -> list[str]:
    """Return the known flags in their standard spelling; others are left out."""
    names = {flag.lower(): flag for flag in FLAGS}
    return [names[flag.lower()] for flag in flags if flag.lower() in names]
