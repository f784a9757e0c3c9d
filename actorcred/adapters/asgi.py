"""HTTP authentication for any ASGI application: Basic, Digest and Bearer at a portal, and the avatar in the scope.

    app = AuthMiddleware(app, portal, Player)

In the application `scope["avatar"]` is the client's ref to its avatar, and `scope["actorcred"]` the `Visit` with all the rest. A
session lasts for one request, or with `cookie=...` until it is logged out, idle for too long, or ended by order.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

from actorcred.adapters._client import LoopChannel, drain, goodbye
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
)
from actorcred.adapters._proxies import TrustedProxies
from actorcred.credentials import BearerToken, UsernamePassword
from actorcred.errors import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    NoInterface,
    ProtocolError,
    UnauthorizedLogin,
)
from actorcred.exchange import UsernameDigestHash
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.portal.login import Login
from actorcred.portal.ref import PortalRef
from actorcred.sasl.http_digest import DIGESTS, DigestGate, DigestRequest, StaleNonce
from actorcred.sessions.session import AvatarRef

__all__ = ["AuthMiddleware", "Visit"]

App = Callable[[Scope, Receive, Send], Awaitable[None]]

NOTIFICATIONS = 256
"""Notifications that are kept for a session until somebody reads them; then the oldest goes."""

COOKIE_GRACE = 60.0
"""Seconds in which a client that logged in by a header must bring its cookie for the first time: one that never does, as a script,
logs in again with each request, and would leave a session each time."""

ANSWER_GRACE = 5.0
"""Seconds in which a request may still be answered whose client has logged out by another one; it may be the application's way
to log out, too. What has no end of its own, WebSockets and streams, ends at once."""

POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
"""Codes with which a WebSocket is closed (RFC 6455, section 7.4.1, and the registry of IANA)."""


class AuthMiddleware:
    """Logs the clients of an ASGI application in.

    Args:
        app: the application.
        portal: where they log in.
        interfaces: what they ask for, the dearest first.
        realm: what browsers show with their question, and a part of every digest: that of the file, if the digests are stored.
        algorithms: what HTTP Digest may use, the dearest first; of these it offers what the checkers can verify. Add
            "SHA-512-256" only for clients of your own: curl 7 and httpx fail where it is offered.
        cookie: the name of the cookie by which a session goes on over many requests; None for a session per request. By https
            it is `__Host-` and the name, and Secure.
        required: answer 401 where nobody is logged in. Without it the application gets such requests, too, with an avatar of
            None, and may call `Visit.log_in`.
        passwords_in_clear: take Basic and Bearer also where somebody on the network may read along.
        trusted_proxies: addresses and networks of the proxies that say by X-Forwarded-Proto or Forwarded whether their client
            came by https, such as "127.0.0.1"; "unix" for one that comes by a Unix socket. Each must write that header itself.

    Raises:
        TypeError: if no interface is given.
        ValueError: if the realm or an algorithm cannot be used, no cookie can have that name, or a proxy's address is none.
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
        trusted_proxies: Iterable[str] = (),
    ) -> None:
        if not interfaces:
            raise TypeError("AuthMiddleware() needs at least one interface after the portal")
        self._app = app
        self.portal = portal
        self.interfaces = interfaces
        self.cookie = None if cookie is None else SessionCookie(cookie)
        self._proxies = TrustedProxies(trusted_proxies)
        self._required = required
        self._in_clear = passwords_in_clear
        self._gate = DigestGate(realm, algorithms)
        self._kept: dict[str, _Kept] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket, as ASGI says."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        request = HTTPRequest(scope, self._proxies)
        visit = self._returning(request)
        try:
            if visit is None:
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

    # -- sessions -----------------------------------------------------------------------------------------------------

    def _returning(self, request: HTTPRequest) -> Visit | None:
        """Return the visit of a client that comes back to its session, if it may."""
        if not request.from_own_page():
            return None
        proof = _hash(request.authorization) if request.authorization else None
        for kept in self._sessions_of(request):
            if proof is None or proof == kept.proof:  # else somebody else, or another password
                kept.returned()
                return Visit(self, request, kept)
        return None

    def _sessions_of(self, request: HTTPRequest) -> Iterable[_Kept]:
        """Return the sessions for which a request has cookies; the order is the client's, with the longest path first."""
        if self.cookie is None:
            return
        for token in self.cookie.values(request.headers(b"cookie"), request.encrypted):
            kept = self._kept.get(_hash(token))
            if kept is not None and kept.login.session.is_open:
                yield kept

    async def _log_in(self, visit: Visit, request: HTTPRequest) -> None:
        try:
            credentials = await self._credentials(request)
        except LoginFailed as error:  # a name that cannot be anybody's, or a damaged header
            if not request.stale:  # with such a nonce a client just has to try again
                self.portal.tell_refused(error, "HTTP", address=request.source)
            raise
        if credentials is not None:
            await visit.log_in(credentials)

    async def _credentials(self, request: HTTPRequest) -> object | None:
        """Return what a client presents; None if it presents nothing that can be used here."""
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
                raise UnauthorizedLogin("a nonce that is used up") from None
        return None

    def keep(self, kept: _Kept) -> str:
        """Have a session go on with requests that bring a cookie; return its value."""
        token = secrets.token_urlsafe(32)
        key = _hash(token)
        self._kept[key] = kept

        def forget(_: LogoutReason) -> None:
            del self._kept[key]
            kept.stop_waiting()

        kept.client.watch(forget)
        return token

    async def close(self, timeout: float = 10.0) -> int:
        """End the sessions that wait for their next request; call it when the server goes down.

        Args:
            timeout: seconds for the avatars' `on_logout`.

        Returns:
            The number of sessions that were ended.
        """
        return await drain([kept.login for kept in self._kept.values()], timeout)

    # -- refusals -----------------------------------------------------------------------------------------------------

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
                headers.append((b"retry-after", str(max(1, round(error.retry_after))).encode()))
        elif isinstance(error, CheckerUnavailable):
            status = 503
        elif isinstance(error, NoInterface):
            status = 403
        else:
            headers += [
                (b"www-authenticate", text.encode()) for text in await self._challenges(request)
            ]
        if self._has_dead_cookie(request):
            headers.append((b"set-cookie", self.cookie_header("", request)))
        await answer(send, status, str(error), headers)

    def _has_dead_cookie(self, request: HTTPRequest) -> bool:
        """Return whether a client should forget its cookie: not if it leads to a session that just did not count here."""
        if self.cookie is None or not self.cookie.values(
            request.headers(b"cookie"), request.encrypted
        ):
            return False
        return next(iter(self._sessions_of(request)), None) is None

    async def _challenges(self, request: HTTPRequest) -> list[str]:
        """Return the schemes that can be used, for a client to choose the first one that it knows (RFC 9110, section 11.6.1)."""
        kinds = tuple(await self.portal.list_credentials_interfaces())
        made = []
        if issubclass(UsernameDigestHash, kinds):
            kept = await self.portal.digest_algorithms()
            made += self._gate.challenges(
                request.source, time.monotonic(), stale=request.stale, algorithms=kept
            )
        if self._in_clear or request.private:
            realm = self._gate.realm.replace("\\", "\\\\").replace('"', '\\"')
            # A client that brought a token needs another one (RFC 6750, section 3.1); one that brought none is told no error.
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
        assert self.cookie is not None
        return self.cookie.header(token, request.encrypted)


