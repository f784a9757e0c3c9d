"""SSH with asyncssh: logins at a portal by password, keyboard-interactive and key.

The interface of a login declares what the client may do with its connection: `Shell`, `Exec`,
`Subsystem`. Needs the extra "ssh".
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from actorcred.actors import Future
from actorcred.adapters._client import LoopChannel, drain, goodbye, local_of
from actorcred.adapters._proxy_listener import ProxyListener, proxy_socket
from actorcred.adapters._ssh_streams import Exec, Shell, Stream, Subsystem, Terminal
from actorcred.audit import printable
from actorcred.credentials import (
    Combined,
    LoginCredentials,
    OneTimePassword,
    SSHKey,
    UsernamePassword,
)
from actorcred.errors import LoginDenied, LoginFailed, MissingExtra, UnauthorizedLogin
from actorcred.fronts.trusted import TrustedProxy, trusted
from actorcred.identity import ClientInfo
from actorcred.logout import GOING_DOWN, LogoutCode, LogoutReason
from actorcred.portal.login import Login
from actorcred.portal.ref import PortalRef

try:
    import asyncssh
except ImportError:
    raise MissingExtra("actorcred.adapters.asyncssh", "ssh") from None

__all__ = ["Exec", "SSHServer", "Shell", "Subsystem", "Terminal"]

logger = logging.getLogger("actorcred.adapters.asyncssh")

MAX_TRIES = 6
"""Failed logins before a connection is closed, as OpenSSH's MaxAuthTries."""

MAX_KEYS = 20
"""Refused keys before a connection is closed. They are not guesses: agents offer all their keys."""

BACKLOG = 256
"""Notifications that are kept for a client until it opens a shell."""

PASSWORD, CODE = "Password: ", "Verification code: "


class SSHServer:
    """An SSH server whose clients log in at a portal.

    Args:
        portal: the portal.
        interfaces: the interfaces to request, in order of preference.
        render: returns the text of a notification for terminals, given its name and arguments; None
            or "" shows nothing.
        trusted_proxies: addresses and networks of the proxies whose PROXY headers count; see
            `listen`.

    Raises:
        TypeError: if no interface is given.
        ValueError: if an address is not valid.
    """

    def __init__(
        self,
        portal: PortalRef,
        *interfaces: type,
        render: Callable[..., str | None] | None = None,
        trusted_proxies: TrustedProxy | Iterable[str] = (),
    ) -> None:
        self.proxies = trusted(trusted_proxies)
        if not interfaces:
            raise TypeError("SSHServer() needs at least one interface after the portal")
        self.portal = portal
        self.interfaces = interfaces
        self.render = render
        self.connections: set[SSHConnection] = set()

    async def listen(
        self, host: str, port: int, *, proxy: str = "", **options: Any
    ) -> asyncssh.SSHAcceptor | ProxyListener:
        """Listen on the running loop.

        Args:
            host: the address to listen on.
            port: the port; 0 is any free one.
            proxy: "v1", "v2" or "any" to accept only trusted proxies that send a PROXY header.
            options: for `asyncssh.listen`; `server_host_keys` is required.

        Returns:
            Asyncssh's acceptor, or one with the same methods; `get_port` returns the port.

        Raises:
            ValueError: if PROXY headers are read and no proxy is trusted.
        """
        defaults = {
            "encoding": "utf-8",
            "agent_forwarding": False,
            "x11_forwarding": False,
            "keepalive_interval": 60,
        }
        settings = {**defaults, **options}
        if not proxy:
            return await asyncssh.listen(host, port, server_factory=self, **settings)
        # Read once, since that loads the keys.
        common = asyncssh.SSHServerConnectionOptions(**settings)

        async def serve(stream: socket.socket, client: ClientInfo) -> None:
            made = partial(SSHConnection, self, client)
            await asyncssh.run_server(stream, options=common, server_factory=made)

        sock = await proxy_socket(host, port)
        return ProxyListener(sock, self.portal, self.proxies, proxy, serve)

    def __call__(self) -> SSHConnection:
        """Return the server's side of a new connection; this is a `server_factory` for asyncssh."""
        return SSHConnection(self)

    async def close(self, timeout: float = 10.0) -> int:
        """End all SSH sessions and close the connections. Close the acceptor first.

        Args:
            timeout: seconds to wait for the avatars' `on_logout`.

        Returns:
            The number of sessions that were ended.
        """
        connections = list(self.connections)
        count = await drain([one.login for one in connections], timeout)
        for one in connections:
            one.disconnect(GOING_DOWN)
        return count


