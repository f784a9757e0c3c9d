"""The chat in a terminal: parsing of input, and display."""

from __future__ import annotations

from typing import Any, Protocol

from actorcred import CallError
from examples.chat.interface import Chatter, Line, Moderator

__all__ = ["TextShell"]

HELP = """\
/join ROOM   enter a room        /leave        leave it            /who      who is here
/msg NAME TEXT   to one person   /quit         go                  TEXT      say it in the room"""
ADMIN_HELP = """
/kick NAME [WHY]                 /ban NAME MINUTES [WHY]           /mute NAME MINUTES"""


class Terminal(Protocol):
    """Where a user reads and types: an SSH or telnet terminal."""

    def write(self, text: str) -> None:
        """Write a string."""

    def close(self) -> None:
        """Close the terminal."""

    @property
    def closed(self) -> bool:
        """Whether it is closed."""


def show_line(line: Line) -> str:
    """Return a line as it is displayed."""
    return f"<{line.name}> {line.text}"


def show_event(event: str, current: str, *what: Any) -> str:
    """Return an event as it is displayed in a terminal whose room is `current`."""
    if event == "whispered":
        name, to, text = what
        return f"({name} to {to}) {text}"
    room, told = what
    where = "" if room == current else f"[{room}] "
    return where + (show_line(told) if event == "said" else f"* {told} {event}")


class TextShell(Chatter):
    """The terminal part of a user's avatar. Commands call the same methods that any client calls.

    Answers and events are written to the terminal in one place, so that they stay in order.
    """

    def __init__(self) -> None:
        self._terminals: dict[Terminal, str] = {}

    async def shell_opened(self, terminal: Terminal) -> None:
        """Show the earlier lines of the lobby."""
        terminal.write(f"Welcome.\n{self._help}\n\n")
        self._enter(terminal, "lobby", await self.join("lobby"))

    def _enter(self, terminal: Terminal, room: str, lines: list[Line]) -> None:
        self._terminals[terminal] = room
        terminal.write("".join(show_line(line) + "\n" for line in lines))

    async def shell_line(self, terminal: Terminal, line: str) -> None:
        """Handle a typed line."""
        room = self._terminals.get(terminal, "lobby")
        try:
            if line.startswith("/"):
                await self._run(terminal, room, *line[1:].split(maxsplit=1))
            elif line.strip():
                await self.say(room, line)
        except CallError as error:
            terminal.write(f"{error.message}\n")

    async def _run(self, terminal: Terminal, room: str, word: str = "", *rest: str) -> None:
        command = getattr(self, f"_command_{word}", None)
        if command is None:
            raise CallError(f"there is no /{word}\n{self._help}")
        try:
            answer = await command(terminal, room, *rest)
        except (TypeError, ValueError):
            raise CallError(f"/{word} is typed in another way\n{self._help}") from None
        if answer:
            terminal.write(f"{answer}\n")

    @property
    def _help(self) -> str:
        return HELP + ADMIN_HELP if isinstance(self, Moderator) else HELP

    def shell_closed(self, terminal: Terminal) -> None:
        """Forget a terminal."""
        self._terminals.pop(terminal, None)

    def show_in_terminals(self, event: str, *what: Any) -> None:
        """Show an event in all terminals."""
        for terminal, room in list(self._terminals.items()):
            if terminal.closed:
                self.shell_closed(terminal)
            else:
                terminal.write(show_event(event, room, *what) + "\n")

    async def _command_help(self, terminal: Terminal, room: str) -> str:
        return self._help

    async def _command_join(self, terminal: Terminal, room: str, name: str) -> None:
        lines = await self.join(name)
        terminal.write(f"You are in {name}.\n")
        self._enter(terminal, name.strip().lower(), lines)

    async def _command_leave(self, terminal: Terminal, room: str) -> None:
        await self.leave(room)
        await self._command_join(terminal, room, "lobby")

    async def _command_who(self, terminal: Terminal, room: str) -> str:
        return f"In {room}: " + ", ".join(await self.who(room))

    async def _command_msg(self, terminal: Terminal, room: str, words: str) -> None:
        name, text = words.split(maxsplit=1)
        await self.whisper(name, text)

    async def _command_quit(self, terminal: Terminal, room: str) -> None:
        terminal.write("Bye.\n")
        terminal.close()

    async def _command_kick(self, terminal: Terminal, room: str, words: str) -> str:
        name, *why = words.split(maxsplit=1)
        return f"{await self._moderator.kick(name, *why)} sessions ended."

    async def _command_ban(self, terminal: Terminal, room: str, words: str) -> str:
        name, minutes, *why = words.split(maxsplit=2)
        return f"{await self._moderator.ban(name, float(minutes), *why)} sessions ended."

    async def _command_mute(self, terminal: Terminal, room: str, words: str) -> str:
        name, minutes = words.split()
        await self._moderator.mute(name, float(minutes))
        return f"{name} is muted." if float(minutes) > 0 else f"{name} may speak."

    @property
    def _moderator(self) -> Moderator:
        if not isinstance(self, Moderator):
            raise CallError("that is for administrators", "not-allowed")
        return self
