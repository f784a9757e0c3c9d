"""The chat in a terminal: parsing of input, and display."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

from actorcred import CallError
from examples.chat.interface import Chatter, Line
from examples.chat.rooms import LOBBY, partner_of

__all__ = ["TextShell", "show_event"]

HELP = """\
/join ROOM   enter a room        /leave        leave it            /who      who is here
/msg NAME TEXT   to one person   /rooms        rooms to join       TEXT      say it in the room
/help   this                     /quit         go"""
MODERATOR_HELP = """
/kick NAME [WHY]                 /ban NAME MINUTES [WHY]           /mute NAME MINUTES"""


class Terminal(Protocol):
    """Where a user reads and types: an SSH or telnet terminal."""

    def write(self, text: str) -> None:
        """Write a string."""

    def close(self) -> None:
        """Close the terminal."""


def show_line(line: Line) -> str:
    """Return a line as it is displayed.

    Further rows are indented, so that no text looks like another one's line.
    """
    return f"<{line.name}> " + line.text.replace("\n", "\n    ")


def show_event(event: str, *what: Any) -> str | None:
    """Return a notification as it is displayed; None if it is not. The lobby needs no name."""
    if event == "muted":
        seconds = what[0]
        return f"* you are muted for {seconds / 60:g} minutes" if seconds else "* you may speak"
    if event not in ("said", "came", "went"):
        return None
    room, told, *why = what
    if partner := partner_of(room):
        text = told.text.replace("\n", "\n    ")
        return f"({told.name} to {'you' if told.name == partner else partner}) {text}"
    where = "" if room == LOBBY else f"[{room}] "
    if event == "said":
        return where + show_line(told)
    return f"{where}* {told} {event}" + (f" ({why[0]})" if why and why[0] else "")


class TextShell(Chatter):
    """The terminal part of a user's avatar. Commands call the same methods that any client calls.

    What happens in the rooms reaches a terminal as it reaches any client, as notifications; its
    door shows them by `show_event`. A line that is said while a terminal opens may come twice.
    """

    def __init__(self) -> None:
        self._terminals: dict[Terminal, str] = {}

    @property
    @abstractmethod
    def is_moderator(self) -> bool:
        """Whether the user may keep order."""

    @abstractmethod
    def hear_room(self, room: str) -> tuple[str, int, Any]:
        """Enter a room; return its name, the last line's number, and when it is heard."""

    async def shell_opened(self, terminal: Terminal) -> None:
        """Show the earlier lines of the lobby, and where something is unread."""
        terminal.write(f"Welcome.\n{self._help}\n\n")
        await self._enter(terminal, LOBBY)
        news = [one for one in (await self.welcome()).rooms if one.unread and one.room != LOBBY]
        for one in news:
            with_whom = partner_of(one.room)
            where = f"from {with_whom}" if with_whom else f"in {one.room}"
            terminal.write(f"* {one.unread} unread {where}\n")
            for line in (await self.lines(one.room))[-one.unread :] if with_whom else ():
                terminal.write(f"{show_event('said', one.room, line)}\n")
                await self.read(one.room, line.number)

    async def _enter(self, terminal: Terminal, name: str) -> None:
        room, newest, heard = self.hear_room(name)
        self._terminals[terminal] = room
        lines = await self.lines(room, newest + 1) if newest else []
        terminal.write("".join(show_line(line) + "\n" for line in lines))
        await heard
        await self.read(room, newest)

    async def shell_line(self, terminal: Terminal, line: str) -> None:
        """Handle a typed line."""
        room = self._terminals.get(terminal, LOBBY)
        try:
            if line.startswith("/") and not line.startswith("//"):
                await self._run(terminal, room, *line[1:].split(maxsplit=1))
            elif line.strip():
                await self.say(room, line.removeprefix("/"))
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
        return HELP + MODERATOR_HELP if self.is_moderator else HELP

    def shell_closed(self, terminal: Terminal) -> None:
        """Forget a terminal."""
        self._terminals.pop(terminal, None)

    async def _command_help(self, terminal: Terminal, room: str) -> str:
        return self._help

    async def _command_join(self, terminal: Terminal, room: str, name: str) -> None:
        await self._enter(terminal, name)
        terminal.write(f"You are in {self._terminals[terminal]}.\n")

    async def _command_leave(self, terminal: Terminal, room: str) -> None:
        if room != LOBBY:
            await self.leave(room)
        await self._command_join(terminal, room, LOBBY)

    async def _command_who(self, terminal: Terminal, room: str) -> str:
        return f"In {room}: " + ", ".join(await self.who(room))

    async def _command_rooms(self, terminal: Terminal, room: str) -> str:
        return "\n".join(f"{one.room} ({one.members})" for one in await self.rooms())

    async def _command_msg(self, terminal: Terminal, room: str, words: str) -> None:
        name, text = words.split(maxsplit=1)
        await self.say(f"@{name}", text)

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
    def _moderator(self) -> Chatter:
        if not self.is_moderator:
            raise CallError("that is for moderators", "forbidden")
        return self
