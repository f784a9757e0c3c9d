"""The post office: a realm, an actor per mailbox that is in use, and an avatar per session."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from actorcred import Avatar, CallError, Group, MindRef, NoInterface, Realm
from actorcred.actors import Actor, ActorRef, ThreadDispatcher
from actorcred.checkers.sqlite import SQLiteCheckerRef
from examples.mail.interface import Entry, Mailbox, Maildrop, Outgoing
from examples.mail.store import Store

__all__ = ["PostOffice"]

THREADS = 4

WELCOME = b"""\
From: Postmaster <postmaster@%s>\r
To: %s@%s\r
Subject: Welcome\r
\r
This mailbox was made when you logged in for the first time.\r
"""


class Box(Actor):
    """One mailbox that is in use: all that is done with it, in one order, and everybody told who has it open."""

    registered = False

    def __init__(self, store: Store, owner: str) -> None:
        super().__init__()
        self._store = store
        self._owner = owner
        self._minds = Group()

    def watch(self, mind: MindRef) -> None:
        """Let a client know what happens."""
        self._minds.add(mind)

    def numbers(self) -> tuple[int, int]:
        """See `Mailbox`."""
        return self._store.numbers(self._owner)

    def entries(self) -> list[Entry]:
        """See `Mailbox`."""
        return self._store.entries(self._owner)

    def texts(self, uids: list[int]) -> dict[int, bytes]:
        """See `Mailbox`."""
        return self._store.texts(self._owner, uids)

    def add(self, data: bytes, flags: list[str], received: int) -> Entry:
        """Put a message in."""
        entry = self._store.add(self._owner, data, flags, received)
        self._minds.notify("arrived", entry)
        return entry

    def flag(self, uids: list[int], flags: list[str], mode: int) -> list[Entry]:
        """Change flags."""
        entries = self._store.flag(self._owner, uids, flags, mode)
        for entry in entries:
            self._minds.notify("changed", entry)
        return entries

    def remove(self, uids: list[int]) -> list[int]:
        """Remove messages."""
        gone = self._store.remove(self._owner, uids)
        if gone:
            self._minds.notify("removed", gone)
        return gone


class PostOffice(Realm):
    """The realm.

    Args:
        store: where mailboxes are.
        domain: what stands after the @ in the addresses of its users.
        accounts: where users are looked up who have not logged in yet, and so have no mailbox.
    """

    interfaces = (Maildrop, Mailbox, Outgoing)

    def __init__(self, store: Store, domain: str, accounts: Sequence[SQLiteCheckerRef] = ()) -> None:
        super().__init__()
        self._store = store
        self._accounts = accounts
        self._domain = domain
        self._pool = ThreadDispatcher("mail", THREADS)
        self._boxes: dict[str, tuple[ActorRef[Box], int]] = {}

    async def request_avatar(self, avatar_id: Any, mind: MindRef, *interfaces: type) -> Any:
        """Open a mailbox, which is made for a new user."""
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
        box, users = self._boxes.get(owner) or (Box.start(self._store, owner, dispatcher=self._pool), 0)
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
            CallError: if one of them has none; then nobody gets it.
        """
        owners = [await self.find(address) for address in recipients]
        received = int(time.time())
        stamped = b"Return-Path: <%s>\r\n%s" % (sender.encode(), data)
        for owner in dict.fromkeys(owners):
            box = self._take(owner)
            try:
                await box.proxy().add(stamped, [], received)
            finally:
                self._let_go(owner)
        return f"{len(owners)} delivered"

    async def find(self, address: str) -> str:
        """Return whose mailbox an address is; who may log in has one, and gets it with the first mail.

        Raises:
            CallError: if it is nobody's.
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
        """Tell whether an address is that of a user."""
        return self._owner_of(address) == owner

    def _owner_of(self, address: str) -> str | None:
        name, _, domain = address.rpartition("@")
        return name if domain.lower() == self._domain.lower() else None


class Postbox(Avatar, Mailbox, Outgoing):
    """One session of a user. What it is asked for, its mailbox answers."""

    def __init__(self, avatar_id: Any, mind: MindRef, box: ActorRef[Box], office: Any) -> None:
        super().__init__(avatar_id, mind)
        self._box = box.proxy()
        self._office = office

    def on_login(self) -> None:
        """Let the client know what other sessions do."""
        self._box.watch(self.mind)

    def numbers(self) -> Any:
        """See `Mailbox`."""
        return self._box.numbers()

    def entries(self) -> Any:
        """See `Maildrop`."""
        return self._box.entries()

    def texts(self, uids: list[int]) -> Any:
        """See `Maildrop`."""
        return self._box.texts(uids)

    def remove(self, uids: list[int]) -> Any:
        """See `Maildrop`."""
        return self._box.remove(uids)

    def add(self, data: bytes, flags: list[str], received: int) -> Any:
        """See `Mailbox`."""
        return self._box.add(data, flags, received)

    def flag(self, uids: list[int], flags: list[str], mode: int) -> Any:
        """See `Mailbox`."""
        return self._box.flag(uids, flags, mode)

    async def check_sender(self, sender: str) -> None:
        """Let people send in their own name only."""
        if not await self._office.owns(str(self.avatar_id), sender):
            raise CallError(f"you may not send as {sender or 'nobody'}")

    async def check_recipient(self, sender: str, recipient: str) -> None:
        """Take mail for those who have a mailbox, or may log in."""
        await self._office.find(recipient)

    async def submit(self, sender: str, recipients: list[str], data: bytes) -> Any:
        """Send a message."""
        await self.check_sender(sender)
        return await self._office.deliver(sender, recipients, data)
