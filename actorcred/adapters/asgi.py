"""HTTP authentication for any ASGI application: Basic, Digest and Bearer logins at a portal.

    app = AuthMiddleware(app, portal, Player)

In the application, `scope["avatar"]` is the client's ref to its avatar, and `scope["actorcred"]` is
the `Visit` with everything else. A session lasts for one request; with `cookie=...`, it lasts until
it is logged out, idle for too long, or ended by the server.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

from actorcred.adapters._client import goodbye
from actorcred.adapters._cookies import SessionCookie
from actorcred.adapters._http import (
    Gone,
    Header,
    HTTPRequest,
    Incoming,
    Receive,
    Scope,
    Send,
    answer,
    basic,
    is_event_stream,
)
from actorcred.adapters._http_channel import HTTPChannel
from actorcred.adapters._http_far import FarKept
from actorcred.adapters._http_sessions import CookieSessions, Kept
from actorcred.credentials import BearerToken, LoginCredentials, UsernamePassword
from actorcred.errors import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    NoInterface,
    ProtocolError,
    UnauthorizedLogin,
)
from actorcred.exchange import UsernameDigestHash
from actorcred.fronts.trusted import TrustedProxy, trusted
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.portal.events import ForwardingIgnored
from actorcred.portal.login import Login
from actorcred.portal.ref import PortalRef
from actorcred.sasl.http_digest import DIGESTS, DigestGate, DigestRequest, StaleNonce
from actorcred.sessions.session import AvatarRef

__all__ = ["AuthMiddleware", "Visit"]

App = Callable[[Scope, Receive, Send], Awaitable[None]]

ANSWER_GRACE = 5.0
"""Seconds for finishing the answer to a request after its client logged out by another request.

