"""The post office: a realm, an actor per mailbox that is in use, and an avatar per session."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from actorcred import Avatar, CallError, Group, MindRef, NoInterface, Realm
from actorcred.actors import Actor, ActorRef, ThreadDispatcher
from actorcred.checkers.sqlite import SQLiteCheckerRef
from examples.mail.interface import INBOX, Entry, Folder, Mailbox, Maildrop, Outgoing, canonical
from examples.mail.store import Store, box_of

__all__ = ["PostOffice"]

THREADS = 4

MAX_NAME = 200
"""Maximum length of a folder's name in characters."""

WELCOME = b"""\
From: Postmaster <postmaster@%s>\r
To: %s@%s\r
Subject: Welcome\r
\r
This mailbox was made when you logged in for the first time.\r
"""


class Box(Actor):
    """A mailbox in use: runs all operations in one order, and notifies all its sessions."""

    registered = False

    def __init__(self, store: Store, owner: str) -> None:
        super().__init__()
        self._store = store
        self._owner = owner
        self._minds = Group()

    def watch(self, mind: MindRef) -> None:
        """Notify a client of changes from now on."""
        self._minds.add(mind)

    # -- folders -----------------------------------------------------------------------------------

    def folders(self) -> list[Folder]:
        """See `Mailbox`.

        In old databases, folder names can have INBOX in another case.
        """
        found = self._store.folders(self._owner)
        names = {folder.name for folder in found}
        return [
            folder
            if canonical(folder.name) in names
            else replace(folder, name=canonical(folder.name))
            for folder in found
        ]

    def create(self, name: str) -> None:
        """See `Mailbox`."""
        name = canonical(name)
        words = _parts_of(name)
        there = self._names()
        if name in there:
            raise CallError("the folder already exists")
        every = ["/".join(words[:count]) for count in range(1, len(words) + 1)]
        self._store.create(
            self._owner,
            [folder for folder in every if folder not in there and folder.upper() != "INBOX"],
        )

    def rename(self, name: str, new: str) -> None:
        """See `Mailbox`."""
        name, new = canonical(name), canonical(new)
        number = self._number(name)
        _parts_of(new)
        there = self._names()
        if new in there:
            raise CallError("the folder already exists")
        if new.startswith(f"{name}/"):
            raise CallError("a folder cannot be moved into itself")
        inner = {
            number: new + old[len(name) :]
            for old, number in there.items()
            if old.startswith(f"{name}/")
        }
        for renamed in inner.values():
            _parts_of(renamed)
        self._store.rename(self._owner, {number: new, **inner})

    def delete(self, name: str) -> None:
        """See `Mailbox`."""
        name = canonical(name)
        number = self._number(name)
        if any(other.startswith(f"{name}/") for other in self._names()):
            raise CallError("the folder has subfolders")
        gone = [entry.uid for entry in self.entries(number)]
        self._store.delete(self._owner, number)
        self._minds.notify("removed", number, gone)

    def subscribe(self, name: str, wanted: bool) -> None:
        """See `Mailbox`."""
        if name.upper() != "INBOX":
            self._store.subscribe(self._owner, self._number(name), wanted)
        elif not wanted:
            raise CallError("INBOX is always shown")

    def _names(self) -> dict[str, int]:
        return {folder.name: folder.number for folder in self.folders()}

    def _number(self, name: str) -> int:
        number = self._names().get(canonical(name))
        if number is None:
            raise CallError("there is no such folder")
        if number == INBOX:
            raise CallError("INBOX stays")
        return number

    # -- messages ----------------------------------------------------------------------------------

    def _box(self, folder: int) -> str:
        """Return the key of a folder.

        Raises:
            CallError: if the folder does not exist.
        """
        if folder != INBOX and not self._store.has_folder(self._owner, folder):
            raise CallError("the folder was deleted")
        return box_of(self._owner, folder)

    def entries(self, folder: int = INBOX, first: int = 1) -> list[Entry]:
        """See `Maildrop`."""
        return self._store.entries(box_of(self._owner, folder), first)

    def texts(self, folder: int, uids: list[int]) -> dict[int, bytes]:
        """See `Maildrop`."""
        return self._store.texts(box_of(self._owner, folder), uids)

    def add(self, folder: int, data: bytes, flags: list[str], received: int) -> Entry:
        """See `Mailbox`."""
        entry = self._store.add(self._box(folder), data, flags, received)
        self._minds.notify("arrived", folder, entry)
        return entry

    def flag(self, folder: int, uids: list[int], flags: list[str], mode: int) -> list[Entry]:
        """See `Mailbox`."""
        entries = self._store.flag(self._box(folder), uids, flags, mode)
        for entry in entries:
            self._minds.notify("changed", folder, entry)
        return entries

    def transfer(self, folder: int, uids: list[int], target: int, move: bool) -> dict[int, int]:
        """See `Mailbox`."""
        made = self._store.transfer(self._box(folder), uids, self._box(target), move)
        for entry in made.values():
            self._minds.notify("arrived", target, entry)
        if move and made:
            self._minds.notify("removed", folder, list(made))
        return {old: entry.uid for old, entry in made.items()}

    def remove(self, folder: int, uids: list[int]) -> list[int]:
        """See `Maildrop`."""
        gone = self._store.remove(box_of(self._owner, folder), uids)
        if gone:
            self._minds.notify("removed", folder, gone)
        return gone


