"""IMAP4rev1 (RFC 3501) on Twisted's server.

It has IDLE (RFC 2177), MOVE (RFC 6851) and UIDPLUS (RFC 4315).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from twisted.cred.error import LoginDenied, LoginFailed
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.mail import imap4

from actorcred.adapters.twisted.sasl import Granted, authenticate, client_of, mechanisms
from actorcred.errors import CheckerUnavailable, ProtocolError
from actorcred.identity import ClientInfo
from actorcred.sasl.lines import decode_answer, decode_initial, encode_challenge
from examples.mail.account import Account
from examples.mail.interface import Entry, Folder
from examples.mail.messages import Messages
from examples.mail.selected import FLAGS, SEEN, known_flags
from examples.mail.syntax import Arguments, Malformed, date_time_of, matches, parenthesised, quoted
from examples.mail.wire import Refused

__all__ = ["Account", "IMAPServer"]

Command: TypeAlias = Callable[["IMAPServer", Arguments], Coroutine[Any, Any, bytes]]

BY_NUMBER = frozenset((b"FETCH", b"STORE", b"SEARCH"))
"""Commands during which no message may change its number (RFC 3501, section 7.4.1)."""

CAPABILITIES = (
    b"IMAP4rev1",
    b"LITERAL+",
    b"SASL-IR",
    b"IDLE",
    b"NAMESPACE",
    b"UNSELECT",
    b"UIDPLUS",
    b"MOVE",
)

SPECIAL = {name: f"\\{name}".encode() for name in ("Archive", "Drafts", "Junk", "Sent", "Trash")}
"""Special uses of folders with these names (RFC 6154)."""

PERMANENT = parenthesised(flag.encode() for flag in FLAGS)


class IMAPServer(Messages):
    """Twisted's server, with our own commands.

    Twisted 26.10 merges header fields of one name and changes their case, cannot send what is not
    ASCII in an ENVELOPE, sends the whole message when a part is requested, and compares dates with
    times; much of that is in private methods.
    """

    IDENT = b"IMAP4rev1 server ready"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idles = False

    # -- commands in general -----------------------------------------------------------------------

    async def do(self, name: bytes, arguments: Arguments) -> bytes:
        """Run a command, if it is allowed in this state."""
        command = _COMMANDS.get(name) or _COMMANDS_OF[self.state].get(name)
        if command is None:
            raise Malformed("there is no such command now")
        return await command(self, arguments)

    def done(self, name: bytes) -> None:
        """Report changes by other sessions, unless message numbers must stay."""
        if name not in BY_NUMBER:
            self._say_news()

    def tell_news(self) -> None:
        """Report changes by other sessions, if the client is in IDLE."""
        if self._idles:
            self._say_news()

    def _say_news(self) -> None:
        account: Account | None = self.account
        if account is not None and account.selected is not None:
            for line in account.selected.news():
                self.sendLine(b"* " + line)

    async def noop(self, arguments: Arguments) -> bytes:
        """Do nothing; changes are reported as after every command."""
        arguments.end()
        return b"NOOP completed"

    async def check(self, arguments: Arguments) -> bytes:
        """Do nothing: all changes are written immediately."""
        arguments.end()
        return b"CHECK completed"

    async def by_uid(self, arguments: Arguments) -> bytes:
        """Run a command that uses UIDs."""
        arguments.space()
        command = _BY_UID.get(arguments.atom())
        if command is None:
            raise Malformed("there is no such command")
        return await command(self, arguments, True)

    async def idle(self, arguments: Arguments) -> bytes:
        """Report changes until the client sends DONE."""
        arguments.end()
        self.sendLine(b"+ idling")
        self._idles = True
        try:
            self.tell_news()
            if (await self.next_line()).strip().upper() != b"DONE":
                raise Malformed("DONE was expected")
        finally:
            self._idles = False
        return b"IDLE terminated"

    # -- the connection ----------------------------------------------------------------------------

    def sendServerGreeting(self) -> None:
        """Send the greeting with the capabilities, as soon as they are known."""
        self.pauseProducing()
        greeting = Deferred.fromCoroutine(self._capabilities())
        greeting.addCallback(
            lambda able: self.sendLine(b"* OK [CAPABILITY " + able + b"] " + self.IDENT)
        )
        greeting.addErrback(lambda _: self.sendLine(b"* OK " + self.IDENT))
        greeting.addBoth(lambda _: self.resumeProducing())

    async def _capabilities(self) -> bytes:
        if self.state != "unauth":
            return b" ".join(CAPABILITIES)
        names = await mechanisms(self._portal, self._client())
        return b" ".join([*CAPABILITIES, *(f"AUTH={name}".encode() for name in names)])

    @property
    def _portal(self) -> Any:
        return self.portal

    def _client(self) -> ClientInfo:
        return client_of(self.transport, "imap", proxies=self._portal.proxies)

    async def capability(self, arguments: Arguments) -> bytes:
        """Send the capabilities."""
        arguments.end()
        self.sendLine(b"* CAPABILITY " + await self._capabilities())
        return b"CAPABILITY completed"

    async def logout(self, arguments: Arguments) -> bytes:
        """End the session."""
        arguments.end()
        self.state = "logout"
        self.sendLine(b"* BYE goodbye")
        self.transport.loseConnection()
        return b"LOGOUT completed"

    async def log_in(self, arguments: Arguments) -> bytes:
        """Log in with a name and a password."""
        arguments.space()
        name = arguments.astring()
        arguments.space()
        password = arguments.astring()
        arguments.end()
        return await self._logged_in(maybeDeferred(self.authenticateLogin, name, password))

    async def authenticate_by(self, arguments: Arguments) -> bytes:
        """Log in by SASL."""
        arguments.space()
        kind = (await mechanisms(self._portal, self._client())).get(arguments.atom().decode())
        if kind is None:
            raise Refused("there is no such mechanism")
        initial = None
        if not arguments.done():
            arguments.space()
            initial = arguments.astring()
        try:
            first = None if initial is None else decode_initial(initial)
            mechanism = kind(self._client())
            login = authenticate(self._portal, mechanism, first, self._answer_to, imap4.IAccount)
            return await self._logged_in(Deferred.fromCoroutine(login))
        except ProtocolError as error:
            raise Malformed(str(error)) from None

    async def _answer_to(self, challenge: bytes) -> bytes:
        self.sendLine(b"+ " + encode_challenge(challenge))
        return decode_answer(await self.next_line())

    async def _logged_in(self, login: Deferred[Granted]) -> bytes:
        try:
            _, self.account, self._onLogout = await login
        except LoginDenied as error:
            raise Refused(f"[UNAVAILABLE] {error}") from None
        except LoginFailed:
            raise Refused("[AUTHENTICATIONFAILED] wrong name or password") from None
        except CheckerUnavailable as error:
            raise Refused(f"[UNAVAILABLE] {error}") from None
        self.state = "auth"
        self.account.on_news = self.tell_news
        self.setTimeout(self.POSTAUTH_TIMEOUT)
        return b"[CAPABILITY " + await self._capabilities() + b"] logged in"

    # -- folders -----------------------------------------------------------------------------------

    def _name(self, arguments: Arguments) -> str:
        arguments.space()
        return self.mailbox_name(arguments)

    async def select(self, arguments: Arguments, writeable: bool = True) -> bytes:
        """Select a folder."""
        name = self._name(arguments)
        arguments.end()
        self._unselect()
        selected = await self.account.select(await self.existing(name), writeable)
        self.state = "select"
        self.sendLine(b"* FLAGS " + PERMANENT)
        self.sendLine(b"* OK [PERMANENTFLAGS %b] kept" % (PERMANENT if writeable else b"()"))
        selected.forget_arrivals()
        self.sendLine(b"* %d EXISTS" % len(selected.entries))
        self.sendLine(b"* 0 RECENT")
        unseen = selected.first_unseen()
        if unseen is not None:
            self.sendLine(b"* OK [UNSEEN %d] first unread" % unseen)
        self.sendLine(b"* OK [UIDVALIDITY %d] valid" % selected.folder.validity)
        self.sendLine(b"* OK [UIDNEXT %d] next" % max(selected.folder.next_uid, selected.next_uid))
        return b"[READ-WRITE] selected" if writeable else b"[READ-ONLY] selected"

    async def examine(self, arguments: Arguments) -> bytes:
        """Select a folder read-only."""
        return await self.select(arguments, writeable=False)

    def _unselect(self) -> None:
        self.account.unselect()
        self.state = "auth"

    async def unselect(self, arguments: Arguments) -> bytes:
        """Deselect the folder."""
        arguments.end()
        self._unselect()
        return b"UNSELECT completed"

    async def close(self, arguments: Arguments) -> bytes:
        """Deselect the folder, and remove its messages marked as deleted."""
        if self.selected.writeable:
            await self.expunge(arguments, False)
        self._unselect()
        return b"CLOSE completed"

    async def status(self, arguments: Arguments) -> bytes:
        """Report counts of a folder without selecting it."""
        name = self._name(arguments)
        arguments.space()
        wanted = arguments.listed(arguments.atom)
        arguments.end()
        folder = await self.existing(name)
        counts = _counts(folder, await self.account.answer("entries", folder.number))
        if not wanted or not counts.keys() >= set(wanted):
            raise Malformed("there is no such count")
        found = parenthesised(b"%b %d" % (word, counts[word]) for word in wanted)
        self.sendLine(b"* STATUS %b %b" % (_encoded(folder.name), found))
        return b"STATUS completed"

    async def list(self, arguments: Arguments, subscribed: bool = False) -> bytes:
        """List folders."""
        reference = self._name(arguments)
        arguments.space()
        pattern = self.mailbox_pattern(arguments)
        arguments.end()
        command = b"LSUB" if subscribed else b"LIST"
        if not pattern:
            self.sendLine(b'* LIST (\\Noselect) "/" ""')
            return command + b" completed"
        asked = reference + pattern
        patterns = {asked, re.sub("(?i:^inbox(?=[/*%]|$))", "INBOX", asked)}
        for folder in await self.account.answer("folders"):
            await self.rest()
            if any(matches(one, folder.name) for one in patterns) and (
                folder.subscribed or not subscribed
            ):
                attributes = SPECIAL.get(folder.name, b"")
                self.sendLine(b'* %b (%b) "/" %b' % (command, attributes, _encoded(folder.name)))
        return command + b" completed"

    async def lsub(self, arguments: Arguments) -> bytes:
        """List subscribed folders."""
        return await self.list(arguments, subscribed=True)

    async def namespace(self, arguments: Arguments) -> bytes:
        """Report that all folders are the user's own (RFC 2342)."""
        arguments.end()
        self.sendLine(b'* NAMESPACE (("" "/")) NIL NIL')
        return b"NAMESPACE completed"

    async def create(self, arguments: Arguments) -> bytes:
        """Create a folder."""
        name = self._name(arguments)
        arguments.end()
        await self.account.answer(
            "create", name.removesuffix("/")
        )  # a trailing "/" announces subfolders
        return b"CREATE completed"

    async def delete(self, arguments: Arguments) -> bytes:
        """Delete a folder."""
        name = self._name(arguments)
        arguments.end()
        await self.account.answer("delete", name)
        return b"DELETE completed"

    async def rename(self, arguments: Arguments) -> bytes:
        """Rename a folder."""
        name, new = self._name(arguments), self._name(arguments)
        arguments.end()
        await self.account.answer("rename", name, new)
        return b"RENAME completed"

    async def subscribe(self, arguments: Arguments, wanted: bool = True) -> bytes:
        """Subscribe to a folder."""
        name = self._name(arguments)
        arguments.end()
        await self.account.answer("subscribe", name, wanted)
        return b"completed"

    async def unsubscribe(self, arguments: Arguments) -> bytes:
        """Unsubscribe from a folder."""
        return await self.subscribe(arguments, wanted=False)

    async def append(self, arguments: Arguments) -> bytes:
        """Add a message to a folder."""
        name = self._name(arguments)
        arguments.space()
        flags: list[str] = []
        if arguments.next_is(b"("):
            flags = known_flags(arguments.flags())
            arguments.space()
        received = int(time.time())
        if arguments.next_is(b'"'):
            received = date_time_of(arguments.string())
            arguments.space()
        data = arguments.string()
        arguments.end()
        folder = await self.existing(name, "[TRYCREATE] ")
        entry = await self.account.answer("add", folder.number, data, flags, received)
        await self.account.refresh([folder.number])
        return b"[APPENDUID %d %d] APPEND completed" % (folder.validity, entry.uid)


