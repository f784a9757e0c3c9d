"""SSH by asyncssh: passwords, keyboard-interactive and keys through a portal, and an avatar behind each connection.

What a client may do with its connection is what the interface of its login declares: `Shell`, `Exec`, `Subsystem`. Needs the
extra "ssh".
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import pykka

from actorcred.actors import Future
from actorcred.adapters._answers import ask, call
from actorcred.adapters._client import LoopClient, goodbye
from actorcred.avatar import AvatarRef, implements
from actorcred.credentials import Combined, OneTimePassword, SSHKey, UsernamePassword
from actorcred.errors import CallError, LoginFailed, MissingExtra, UnauthorizedLogin
from actorcred.login import Login
from actorcred.portal import PortalRef
from actorcred.sessions.session import LogoutCode, LogoutReason

try:
    import asyncssh
except ImportError:
    raise MissingExtra("actorcred.adapters.asyncssh", "ssh") from None

__all__ = ["Exec", "SSHServer", "Shell", "Subsystem", "Terminal"]

logger = logging.getLogger("actorcred.adapters.asyncssh")

MAX_TRIES = 6
"""Failed logins of one connection after which it is closed, as OpenSSH's MaxAuthTries."""

BACKLOG = 256
"""Notifications that are kept for a client until it has opened its shell."""

WAITING_LINES = 64
"""Lines that may wait for a shell's avatar until the client is not read from."""

PASSWORD, CODE = "Password: ", "Verification code: "


@runtime_checkable
class Shell(Protocol):
    """An interface with a text shell: lines from the client, texts to it."""

    def shell_opened(self, terminal: Terminal) -> Any:
        """Greet: return a text, or None."""

    def shell_line(self, terminal: Terminal, line: str) -> Any:
        """Take a line, without its end; return a text for the client, or None."""

    def shell_closed(self, terminal: Terminal) -> Any:
        """Learn that the shell is gone; the session may go on without it."""


@runtime_checkable
class Exec(Protocol):
    """An interface that runs commands, as `ssh host command` sends one."""

    def execute(self, command: str) -> Any:
        """Run a command; return its output, a text or bytes, or None. A `CallError` is its failure, with exit status 1."""


@runtime_checkable
class Subsystem(Protocol):
    """An interface with subsystems, which are streams of bytes."""

    def subsystem_opened(self, terminal: Terminal, name: str) -> Any:
        """Take a new stream; `terminal.write` sends to the client. A `CallError` refuses it."""

    def subsystem_data(self, terminal: Terminal, data: bytes) -> Any:
        """Take bytes; return bytes for the client, or None."""

    def subsystem_closed(self, terminal: Terminal) -> Any:
        """Learn that the stream is gone."""


class Terminal:
    """One shell or stream of a client, as the avatar sees it. Its methods may be called from anywhere.

    Attributes:
        term: the kind of terminal, as "xterm"; "" without one.
        columns: its width in characters; 0 if unknown.
        rows: its height; 0 if unknown.
    """

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self.term = ""
        self.columns = self.rows = 0

    def write(self, data: str | bytes) -> None:
        """Send the client something; nothing happens when it is gone."""
        self._stream.here(self._stream.write, data)

    def close(self, status: int = 0) -> None:
        """End the shell or stream with an exit status."""
        self._stream.here(self._stream.exit, status)

    @property
    def closed(self) -> bool:
        """Whether the client's end is gone."""
        return self._stream.closed


class SSHServer:
    """A portal behind asyncssh.

    Args:
        portal: where clients log in.
        interfaces: what they ask for, the dearest first.
        render: makes the text of a notification for terminals, called with its name and arguments; None or "" shows nothing.

    Raises:
        TypeError: if no interface is given.
    """

    def __init__(self, portal: PortalRef, *interfaces: type, render: Callable[..., str | None] | None = None) -> None:
        if not interfaces:
            raise TypeError("SSHServer() needs at least one interface after the portal")
        self.portal = portal
        self.interfaces = interfaces
        self.render = render
        self.connections: set[SSHConnection] = set()

    async def listen(self, host: str, port: int, **options: Any) -> asyncssh.SSHAcceptor:
        """Listen on the running loop.

        Args:
            host: where.
            port: where; 0 is any free one.
            options: for `asyncssh.listen`; `server_host_keys` is needed.

        Returns:
            Asyncssh's acceptor, whose `get_port` tells the port.
        """
        defaults = {"encoding": "utf-8", "agent_forwarding": False, "x11_forwarding": False, "keepalive_interval": 60}
        return await asyncssh.listen(host, port, server_factory=self, **{**defaults, **options})

    def __call__(self) -> SSHConnection:
        """Return the server's side of a new connection; this is a `server_factory` for asyncssh."""
        return SSHConnection(self)

    async def close(self, timeout: float = 10.0) -> int:
        """Log everybody out who came by SSH, and close the connections. Close the acceptor before.

        Args:
            timeout: seconds for the avatars' `on_logout`.

        Returns:
            The number of sessions that were ended.
        """
        connections = list(self.connections)
        ended = [one.login.session.end(LogoutCode.DRAINED) for one in connections if one.login is not None]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for future in ended:
                    await future
        for one in connections:
            one.disconnect("the server is going down")
        return len(ended)


