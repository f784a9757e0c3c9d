"""A mailbox as IMAP sees it, kept up to date by the avatar's notifications."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import maybeDeferred

from actorcred.adapters.twisted import Face
from actorcred.sessions.session import AvatarRef
from examples.mail.interface import Entry, Folder
from examples.mail.selected import Selected

__all__ = ["Account"]

Change = Callable[[Selected], None]


class Account(Face):
    """A mailbox, for the commands of `IMAPServer`.

    Attributes:
        selected: the folder that the client has selected.
        on_news: called when there is news of it for the client.
    """

    def __init__(self, avatar: AvatarRef[Any]) -> None:
        super().__init__(avatar)
        self.selected: Selected | None = None
        self.on_news: Callable[[], None] | None = None
        self._followed: int | None = None
        self._missed: list[Change] = []

    # -- notifications -----------------------------------------------------------------------------

    def arrived(self, folder: int, entry: Entry) -> None:
        """Called when a message has arrived."""
        self._change(folder, lambda selected: selected.take(entry))

    def changed(self, folder: int, entry: Entry) -> None:
        """Called when the flags of a message have changed."""
        self._change(folder, lambda selected: selected.take(entry))

    def removed(self, folder: int, uids: list[int]) -> None:
        """Called when messages have been removed."""
        self._change(folder, lambda selected: selected.lose(uids))

    def _change(self, folder: int, change: Change) -> None:
        if folder != self._followed:
            return
        if self.selected is None:  # the folder is still being opened
            self._missed.append(change)
            return
        change(self.selected)
        if self.on_news is not None:
            self.on_news()

    # -- requests of the server --------------------------------------------------------------------

    async def answer(self, name: str, *args: Any) -> Any:
        """Ask the avatar."""
        return await maybeDeferred(self.ask, name, *args)

    async def folder(self, name: str) -> Folder | None:
        """Return a folder by its name, or None if there is none."""
        folders: list[Folder] = await self.answer("folders")
        return next((folder for folder in folders if folder.name == name), None)

    async def select(self, folder: Folder, writeable: bool) -> Selected:
        """Select a folder and follow its changes."""
        self._followed, self._missed = folder.number, []
        entries: list[Entry] = await self.answer("entries", folder.number)
        after = max([folder.next_uid, *(entry.uid + 1 for entry in entries[-1:])])
        self.selected = Selected(replace(folder, next_uid=after), entries, writeable)
        for change in self._missed:
            change(self.selected)
        return self.selected

    def unselect(self) -> None:
        """Stop following changes."""
        self.selected = self._followed = None

    async def refresh(self, folders: Iterable[int]) -> None:
        """Fetch new messages now, if the selected folder is one of these."""
        selected = self.selected
        if selected is not None and selected.folder.number in folders:
            for entry in await self.answer("entries", selected.folder.number, selected.next_uid):
                selected.take(entry)