class _Kept:
    """A session that goes on over many requests.

    Args:
        login: what the portal granted.
        client: how its mind reaches the client.
        authorization: the header that it came by; "" for a form.
    """

    def __init__(self, login: Login, client: HTTPChannel, authorization: str) -> None:
        self.login = login
        self.client = client
        self.proof = _hash(authorization)
        self._waits_for_cookie = bool(authorization)
        self._grace: asyncio.TimerHandle | None = None

    def served(self) -> None:
        """Learn that the client has the answer to a request, and with the first one its cookie."""
        if self._waits_for_cookie and self._grace is None:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(COOKIE_GRACE, self.login.session.end, LogoutCode.IDLE)

    def returned(self) -> None:
        """Learn that the client came with its cookie."""
        self.login.session.touch()
        self.stop_waiting()

    def stop_waiting(self) -> None:
        """Let the session last, or be over."""
        self._waits_for_cookie = False
        if self._grace is not None:
            self._grace.cancel()


class Visit:
    """One request of a client of an application.

    Attributes:
        login: what the portal granted; None for a client that is not logged in.
    """

    def __init__(
        self, middleware: AuthMiddleware, request: HTTPRequest, kept: _Kept | None = None
    ) -> None:
        self._middleware = middleware
        self._request = request
        self.login = None if kept is None else kept.login
        # The rest is the middleware's own.
        self.client = None if kept is None else kept.client
        self.kept = kept
        self.task: asyncio.Future[None] | None = None
        """The application at work on the request; ended together with the session."""
        self.is_answering = False
        """Whether an answer has begun and has not come to its end."""
        self._grace: asyncio.TimerHandle | None = None
        self._reads_notifications = False
        self.token: str | None = None
        """What the answer sets the cookie to; None leaves it."""

    @property
    def avatar(self) -> AvatarRef[Any] | None:
        """The client's ref to its avatar; None for a client that is not logged in."""
        return None if self.login is None else self.login.avatar

    async def log_in(self, credentials: object) -> Login:
        """Log the client in, as an application does with a form; with a cookie, the session goes on after this request.

        Args:
            credentials: what the client presents.

        Raises:
            LoginFailed: if it did not succeed; then the client stays what it was.
        """
        middleware = self._middleware
        client = HTTPChannel()
        login = await middleware.portal.login(credentials, client, *middleware.interfaces)
        await self.log_out()
        self.login, self.client = login, client
        if middleware.cookie is not None:
            self.kept = _Kept(login, client, self._request.authorization)
            self.token = middleware.keep(self.kept)
        self._request.scope["avatar"] = self.avatar
        client.watch(self.break_off)
        await asyncio.sleep(0)  # a session that was ended meanwhile breaks the application off here
        return login

    async def log_out(self) -> None:
        """Log the client out; nothing happens if it is not logged in."""
        login, client = self.login, self.client
        self.login = self.client = self.kept = None
        if login is not None and client is not None:
            client.unwatch(self.break_off)
            if self._middleware.cookie is not None:
                self.token = ""
            self._request.scope["avatar"] = None
            await login.session.end()

    def break_off(self, reason: LogoutReason) -> None:
        """End what the application does, since its client may do nothing any more."""
        if self.task is None:
            return
        ends_itself = not self._request.is_websocket and (
            self._reads_notifications or not self.is_answering
        )
        if reason.by_client and ends_itself:
            self._grace = asyncio.get_running_loop().call_later(
                ANSWER_GRACE, self.task.cancel, goodbye(reason)
            )
        else:
            self.task.cancel(goodbye(reason))

    def served(self) -> None:
        """Learn that the application is done with the request."""
        if self.client is not None:
            self.client.unwatch(self.break_off)
        if self._grace is not None:
            self._grace.cancel()

    async def notifications(self) -> AsyncIterator[tuple[str, tuple[Any, ...]]]:
        """Iterate over what the avatar tells its client, as name and arguments, until the session is over; for event streams."""
        client = self.client
        self._reads_notifications = True  # so that it ends by itself
        while client is not None and (notification := await client.next()) is not None:
            yield notification