This also holds for a request by which the application itself logs the client out. WebSockets and
streams, which have no natural end, are ended immediately.
"""

_PASSING = frozenset({LogoutCode.DRAINED, LogoutCode.CUT_OFF})
"""Ends of a session after which a client may try again at once."""

POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
"""Close codes of WebSockets (RFC 6455, section 7.4.1, and the IANA registry)."""


class AuthMiddleware:
    """Middleware that logs the clients of an ASGI application in.

    Args:
        app: the application.
        portal: the portal where clients log in.
        interfaces: the interfaces to request, in order of preference.
        realm: the HTTP realm, which browsers display; it is a part of every digest and must be that
            of the file if digests are stored.
        algorithms: the algorithms of HTTP Digest, in order of preference; those that the checkers
            can verify are offered. Add "SHA-512-256" only if all clients are your own: curl 7 and
            httpx fail if it is offered.
        cookie: the name of the cookie that continues a session over many requests; None for a
            session per request. Over https the name is prefixed with `__Host-`, and the cookie is
            Secure. In a cluster, it continues the session at each node that has a middleware with
            the same cookie and interfaces.
        required: answer 401 to clients that are not logged in. Otherwise the application gets their
            requests, with None as avatar, and may call `Visit.log_in`.
        passwords_in_clear: accept Basic and Bearer also over connections that others can read.
        trusted_proxies: a `TrustedProxy`; or addresses and networks of the proxies that report by
            X-Forwarded-For and X-Forwarded-Proto where their client comes from, such as
            "127.0.0.1", and "unix" for one that connects over a Unix socket.

    Raises:
        TypeError: if no interface is given.
        ValueError: if the realm, an algorithm, the cookie's name or a proxy's address is not valid.
    """

    def __init__(
        self,
        app: App,
        portal: PortalRef,
        *interfaces: type,
        realm: str = "login",
        algorithms: Sequence[str] = DIGESTS,
        cookie: str | None = None,
        required: bool = True,
        passwords_in_clear: bool = False,
        trusted_proxies: TrustedProxy | Iterable[str] = (),
    ) -> None:
        if not interfaces:
            raise TypeError("AuthMiddleware() needs at least one interface after the portal")
        self._app = app
        self.portal = portal
        self.interfaces = interfaces
        self.sessions = (
            None if cookie is None else CookieSessions(portal, SessionCookie(cookie), interfaces)
        )
        self._proxies = trusted(trusted_proxies)
        self._required = required
        self._in_clear = passwords_in_clear
        self._gate = DigestGate(realm, algorithms)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket, as an ASGI application."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = HTTPRequest(scope, self._proxies)
        try:
            visit = await self._returning(request)
            if visit is None:
                if request.ignored:
                    self.portal.publish(ForwardingIgnored(request.ignored, request.client))
                visit = Visit(self, request)
                incoming = Incoming(receive)
                receive = incoming.receive
                await incoming.while_connected(self._log_in(visit, request))
        except Gone:
            return
        except LoginFailed as error:
            await self._refuse(error, request, send)
            return
        if visit.login is None and self._required:
            await self._refuse(UnauthorizedLogin(), request, send)
        else:
            await _Serving(self, visit, request, send).serve(self._app, receive)

    # -- sessions ----------------------------------------------------------------------------------

    async def _returning(self, request: HTTPRequest) -> Visit | None:
        """Return the visit of a client that continues its session, or None."""
        if self.sessions is None or not request.from_own_page():
            return None
        kept = await self.sessions.find(request)
        return None if kept is None else Visit(self, request, kept)

    async def _log_in(self, visit: Visit, request: HTTPRequest) -> None:
        try:
            credentials = await self._credentials(request)
        except LoginFailed as error:  # an impossible name, or a damaged header
            if not request.stale:  # a client retries with a new nonce
                self.portal.tell_refused(
                    error, "HTTP", client=request.client, mechanism=request.scheme
                )
            raise
        if credentials is not None:
            await visit.log_in(credentials, mechanism=request.scheme)

    async def _credentials(self, request: HTTPRequest) -> LoginCredentials | None:
        """Return the credentials of a request; None if it has none that can be used here."""
        scheme, _, value = request.authorization.partition(" ")
        source, private = request.source, self._in_clear or request.private
        if scheme.lower() == "basic" and private:
            name, password = basic(value)
            return UsernamePassword(name, password, source=source)
        if scheme.lower() == "bearer" and private:
            return BearerToken(value.strip(), source=source)
        if scheme.lower() == "digest":
            asked = DigestRequest(request.method, request.target, source)
            try:
                return self._gate.read(request.authorization, asked, time.monotonic())
            except ProtocolError as error:
                raise UnauthorizedLogin(str(error)) from None
            except StaleNonce:
                request.stale = True
                raise UnauthorizedLogin("the nonce is stale") from None
        return None

    async def close(self, timeout: float = 10.0) -> int:
        """End the sessions that are kept by cookies. Must be called when the server shuts down.

        Args:
            timeout: seconds to wait for the avatars' `on_logout`.

        Returns:
            The number of sessions that were ended.
        """
        return 0 if self.sessions is None else await self.sessions.close(timeout)

    # -- refusals ----------------------------------------------------------------------------------

    async def _refuse(self, error: LoginFailed, request: HTTPRequest, send: Send) -> None:
        if request.is_websocket:
            later = isinstance(error, LoginDenied | CheckerUnavailable)
            await send(
                {
                    "type": "websocket.close",
                    "code": TRY_AGAIN_LATER if later else POLICY_VIOLATION,
                    "reason": str(error),
                }
            )
            return
        headers: list[Header] = []
        status = 401
        if isinstance(error, LoginDenied):
            status = 429
            if error.retry_after is not None:
                headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
            if error.close and request.is_http1:
                headers.append((b"connection", b"close"))
        elif isinstance(error, CheckerUnavailable):
            status = 503
        elif isinstance(error, NoInterface):
            status = 403
        else:
            headers += [
                (b"www-authenticate", text.encode()) for text in await self._challenges(request)
            ]
        if self.sessions is not None and self.sessions.has_only_dead(request):
            headers.append((b"set-cookie", self.cookie_header("", request)))
        await answer(send, status, str(error), headers)

    async def _challenges(self, request: HTTPRequest) -> list[str]:
        """Return the challenges, in order of preference (RFC 9110, section 11.6.1)."""
        kinds = tuple(await self.portal.list_credentials_interfaces())
        made = []
        if issubclass(UsernameDigestHash, kinds):
            kept = await self.portal.digest_algorithms()
            made += self._gate.challenges(
                request.source, time.monotonic(), stale=request.stale, algorithms=kept
            )
        if self._in_clear or request.private:
            realm = self._gate.realm.replace("\\", "\\\\").replace('"', '\\"')
            # A client that sent a token gets an error; one that sent none must not (RFC 6750,
            # section 3.1).
            wrong = (
                ', error="invalid_token"'
                if request.authorization.lower().startswith("bearer ")
                else ""
            )
            made += [f'Bearer realm="{realm}"{wrong}'] if issubclass(BearerToken, kinds) else []
            made += (
                [f'Basic realm="{realm}", charset="UTF-8"']
                if issubclass(UsernamePassword, kinds)
                else []
            )
        return made

    def cookie_header(self, token: str, request: HTTPRequest) -> bytes:
        """Return the value of a Set-Cookie header; an empty token deletes the cookie."""
        assert self.sessions is not None
        return self.sessions.cookie.header(token, request.encrypted)


class Visit:
    """One request of a client of the application.

    Attributes:
        login: the login that the portal granted; None for a client that is not logged in.
    """

    def __init__(
        self,
        middleware: AuthMiddleware,
        request: HTTPRequest,
        kept: Kept | FarKept | None = None,
    ) -> None:
        self._middleware = middleware
        self._request = request
        self._came_with = kept
        self.login = None if kept is None else kept.login
        # The rest is internal to the middleware.
        self.client: HTTPChannel | None = None if kept is None else kept.client
        self.kept = kept
        self.task: asyncio.Future[None] | None = None
        """The application's task for the request; it is cancelled when the session ends."""
        self.is_answering = False
        """Whether an answer has begun and is not complete."""
        self._grace: asyncio.TimerHandle | None = None
        self.reads_notifications = False
        self.token: str | None = None
        """The value that the answer sets the cookie to; None leaves it unchanged."""

    @property
    def avatar(self) -> AvatarRef[Any] | None:
        """The client's ref to its avatar; None for a client that is not logged in."""
        return None if self.login is None else self.login.avatar

    async def log_in(self, credentials: LoginCredentials, *, mechanism: str = "") -> Login:
        """Log the client in, for applications with a login form.

        If the middleware has a cookie, the session continues after this request.

        Args:
            credentials: the client's credentials.
            mechanism: how the client presented them, for events and the log; such as "form".

        Raises:
            LoginFailed: if the login failed; nothing has changed then.
        """
        middleware = self._middleware
        client = HTTPChannel()
        login = await middleware.portal.login(
            credentials,
            client,
            *middleware.interfaces,
            client=self._request.client,
            mechanism=mechanism,
        )
        await self.log_out()
        self.login, self.client = login, client
        if middleware.sessions is not None:
            self.kept = Kept(login, client, self._request.authorization)
            self.token = middleware.sessions.keep(self.kept)
        self._request.scope["avatar"] = self.avatar
        client.watch(self.break_off)
        await asyncio.sleep(0)  # if the session was ended meanwhile, this is cancelled here
        return login

    async def log_out(self) -> None:
        """Log the client out. Does nothing if it is not logged in."""
        login, client = self.login, self.client
        self.login = self.client = self.kept = None
        if login is not None and client is not None:
            client.unwatch(self.break_off)
            if self._middleware.sessions is not None:
                self.token = ""
            self._request.scope["avatar"] = None
            await login.session.end()

    def break_off(self, reason: LogoutReason) -> None:
        """Cancel the application's work on the request, because the session has ended."""
        if self.task is None:
            return
        ends_itself = not self._request.is_websocket and (
            self.reads_notifications or not self.is_answering
        )
        if reason.by_client and ends_itself:
            self._grace = asyncio.get_running_loop().call_later(
                ANSWER_GRACE, self.task.cancel, goodbye(reason)
            )
        else:
            self.task.cancel(goodbye(reason))

    def served(self) -> None:
        """Called when the application has finished the request."""
        if self.client is not None:
            self.client.unwatch(self.break_off)
        if self._grace is not None:
            self._grace.cancel()
        if self._came_with is not None:
            self._came_with.left()

    async def notifications(self) -> AsyncIterator[tuple[str, tuple[Any, ...]]]:
        """Iterate over the avatar's notifications until the session ends, for event streams.

        Yields their names and arguments.
        """
        client = self.client
        self.reads_notifications = True  # such a request ends by itself
        while client is not None and (notification := await client.next()) is not None:
            yield notification


