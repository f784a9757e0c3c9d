"""A postbox for Twisted's POP3 server. A session sees the messages that were there when it began (RFC 1939, section 4)."""

from __future__ import annotations

import io
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.mail import pop3
from zope.interface import implementer

from actorcred.adapters.twisted import Face
from actorcred.sessions.session import AvatarRef
from examples.mail.interface import Entry

__all__ = ["POP3Server", "open_drop"]


@implementer(pop3.IMailbox)
class Drop(Face):
    """A maildrop.

    Args:
        avatar: the postbox.
        entries: its messages.
    """

    def __init__(self, avatar: AvatarRef[Any], entries: list[Entry]) -> None:
        super().__init__(avatar)
        self._entries = entries
        self._deleted: set[int] = set()

    def _entry(self, index: int) -> Entry:
        if not 0 <= index < len(self._entries):
            raise ValueError("no such message")
        return self._entries[index]

    def _size(self, entry: Entry) -> int:
        return 0 if entry.uid in self._deleted else entry.size

    def listMessages(self, index: int | None = None) -> Any:
        """Return the sizes; 0 is a deleted message."""
        if index is None:
            return [self._size(entry) for entry in self._entries]
        return self._size(self._entry(index))

    def getMessage(self, index: int) -> Any:
        """Return a file, or a Deferred of one."""
        uid = self._entry(index).uid
        return maybeDeferred(self.ask, "texts", [uid]).addCallback(lambda texts: io.BytesIO(texts.get(uid, b"")))

    def getUidl(self, index: int) -> bytes:
        """Return a message's unique number."""
        return b"%d" % self._entry(index).uid

    def deleteMessage(self, index: int) -> None:
        """Mark a message; it goes at the end."""
        self._deleted.add(self._entry(index).uid)

    def undeleteMessages(self) -> None:
        """Take all marks away."""
        self._deleted.clear()

    def sync(self) -> Any:
        """Remove what is marked; return when that is done, or a Deferred."""
        deleted, self._deleted = sorted(self._deleted), set()
        return self.ask("remove", deleted) if deleted else None


def open_drop(avatar: AvatarRef[Any]) -> Deferred[Drop]:
    """Return a Deferred of a maildrop."""
    return maybeDeferred(Face(avatar).ask, "entries").addCallback(lambda entries: Drop(avatar, entries))


class POP3Server(pop3.POP3):
    """Twisted's, which says goodbye only when the deleted messages are gone.

    It offers no APOP, for which the passwords would have to be kept as they are.
    """

    magic = b"POP3 server ready"

    def do_APOP(self, user: bytes, digest: bytes) -> None:
        """Refuse."""
        self.failResponse("no APOP here; use USER and PASS")

    def do_QUIT(self) -> None:
        """End the session."""
        removed = maybeDeferred(self.mbox.sync) if self.mbox else maybeDeferred(lambda: None)
        removed.addCallbacks(lambda _: self.successResponse("Bye"), lambda _: self.failResponse("some messages were not removed"))
        removed.addBoth(self._hang_up)

    def _hang_up(self, _: object) -> None:
        transport: Any = self.transport
        transport.loseConnection()