class SSHConnection(asyncssh.SSHServer):
    """The server's side of one connection.

    Args:
        server: the server.
        reported: the client that a proxy reports; None without a proxy.

    Attributes:
        login: the login that the portal granted; None before.
    """

    def __init__(self, server: SSHServer, reported: ClientInfo | None = None) -> None:
        self._reported = reported
        self.server = server
        self.login: Login | None = None
        self.streams: dict[Stream, None] = {}
        self.backlog: deque[str] = deque(maxlen=BACKLOG)
        self._kinds: tuple[type, ...] = ()
        self._failures = 0
        self._keys = 0
        self._under_way: Future[Any] | None = None
        self._lost = False

    # -- called by asyncssh ------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Register the connection."""
        self._conn: Any = conn
        host, port = (conn.get_extra_info("peername") or ("", 0))[:2]
        base = self._reported or ClientInfo(address=str(host), port=int(port))
        self._source = base.address
        self.client_info = replace(
            base,
            protocol="ssh",
            transport="tcp" if base.address or base.via else "unix",
            local=base.local or local_of(conn.get_extra_info("sockname")),
            encrypted=True,
        )
        # Asyncssh would verify the signature itself, against keys that it is given. Here a checker
        # does that.
        vars(conn)["validate_public_key"] = self._check_key
        self.server.connections.add(self)
        if self.server.portal.is_shut_out(self.client_info):
            conn.abort()  # without a message, as the client did not stop

    def connection_lost(self, exc: Exception | None) -> None:
        """Log out."""
        self._lost = True
        self.server.connections.discard(self)
        if self._under_way is not None:
            self._under_way.cancel()
        if self.login is not None:
            self.login.session.end(LogoutCode.LOGOUT if exc is None else LogoutCode.LOST)

    async def begin_auth(self, username: str) -> bool:
        """Find out which credentials the checkers accept, and require a login."""
        version = str(self._conn.get_extra_info("client_version") or "")
        self.client_info = replace(self.client_info, name=printable(version))
        self._kinds = tuple(await self.server.portal.list_credentials_interfaces())
        return True

    def _takes(self, kind: type) -> bool:
        return any(issubclass(kind, taken) for taken in self._kinds)

    def public_key_auth_supported(self) -> bool:
        """Return whether a checker accepts SSH keys."""
        return self._takes(SSHKey)

    def password_auth_supported(self) -> bool:
        """Return whether a checker accepts passwords."""
        return self._takes(UsernamePassword)

    def kbdint_auth_supported(self) -> bool:
        """Return whether a checker accepts passwords, or a password and a code."""
        return self._takes(UsernamePassword) or self._takes(Combined)

    async def validate_password(self, username: str, password: str) -> bool:
        """Log in with a password."""
        return await self._log_in(lambda: UsernamePassword(username, password, source=self._source))

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Ask for a password, and for a code if some checker requires two factors."""
        prompts = [(PASSWORD, False)]
        if Combined in self._kinds:
            prompts.append((CODE, False))
        return "", "", "en", prompts

    async def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        """Log in with the typed answers."""
        return await self._log_in(
            lambda: self._typed(username, list(responses)), "keyboard-interactive"
        )

    def _typed(self, username: str, answers: list[str]) -> LoginCredentials:
        password = UsernamePassword(username, answers[0] if answers else "", source=self._source)
        if len(answers) < 2 or not answers[1]:
            return password
        return Combined((password, OneTimePassword(username, answers[1], source=self._source)))

    async def _check_key(
        self, username: str, blob: bytes, message: bytes, signature: bytes
    ) -> bool:
        if not message:
            return True  # accept any key here, so as not to reveal which keys a user has
        session_id = self._conn._session_id
        signed = len(session_id).to_bytes(4, "big") + session_id + message
        return await self._log_in(
            lambda: SSHKey(username, blob, signed, signature, source=self._source), "publickey"
        )

    def session_requested(self) -> Any:
        """Accept a channel, if the client is logged in."""
        if self.login is None:
            return False
        return Stream(self, self.login)

    # -- logging in --------------------------------------------------------------------------------

    async def _log_in(
        self, present: Callable[[], LoginCredentials], method: str = "password"
    ) -> bool:
        client = SSHChannel(self)
        try:
            self._under_way = login = self.server.portal.login(
                self._presented(present, method),
                client,
                *self.server.interfaces,
                client=self.client_info,
                mechanism=method,
            )
            self.login = await login
        except LoginFailed as error:
            self._failed(error, method == "publickey")
            return False
        finally:
            self._under_way = None
        if self._lost:  # the connection was lost during the login
            self.login.session.end(LogoutCode.LOST)
            return False
        return True

    def _presented(self, present: Callable[[], LoginCredentials], method: str) -> LoginCredentials:
        try:
            return present()
        except LoginFailed as error:  # a name that no user can have
            self.server.portal.tell_refused(error, "SSH", client=self.client_info, mechanism=method)
            raise

    def _failed(self, error: LoginFailed, is_key: bool) -> None:
        if is_key:
            self._keys += 1
        else:
            self._failures += 1
        if self._lost:
            return
        if isinstance(error, LoginDenied) and not error.seen:
            # Instead of an answer, after which some clients disconnect without reading the reason.
            raise asyncssh.DisconnectError(asyncssh.DISC_BY_APPLICATION, str(error))
        if not isinstance(error, UnauthorizedLogin):
            # The protocol itself only has success and failure; the banner is for the user.
            self._conn.send_auth_banner(f"{error}\r\n")
        if self._failures >= MAX_TRIES or self._keys >= MAX_KEYS:
            self.disconnect("too many failed logins", asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE)

    def told(self, text: str) -> None:
        """Show a message in all shells, or keep it until one is opened."""
        shells = [stream for stream in self.streams if stream.is_shell]
        for shell in shells:
            shell.write_line(text)
        if not shells:
            self.backlog.append(text)

    def disconnect(self, why: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Close the connection with a reason."""
        if not self._lost:
            self._conn.create_task(_disconnect(code, why))


async def _disconnect(code: int, why: str) -> None:
    # `conn.disconnect` would close the channels first, and OpenSSH then exits without reading the
    # reason.
    raise asyncssh.DisconnectError(code, why)


class SSHChannel(LoopChannel):
    """The channel to a client."""

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
        """Close the connection, because its session has ended."""
        self._connection.disconnect(goodbye(reason))