def _parts_of(name: str) -> list[str]:
    """Return the components of a folder's path.

    Raises:
        CallError: if the name is invalid.
    """
    words = name.split("/")
    if (
        name.upper() == "INBOX"
        or not all(words)
        or not name.isprintable()
        or len(name) > MAX_NAME
        or set(name) & set("%*")
    ):
        raise CallError("the folder's name is invalid")
    return words


class PostOffice(Realm):
    """The realm.

    Args:
        store: the storage of mailboxes.
        domain: the part of users' addresses after the @.
        accounts: for looking up users who have not logged in yet, and so have no mailbox.
    """

    interfaces = (Maildrop, Mailbox, Outgoing)

    def __init__(
        self, store: Store, domain: str, accounts: Sequence[SQLiteCheckerRef] = ()
    ) -> None:
        super().__init__()
        self._store = store
        self._accounts = accounts
        self._domain = domain
        self._pool = ThreadDispatcher("mail", THREADS)
        self._boxes: dict[str, tuple[ActorRef[Box], int]] = {}

    async def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        """Open the user's mailbox, which is created at the first login."""
        interface = next((wanted for wanted in interfaces if issubclass(Postbox, wanted)), None)
        if interface is None:
            raise NoInterface(interfaces)
        owner = str(avatar_id)
        await self._pool.submit(self._open, owner)
        box = self._take(owner)
        avatar = Postbox.start(avatar_id, mind, box, self.actor_ref.proxy())
        return interface, avatar, lambda: self._let_go(owner)

    def _open(self, owner: str) -> None:
        if self._store.open(owner):
            host = self._domain.encode()
            self._store.add(owner, WELCOME % (host, owner.encode(), host), (), int(time.time()))

    def _take(self, owner: str) -> ActorRef[Box]:
        box, users = self._boxes.get(owner) or (
            Box.start(self._store, owner, dispatcher=self._pool),
            0,
        )
        self._boxes[owner] = (box, users + 1)
        return box

    def _let_go(self, owner: str) -> None:
        box, users = self._boxes[owner]
        if users > 1:
            self._boxes[owner] = (box, users - 1)
        else:
            del self._boxes[owner]
            box.stop(block=False)

    async def deliver(self, sender: str, recipients: list[str], data: bytes) -> str:
        """Put a message into the mailboxes of its recipients.

        Raises:
            CallError: if one of them has no mailbox; then no recipient gets it.
        """
        owners = [await self.find(address) for address in recipients]
        received = int(time.time())
        stamped = b"Return-Path: <%s>\r\n%s" % (sender.encode(), data)
        for owner in dict.fromkeys(owners):
            box = self._take(owner)
            try:
                await box.proxy().add(INBOX, stamped, [], received)
            finally:
                self._let_go(owner)
        return f"{len(owners)} delivered"

    async def find(self, address: str) -> str:
        """Return the owner of the mailbox with an address.

        A user who can log in has one; it is created with the first mail.

        Raises:
            CallError: if no user has the address.
        """
        owner = self._owner_of(address) or ""
        if await self._pool.submit(self._store.exists, owner):
            return owner
        for accounts in self._accounts:
            account = await accounts.find_account(owner)
            if account is not None and not account.disabled:
                await self._pool.submit(self._open, account.name)
                return account.name
        raise CallError(f"there is no mailbox {address}")

    def owns(self, owner: str, address: str) -> bool:
        """Return whether an address is that of a user."""
        return self._owner_of(address) == owner

    def _owner_of(self, address: str) -> str | None:
        name, _, domain = address.rpartition("@")
        if len(name) > 1 and name[0] == name[-1] == '"':  # RFC 5321, section 4.1.2: Quoted-string
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        return name if domain.lower() == self._domain.lower() else None