class SSHConnection(asyncssh.SSHServer):
    """The server's side of one connection.

    Attributes:
        login: what the portal granted; None before.
    """

    def __init__(self, server: SSHServer) -> None:
        self.server = server
        self.login: Login | None = None
        self.streams: dict[_Stream, None] = {}
        self.backlog: deque[str] = deque(maxlen=BACKLOG)
        self._kinds: tuple[type, ...] = ()
        self._failures = 0
        self._under_way: Future[Any] | None = None
        self._lost = False

    # -- what asyncssh calls ------------------------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Begin."""
        self._conn: Any = conn
        self._source = str((conn.get_extra_info("peername") or ("",))[0])
        # Asyncssh would check the signature by itself, against keys that it is told; here it is a checker that does.
        vars(conn)["validate_public_key"] = self._check_key
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Log out."""
        self._lost = True
        self.server.connections.discard(self)
        if self._under_way is not None:
            self._under_way.cancel()
        if self.login is not None:
            self.login.session.end(LogoutCode.LOGOUT if exc is None else LogoutCode.LOST)

    async def begin_auth(self, username: str) -> bool:
        """Find out what the checkers take, and demand a login."""
        self._kinds = tuple(await self.server.portal.list_credentials_interfaces())
        return True

    def _takes(self, kind: type) -> bool:
        return any(issubclass(kind, taken) for taken in self._kinds)

    def public_key_auth_supported(self) -> bool:
        """Tell whether a checker takes SSH keys."""
        return self._takes(SSHKey)

    def password_auth_supported(self) -> bool:
        """Tell whether a checker takes passwords."""
        return self._takes(UsernamePassword)

    def kbdint_auth_supported(self) -> bool:
        """Tell whether a checker takes passwords, or a password and a code."""
        return self._takes(UsernamePassword) or self._takes(Combined)

    async def validate_password(self, username: str, password: str) -> bool:
        """Log in with a password."""
        return await self._log_in(lambda: UsernamePassword(username, password, source=self._source))

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Ask for a password, and for a code where some checker wants two factors."""
        prompts = [(PASSWORD, False)]
        if Combined in self._kinds:
            prompts.append((CODE, False))
        return "", "", "en", prompts

    async def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        """Log in with what was typed."""
        return await self._log_in(lambda: self._typed(username, list(responses)))

    def _typed(self, username: str, answers: list[str]) -> object:
        password = UsernamePassword(username, answers[0] if answers else "", source=self._source)
        if len(answers) < 2 or not answers[1]:
            return password
        return Combined((password, OneTimePassword(username, answers[1], source=self._source)))

    async def _check_key(self, username: str, blob: bytes, message: bytes, signature: bytes) -> bool:
        if not message:
            return True  # any key may be tried: which ones a user has, is told nobody
        session_id = self._conn._session_id
        signed = len(session_id).to_bytes(4, "big") + session_id + message
        return await self._log_in(lambda: SSHKey(username, blob, signed, signature, source=self._source))

    def session_requested(self) -> Any:
        """Take a channel."""
        if self.login is None:
            return False
        return _Stream(self, self.login)

    # -- logging in ---------------------------------------------------------------------------------------------------

    async def _log_in(self, present: Callable[[], object]) -> bool:
        client = SSHClient(self)
        try:
            self._under_way = login = self.server.portal.login(present(), client, *self.server.interfaces)
            self.login = await login
        except LoginFailed as error:
            self._failed(error)
            return False
        finally:
            self._under_way = None
        if self._lost:  # the connection went while the answer was on its way
            self.login.session.end(LogoutCode.LOST)
            return False
        return True

    def _failed(self, error: LoginFailed) -> None:
        self._failures += 1
        if self._lost:
            return
        if not isinstance(error, UnauthorizedLogin):
            # The protocol itself can say "no" only; that is for a person to read.
            self._conn.send_auth_banner(f"{error}\r\n")
        if self._failures >= MAX_TRIES:
            self.disconnect("too many failed logins", asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE)

    def told(self, text: str) -> None:
        """Show a text in all shells, or keep it until there is one."""
        shells = [stream for stream in self.streams if stream.is_shell]
        for shell in shells:
            shell.write_line(text)
        if not shells:
            self.backlog.append(text)

    def disconnect(self, why: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Close the connection, and say why."""
        if not self._lost:
            self._conn.create_task(_disconnect(code, why))


async def _disconnect(code: int, why: str) -> None:
    # `conn.disconnect` would close the channels first, upon which OpenSSH goes without reading why.
    raise asyncssh.DisconnectError(code, why)


class SSHClient(LoopClient):
    """A client, as its mind reaches it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: SSHConnection) -> None:
        super().__init__()
        self._connection = connection

    def told(self, name: str, args: tuple[Any, ...]) -> None:
        """Show a notification."""
        render = self._connection.server.render
        text = render(name, *args) if render is not None else None
        if text:
            self._connection.told(text)

    def over(self, reason: LogoutReason) -> None:
        """Close the connection, whose session is over."""
        self._connection.disconnect(goodbye(reason))