_COMMANDS: dict[bytes, Command] = {
    b"CAPABILITY": IMAPServer.capability,
    b"NOOP": IMAPServer.noop,
    b"LOGOUT": IMAPServer.logout,
}
_UNAUTHENTICATED: dict[bytes, Command] = {
    b"LOGIN": IMAPServer.log_in,
    b"AUTHENTICATE": IMAPServer.authenticate_by,
}
_AUTHENTICATED: dict[bytes, Command] = {
    b"APPEND": IMAPServer.append,
    b"CREATE": IMAPServer.create,
    b"DELETE": IMAPServer.delete,
    b"EXAMINE": IMAPServer.examine,
    b"IDLE": IMAPServer.idle,
    b"LIST": IMAPServer.list,
    b"LSUB": IMAPServer.lsub,
    b"NAMESPACE": IMAPServer.namespace,
    b"RENAME": IMAPServer.rename,
    b"SELECT": IMAPServer.select,
    b"STATUS": IMAPServer.status,
    b"SUBSCRIBE": IMAPServer.subscribe,
    b"UNSUBSCRIBE": IMAPServer.unsubscribe,
}
_BY_UID: dict[bytes, Callable[[IMAPServer, Arguments, bool], Coroutine[Any, Any, bytes]]] = {
    b"COPY": IMAPServer.copy,
    b"EXPUNGE": IMAPServer.expunge,
    b"FETCH": IMAPServer.fetch,
    b"MOVE": IMAPServer.move,
    b"SEARCH": IMAPServer.search,
    b"STORE": IMAPServer.store,
}


def _by_number(
    command: Callable[[IMAPServer, Arguments, bool], Coroutine[Any, Any, bytes]],
) -> Command:
    return lambda server, arguments: command(server, arguments, False)


_COMMANDS_OF: dict[str, dict[bytes, Command]] = {
    "unauth": _UNAUTHENTICATED,
    "auth": _AUTHENTICATED,
    "select": {
        **_AUTHENTICATED,
        **{name: _by_number(command) for name, command in _BY_UID.items()},
        b"CHECK": IMAPServer.check,
        b"CLOSE": IMAPServer.close,
        b"UID": IMAPServer.by_uid,
        b"UNSELECT": IMAPServer.unselect,
    },
    "timeout": {},
    "logout": {},
}


def _counts(folder: Folder, entries: list[Entry]) -> dict[bytes, int]:
    return {
        b"MESSAGES": len(entries),
        b"RECENT": 0,
        b"UIDNEXT": max([folder.next_uid, *(entry.uid + 1 for entry in entries[-1:])]),
        b"UIDVALIDITY": folder.validity,
        b"UNSEEN": sum(SEEN not in entry.flags for entry in entries),
    }


def _encoded(name: str) -> bytes:
    return quoted(name.encode("imap4-utf-7"))
