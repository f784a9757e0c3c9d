"""HTTP authentication for any WSGI application: Basic, Digest and Bearer logins at a portal.

    app = AuthMiddleware(app, portal, Player)

In the application, `environ["actorcred.avatar"]` is the client's ref to its avatar, and
`environ["actorcred.visit"]` is the `Visit` with everything else. It is for servers that have a
thread for each request (PEP 3333); threads only wait here. The adapter for ASGI does the work, on
the event loop of the background, so logins, cookies, refusals and limits are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import pykka

from actorcred.actors import Future
from actorcred.actors.event_loop import background_loop
from actorcred.adapters import asgi
from actorcred.adapters._http import Header, Receive, Scope, Send
from actorcred.credentials import LoginCredentials
from actorcred.fronts.trusted import TrustedProxy
from actorcred.portal.login import Login
from actorcred.portal.ref import PortalRef
from actorcred.sessions.session import AvatarRef

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["AuthMiddleware", "Settings", "Visit"]

logger = logging.getLogger("actorcred.adapters")

T = TypeVar("T")

AVATAR, VISIT = "actorcred.avatar", "actorcred.visit"
"""The keys of `environ`."""

HEARTBEAT = 15.0
"""Seconds after which `Visit.notifications` yields None if there was no notification."""

MARGIN = 10.0
"""Seconds that a thread waits beyond the portal's own time-outs, in case the loop has stopped."""

_TURN = "actorcred.turn"

_OF_CONNECTIONS = frozenset({b"connection"})
"""Headers of the adapter for ASGI that an application must not set (PEP 3333)."""

_SAFE = "/:@!$&'()*+,;=~"
"""What clients do not escape in a path, besides letters, digits and `_.-` (RFC 3986)."""


_ORIGIN = re.compile(r"https?://[^/?]*")


class Settings(TypedDict, total=False):
    """The settings of `actorcred.adapters.asgi.AuthMiddleware`, which describes them."""

    realm: str
    algorithms: Sequence[str]
    cookie: str | None
    required: bool
    passwords_in_clear: bool
    trusted_proxies: TrustedProxy | Iterable[str]