class _Stream(asyncssh.SSHServerSession):  # type: ignore[type-arg]
    """One channel: a shell, a command, or a subsystem. What it is given, it asks the avatar, one thing after the other."""

    def __init__(self, connection: SSHConnection, login: Login) -> None:
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

    # -- what asyncssh calls ------------------------------------------------------------------------------------------

    def connection_made(self, chan: Any) -> None:
        """Begin."""
        self._chan = chan

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Any) -> bool:
        """Note what terminal it is."""
        self._terminal.term = term_type
        self._terminal.columns, self._terminal.rows = term_size[:2]
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Note its new size."""
        self._terminal.columns, self._terminal.rows = width, height

    def shell_requested(self) -> bool:
        """Open a shell, if the interface has one."""
        self._serve = self._serve_shell
        self.is_shell = implements(self._interface, Shell)
        return self.is_shell

    def exec_requested(self, command: str) -> bool:
        """Run a command, if the interface does."""
        self._serve = lambda: self._serve_command(command)
        return implements(self._interface, Exec)

    def subsystem_requested(self, subsystem: str) -> bool:
        """Open a subsystem, if the interface has some."""
        self._chan.set_encoding(None)
        self._serve = lambda: self._serve_subsystem(subsystem)
        return implements(self._interface, Subsystem)

    def session_started(self) -> None:
        """Serve what was asked for."""
        self._task = self._loop.create_task(self._run())

    def data_received(self, data: Any, datatype: Any) -> None:
        """Take what the client sends."""
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
        """Learn that the client sends nothing more."""
        if self._rest:
            self._input.put_nowait(self._rest)
        self._input.put_nowait(None)
        return True  # the answers are still to be sent

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the channel is gone."""
        self.closed = True
        self._connection.streams.pop(self, None)
        if self._task is not None:
            self._task.cancel()

    # -- serving ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._connection.streams[self] = None
        status = 1
        try:
            await self._serve()
            status = 0
        except CallError as error:
            self.write(f"{error.message}\n", asyncssh.EXTENDED_DATA_STDERR)
        except pykka.ActorDeadError:
            logger.debug("The session of an SSH client ended under its channel.")
        except Exception:
            logger.exception("A channel of SSH failed:")
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
        """Send a text with an end of line."""
        self.write(text if text.endswith("\n") else text + "\n")

    def write(self, data: str | bytes, kind: int | None = None) -> None:
        """Send something, in the form of the channel; `kind` is None or asyncssh's number for errors."""
        if self._chan.is_closing():
            return
        encoding = self._chan.get_encoding()[0]
        if encoding is None:
            data = data.encode() if isinstance(data, str) else data
        elif isinstance(data, bytes):
            data = data.decode(encoding, "replace")
        self._chan.write(data, kind)

    def exit(self, status: int) -> None:
        """End the channel."""
        if not self._chan.is_closing():
            self._chan.exit(status)
