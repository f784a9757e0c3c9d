"""An IMAP client that shows bytes as received, and parses responses without any library."""

from __future__ import annotations

import itertools
import re
import socket
from typing import Any

_TOKEN = re.compile(
    rb'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|((?:[^\s()"\[]|\[[^\]]*\])+))'
)


class RawIMAP:
    """A connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rb")
        self._tags = map("t{}".format, itertools.count())
        self.greeting = self.read()

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def read(self) -> bytes:
        """Return one response, with its literals."""
        found = line = self.file.readline()
        assert line.endswith(b"\r\n"), f"the server hung up after {line!r}"
        while match := re.search(rb"\{(\d+)\}\r\n\Z", line):
            literal = self.file.read(int(match[1]))
            assert len(literal) == int(match[1])
            line = self.file.readline()
            found += literal + line
        return found

    def send(self, *parts: bytes) -> str:
        """Send a command; every second part is a literal. Return its tag."""
        tag = next(self._tags)
        texts = (
            b"{%d+}\r\n%b" % (len(part), part) if number % 2 else part
            for number, part in enumerate(parts)
        )
        self.socket.sendall(tag.encode() + b" " + b"".join(texts) + b"\r\n")
        return tag

    def wait(self, tag: str) -> tuple[bytes, list[bytes]]:
        """Return the completion of a command, and the responses before it."""
        told = []
        while not (line := self.read()).startswith(tag.encode() + b" "):
            told.append(line)
        return line.removeprefix(tag.encode() + b" ").strip(), told

    def command(self, *parts: bytes) -> list[bytes]:
        """Run a command; return the server's responses."""
        said, told = self.wait(self.send(*parts))
        assert said.startswith(b"OK"), (parts[0][:80], said)
        return told

    def refused(self, *parts: bytes) -> bytes:
        """Run a command that fails; return the reason."""
        said, _ = self.wait(self.send(*parts))
        assert said.startswith((b"NO", b"BAD")), (parts[0][:80], said)
        return said

    def fetch(self, numbers: int | str, *items: str) -> dict[str, Any]:
        """Fetch items of one message."""
        (line,) = self.command(f"FETCH {numbers} ({' '.join(items)})".encode())
        return fetched(line)


def fetched(line: bytes) -> dict[str, Any]:
    """Return the items of a FETCH response."""
    match = re.match(rb"\* \d+ FETCH ", line)
    assert match, line[:80]
    words, end = _list(line, match.end())
    assert line[end:] == b"\r\n", line[end:]
    return {words[at].decode(): words[at + 1] for at in range(0, len(words), 2)}


def _list(data: bytes, at: int) -> tuple[list[Any], int]:
    """Return the list that begins here and its end: strings as bytes, None for NIL."""
    assert data[at : at + 1] == b"(", data[at : at + 40]
    found: list[Any] = []
    at += 1
    while True:
        match = _TOKEN.match(data, at)
        assert match, data[at : at + 40]
        at = match.end()
        opens, closes, string, literal, word = match.groups()
        if closes:
            return found, at
        if opens:
            inner, at = _list(data, at - 1)
            found.append(inner)
        elif literal is not None:
            found.append(data[at : at + int(literal)])
            at += int(literal)
        elif string is not None:
            assert all(32 <= byte < 127 for byte in string), string
            found.append(re.sub(rb"\\(.)", rb"\1", string))
        else:
            found.append(None if word == b"NIL" else int(word) if word.isdigit() else word)
