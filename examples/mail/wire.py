"""IMAP's lines: commands with their literals, run in order.

Answers are sent no faster than the client reads.
"""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from typing import Any

import pykka
from twisted.internet.defer import CancelledError, Deferred
from twisted.mail import imap4

from actorcred.errors import CallError
from examples.mail.outlet import Turns
from examples.mail.syntax import Arguments, Malformed

__all__ = ["Refused", "Wire"]

logger = logging.getLogger("examples.mail.imap")

_LITERAL = re.compile(rb"\{(\d{1,10})(\+?)\}\Z")
_COMMAND = re.compile(rb"([^\x00-\x20\x7f-\xff(){%*\"\\+]+) +([A-Za-z]+)")

MAX_BEFORE_LOGIN, MAX_COMMAND, MAX_APPEND = 4096, 65_536, 33_554_432 + 4096
"""Maximum length of a command with its literals. aiosmtpd takes messages of 32 MiB."""


class Refused(Exception):
    """A command is refused; the reason is sent to the client."""


class Wire(Turns, imap4.IMAP4Server):
    """Twisted's server, which reads commands whole and runs one at a time.

    While a command runs, nothing is read, so that pipelined commands stay in order. Twisted 26.10
    runs some commands before earlier ones, and fails when two FETCH arrive together.
    """

    MAX_LENGTH = 65_536
    transport: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._text = bytearray()
        self._missing = 0
        self._answer: Deferred[bytes] | None = None

    # -- input -------------------------------------------------------------------------------------

    def lineReceived(self, line: bytes) -> None:
        """Handle a line of a command, or the input that a command waits for."""
        self.resetTimeout()
        answer, self._answer = self._answer, None
        if answer is not None:
            self.pauseProducing()
            answer.callback(line)
            return
        self._text += line
        literal = _LITERAL.search(line)
        if len(self._text) > self._limit():
            self._refuse_size(literal is not None and bool(literal[2]))
        elif literal is not None:
            self._expect(int(literal[1]), bool(literal[2]))
        else:
            text, self._text = bytes(self._text), bytearray()
            self._begin(text)

    def _expect(self, size: int, at_once: bool) -> None:
        if len(self._text) + size > (MAX_BEFORE_LOGIN if self.state == "unauth" else self._limit()):
            self._refuse_size(at_once)
            return
        self._text += b"\r\n"
        self._missing = size
        if not at_once:
            self.sendLine(b"+ go on")
        if size:
            self.setRawMode()

    def _limit(self) -> int:
        """Return the maximum length of the command that is being read. Only messages are long."""
        command = _COMMAND.match(self._text)
        is_append = command is not None and command[2].upper() == b"APPEND"
        return MAX_APPEND if is_append and self.state != "unauth" else MAX_COMMAND

    def _refuse_size(self, at_once: bool) -> None:
        command, self._text = _COMMAND.match(self._text), bytearray()
        if at_once or command is None:  # what follows is not a command
            self.sendLine(b"* BYE the command is too long")
            self.transport.loseConnection()
        else:
            self.sendLine(command[1] + b" NO [TOOBIG] the command is too long")

    def rawDataReceived(self, data: bytes) -> None:
        """Handle a part of a literal."""
        self.resetTimeout()
        self._text += data[: self._missing]
        rest = data[self._missing :]
        self._missing = max(0, self._missing - len(data))
        if not self._missing:
            self.setLineMode(rest)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Close the connection."""
        self.sendLine(b"* BYE the line is too long")
        self.transport.loseConnection()

    async def next_line(self) -> bytes:
        """Return the next line that the client sends within a command."""
        answer: Deferred[bytes] = Deferred()
        self._answer = answer
        self.resumeProducing()
        return await answer

    def connectionLost(self, reason: Any = None) -> None:
        """Cancel whatever waits for the client."""
        self.lost = True
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.cancel()
        super().connectionLost(reason)

    # -- commands ----------------------------------------------------------------------------------

    def _begin(self, text: bytes) -> None:
        match = _COMMAND.match(text)
        if match is None:
            self.sendLine(b"* BAD a command has a tag and a name")
            return
        self.pauseProducing()
        Deferred.fromCoroutine(self._do(match, text[match.end() :])).addBoth(
            lambda _: self.resumeProducing()
        )

    async def _do(self, command: re.Match[bytes], rest: bytes) -> None:
        tag, name = command[1], command[2].upper()
        try:
            said = b"OK " + await self.do(name, Arguments(rest))
        except Malformed as error:
            said = b"BAD " + _ascii(error)
        except Refused as error:
            said = b"NO " + _ascii(error)
        except CallError as error:
            said = b"NO " + _ascii(error.message)
        except CancelledError:  # the connection is lost
            return
        except pykka.ActorDeadError:
            said = b"NO logged out"
        except Exception:
            logger.exception("%s could not be done:", name.decode())
            said = b"NO [SERVERBUG] something went wrong in the server"
        self.done(name)
        self.sendLine(tag + b" " + said)

    @abstractmethod
    async def do(self, name: bytes, arguments: Arguments) -> bytes:
        """Run a command; return the text of its completion."""

    @abstractmethod
    def done(self, name: bytes) -> None:
        """Called before the completion of a command is sent."""

    def timeoutConnection(self) -> None:
        """Close the connection, even if the client reads nothing."""
        super().timeoutConnection()
        if self.paused:
            self.transport.abortConnection()


def _ascii(error: object) -> bytes:
    return str(error).encode("ascii", "replace").replace(b"\r", b" ").replace(b"\n", b" ")
