"""The channels of an SSH connection: shells, commands and subsystems, as messages to the avatar."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import asyncssh
import pykka

from actorcred.adapters._answers import ask, call
from actorcred.avatar import implements
from actorcred.errors import CallError
from actorcred.portal.login import Login
from actorcred.sessions.session import AvatarRef

__all__ = ["Exec", "Shell", "Stream", "Subsystem", "Terminal"]

logger = logging.getLogger("actorcred.adapters.asyncssh")

WAITING_LINES = 64
"""Lines that may wait for the avatar of a shell before reading from the client is paused."""


@runtime_checkable
class Shell(Protocol):
    """An interface with a text shell, which handles the client's input line by line."""

    def shell_opened(self, terminal: Terminal) -> Any:
        """Called when a shell was opened; return a greeting, or None."""

    def shell_line(self, terminal: Terminal, line: str) -> Any:
        """Handle a line, without its end; return a string for the client, or None."""

    def shell_closed(self, terminal: Terminal) -> Any:
        """Called when the shell was closed; the session can continue without it."""


@runtime_checkable
class Exec(Protocol):
    """An interface that runs commands, such as that of `ssh host command`."""

    def execute(self, command: str) -> Any:
        """Run a command; return its output as a string or bytes, or None.

        Raises:
            CallError: if the command failed; the exit status is 1 then.
        """


@runtime_checkable
class Subsystem(Protocol):
    """An interface with subsystems, which are streams of bytes."""

    def subsystem_opened(self, terminal: Terminal, name: str) -> Any:
        """Accept a new stream, or raise `CallError`; `terminal.write` sends to the client."""

    def subsystem_data(self, terminal: Terminal, data: bytes) -> Any:
        """Handle bytes from the client; return bytes to send, or None."""

    def subsystem_closed(self, terminal: Terminal) -> Any:
        """Called when the stream was closed."""


