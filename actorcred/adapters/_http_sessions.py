"""Sessions that last for many requests by a cookie, here and at other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from actorcred.actors import Future
from actorcred.adapters._client import drain
from actorcred.adapters._cookies import SessionCookie
from actorcred.adapters._http import HTTPRequest, hashed
from actorcred.adapters._http_channel import HTTPChannel
from actorcred.adapters._http_far import FarKept, VisitElsewhere, Wanted, find_far
from actorcred.errors import CheckerUnavailable
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.portal.login import Login
from actorcred.portal.ref import PortalRef
from actorcred.sessions.routing import Accepted, NoRoute, Pipe, new_token, node_of

__all__ = ["CookieSessions", "Kept"]

COOKIE_GRACE = 60.0
"""Seconds in which a client that logged in by a header must send its cookie for the first time.

A client that never does, such as a script, logs in again with each request, and would leave a
session each time.
"""

TRIED_ELSEWHERE = 4
"""Cookies of one request for which other nodes are asked."""


class Kept:
    """A session that lasts for many requests.

    Args:
        login: the login that the portal granted.
        client: the channel to the client.
        authorization: the Authorization header of the login; "" for a form.
    """

    def __init__(self, login: Login, client: HTTPChannel, authorization: str) -> None:
        self.login = login
        self.client = client
        self.proof = hashed(authorization)
        self._waits_for_cookie = bool(authorization)
        self._grace: asyncio.TimerHandle | None = None

    def served(self) -> None:
        """Called after a request was answered, the first time with the cookie."""
        if self._waits_for_cookie and self._grace is None:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(COOKIE_GRACE, self.login.session.end, LogoutCode.IDLE)

    def returned(self) -> None:
        """Called when the client has sent its cookie."""
        self.login.session.touch()
        self.stop_waiting()

    def stop_waiting(self) -> None:
        """Stop waiting for the client's first request with the cookie."""
        self._waits_for_cookie = False
        if self._grace is not None:
            self._grace.cancel()

    def left(self) -> None:
        """Called when a request has ended; the session goes on."""


class CookieSessions:
    """The sessions that clients continue by a cookie.

    Args:
        portal: the portal.
        cookie: the cookie.
        interfaces: what the clients request of their avatars. A session at another node is only
            found by the same cookie and the same interfaces.

    Attributes:
        kept: the sessions of this node, by the hash of the cookie.
    """

    def __init__(
        self, portal: PortalRef, cookie: SessionCookie, interfaces: tuple[type, ...]
    ) -> None:
        self.cookie = cookie
        self.kept: dict[str, Kept] = {}
        self._router = portal.router
        names = [f"{interface.__module__}:{interface.__qualname__}" for interface in interfaces]
        self._service = f"http {cookie.name(encrypted=True)} {' '.join(names)}"
        self._stop = self._router.serve(self._service, self._accept)

    def keep(self, kept: Kept) -> str:
        """Let later requests continue a session by a cookie; return the cookie's value."""
        token = new_token(self._router.node)
        key = hashed(token)
        self.kept[key] = kept

        def forget(_: LogoutReason) -> None:
            del self.kept[key]
            kept.stop_waiting()

        kept.client.watch(forget)
        return token

    async def close(self, timeout: float) -> int:
        """End the sessions of this node; return their number.

        Args:
            timeout: seconds to wait for the avatars' `on_logout`.
        """
        self._stop()
        return await drain([kept.login for kept in self.kept.values()], timeout)

    # -- requests --------------------------------------------------------------------------------

    async def find(self, request: HTTPRequest) -> Kept | FarKept | None:
        """Return the session that a request continues, here or at another node; None if none.

        A request with another Authorization header than that of the login continues none.

        Raises:
            CheckerUnavailable: if the node of a session cannot be reached now.
        """
        proof = hashed(request.authorization) if request.authorization else ""
        asked, away = 0, False
        for token in self._tokens(request):
            if self._is_here(token):
                kept = self._open(hashed(token))
                if kept is not None and proof in ("", kept.proof):
                    kept.returned()
                    return kept
            elif asked < TRIED_ELSEWHERE:
                asked += 1
                wanted = Wanted(hashed(token), proof)
                found = await find_far(self._router, node_of(token), self._service, wanted)
                if isinstance(found, FarKept):
                    return found
                away = away or found is NoRoute.AWAY
                if found in (NoRoute.GONE, NoRoute.OVER, NoRoute.UNKNOWN):
                    request.dead_cookies.add(token)
        if away:
            raise CheckerUnavailable("the server that has the session cannot be reached now")
        return None

    def has_only_dead(self, request: HTTPRequest) -> bool:
        """Return whether a client's cookie leads to no open session and must be deleted."""
        tokens = list(self._tokens(request))
        return bool(tokens) and all(self._is_dead(token, request) for token in tokens)

    def _is_dead(self, token: str, request: HTTPRequest) -> bool:
        if self._is_here(token):
            return self._open(hashed(token)) is None
        return token in request.dead_cookies

    def _tokens(self, request: HTTPRequest) -> Iterator[str]:
        """Yield the values of a request's cookies, in the client's order: longest path first."""
        yield from self.cookie.values(request.headers(b"cookie"), request.encrypted)

    def _is_here(self, token: str) -> bool:
        return node_of(token) in ("", self._router.node)

    def _open(self, key: str) -> Kept | None:
        kept = self.kept.get(key)
        return kept if kept is not None and kept.login.session.is_open else None

    # -- requests at other nodes -----------------------------------------------------------------

    def _accept(self, greeting: bytes, pipe: Pipe) -> Future[Accepted | None]:
        """Let another node serve a request of a session; see `Router.serve`."""
        answer: Future[Accepted | None] = Future()
        wanted = Wanted.read(greeting)
        kept = None if wanted is None else self._open(wanted.key)
        if kept is None or wanted is None:
            answer.settle(None)
        else:
            kept.client.run(lambda: answer.settle(self._visited(kept, wanted, pipe)))
        return answer

    @staticmethod
    def _visited(kept: Kept, wanted: Wanted, pipe: Pipe) -> Accepted | None:
        session = kept.login.session
        if not session.is_open:
            return None
        visit = VisitElsewhere(kept.client, pipe)
        if wanted.proof not in ("", kept.proof):
            return visit.refused()
        kept.returned()
        return visit.accepted(session)