class _Serving:
    """One request that the application serves."""

    def __init__(
        self, middleware: AuthMiddleware, visit: Visit, request: HTTPRequest, send: Send
    ) -> None:
        self._middleware = middleware
        self._visit = visit
        self._request = request
        self._send_on = send
        self._started = self._is_event_stream = False

    async def serve(self, app: App, receive: Receive) -> None:
        visit, scope = self._visit, self._request.scope
        scope["actorcred"], scope["avatar"] = visit, visit.avatar
        visit.task = task = asyncio.ensure_future(app(scope, receive, self._send))
        if visit.client is not None:
            visit.client.watch(visit.break_off)
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled() or visit.client is None or visit.client.reason is None:
                raise  # cancelled by the server
            await self._break_off(visit.client.reason)
        finally:
            task.cancel()
            visit.served()
            if self._middleware.sessions is None or visit.token:
                await visit.log_out()  # without a cookie the client cannot continue the session
            elif visit.kept is not None:
                visit.kept.served()

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.accept"}:
            self._started = self._visit.is_answering = True
            self._is_event_stream = is_event_stream(message)
            token, self._visit.token = self._visit.token, None
            if token is not None:
                cookie = (b"set-cookie", self._middleware.cookie_header(token, self._request))
                message = {**message, "headers": [*message.get("headers", ()), cookie]}
        elif kind == "http.response.body":
            self._visit.is_answering = message.get("more_body", False)
        await self._send_on(message)

    async def _break_off(self, reason: LogoutReason) -> None:
        """Answer a request whose session was ended while it was served."""
        text = goodbye(reason)
        if self._request.is_websocket:
            code = TRY_AGAIN_LATER if reason.code in _PASSING else POLICY_VIOLATION
            await self._send_on({"type": "websocket.close", "code": code, "reason": text[:100]})
        elif not self._started:
            await answer(self._send_on, 503 if reason.code in _PASSING else 401, text, [])
        elif self._visit.is_answering and self._is_event_stream:
            # An event stream can end anywhere.
            await self._send_on({"type": "http.response.body", "body": b""})
        elif self._visit.is_answering:
            # A partial answer must not look complete: an exception closes the connection.
            raise ConnectionAbortedError(text)