class Postbox(Avatar, Mailbox, Outgoing):
    """One session of a user. It forwards requests to the mailbox."""

    def __init__(self, avatar_id: Any, mind: MindRef, box: ActorRef[Box], office: Any) -> None:
        super().__init__(avatar_id, mind)
        self._box = box.proxy()
        self._office = office

    def on_login(self) -> None:
        """Notify the client of changes by other sessions from now on."""
        self._box.watch(self.mind)

    def folders(self) -> Any:
        """See `Mailbox`."""
        return self._box.folders()

    def create(self, name: str) -> Any:
        """See `Mailbox`."""
        return self._box.create(name)

    def rename(self, name: str, new: str) -> Any:
        """See `Mailbox`."""
        return self._box.rename(name, new)

    def delete(self, name: str) -> Any:
        """See `Mailbox`."""
        return self._box.delete(name)

    def subscribe(self, name: str, wanted: bool) -> Any:
        """See `Mailbox`."""
        return self._box.subscribe(name, wanted)

    def entries(self, folder: int = INBOX, first: int = 1) -> Any:
        """See `Maildrop`."""
        return self._box.entries(folder, first)

    def texts(self, folder: int, uids: list[int]) -> Any:
        """See `Maildrop`."""
        return self._box.texts(folder, uids)

    def remove(self, folder: int, uids: list[int]) -> Any:
        """See `Maildrop`."""
        return self._box.remove(folder, uids)

    def add(self, folder: int, data: bytes, flags: list[str], received: int) -> Any:
        """See `Mailbox`."""
        return self._box.add(folder, data, flags, received)

    def flag(self, folder: int, uids: list[int], flags: list[str], mode: int) -> Any:
        """See `Mailbox`."""
        return self._box.flag(folder, uids, flags, mode)

    def transfer(self, folder: int, uids: list[int], target: int, move: bool) -> Any:
        """See `Mailbox`."""
        return self._box.transfer(folder, uids, target, move)

    async def check_sender(self, sender: str) -> None:
        """Accept a sender only if it is the user's own address."""
        if not await self._office.owns(str(self.avatar_id), sender):
            raise CallError(f"you may not send as {sender or 'nobody'}")

    async def check_recipient(self, sender: str, recipient: str) -> None:
        """Accept a recipient that has a mailbox or can log in."""
        await self._office.find(recipient)

    async def submit(self, sender: str, recipients: list[str], data: bytes) -> Any:
        """Send a message."""
        await self.check_sender(sender)
        return await self._office.deliver(sender, recipients, data)