class AuthMiddleware:
    """Middleware that logs the clients of a WSGI application in.

    Args:
        app: the application.
        portal: the portal where clients log in.
        interfaces: the interfaces to request, in order of preference.
        settings: those of `actorcred.adapters.asgi.AuthMiddleware`, with the same meaning and
            defaults: `realm`, `algorithms`, `cookie`, `required`, `passwords_in_clear` and
            `trusted_proxies`.

    Raises:
        TypeError: if no interface is given, or a setting is unknown.
        ValueError: if a setting is not valid.
    """

    def __init__(
        self,
        app: WSGIApplication,
        portal: PortalRef,
        *interfaces: type,
        **settings: Unpack[Settings],
    ) -> None:
        self._app = app
        self._auth = asgi.AuthMiddleware(_hand_over, portal, *interfaces, **settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request, as a WSGI application."""
        turn = _Turn(self._auth, environ, start_response)
        visit = turn.begin()
        if visit is None:
            return [turn.refuse()]
        environ[VISIT], environ[AVATAR] = Visit(turn, visit, environ), visit.avatar
        try:
            return _Body(turn, self._app(environ, turn.start_response))
        except Exception:
            turn.finish()
            if turn.is_refused:  # the session was ended, which may be why the application failed
                return [turn.refuse()]
            raise
        except BaseException:
            turn.finish()
            raise

    def close(self, timeout: float = 10.0) -> int:
        """End the sessions that are kept by cookies. Must be called when the server shuts down.

        Args:
            timeout: seconds to wait for the avatars' `on_logout`.

        Returns:
            The number of sessions that were ended.
        """
        closing: Future[int] = background_loop().spawn(self._auth.close(timeout))
        return closing.get(timeout=timeout + MARGIN)


class Visit:
    """One request of a client of the application. Its methods wait, and raise what went wrong."""

    def __init__(self, turn: _Turn, visit: asgi.Visit, environ: WSGIEnvironment) -> None:
        self._turn = turn
        self._visit = visit
        self._environ = environ

    @property
    def login(self) -> Login | None:
        """The login that the portal granted; None for a client that is not logged in."""
        return self._visit.login

    @property
    def avatar(self) -> AvatarRef[Any] | None:
        """The client's ref to its avatar; None for a client that is not logged in."""
        return self._visit.avatar

    def log_in(self, credentials: LoginCredentials, *, mechanism: str = "") -> Login:
        """Log the client in, for applications with a login form.

        If the middleware has a cookie, the session continues after this request. Must be called
        before the application calls `start_response`.

        Args:
            credentials: the client's credentials.
            mechanism: how the client presented them, for events and the log; such as "form".

        Raises:
            LoginFailed: if the login failed; nothing has changed then.
        """
        try:
            return self._turn.wait_for(self._visit.log_in(credentials, mechanism=mechanism))
        finally:
            self._environ[AVATAR] = self.avatar

    def log_out(self) -> None:
        """Log the client out. Does nothing if it is not logged in."""
        try:
            self._turn.wait_for(self._visit.log_out())
        finally:
            self._environ[AVATAR] = self.avatar

    def notifications(
        self, heartbeat: float = HEARTBEAT
    ) -> Iterator[tuple[str, tuple[Any, ...]] | None]:
        """Iterate over the avatar's notifications until the session ends, for event streams.

        Yields their names and arguments; and None first, and if there was none for a while. Write
        something then, such as a comment: only so the headers are sent before the first
        notification, and only so the server notices that its client has disconnected.

        Args:
            heartbeat: seconds after which None is yielded.
        """
        client = self._visit.client
        self._visit.reads_notifications = True

        async def listen() -> tuple[str, tuple[Any, ...]] | None:
            try:
                async with asyncio.timeout(heartbeat):
                    return None if client is None else await client.next()
            except TimeoutError:
                return None

        if client is not None:
            yield None
        while client is not None:
            notification = self._turn.wait_for(listen(), heartbeat)
            if notification is None and client.reason is not None:
                return
            yield notification


async def _hand_over(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request by its thread, as an ASGI application."""
    await scope[_TURN].serve(send)


async def _nothing() -> dict[str, Any]:
    """Return an empty body, as ASGI's `receive`; the real one is the application's."""
    return {"type": "http.request", "body": b"", "more_body": False}


class _Turn:
    """One request: a task of the loop, in which the ASGI adapter serves it, and its thread.

    Args:
        auth: the adapter.
        environ: the request.
        start_response: the server's.
    """

    def __init__(
        self, auth: asgi.AuthMiddleware, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self._auth = auth
        self._scope = scope_of(environ)
        self._scope[_TURN] = self
        self._has_body = self._scope["method"] != "HEAD"
        self._start_response = start_response
        self._loop = background_loop()
        options = auth.portal.options
        self._patience = options.login_timeout + options.logout_timeout + MARGIN
        self._visiting: Future[asgi.Visit | None] = Future()
        self._send: Send | None = None
        self._finished = asyncio.Event()
        self._is_finished = False
        self._cookie: list[tuple[str, str]] | None = None
        # What the adapter itself answers.
        self._messages: list[Any] = []
        self._refused = False
        self._task: Future[None]

    # -- on the thread -----------------------------------------------------------------------------

    def begin(self) -> asgi.Visit | None:
        """Log the client in; return its visit, or None if it is refused."""
        self._task = self._loop.spawn(self._auth(self._scope, _nothing, self._sent))
        self._task.add_done_callback(self._over)
        try:
            return self._visiting.get(timeout=self._patience)
        except pykka.Timeout:  # the loop is blocked; nothing must be left when it goes on
            self._task.cancel()
            raise

    def wait_for(self, work: Coroutine[Any, Any, T], timeout: float = 0.0) -> T:
        """Run a coroutine on the loop, and return its result.

        Args:
            work: the coroutine.
            timeout: how many seconds it may take, if that is more than a login.
        """
        result: Future[T] = self._loop.spawn(work)
        return result.get(timeout=self._patience + timeout)

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any = None,
    ) -> Callable[[bytes], object]:
        """Begin the application's answer, as PEP 3333 has it; or the refusal, in its place."""
        if self._cookie is None:
            self._cookie = self.wait_for(self._start(int(status[:3]), headers))
        if self.is_refused:
            return _discard
        headers = [*headers, *self._cookie]
        if exc_info is None:
            return self._start_response(status, headers)
        return self._start_response(status, headers, exc_info)

    @property
    def is_over(self) -> bool:
        """Whether the server has ended the session, and the application's work is for nothing."""
        return self._task.done() or self.is_refused

    @property
    def is_refused(self) -> bool:
        """Whether there is another answer than the application's."""
        return bool(self._messages) and self._messages[0]["type"] == "http.response.start"

    def refuse(self) -> bytes:
        """Begin the answer that is not the application's; return its body."""
        start, body = self._messages
        self._refused = True
        self._start_response(
            f"{start['status']} {HTTPStatus(start['status']).phrase}",
            [*_texts(pair for pair in start["headers"] if pair[0] not in _OF_CONNECTIONS)],
        )
        return bytes(body["body"]) if self._has_body else b""

    def rest(self) -> bytes:
        """Return what is to be sent after the end of the session.

        Raises:
            StopIteration: if that is nothing.
            ConnectionAbortedError: if the application's answer is incomplete and must not look
                complete.
        """
        if self.is_refused and not self._refused:
            return self.refuse()
        if not self.is_refused:
            _result_of(self._task)
        raise StopIteration

    def finish(self) -> None:
        """End the visit, since the answer is complete; without a cookie, also the session."""
        if self._is_finished:
            return
        self._is_finished = True
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the task cancelled
            self._loop.loop.call_soon_threadsafe(self._finished.set)
        try:
            self._task.get(timeout=self._patience)
        except ConnectionAbortedError as error:
            logger.debug("The session ended at the end of an answer: %s", error)
        except asyncio.CancelledError:
            logger.debug("The loop was stopped at the end of an answer")

    # -- on the loop -------------------------------------------------------------------------------

    async def serve(self, send: Send) -> None:
        """Let the thread serve the request."""
        self._send = send
        self._visiting.settle(self._scope["actorcred"])
        await self._finished.wait()

    async def _sent(self, message: Any) -> None:
        self._messages.append(message)

    async def _start(self, status: int, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Tell the adapter that the answer begins; return the cookie to set, if any."""
        if self._messages or self._send is None:
            return []
        kinds = [_raw(pair) for pair in headers if pair[0].lower() == "content-type"]
        await self._send({"type": "http.response.start", "status": status, "headers": kinds})
        return [*_texts(self._messages.pop()["headers"][len(kinds) :])]

    def _over(self, task: Future[None]) -> None:
        """Called when the adapter is done; if it has not let the client in, the thread waits."""
        try:
            _result_of(task)
        except Exception as error:
            self._visiting.settle_error(error)
        else:
            self._visiting.settle(None)


class _Body:
    """The body of the application's answer, which the end of the session ends, too."""

    def __init__(self, turn: _Turn, parts: Iterable[bytes]) -> None:
        self._turn = turn
        self._parts = parts
        self._iterator = iter(parts)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._turn.is_over:
            return self._turn.rest()
        try:
            part = next(self._iterator)
        except Exception:
            if self._turn.is_refused:
                return self._turn.rest()
            raise
        return self._turn.rest() if self._turn.is_over else part

    def close(self) -> None:
        """Called by the server when the answer is complete, or its client has disconnected."""
        try:
            if hasattr(self._parts, "close"):
                self._parts.close()
        finally:
            self._turn.finish()


def scope_of(environ: WSGIEnvironment) -> Scope:
    """Return the ASGI scope of a request."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # Servers have the target as it was received by one of these names; wsgiref has it by none.
    received = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    target = _ORIGIN.sub("", received, 1) if received else quote(path.encode("latin-1"), _SAFE)
    address = environ.get("REMOTE_ADDR", "")
    return {
        "type": "http",
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": path,
        "raw_path": target.partition("?")[0].encode("latin-1"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "client": (address, environ.get("REMOTE_PORT") or 0) if address else None,
        "server": (environ["SERVER_NAME"], environ["SERVER_PORT"]),
        "headers": [
            _raw((name[5:].replace("_", "-").lower(), value))
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ],
    }


def _raw(pair: tuple[str, str]) -> Header:
    return pair[0].encode("latin-1"), pair[1].encode("latin-1")


def _texts(headers: Iterable[Header]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        yield name.decode("latin-1"), value.decode("latin-1")


def _discard(data: bytes) -> None:
    """Take what an application writes after its session was ended."""


def _result_of(task: Future[None]) -> None:
    """Raise what ended a request, if that was an error.

    Raises:
        ConnectionAbortedError: also if the loop was stopped; the error of asyncio would end the
            thread of the server.
    """
    try:
        task.get(timeout=0)
    except asyncio.CancelledError:
        raise ConnectionAbortedError("the server shuts down") from None
