"""A postbox for Twisted's IMAP4 server: one mailbox, INBOX, and what other sessions do with it told when IMAP allows it."""

from __future__ import annotations

import email
import email.utils
import fnmatch
import io
import time
from dataclasses import replace
from email.message import Message as Mail
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.mail import imap4
from zope.interface import implementer

from actorcred.adapters.twisted import Face
from actorcred.sessions.session import AvatarRef
from examples.mail.interface import Entry

__all__ = ["Account", "IMAPServer"]

DELETED, SEEN = "\\Deleted", "\\Seen"
FLAGS = (SEEN, "\\Answered", "\\Flagged", DELETED, "\\Draft")

BY_NUMBER = frozenset((b"FETCH", b"STORE", b"SEARCH"))
"""Commands during which no message may lose its number (RFC 3501, section 7.4.1)."""


@implementer(imap4.IMessage, imap4.IMessageFile)
class Part:
    """A message, or a part of one, as IMAP sees it."""

    def __init__(self, mail: Mail, raw: bytes, entry: Entry | None = None) -> None:
        self._mail = mail
        self._raw = raw
        self._entry = entry

    def getUID(self) -> int:
        """Return its number."""
        assert self._entry is not None
        return self._entry.uid

    def getFlags(self) -> tuple[str, ...]:
        """Return its flags."""
        return self._entry.flags if self._entry is not None else ()

    def getInternalDate(self) -> str:
        """Return when it came."""
        return email.utils.formatdate(self._entry.received if self._entry is not None else 0)

    def getSize(self) -> int:
        """Return its size in bytes."""
        return len(self._raw)

    def getHeaders(self, negate: bool, *names: Any) -> dict[str, str]:
        """Return the headers of these names, or all others."""
        wanted = {name.decode().lower() if isinstance(name, bytes) else name.lower() for name in names}
        found: dict[str, str] = {}
        for name, value in self._mail.items():
            if (name.lower() in wanted) != negate or not (wanted or negate):
                found.setdefault(name.lower(), " ".join(str(value).split()))
        return found

    def getBodyFile(self) -> io.BytesIO:
        """Return what comes after the headers."""
        for end in (b"\r\n\r\n", b"\n\n"):
            if end in self._raw:
                return io.BytesIO(self._raw.partition(end)[2])
        return io.BytesIO(b"" if self._entry is not None else self._raw)

    def isMultipart(self) -> bool:
        """Tell whether it has parts."""
        return self._mail.is_multipart()

    def getSubPart(self, part: int) -> Part:
        """Return a part."""
        parts = self._mail.get_payload()
        if not isinstance(parts, list) or not 0 <= part < len(parts):
            raise IndexError("no such part")
        mail = parts[part]
        assert isinstance(mail, Mail)
        return Part(mail, mail.as_bytes())

    def open(self) -> io.BytesIO:
        """Return the whole message."""
        return io.BytesIO(self._raw)


