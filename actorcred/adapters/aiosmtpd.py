"""SMTP submission (RFC 6409) with aiosmtpd: AUTH at a portal, and messages to the avatar.

Needs the extra "smtp".
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import pykka

from actorcred.adapters._answers import ask
from actorcred.adapters._client import LoopChannel, drain, goodbye, local_of
from actorcred.adapters._proxy_listener import ProxyListener, proxy_socket
from actorcred.adapters._sasl import negotiate
from actorcred.adapters._smtp_log import hide_what_clients_send
from actorcred.adapters._smtp_login import LoginServer
from actorcred.audit import printable
from actorcred.errors import (
    CallError,
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    MissingExtra,
    ProtocolError,
    UnauthorizedLogin,
)
from actorcred.fronts.clients import by_raw_header
from actorcred.fronts.trusted import TrustedProxy, trusted
from actorcred.identity import ClientInfo
from actorcred.logout import GOING_DOWN, LogoutCode, LogoutReason
from actorcred.portal.events import ForwardingIgnored
from actorcred.portal.login import Login
from actorcred.portal.ref import PortalRef
from actorcred.sasl.binding import tls_info
from actorcred.sasl.lines import decode_answer, decode_initial, encode_challenge
from actorcred.sasl.mechanism import (
    Credentials,
    ServerMechanism,
)
from actorcred.sasl.mechanisms import SERVER_MECHANISMS, check_legacy, offered
from actorcred.sasl.stepper import Stepper

try:
    from aiosmtpd.smtp import SMTP, TLSSetupException
except ImportError:
    raise MissingExtra("actorcred.adapters.aiosmtpd", "smtp") from None

__all__ = ["SMTPServer", "Screening", "Submission"]

logger = logging.getLogger("actorcred.adapters.aiosmtpd")

hide_what_clients_send()

MAX_TRIES = 10
"""Failed logins before a connection is closed. Some clients try a password by three mechanisms."""

LONGEST_AUTH = 12_288
"""Octets of a line of AUTH (RFC 4954, section 4); OAUTHBEARER tokens can have thousands."""

MOST_RECIPIENTS = 1000
"""Recipients of a message; clients send more separately (RFC 5321, section 4.5.3.1.10)."""


@runtime_checkable
class Submission(Protocol):
    """An interface that accepts mail."""

    def submit(self, sender: str, recipients: list[str], data: bytes) -> Any:
        """Accept a message.

        Args:
            sender: the address of MAIL FROM; "" for a bounce.
            recipients: the addresses of RCPT TO.
            data: the message as received, with CRLF.

        Returns:
            A string for the client, such as a queue id, or None.

        Raises:
            CallError: if the message is refused; with `retry_after` the client may try again.
        """


@runtime_checkable
class Screening(Submission, Protocol):
    """An interface that accepts mail, and checks each address before the message is sent."""

    def check_sender(self, sender: str) -> Any:
        """Check the address of MAIL FROM; "" for a bounce.

        Raises:
            CallError: see `Submission.submit`.
        """

    def check_recipient(self, sender: str, recipient: str) -> Any:
        """Check an address of RCPT TO.

        Raises:
            CallError: see `Submission.submit`.
        """


class SMTPServer:
    """An SMTP server whose clients log in at a portal.

    Args:
        portal: the portal.
        interfaces: the interfaces to request, in order of preference; each has `submit`, as in
            `Submission`, and may have the methods of `Screening`.
        passwords_in_clear: accept passwords also over connections that others can read.
        legacy_mechanisms: those of CRAM-MD5 and SCRAM-SHA-1 that are offered. By default they are
            if the checkers support no better SCRAM.
        trusted_proxies: addresses and networks of the proxies whose PROXY headers count; see
            `listen`. Servers of your own read them with aiosmtpd's `proxy_protocol_timeout`.
        options: for `aiosmtpd.smtp.SMTP`, such as `hostname`, `data_size_limit`, or `tls_context`
            for STARTTLS.

    Raises:
        TypeError: if no interface is given.
        ValueError: if `legacy_mechanisms` names anything else, an address is not valid, or PROXY
            headers are read and no proxy is trusted.
    """

    def __init__(
        self,
        portal: PortalRef,
        *interfaces: type,
        passwords_in_clear: bool = False,
        legacy_mechanisms: Collection[str] | None = None,
        trusted_proxies: TrustedProxy | Iterable[str] = (),
        **options: Any,
    ) -> None:
        if not interfaces:
            raise TypeError("SMTPServer() needs at least one interface after the portal")
        check_legacy(legacy_mechanisms)
        self.proxies = trusted(trusted_proxies)
        if self.proxies is None and options.get("proxy_protocol_timeout") is not None:
            raise ValueError("proxy_protocol_timeout needs trusted_proxies")
        self.portal = portal
        self.interfaces = interfaces
        self.passwords_in_clear = passwords_in_clear
        self.legacy_mechanisms = legacy_mechanisms
        self.options = options
        self.connections: set[SMTPConnection] = set()

    async def listen(
        self, host: str, port: int, *, ssl: ssl.SSLContext | None = None, proxy: str = ""
    ) -> asyncio.Server | ProxyListener:
        """Listen on the running loop.

        Args:
            host: the address to listen on.
            port: the port; 0 is any free one.
            ssl: for implicit TLS (port 465).
            proxy: "v1", "v2" or "any" to accept only trusted proxies that send a PROXY header,
                which is read before TLS begins.

        Returns:
            The loop's server, or one with the same methods.

        Raises:
            ValueError: if PROXY headers are read and no proxy is trusted.
        """
        loop = asyncio.get_running_loop()
        if not proxy:
            return await loop.create_server(self, host, port, ssl=ssl)

        async def serve(stream: socket.socket, client: ClientInfo) -> None:
            made = partial(SMTPConnection, self, client)
            await loop.connect_accepted_socket(made, stream, ssl=ssl)

        sock = await proxy_socket(host, port)
        return ProxyListener(sock, self.portal, self.proxies, proxy, serve)

    def __call__(self) -> SMTPConnection:
        """Return the protocol of a new connection."""
        return SMTPConnection(self)

    async def close(self, timeout: float = 10.0) -> int:
        """End all SMTP sessions and close the connections. Close the loop's server first.

        Args:
            timeout: seconds to wait for the avatars' `on_logout`.

        Returns:
            The number of sessions that were ended.
        """
        connections = list(self.connections)
        count = await drain([one.login for one in connections], timeout)
        for one in connections:
            one.farewell(GOING_DOWN)
        return count


class SMTPChannel(LoopChannel):
    """The channel to a client. SMTP has no notifications."""

    __slots__ = ("_connection",)

    def __init__(self, connection: SMTPConnection) -> None:
        super().__init__()
        self._connection = connection

    def told(self, name: str, args: tuple[Any, ...]) -> None:
        """Discard a notification."""

    def over(self, reason: LogoutReason) -> None:
        """Send the reason and disconnect, unless the client itself logged out or used STARTTLS."""
        if not reason.by_client:
            self._connection.farewell(goodbye(reason))


class SMTPConnection(SMTP):
    """One connection.

    Args:
        server: the server.
        reported: the client that a proxy reports; None without a proxy.

    Attributes:
        login: the login that the portal granted; None before.
    """

    def __init__(self, server: SMTPServer, reported: ClientInfo | None = None) -> None:
        self._reported = reported
        shortest = self.line_length_limit  # of mail
        self.line_length_limit = LONGEST_AUTH + len(
            b"\r\n"
        )  # the stream reads lines of this length
        super().__init__(
            self, enable_SMTPUTF8=True, loop=asyncio.get_running_loop(), **server.options
        )
        self.line_length_limit = shortest
        # The class attribute is shared by all connections and grows with each of them.
        self.command_size_limits = defaultdict(lambda: self.command_size_limit, AUTH=LONGEST_AUTH)
        self.server = server
        self.login: Login | None = None
        self._failures = 0
        self._said_quit = False

    # -- the connection ----------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin, or discard all previous state after STARTTLS (RFC 3207, section 4.2)."""
        self._log_out(LogoutCode.LOGOUT)
        super().connection_made(transport)
        self.server.connections.add(self)
        wait = self.server.portal.is_shut_out(self.client_info())
        if wait:
            self._hang_up(b"4.7.0 too many failed logins, try again in %d s" % math.ceil(wait))

    def connection_lost(self, error: Exception | None) -> None:
        """Log out."""
        self.server.connections.discard(self)
        self._log_out(LogoutCode.LOGOUT if self._said_quit else LogoutCode.LOST)
        super().connection_lost(error)

    def _log_out(self, code: LogoutCode) -> None:
        login, self.login = self.login, None
        if login is not None:
            login.session.end(code)

    def farewell(self, why: str) -> None:
        """Send the client a reason, and close the connection."""
        self._hang_up(b"4.3.2 " + why.encode("ascii", "replace"))

    def _hang_up(self, why: bytes) -> None:
        transport: Any = self.transport
        if transport is not None and not transport.is_closing():
            transport.write(b"421 " + why + b"\r\n")
            transport.close()

    async def handle_exception(self, error: Exception) -> str:
        """Handle an unexpected exception, or a failed TLS handshake."""
        peer = self.session.peer if self.session is not None else ""
        if isinstance(error, TLSSetupException):
            logger.warning(
                "The TLS handshake with %s failed: %s", peer, type(error.__cause__).__name__
            )
        else:
            logger.error("A command of %s failed:", peer, exc_info=error)
        return "451 4.3.0 something went wrong in the server"

    def client_info(self) -> ClientInfo:
        """Return where the client comes from."""
        assert self.session is not None
        assert self.transport is not None
        base = self._reported or self._accepted()
        encrypted = self.transport.get_extra_info("sslcontext") is not None
        has_socket = not base.address and not base.via
        return replace(
            base,
            protocol="smtp",
            transport="unix" if has_socket else "tls" if encrypted else "tcp",
            local=base.local or local_of(self.transport.get_extra_info("sockname")),
            encrypted=encrypted or base.encrypted,
            tls=tls_info(self.transport.get_extra_info("ssl_object")),
            name=printable(self.session.host_name or ""),
        )

    def _accepted(self) -> ClientInfo:
        """Return who has connected."""
        assert self.session is not None
        peer = self.session.peer
        host, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
        return ClientInfo(address=str(host), port=int(port))

    async def handle_PROXY(self, server: Any, session: Any, envelope: Any, data: Any) -> bool:
        """Take a PROXY header that aiosmtpd has read; return whether the proxy is trusted."""
        peer, proxies = self._accepted(), self.server.proxies
        if proxies is None or not proxies.includes(peer.address):
            self.server.portal.publish(ForwardingIgnored("PROXY", peer))
            return False
        self._reported = by_raw_header(peer, bytes(data.whole_raw))
        return self._reported is not None

    async def mechanisms(self) -> dict[str, type[ServerMechanism]]:
        """Return the mechanisms that can be used now."""
        kinds = await self.server.portal.list_credentials_interfaces(for_everybody=True)
        names = offered(
            kinds,
            self.client_info(),
            passwords_in_clear=self.server.passwords_in_clear,
            legacy=self.server.legacy_mechanisms,
        )
        found = {name: SERVER_MECHANISMS[name] for name in names}
        return {**found, "LOGIN": LoginServer} if "PLAIN" in found else found

    # -- commands ----------------------------------------------------------------------------------

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer the mechanisms that can be used on this connection."""
        session.host_name = hostname
        names = " ".join(await self.mechanisms())
        others = [line for line in responses if not line.startswith("250-AUTH")]
        return [others[0], *([f"250-AUTH {names}"] if names else []), *others[1:]]

    async def check_auth_needed(self, caller_method: str) -> bool:
        """Refuse a command that needs a login; return whether that was done."""
        if self.login is not None and self.login.session.is_open:
            return False
        await self.push("530 5.7.0 Authentication required")
        return True

    async def smtp_QUIT(self, arg: str) -> None:
        """Log out."""
        self._said_quit = True
        await super().smtp_QUIT(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        """Log in (RFC 4954)."""
        if await self.check_helo_needed("EHLO"):
            return
        words = (arg or "").split()
        mechanism = (await self.mechanisms()).get(words[0].upper()) if 0 < len(words) < 3 else None
        if self.login is not None:
            await self.push("503 5.5.1 Already authenticated")
        elif mechanism is None:
            await self.push("504 5.5.4 Unrecognized authentication type")
        else:
            reply = await self._authenticate_by(
                mechanism(self.client_info()), words[1] if len(words) > 1 else None
            )
            await self.push(reply)
            if reply.startswith("421"):
                self.transport.close()  # type: ignore[union-attr]
            elif self._failures >= MAX_TRIES:
                self.farewell("too many failed logins")

    async def _authenticate_by(self, mechanism: ServerMechanism, initial: str | None) -> str:
        """Go through a login; return the reply."""
        try:
            first = None if initial is None else decode_initial(initial)
            await negotiate(Stepper(mechanism), first, self._ask, self._log_in, self.server.portal)
        except ProtocolError as error:
            self._log_out(LogoutCode.LOGOUT)
            return f"501 5.5.2 {printable(error)}"
        except LoginFailed as error:
            self._failures += 1
            return _reply(error)
        except BaseException:
            self._log_out(LogoutCode.LOST)
            raise
        return "235 2.7.0 Authentication successful"

    async def _log_in(self, step: Credentials) -> None:
        portal = self.server.portal
        self.login = await portal.login(
            step.credentials,
            SMTPChannel(self),
            *self.server.interfaces,
            authorize_as=step.authorize_as or None,
            client=self.client_info(),
            mechanism=step.mechanism,
        )

    async def _ask(self, challenge: bytes) -> bytes:
        await self.push(b"334 " + encode_challenge(challenge))
        try:
            line = await self._reader.readline()
        except ValueError:
            # Longer than SMTP's lines. The rest of it is read as a command, which does not exist.
            raise ProtocolError("the line is too long") from None
        return decode_answer(line)

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, mail_options: list[str]
    ) -> str:
        """Accept the sender's address, if the avatar does."""
        sender = "" if address == "<>" else address
        refusal = _refusal_of_form(sender) or await self._screen(
            "550 5.7.1", "check_sender", sender
        )
        if refusal is not None:
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, rcpt_options: list[str]
    ) -> str:
        """Accept a recipient's address, if the avatar does."""
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        refusal = _refusal_of_form(address)
        if refusal is None:
            refusal = await self._screen("550 5.1.1", "check_recipient", _sender(envelope), address)
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def _screen(self, code: str, method: str, *addresses: str) -> str | None:
        """Have an avatar with `Screening` check addresses; return the reply if it refuses them."""
        if self.login is None or not issubclass(self.login.interface, Screening):
            return None
        _, refusal = await self._ask_avatar(code, method, *addresses)
        return refusal

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Pass a message to the avatar."""
        recipients, data = list(envelope.rcpt_tos), envelope.original_content
        answer, refusal = await self._ask_avatar(
            "550 5.7.1", "submit", _sender(envelope), recipients, data
        )
        return refusal or f"250 2.0.0 {printable(answer) if answer else 'OK'}"

    async def _ask_avatar(self, code: str, method: str, *args: Any) -> tuple[Any, str | None]:
        """Call a method of the avatar; return its result, and the reply if it refuses."""
        if self.login is None:
            return None, "530 5.7.0 Authentication required"
        try:
            return await ask(self.login.avatar, method, *args), None
        except CallError as error:
            return (
                None,
                f"{code if error.retry_after is None else '451 4.3.0'} {printable(error.message)}",
            )
        except pykka.ActorDeadError:
            return None, "421 4.3.2 logged out"
        except (Exception, SystemExit):
            logger.exception("The avatar failed at %s:", method)
            return None, "451 4.3.0 something went wrong in the server"


def _sender(envelope: Any) -> str:
    return "" if envelope.mail_from in {None, "<>"} else str(envelope.mail_from)


def _refusal_of_form(address: str) -> str | None:
    """Return the refusal of an address that is not UTF-8 or has control characters, or None.

    Such an address would corrupt headers and logs.
    """
    return None if address.isprintable() else "553 5.1.3 Error: malformed address"


def _reply(error: LoginFailed) -> str:
    if isinstance(error, LoginDenied) and not error.seen:
        return f"421 4.7.0 {error}"
    if isinstance(error, LoginDenied | CheckerUnavailable):
        return f"454 4.7.0 {error}"
    return f"535 5.7.8 {error}" if isinstance(error, UnauthorizedLogin) else f"535 5.7.0 {error}"