class HTTPChannel(LoopChannel):
    """The client of a session, as its mind reaches it: what it is told waits until it is asked for."""

    __slots__ = ("_arrived", "_waiting", "_watchers", "reason")

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=NOTIFICATIONS)
        self._arrived = asyncio.Event()
        self.reason: LogoutReason | None = None
        self._watchers: dict[
            Callable[[LogoutReason], object], None
        ] = {}  # a set that keeps their order

    def told(self, name: str, args: tuple[Any, ...]) -> None:
        """Keep a notification."""
        self._waiting.append((name, args))
        self._arrived.set()

    def over(self, reason: LogoutReason) -> None:
        """Tell whoever serves this client that its session is over."""
        self.reason = reason
        self._arrived.set()
        watchers, self._watchers = self._watchers, {}
        for tell in watchers:
            tell(reason)

    def watch(self, tell: Callable[[LogoutReason], object]) -> None:
        """Have something called when the session is over; at once, if it is."""
        if self.reason is None:
            self._watchers[tell] = None
        else:
            tell(self.reason)

    def unwatch(self, tell: Callable[[LogoutReason], object]) -> None:
        """Have it called no more."""
        self._watchers.pop(tell, None)

    async def next(self) -> tuple[str, tuple[Any, ...]] | None:
        """Return the next notification, or None when the session is over."""
        while not self._waiting and self.reason is None:
            self._arrived.clear()
            await self._arrived.wait()
        return self._waiting.popleft() if self._waiting else None


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
                raise  # the server's own wish
            await self._break_off(visit.client.reason)
        finally:
            task.cancel()
            visit.served()
            if self._middleware.cookie is None or visit.token:
                await visit.log_out()  # the client cannot come back: it has got no cookie
            elif visit.kept is not None:
                visit.kept.served()

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.accept"}:
            self._started = self._visit.is_answering = True
            self._is_event_stream = _is_event_stream(message)
            token, self._visit.token = self._visit.token, None
            if token is not None:
                cookie = (b"set-cookie", self._middleware.cookie_header(token, self._request))
                message = {**message, "headers": [*message.get("headers", ()), cookie]}
        elif kind == "http.response.body":
            self._visit.is_answering = message.get("more_body", False)
        await self._send_on(message)

    async def _break_off(self, reason: LogoutReason) -> None:
        """Tell a client that its session has been ended while it was served."""
        text = goodbye(reason)
        if self._request.is_websocket:
            code = TRY_AGAIN_LATER if reason.code is LogoutCode.DRAINED else POLICY_VIOLATION
            await self._send_on({"type": "websocket.close", "code": code, "reason": text[:100]})
        elif not self._started:
            await answer(self._send_on, 503 if reason.code is LogoutCode.DRAINED else 401, text, [])
        elif self._visit.is_answering and self._is_event_stream:
            await self._send_on(
                {"type": "http.response.body", "body": b""}
            )  # which has no end that could be missed
        elif self._visit.is_answering:
            # Half an answer must not look like a whole one: the server sees an exception, and closes the connection.
            raise ConnectionAbortedError(text)


def _is_event_stream(message: MutableMapping[str, Any]) -> bool:
    kinds = [
        value
        for name, value in message.get("headers", ())
        if bytes(name).lower() == b"content-type"
    ]
    return any(bytes(kind).lower().startswith(b"text/event-stream") for kind in kinds)


def _hash(secret: str) -> str:
    """Return what stands for a secret in tables, whose look-ups then tell nothing by their time."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
