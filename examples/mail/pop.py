"""A mailbox for Twisted's POP3 server.

A session sees the messages that existed when it began (RFC 1939, section 4).
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any

import pykka
from twisted.cred.error import LoginFailed
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.mail import pop3
from twisted.python.failure import Failure

from actorcred.adapters.twisted import Face
from actorcred.adapters.twisted.sasl import authenticate, client_of, mechanisms
from actorcred.errors import ProtocolError
from actorcred.identity import ClientInfo
from actorcred.sasl.lines import decode_answer, decode_initial, encode_challenge
from actorcred.sessions.session import AvatarRef
from examples.mail.interface import INBOX, Entry
from examples.mail.mime import Part
from examples.mail.outlet import Outlet, Turns

__all__ = ["POP3Server", "open_drop"]

logger = logging.getLogger("examples.mail.pop")

LOGIN_COMMANDS = frozenset((b"USER", b"PASS", b"APOP", b"AUTH"))


class Drop(Face):
    """A maildrop, for the commands of `POP3Server`.

    Args:
        avatar: the mailbox.
        entries: its messages.
    """

    def __init__(self, avatar: AvatarRef[Any], entries: list[Entry]) -> None:
        super().__init__(avatar)
        self._entries = entries
        self._deleted: set[int] = set()

    def listed(self) -> list[tuple[int, Entry]]:
        """Return the messages that are not deleted, with their numbers."""
        return [
            (number, entry)
            for number, entry in enumerate(self._entries, 1)
            if entry.uid not in self._deleted
        ]

    def entry(self, number: bytes) -> tuple[int, Entry]:
        """Return a message by its number.

        Raises:
            POP3Error: if there is none.
        """
        place = int(number[:10]) if number.isdigit() else 0
        if not 0 < place <= len(self._entries) or self._entries[place - 1].uid in self._deleted:
            raise pop3.POP3Error(b"no such message")
        return place, self._entries[place - 1]

    def text(self, entry: Entry) -> Deferred[bytes]:
        """Return a Deferred of a message's text; it fails if another session has removed it."""

        def found(texts: dict[int, bytes]) -> bytes:
            if entry.uid not in texts:
                raise pop3.POP3Error(b"no such message")
            return texts.pop(entry.uid)  # frees the text before the answer is garbage-collected

        return maybeDeferred(self.ask, "texts", INBOX, [entry.uid]).addCallback(found)

    def delete(self, entry: Entry) -> None:
        """Mark a message as deleted; it is removed at QUIT."""
        self._deleted.add(entry.uid)

    def undeleteMessages(self) -> None:
        """Remove all marks."""
        self._deleted.clear()

    def sync(self) -> Any:
        """Remove the marked messages; return None, or a Deferred of the end."""
        deleted, self._deleted = sorted(self._deleted), set()
        return self.ask("remove", INBOX, deleted) if deleted else None


def open_drop(avatar: AvatarRef[Any]) -> Deferred[Drop]:
    """Return a Deferred of a maildrop."""
    return maybeDeferred(Face(avatar).ask, "entries").addCallback(
        lambda entries: Drop(avatar, entries)
    )


