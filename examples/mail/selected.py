"""The folder that a session has selected. Its numbers stay as they are until the client has been told of a change."""

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
        folder: it.
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

    # -- what other sessions do ---------------------------------------------------------------------------------------

    @property
    def next_uid(self) -> int:
        """The number from which on messages are not known yet."""
        return self._next

    def take(self, entry: Entry, told: bool = False) -> None:
        """Take over a message or its new flags.

        Args:
            entry: it.
            told: whether the client is told of them anyway.
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
        """Note that messages are gone."""
        self._gone.update(uids)

    def news(self) -> list[bytes]:
        """Return what the client must be told, after which its numbers are the new ones."""
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
        """Note that the client is told of the number of messages anyway."""
        self._arrived = False

    def _expunged(self) -> list[bytes]:
        if not self._gone:
            return []
        gone = [number for number, entry in enumerate(self.entries, 1) if entry.uid in self._gone]
        self.entries = [entry for entry in self.entries if entry.uid not in self._gone]
        self._gone.clear()
        return [
            b"%d EXPUNGE" % number for number in reversed(gone)
        ]  # from the end, so that each is right when it is read

    # -- what commands ask --------------------------------------------------------------------------------------------

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
        """Return the number of a message; None if it has none."""
        index = self._index(uid)
        return None if index is None else index + 1

    def deleted(self, numbers: Numbers | None) -> list[int]:
        """Return the UIDs of the messages that are marked for that, all or those of a set."""
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
    """Return flags in their own spelling; others are left out."""
    names = {flag.lower(): flag for flag in FLAGS}
    return [names[flag.lower()] for flag in flags if flag.lower() in names]