@implementer(imap4.IMailbox)
class Inbox:
    """The mailbox of one session. Its numbers stay as they are until the client has been told of a change."""

    def __init__(self, account: Account, numbers: tuple[int, int], entries: list[Entry], writeable: bool) -> None:
        self._account = account
        self._validity, self._next = numbers
        self._entries = entries
        self._writeable = writeable
        self._gone: set[int] = set()
        self._untold: list[int] = []
        self._arrived = False
        self.server: IMAPServer | None = None

    # -- what other sessions do ---------------------------------------------------------------------------------------

    def take(self, entry: Entry) -> None:
        """Learn of a message or of its new flags."""
        for index, known in enumerate(self._entries):
            if known.uid == entry.uid:
                if known.flags != entry.flags:
                    self._entries[index] = entry
                    self._untold.append(entry.uid)
                return
        if entry.uid >= self._next:
            self._next = entry.uid + 1
            self._entries.append(entry)
            self._arrived = True

    def lose(self, uids: list[int]) -> None:
        """Learn that messages are gone."""
        self._gone.update(uids)

    def news(self) -> list[bytes]:
        """Return what the client has to be told, after which its numbers are the new ones."""
        told = self._expunged()
        if self._arrived:
            told.append(b"%d EXISTS" % len(self._entries))
        for number, entry in enumerate(self._entries, 1):
            if entry.uid in self._untold:
                told.append(b"%d FETCH (FLAGS (%s) UID %d)" % (number, " ".join(entry.flags).encode(), entry.uid))
        self._arrived, self._untold = False, []
        return told

    def _expunged(self) -> list[bytes]:
        told = []
        for index in reversed(range(len(self._entries))):  # from the end, so that each number is right when it is read
            if self._entries[index].uid in self._gone:
                del self._entries[index]
                told.append(b"%d EXPUNGE" % (index + 1))
        self._gone.clear()
        return told

    # -- what Twisted's server asks -----------------------------------------------------------------------------------

    def getUIDValidity(self) -> int:
        """Return what changes when numbers are given anew."""
        return self._validity

    def getUIDNext(self) -> int:
        """Return the number of the next message."""
        return self._next

    def getUID(self, message: int) -> int:
        """Return the lasting number of a message."""
        return self._entries[message - 1].uid

    def getMessageCount(self) -> int:
        """Return how many messages there are."""
        return len(self._entries)

    def getRecentCount(self) -> int:
        """Return 0: nobody goes by it any more."""
        return 0

    def getUnseenCount(self) -> int:
        """Return how many are unread."""
        return sum(SEEN not in entry.flags for entry in self._entries)

    def isWriteable(self) -> bool:
        """Tell whether it was selected for changes."""
        return self._writeable

    def getFlags(self) -> tuple[str, ...]:
        """Return the flags that messages may have."""
        return FLAGS

    def requestStatus(self, names: list[str]) -> Any:
        """Return the counts that are asked for."""
        return imap4.statusRequestHelper(self, names)

    def addListener(self, listener: Any) -> None:
        """Be the mailbox that is selected."""
        self.server = listener
        self._account.selected = self

    def removeListener(self, listener: Any) -> None:
        """Be it no more."""
        self._account.selected = None

    def destroy(self) -> None:
        """Refuse."""
        raise imap4.MailboxException("INBOX cannot be deleted")

    def _chosen(self, chosen: Any, uid: bool) -> list[tuple[int, Entry]]:
        """Return the messages of a set, with their numbers."""
        if not self._entries:
            return []
        chosen.last = self._entries[-1].uid if uid else len(self._entries)
        numbered = enumerate(self._entries, 1)
        return [(number, entry) for number, entry in numbered if (entry.uid if uid else number) in chosen]

    def fetch(self, chosen: Any, uid: bool) -> Any:
        """Return messages, with their numbers."""
        wanted = self._chosen(chosen, uid)

        def made(texts: dict[int, bytes]) -> list[tuple[int, Part]]:
            there = [(number, entry, texts[entry.uid]) for number, entry in wanted if entry.uid in texts]
            return [(number, Part(email.message_from_bytes(raw), raw, entry)) for number, entry, raw in there]

        return maybeDeferred(self._account.ask, "texts", [entry.uid for _, entry in wanted]).addCallback(made)

    def store(self, chosen: Any, flags: list[str], mode: int, uid: bool) -> Any:
        """Change flags; return those that messages have now, by their numbers."""
        if not self._writeable:
            raise imap4.ReadOnlyMailbox("INBOX")
        numbers = {entry.uid: number for number, entry in self._chosen(chosen, uid)}

        def made(entries: list[Entry]) -> dict[int, tuple[str, ...]]:
            for entry in entries:
                self._entries[numbers[entry.uid] - 1] = entry
            self._untold = [uid for uid in self._untold if uid not in numbers]  # the client is told now, and not again as news
            return {numbers[entry.uid]: entry.flags for entry in entries}

        return maybeDeferred(self._account.ask, "flag", list(numbers), _known(flags), mode).addCallback(made)

    def expunge(self) -> Any:
        """Remove the deleted messages; return their numbers."""
        if not self._writeable:
            raise imap4.ReadOnlyMailbox("INBOX")
        deleted = [entry.uid for entry in self._entries if DELETED in entry.flags]

        def made(removed: list[int]) -> list[int]:
            self.lose(deleted)
            return [int(told.split()[0]) for told in self._expunged()]

        return maybeDeferred(self._account.ask, "remove", deleted).addCallback(made)

    def addMessage(self, message: Any, flags: Any = (), date: bytes | None = None) -> Deferred[Any]:
        """Put a message in (APPEND)."""
        raw = message.read() if hasattr(message, "read") else message
        data = raw if isinstance(raw, bytes) else raw.encode("latin-1")
        parsed = email.utils.parsedate_tz(date.decode("ascii", "replace")) if date else None
        received = int(email.utils.mktime_tz(parsed)) if parsed else int(time.time())

        def made(entry: Entry) -> int:
            self.take(entry)
            self._arrived = False  # which Twisted tells itself
            return entry.uid

        return maybeDeferred(self._account.ask, "add", data, _known(flags), received).addCallback(made)


class Listed:
    """A mailbox in a list."""

    def getFlags(self) -> tuple[str, ...]:
        """Return the properties of the mailbox."""
        return ("\\Noinferiors",)

    def getHierarchicalDelimiter(self) -> str:
        """Return what would stand between the parts of its name."""
        return "/"


def _known(flags: Any) -> list[str]:
    """Return flags in their own spelling; others are left out."""
    names = {flag.lower(): flag for flag in FLAGS}
    return [names[flag.lower()] for flag in flags if flag.lower() in names]


