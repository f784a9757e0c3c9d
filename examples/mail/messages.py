"""IMAP's commands about the messages of the selected folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from examples.mail.account import Account
from examples.mail.fetch import FLAGS, UID, Item, Message, read_items
from examples.mail.interface import Entry, Folder, canonical
from examples.mail.outlet import Outlet
from examples.mail.readable import Readable
from examples.mail.search import CHARSETS, read_query
from examples.mail.selected import SEEN, Selected, known_flags
from examples.mail.syntax import Arguments, Malformed, parenthesised
from examples.mail.wire import Refused, Wire

__all__ = ["Messages"]

BATCH = 1_048_576
"""Bytes of messages that are read in one request."""

MAX_NAME = 1200
"""Maximum length of a mailbox name or pattern in bytes, more than folder names can have."""

MODES = {b"FLAGS": 0, b"+FLAGS": 1, b"-FLAGS": -1}

Numbered = tuple[int, Entry]


class Messages(Wire):
    """Commands on messages. Those called with `uid` use UIDs."""

    account: Account

    @property
    def selected(self) -> Selected:
        """The selected folder."""
        selected = self.account.selected
        if selected is None:
            raise Malformed("no mailbox is selected")
        return selected

    @property
    def changeable(self) -> Selected:
        """The selected folder, if it was selected for changes."""
        selected = self.selected
        if not selected.writeable:
            raise Refused("the mailbox is read-only")
        return selected

    async def ask(self, name: str, *args: Any) -> Any:
        """Call the avatar with the selected folder's number."""
        return await self.account.answer(name, self.selected.folder.number, *args)

    # -- FETCH -------------------------------------------------------------------------------------

    async def fetch(self, arguments: Arguments, uid: bool) -> bytes:
        """Send the requested items of messages."""
        arguments.space()
        numbers = arguments.numbers()
        arguments.space()
        items = read_items(arguments)
        if uid and UID not in items:
            items = [UID, *items]
        missing = 0
        with Outlet(self) as outlet:
            for batch in _batches(
                self.selected.chosen(numbers, uid), any(item.needs_text for item in items)
            ):
                missing += await self._send(batch, items, outlet)
        if missing:
            raise Refused("some of the messages are gone")
        return b"FETCH completed"

    async def _send(self, batch: list[Numbered], items: list[Item], outlet: Outlet) -> int:
        """Send the requested items of some messages; return how many of these no longer exist."""
        seen = await self._see(batch) if any(item.reads for item in items) else {}
        texts = {}
        needs_text = any(item.needs_text for item in items)
        if needs_text:
            texts = await self.ask("texts", [entry.uid for _, entry in batch])
        there = [(number, entry) for number, entry in batch if not needs_text or entry.uid in texts]
        for number, entry in there:
            message = Message(number, seen.get(entry.uid, entry), texts.pop(entry.uid, b""))
            # A client must be notified of the flag that its own command has set.
            more = [FLAGS] if entry.uid in seen and FLAGS not in items else []
            await self._send_one(message, [*items, *more], outlet)
        return len(batch) - len(there)

    async def _send_one(self, message: Message, items: list[Item], outlet: Outlet) -> None:
        """Send the requested items of one message, each when the client has read the one before."""
        start = b"* %d FETCH (" % message.number
        for item in items:
            self.transport.writeSequence([start, item.answer(message)])
            start = b" "
            await outlet.opened()
        self.sendLine(b")")

    async def _see(self, batch: list[Numbered]) -> dict[int, Entry]:
        r"""Set \Seen; return the messages that did not have it."""
        unseen = [entry.uid for _, entry in batch if SEEN not in entry.flags]
        if not unseen or not self.selected.writeable:
            return {}
        return await self._flag(unseen, [SEEN], 1)

    # -- STORE, SEARCH -----------------------------------------------------------------------------

    async def store(self, arguments: Arguments, uid: bool) -> bytes:
        """Change flags."""
        arguments.space()
        numbers = arguments.numbers()
        arguments.space()
        word = arguments.atom()
        mode = MODES.get(word.removesuffix(b".SILENT"))
        if mode is None:
            raise Malformed("FLAGS, +FLAGS or -FLAGS is missing")
        arguments.space()
        flags = known_flags(arguments.flags())
        arguments.end()
        chosen = self.changeable.chosen(numbers, uid)
        entries = await self._flag([entry.uid for _, entry in chosen], flags, mode)
        if not word.endswith(b".SILENT"):
            for number, entry in chosen:
                if entry.uid in entries:
                    self._tell_flags(number, entries[entry.uid], uid)
        return b"STORE completed"

    async def _flag(self, uids: list[int], flags: list[str], mode: int) -> dict[int, Entry]:
        """Change flags; return the messages by their UIDs. The client must be notified."""
        entries: list[Entry] = await self.ask("flag", uids, flags, mode) if uids else []
        for entry in entries:
            self.selected.take(entry, told=True)
        return {entry.uid: entry for entry in entries}

    def _tell_flags(self, number: int, entry: Entry, uid: bool) -> None:
        message = Message(number, entry)
        answers = parenthesised(item.answer(message) for item in ([FLAGS, UID] if uid else [FLAGS]))
        self.sendLine(b"* %d FETCH %b" % (number, answers))

    async def search(self, arguments: Arguments, uid: bool) -> bytes:
        """Send the numbers of the messages that match."""
        arguments.space()
        charset = "utf-8"
        if arguments.next_is(b"CHARSET "):
            arguments.skip(b"CHARSET ")
            charset = _charset(arguments.astring())
            arguments.space()
        selected = self.selected
        query = read_query(arguments, charset, selected.lasts, self.rest)
        found = []
        for batch in _batches(list(enumerate(selected.entries, 1)), query.needs_text):
            texts = (
                await self.ask("texts", [entry.uid for _, entry in batch])
                if query.needs_text
                else {}
            )
            for number, entry in batch:
                if await query.test(Readable(number, entry, texts.pop(entry.uid, b""))):
                    found.append(entry.uid if uid else number)
                await self.rest()
        self.sendLine(b" ".join([b"* SEARCH", *(b"%d" % number for number in found)]))
        return b"SEARCH completed"

    # -- COPY, MOVE, EXPUNGE -----------------------------------------------------------------------

    async def copy(self, arguments: Arguments, uid: bool) -> bytes:
        """Copy messages to a folder."""
        return await self._transfer(arguments, uid, move=False) + b"COPY completed"

    async def move(self, arguments: Arguments, uid: bool) -> bytes:
        """Move messages to a folder."""
        copied = await self._transfer(arguments, uid, move=True)
        if copied:
            self.sendLine(b"* OK " + copied + b"moved")
        return b"MOVE completed"

    async def _transfer(self, arguments: Arguments, uid: bool, move: bool) -> bytes:
        arguments.space()
        numbers = arguments.numbers()
        arguments.space()
        name = self.mailbox_name(arguments)
        arguments.end()
        chosen = (self.changeable if move else self.selected).chosen(numbers, uid)
        target = await self.existing(name, "[TRYCREATE] ")
        made: dict[int, int] = await self.ask(
            "transfer", [entry.uid for _, entry in chosen], target.number, move
        )
        if move:
            self.selected.lose(made)
        await self.account.refresh([target.number])
        if not made:
            return b""
        return b"[COPYUID %d %b %b] " % (target.validity, _set_of(made), _set_of(made.values()))

    async def expunge(self, arguments: Arguments, uid: bool) -> bytes:
        """Remove the messages marked as deleted; after UID, those of a set."""
        numbers = None
        if uid:
            arguments.space()
            numbers = arguments.numbers()
        arguments.end()
        deleted = self.changeable.deleted(numbers)
        if deleted:
            await self.ask("remove", deleted)
            self.selected.lose(deleted)
        return b"EXPUNGE completed"

    # -- names -------------------------------------------------------------------------------------

    @staticmethod
    def mailbox_name(arguments: Arguments) -> str:
        """Parse the name of a mailbox."""
        name = _short(arguments.astring())
        try:
            return canonical(name.decode("imap4-utf-7"))
        except ValueError:
            raise Malformed("the name of the mailbox is not in modified UTF-7") from None

    @staticmethod
    def mailbox_pattern(arguments: Arguments) -> str:
        """Parse the name of a mailbox with wildcards."""
        return _short(arguments.pattern()).decode("imap4-utf-7", "replace")

    async def existing(self, name: str, code: str = "") -> Folder:
        """Return a folder by its name.

        Raises:
            Refused: if there is none; its text begins with the code.
        """
        folder = await self.account.folder(name)
        if folder is None:
            raise Refused(f"{code}there is no such mailbox")
        return folder


def _short(name: bytes) -> bytes:
    if len(name) > MAX_NAME:
        raise Malformed("the mailbox name is too long")
    return name


def _batches(chosen: list[Numbered], with_text: bool) -> Iterator[list[Numbered]]:
    """Yield messages in batches whose total length is limited."""
    portion: list[Numbered] = []
    size = 0
    for number, entry in chosen:
        weight = entry.size if with_text else 200
        if portion and size + weight > BATCH:
            yield portion
            portion, size = [], 0
        portion.append((number, entry))
        size += weight
    if portion:
        yield portion


def _charset(name: bytes) -> str:
    known = CHARSETS.get(name.upper())
    if known is None:
        raise Refused(f"[BADCHARSET ({b' '.join(CHARSETS).decode()})] there is no such charset")
    return known


def _set_of(uids: Iterable[int]) -> bytes:
    """Return numbers as an IMAP sequence set, in their order."""
    runs = []
    for _, run in itertools.groupby(enumerate(uids), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in run]
        runs.append(
            b"%d" % numbers[0] if len(numbers) == 1 else b"%d:%d" % (numbers[0], numbers[-1])
        )
    return b",".join(runs)