class POP3Server(Turns, pop3.POP3):
    """Twisted's server, with our own commands for messages.

    Twisted 26.10 adds a CR to each line of a message, treats an empty one as deleted, and closes
    the connection after a wrong number. This server says goodbye only after the deleted messages
    have been removed. It offers no APOP, which would need plaintext passwords.
    """

    magic = b"POP3 server ready"
    mbox: Any = None
    transport: Any = None
    _answer: Deferred[bytes] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[bytes] = deque()
        self._works = False
        self._long: Deferred[Any] | None = None

    # -- one command after the other ---------------------------------------------------------------

    def lineReceived(self, line: bytes) -> None:
        """Handle a command, or an answer to a challenge.

        While a command runs, reading is paused from the next line on.
        """
        self.resetTimeout()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.callback(line)
            return
        self._lines.append(line)
        if self._works:
            self.transport.pauseProducing()
        else:
            self._works = True
            Deferred.fromCoroutine(self._work()).addErrback(self._failed)

    async def _work(self) -> None:
        """Run the queued commands, each when the client has read the earlier answers."""
        try:
            with Outlet(self) as outlet:
                while self._lines:
                    self.processCommand(*self._next_line().split(b" "))
                    long, self._long = self._long, None
                    if long is not None:
                        await long
                    await outlet.opened()
        finally:
            self._works = False

    def _next_line(self) -> bytes:
        line = self._lines.popleft()
        if not self._lines:
            self.transport.resumeProducing()
        return line

    def connectionLost(self, reason: Any = None) -> None:
        """Cancel a running login, and do nothing more."""
        self.lost = True
        self._lines.clear()
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()
        super().connectionLost(reason)

    def timeoutConnection(self) -> None:
        """Close the connection, even if the client reads nothing."""
        if self._works or self.transport.disconnecting:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()
            self.setTimeout(self.timeOut)

    def processCommand(self, command: bytes, *args: bytes) -> None:
        """Run a command; an invalid one leaves the session as it is."""
        try:
            if self.mbox is not None and command.upper() in LOGIN_COMMANDS:
                raise pop3.POP3Error(b"already logged in")
            super().processCommand(command, *args)
        except pop3.POP3Error as error:
            self.failResponse(b" ".join(error.args))
        except (TypeError, ValueError):
            self.failResponse(b"wrong arguments")
        except Exception:
            self._failed(Failure())

    def _wait_for(self, done: Deferred[Any]) -> None:
        """Delay the next commands until something is done."""
        self._long = done.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if self.lost or failure.check(CancelledError):  # a lost connection cancels its login
            return
        if failure.check(LoginFailed):
            self._ebMailbox(failure)
        elif isinstance(error, pop3.POP3Error):
            self.failResponse(b" ".join(error.args))
        elif isinstance(error, ProtocolError):
            self.failResponse(str(error).encode("ascii", "replace"))
        elif failure.check(pykka.ActorDeadError):
            self.failResponse(b"logged out")
        else:
            logger.error("A command could not be done: %s", failure.getTraceback())
            self.failResponse(b"[SYS/TEMP] something went wrong in the server")

    # -- login -------------------------------------------------------------------------------------

    def do_APOP(self, *_: bytes) -> None:
        """Refuse."""
        self.failResponse(b"no APOP here; use AUTH, or USER and PASS")

    def do_PASS(self, *words: bytes) -> None:
        """Log in; pipelined commands wait for that."""
        user, self._userIs = self._userIs, None
        if user is None:
            raise pop3.POP3Error(b"USER required before PASS")
        login = maybeDeferred(self.authenticateUserPASS, user, b" ".join(words))
        self._wait_for(login.addCallback(self._cbMailbox, user))

    def do_CAPA(self) -> None:
        """Send the capabilities."""

        def tell(names: dict[str, Any]) -> None:
            sasl = [" ".join(["SASL", *names]).encode()] if names else []
            self._send_lines(b"capabilities", [b"TOP", b"USER", b"UIDL", b"PIPELINING", *sasl])

        self._wait_for(self._mechanisms().addCallback(tell))

    def do_AUTH(self, name: bytes | None = None, initial: bytes | None = None) -> None:
        """Log in by SASL (RFC 5034), or list the mechanisms."""
        self._wait_for(Deferred.fromCoroutine(self._authenticated(name, initial)))

    def _client(self) -> ClientInfo:
        portal: Any = self.portal
        return client_of(self.transport, "pop3", proxies=portal.proxies)

    def _mechanisms(self) -> Deferred[dict[str, Any]]:
        portal: Any = self.portal
        return Deferred.fromCoroutine(mechanisms(portal, self._client()))

    async def _authenticated(self, name: bytes | None, initial: bytes | None) -> None:
        kinds = await self._mechanisms()
        if name is None:
            self._send_lines(b"mechanisms", [known.encode() for known in kinds])
            return
        kind = kinds.get(name.decode("ascii", "replace").upper())
        if kind is None:
            raise pop3.POP3Error(b"there is no such mechanism")
        portal: Any = self.portal
        first = None if initial is None else decode_initial(initial)
        mechanism = kind(self._client())
        self._cbMailbox(await authenticate(portal, mechanism, first, self._ask, pop3.IMailbox), b"")

    async def _ask(self, challenge: bytes) -> bytes:
        self.sendLine(b"+ " + encode_challenge(challenge))
        if self._lines:
            return decode_answer(self._next_line())
        answer: Deferred[bytes] = Deferred()
        self._answer = answer
        return decode_answer(await answer)

    # -- messages ----------------------------------------------------------------------------------

    @property
    def _drop(self) -> Drop:
        drop: Drop = self.mbox
        return drop

    def _send_lines(self, message: bytes, lines: list[bytes]) -> None:
        self.transport.writeSequence(
            [b"+OK ", message, b"\r\n", *(line + b"\r\n" for line in lines), b".\r\n"]
        )

    def do_STAT(self) -> None:
        """Send the number of messages and their total size."""
        sizes = [entry.size for _, entry in self._drop.listed()]
        self.successResponse(b"%d %d" % (len(sizes), sum(sizes)))

    def do_LIST(self, number: bytes | None = None) -> None:
        """Send the size of a message, or of all."""
        self._list(number, lambda entry: b"%d" % entry.size)

    def do_UIDL(self, number: bytes | None = None) -> None:
        """Send the unique id of a message, or of all."""
        self._list(number, lambda entry: b"%d" % entry.uid)

    def _list(self, number: bytes | None, shown: Callable[[Entry], bytes]) -> None:
        if number is not None:
            found, entry = self._drop.entry(number)
            self.successResponse(b"%d %b" % (found, shown(entry)))
        else:
            self._send_lines(
                b"", [b"%d %b" % (found, shown(entry)) for found, entry in self._drop.listed()]
            )

    def do_RETR(self, number: bytes) -> None:
        """Send a message."""
        found, entry = self._drop.entry(number)
        self._highest = max(self._highest, found)
        self._wait_for(self._drop.text(entry).addCallback(self._send_text))

    def do_TOP(self, number: bytes, count: bytes) -> None:
        """Send the header of a message and some lines of its body."""
        if not count.isdigit():
            raise pop3.POP3Error(b"wrong number of lines")
        entry = self._drop.entry(number)[1]
        self._wait_for(
            self._drop.text(entry).addCallback(
                lambda text: self._send_text(top(text, int(count[:10])))
            )
        )

    def _send_text(self, text: bytes) -> None:
        """Send a message unchanged, except for dot-stuffing and the end of its last line."""
        end = b"" if text.endswith(b"\n") or not text else b"\r\n"
        stuffed = re.sub(rb"(\A|(?<=\n))\.", b"..", text)
        self.transport.writeSequence([b"+OK %d octets\r\n" % len(text), stuffed, end, b".\r\n"])

    def do_DELE(self, number: bytes) -> None:
        """Mark a message as deleted; it is removed at QUIT."""
        self._drop.delete(self._drop.entry(number)[1])
        self.successResponse(b"deleted")

    def do_QUIT(self) -> None:
        """End the session."""
        removed = maybeDeferred(self.mbox.sync) if self.mbox else maybeDeferred(lambda: None)
        removed.addCallbacks(
            lambda _: self.successResponse("Bye"),
            lambda _: self.failResponse("some messages were not removed"),
        )
        self._wait_for(removed.addBoth(self._hang_up))

    def _hang_up(self, _: object) -> None:
        self._lines.clear()
        self.transport.loseConnection()


def top(text: bytes, count: int) -> bytes:
    """Return the header of a message and some lines of its body."""
    message = Part.parse(text)
    end = 0
    for _ in range(count):
        end = message.body.find(b"\n", end) + 1
        if not end:
            return text
    return message.header + message.body[:end]