@implementer(imap4.IAccount)
class Account(Face):
    """A postbox, which has one mailbox. What its avatar tells the client, this hears."""

    def __init__(self, avatar: AvatarRef[Any]) -> None:
        super().__init__(avatar)
        self.selected: Inbox | None = None

    # -- notifications ------------------------------------------------------------------------------------------------

    def arrived(self, entry: Entry) -> None:
        """Hear that a message came."""
        self._tell(lambda inbox: inbox.take(entry))

    def changed(self, entry: Entry) -> None:
        """Hear that a message has other flags."""
        self._tell(lambda inbox: inbox.take(replace(entry)))

    def removed(self, uids: list[int]) -> None:
        """Hear that messages are gone."""
        self._tell(lambda inbox: inbox.lose(uids))

    def _tell(self, act: Any) -> None:
        if self.selected is not None:
            act(self.selected)
            if self.selected.server is not None:
                self.selected.server.tell_news()

    # -- what Twisted's server asks -----------------------------------------------------------------------------------

    @inlineCallbacks
    def select(self, name: str, rw: bool = True) -> Any:
        """Return the mailbox, or None for another name."""
        if name.upper() != "INBOX":
            return None
        if self.selected is not None:
            return self.selected
        numbers = yield maybeDeferred(self.ask, "numbers")
        entries = yield maybeDeferred(self.ask, "entries")
        return Inbox(self, numbers, entries, bool(rw))

    def listMailboxes(self, ref: str, wildcard: str) -> list[tuple[str, Any]]:
        """Return the mailboxes of a pattern."""
        pattern = (ref + wildcard).upper().replace("%", "*")
        return [("INBOX", Listed())] if fnmatch.fnmatchcase("INBOX", pattern) else []

    def isSubscribed(self, name: str) -> bool:
        """Tell whether it is one that a client shows."""
        return name.upper() == "INBOX"

    def subscribe(self, name: str) -> None:
        """Take it; there is but one."""

    def unsubscribe(self, name: str) -> None:
        """Refuse."""
        raise imap4.MailboxException("there is only INBOX")

    def _refuse(self, *_: Any) -> Any:
        raise imap4.MailboxException("there is only INBOX")

    create = delete = rename = addMailbox = _refuse  # Twisted's names


def _search_header(name: str) -> Any:
    def search(self: Any, query: list[bytes], number: int, message: Part) -> bool:
        return _wanted(query) in message.getHeaders(False, name).get(name, "").lower()

    return search


def _wanted(query: list[bytes]) -> str:
    return query.pop(0).decode("utf-8", "replace").lower()


class IMAPServer(imap4.IMAP4Server):
    """Twisted's, which tells news at once while the client idles (RFC 2177), and else before the end of a command.

    Searches in headers are ours, too: Twisted 26.10 looks for bytes in texts.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._under_way: dict[bytes, bytes] = {}
        self._idles = False

    def dispatchCommand(self, tag: bytes, cmd: bytes, rest: bytes, uid: Any = None) -> Any:
        """Note which commands are under way."""
        self._under_way[tag] = b"UID" if uid else cmd
        return super().dispatchCommand(tag, cmd, rest, uid)

    def do_IDLE(self, tag: bytes) -> None:
        """Wait for news."""
        super().do_IDLE(tag)
        self._idles = True
        self.tell_news()

    select_IDLE = auth_IDLE = (do_IDLE,)  # type: ignore[assignment]

    def do_APPEND(self, tag: bytes, mailbox: bytes, flags: Any, date: Any, message: Any) -> Any:
        """Put a message in; its flags may be left out, which Twisted 26.10 takes for an error."""
        return super().do_APPEND(tag, mailbox, flags or (), date, message)

    auth_APPEND = select_APPEND = (do_APPEND, *imap4.IMAP4Server.auth_APPEND[1:])  # type: ignore[assignment]

    def parse_idle(self, *args: Any) -> None:
        """Wait no more."""
        self._idles = False
        super().parse_idle(*args)

    def tell_news(self) -> None:
        """Tell what other sessions did, if the client may hear it now."""
        if self._idles:
            self._say_news()

    def _say_news(self) -> None:
        if isinstance(self.mbox, Inbox):
            for line in self.mbox.news():
                self.sendLine(b"* " + line)

    search_BCC, search_CC, search_FROM = map(_search_header, ("bcc", "cc", "from"))
    search_SUBJECT, search_TO = map(_search_header, ("subject", "to"))

    def search_HEADER(self, query: list[bytes], number: int, message: Part) -> bool:
        """Tell whether a header has a text in it."""
        name = _wanted(query)
        header, wanted = message.getHeaders(False, name).get(name), _wanted(query)
        return header is not None and wanted in header.lower()

    def search_TEXT(self, query: list[bytes], number: int, message: Part) -> bool:
        """Tell whether a text is anywhere in a message."""
        return _wanted(query).encode() in message.open().read().lower()

    def _respond(self, state: bytes, tag: bytes | None, message: bytes | None) -> None:
        command = self._under_way.pop(tag, None) if tag is not None else None
        if command is not None and command not in BY_NUMBER and not BY_NUMBER & set(self._under_way.values()):
            self._say_news()
        super()._respond(state, tag, message)
