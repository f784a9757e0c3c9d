"""What an attack needs of each door: a way to try a password from an address of this machine."""

from __future__ import annotations

import contextlib
import socket
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from tests.adapters.front import LOCALHOST

HOUSEHOLD = {"ann": "s3cret", "bob": "hush"}
"""The users of all doors, and their passwords."""

WAIT = 10


class Closed(Exception):
    """The server has closed the connection; the text is what it said at the end."""


class Door(ABC):
    """A server, and a client of it that tries passwords.

    Attributes:
        door: what the page calls it.
        mechanism: how passwords are sent.
        ids: who can come in: what `enter` has to be for.
    """

    door: ClassVar[str]
    mechanism: ClassVar[str]
    source: str
    port: int

    @abstractmethod
    def start(self, portal: Any) -> None:
        """Serve a portal on a free port."""

    @abstractmethod
    def stop(self) -> None:
        """Stop to serve, and close what is open."""

    @abstractmethod
    def connect(self, source: str) -> None:
        """Connect from an address.

        Raises:
            Closed: if the server does not serve this address.
        """

    @abstractmethod
    def guess(self, name: str, password: str) -> str:
        """Try a password on the connection; return the answer, with "IN" if it is right.

        Raises:
            Closed: if the connection is closed instead.
        """

    @abstractmethod
    def hang_up(self) -> None:
        """Close the connection."""


class Lines:
    """A connection of a protocol with lines."""

    def __init__(self, port: int, source: str) -> None:
        try:
            self.sock = socket.create_connection((LOCALHOST, port), WAIT, (source, 0))
        except OSError:
            raise Closed("") from None
        self._file = self.sock.makefile("rb")

    def read(self) -> str:
        """Return a line."""
        try:
            line = self._file.readline()
        except ConnectionError:
            line = b""
        if not line:
            raise Closed("")
        return line.decode("latin-1").rstrip("\r\n")

    def read_to(self, end: bytes) -> bytes:
        """Return what comes until some bytes arrive, with them."""
        text = b""
        while not text.endswith(end):
            try:
                byte = self._file.read(1)
            except ConnectionError:
                byte = b""
            if not byte:
                raise Closed(text.decode("latin-1").strip())
            text += byte
        return text

    def ask(self, line: str) -> str:
        """Send a line; return the answer."""
        self.send(line.encode() + b"\r\n")
        return self.read()

    def send(self, data: bytes) -> None:
        try:
            self.sock.sendall(data)
        except ConnectionError:
            raise Closed(self.rest()) from None

    def rest(self) -> str:
        """Return what the server still says before it closes the connection."""
        with contextlib.suppress(ConnectionError):
            return self._file.read().decode("latin-1").strip()
        return ""

    def close(self) -> None:
        self._file.close()
        self.sock.close()


class LineDoor(Door):
    """A door whose protocol has lines."""

    lines: Lines

    def connect(self, source: str) -> None:
        self.lines = Lines(self.port, source)
        try:
            self.greet()
        except Closed:
            self.lines.close()
            raise

    def greet(self) -> None:
        """Read what the server says first."""
        self.lines.read()

    def hang_up(self) -> None:
        self.lines.close()