class Terminal:
    """One shell or stream of a client, as the avatar sees it. Its methods are thread-safe.

    Attributes:
        term: the kind of terminal, such as "xterm"; "" without one.
        columns: its width in characters; 0 if unknown.
        rows: its height in characters; 0 if unknown.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.term = ""
        self.columns = self.rows = 0

    def write(self, data: str | bytes) -> None:
        """Send data to the client. Does nothing if the channel is closed."""
        self._stream.here(self._stream.write, data)

    def close(self, status: int = 0) -> None:
        """End the shell or stream with an exit status."""
        self._stream.here(self._stream.exit, status)

    @property
    def closed(self) -> bool:
        """Whether the channel is closed."""
        return self._stream.closed


class Carrier(Protocol):
    """The connection that carries a stream."""

    streams: dict[Stream, None]
    """The open streams."""
    backlog: deque[str]
    """Notifications to show in the next shell."""


class Stream(asyncssh.SSHServerSession):  # type: ignore[type-arg]
    """One channel: a shell, a command or a subsystem. Its input is sent to the avatar in order."""

    def __init__(self, connection: Carrier, login: Login) -> None:
        self._connection = connection
        self._avatar: AvatarRef[Any] = login.avatar
        self._interface = login.interface
        self._loop = asyncio.get_running_loop()
        self._terminal = Terminal(self)
        self._input: asyncio.Queue[Any] = asyncio.Queue()
        self._rest = ""
        self._task: asyncio.Task[None] | None = None
        self._serve: Any = None
        self._chan: Any = None
        self.is_shell = self.closed = False

    def here(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop of the connection."""
        with contextlib.suppress(RuntimeError):  # it is closed
            self._loop.call_soon_threadsafe(function, *args)

    # -- called by asyncssh ------------------------------------------------------------------------

    def connection_made(self, chan: Any) -> None:
        """Store the channel."""
        self._chan = chan

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Any
    ) -> bool:
        """Store the kind of terminal and its size."""
        self._terminal.term = term_type
        self._terminal.columns, self._terminal.rows = term_size[:2]
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Store the new size."""
        self._terminal.columns, self._terminal.rows = width, height

    def shell_requested(self) -> bool:
        """Open a shell, if the interface has one."""
        self._serve = self._serve_shell
        self.is_shell = implements(self._interface, Shell)
        return self.is_shell

    def exec_requested(self, command: str) -> bool:
        """Run a command, if the interface runs commands."""
        self._serve = lambda: self._serve_command(command)
        return implements(self._interface, Exec)

    def subsystem_requested(self, subsystem: str) -> bool:
        """Open a subsystem, if the interface has subsystems."""
        self._chan.set_encoding(None)
        self._serve = lambda: self._serve_subsystem(subsystem)
        return implements(self._interface, Subsystem)

    def session_started(self) -> None:
        """Serve what was requested."""
        self._task = self._loop.create_task(self._run())

    def data_received(self, data: Any, datatype: Any) -> None:
        """Queue what the client sends."""
        if isinstance(data, bytes):
            self._input.put_nowait(data)
        else:
            *lines, self._rest = (self._rest + data).split("\n")
            for line in lines:
                self._input.put_nowait(line.removesuffix("\r"))
            if len(self._rest) > 65536:
                self.exit(1)
        if self._input.qsize() > WAITING_LINES:
            self._chan.pause_reading()

    def eof_received(self) -> bool:
        """Called when the client will send no more data."""
        if self._rest:
            self._input.put_nowait(self._rest)
        self._input.put_nowait(None)
        return True  # the answers are still to be sent

    def connection_lost(self, exc: Exception | None) -> None:
        """Called when the channel was closed."""
        self.closed = True
        self._connection.streams.pop(self, None)
        if self._task is not None:
            self._task.cancel()

    # -- serving -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._connection.streams[self] = None
        status = 1
        try:
            await self._serve()
            status = 0
        except CallError as error:
            self.write(f"{error.message}\n", asyncssh.EXTENDED_DATA_STDERR)
        except pykka.ActorDeadError:
            logger.debug("The session of an SSH client ended while a channel was open.")
        except Exception:
            logger.exception("An SSH channel failed:")
            self.write("something went wrong in the server\n", asyncssh.EXTENDED_DATA_STDERR)
        finally:
            self._connection.streams.pop(self, None)
        self.exit(status)

    async def _serve_shell(self) -> None:
        try:
            self._say(await ask(self._avatar, "shell_opened", self._terminal))
            backlog = self._connection.backlog
            while backlog:
                self.write_line(backlog.popleft())
            while (line := await self._next()) is not None:
                try:
                    self._say(await ask(self._avatar, "shell_line", self._terminal, line))
                except CallError as error:
                    self.write_line(error.message)
        finally:
            self.closed = True
            call(self._avatar, "shell_closed", self._terminal)

    async def _serve_command(self, command: str) -> None:
        output = await ask(self._avatar, "execute", command)
        if output is not None:
            self.write(output)

    async def _serve_subsystem(self, name: str) -> None:
        await ask(self._avatar, "subsystem_opened", self._terminal, name)
        try:
            while (data := await self._next()) is not None:
                answer = await ask(self._avatar, "subsystem_data", self._terminal, data)
                if answer is not None:
                    self.write(answer)
        finally:
            self.closed = True
            call(self._avatar, "subsystem_closed", self._terminal)

    async def _next(self) -> Any:
        item = await self._input.get()
        if self._input.empty():
            self._chan.resume_reading()
        return item

    def _say(self, text: Any) -> None:
        if text is not None:
            self.write_line(str(text))

    def write_line(self, text: str) -> None:
        """Send a line, adding the end of line if it is missing."""
        self.write(text if text.endswith("\n") else text + "\n")

    def write(self, data: str | bytes, kind: int | None = None) -> None:
        """Send data in the channel's encoding; `kind` is None, or asyncssh's number of stderr."""
        if self._chan.is_closing():
            return
        encoding = self._chan.get_encoding()[0]
        if encoding is None:
            data = data.encode() if isinstance(data, str) else data
        elif isinstance(data, bytes):
            data = data.decode(encoding, "replace")
        self._chan.write(data, kind)

    def exit(self, status: int) -> None:
        """Close the channel with an exit status."""
        if not self._chan.is_closing():
            self._chan.exit(status)
