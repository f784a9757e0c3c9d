"""A request at one node, of a session at another: both ends of the pipe between them.

The avatar is called by its far ref, as by other actors of the cluster. The pipe carries what else
belongs to the request: notifications, one at a time as the application reads them, and the end of
the session. Messages are `["next"]` to the node of the session, and `["told", name, args]` and
`["over", code, detail]` back.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import msgspec

from actorcred.actors import Future
from actorcred.adapters._http_channel import HTTPChannel
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.portal.login import Login
from actorcred.sessions.routing import Accepted, NoRoute, Opened, Pipe, Router
from actorcred.sessions.session import Session

__all__ = ["FarClient", "FarKept", "VisitElsewhere", "Wanted", "find_far"]

logger = logging.getLogger("actorcred.adapters")

NEXT = msgspec.msgpack.encode(["next"])

ANOTHER = b"another"
"""The answer if the session is there, but the request has other credentials."""

GONE = LogoutReason(LogoutCode.CUT_OFF, "the server that has the session cannot be reached")


class Wanted(msgspec.Struct, frozen=True):
    """What a node asks for.

    Attributes:
        key: the hash of the cookie.
        proof: the hash of the Authorization header; "" without.
    """

    key: str
    proof: str

    @classmethod
    def read(cls, greeting: bytes) -> Wanted | None:
        """Return what a node asks for; None if that is not understood."""
        try:
            return msgspec.msgpack.decode(greeting, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.warning("Another node asks for a session in an unknown way: %s", error)
            return None


# -- at the node of the request ------------------------------------------------------------------


class FarClient(HTTPChannel):
    """The channel to the client of a session at another node; this node's end of the pipe."""

    __slots__ = ("_asked", "_pipe", "_untaken")

    def __init__(self) -> None:
        super().__init__()
        self._pipe: Pipe | None = None
        self._asked = False
        self._untaken = 0

    def attach(self, pipe: Pipe) -> None:
        """Set the pipe."""
        self._pipe = pipe
        self._take()

    async def next(self) -> tuple[str, tuple[Any, ...]] | None:
        """Return the next notification, or None when the session has ended."""
        if self._pipe is not None and not self._asked and not self.waiting:
            self._asked = True
            self._pipe.send([NEXT])
        return await super().next()

    def leave(self) -> None:
        """Close the pipe, since the request has ended."""
        if self._pipe is not None:
            self._pipe.close()

    def received(self, messages: list[bytes]) -> None:
        """Handle what the node of the session says."""
        self.run(self._received, messages)

    def _received(self, messages: list[bytes]) -> None:
        for message in messages:
            self._untaken += len(message)
            match msgspec.msgpack.decode(message):
                case ["told", name, args]:
                    self._asked = False
                    self.told(name, tuple(args))
                case ["over", code, detail]:
                    self._end(LogoutReason(_code(code), detail))
        self._take()

    def _take(self) -> None:
        if self._pipe is not None and self._untaken:
            size, self._untaken = self._untaken, 0
            self._pipe.taken(size)

    def drained(self) -> None:
        """Do nothing: only short questions are sent."""

    def closed(self, why: str) -> None:
        """End the request, unless the session has ended or the request itself."""
        self.run(self._end, GONE)

    def _end(self, reason: LogoutReason) -> None:
        if self.reason is None:
            self.over(reason)


class FarKept:
    """A session at another node that lasts for many requests, for one of them.

    Args:
        login: the login, whose avatar and session are far.
        client: the channel to the client.
    """

    def __init__(self, login: Login, client: FarClient) -> None:
        self.login = login
        self.client = client

    def served(self) -> None:
        """Do nothing: the client has sent the cookie."""

    def left(self) -> None:
        """Called when the request has ended; the session goes on."""
        self.client.leave()


async def find_far(
    router: Router, node: str, service: str, wanted: Wanted
) -> FarKept | NoRoute | None:
    """Return a session at another node.

    Args:
        router: the way there.
        node: the node; a client can send any.
        service: where it accepts requests.
        wanted: the session.

    Returns:
        The session, why there is none, or None if it is another user's.
    """
    client = FarClient()
    opening = router.open(node, service, msgspec.msgpack.encode(wanted), client)
    try:
        opened = await opening
    except asyncio.CancelledError:
        opening.add_done_callback(_abandon)
        raise
    if isinstance(opened, NoRoute):
        return opened
    session = opened.session
    if session is None or opened.answer == ANOTHER:
        opened.pipe.close()
        return None
    client.attach(opened.pipe)
    return FarKept(Login(session.interface, cast("Any", session.avatar), session.end), client)


def _abandon(opening: Future[Opened | NoRoute]) -> None:
    try:
        opened = opening.get()
    except Exception as error:
        logger.debug("A request was given up, and its session not found: %s", error)
    else:
        if isinstance(opened, Opened):
            opened.pipe.close()


def _code(code: str) -> LogoutCode:
    try:
        return LogoutCode(code)
    except ValueError:  # of a newer version
        return LogoutCode.KICKED


# -- at the node of the session ------------------------------------------------------------------


class VisitElsewhere:
    """A request that another node serves; this node's end of the pipe.

    Args:
        client: the channel to the client, on whose loop it is created.
        pipe: the pipe to the other node.
    """

    def __init__(self, client: HTTPChannel, pipe: Pipe) -> None:
        self._client = client
        self._pipe = pipe
        self._telling: asyncio.Task[None] | None = None

    def refused(self) -> Accepted:
        """Answer that the session is another user's."""
        return Accepted(self, ANOTHER)

    def accepted(self, session: Session) -> Accepted:
        """Answer with the session, and tell the other node when that ends."""
        self._client.watch(self._over)
        return Accepted(self, b"", session)

    def received(self, messages: list[bytes]) -> None:
        """Tell the next notification, when there is one."""
        self._client.run(self._received, messages)

    def _received(self, messages: list[bytes]) -> None:
        self._pipe.taken(sum(map(len, messages)))
        if NEXT in messages and self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_next())

    async def _tell_next(self) -> None:
        while (notification := await self._client.next()) is not None:
            try:
                data = msgspec.msgpack.encode(["told", *notification])
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                logger.warning("%r cannot be sent to another node: %s", notification[0], error)
                continue
            self._telling = None
            self._pipe.send([data])
            return

    def _over(self, reason: LogoutReason) -> None:
        self._pipe.send([msgspec.msgpack.encode(["over", str(reason.code), reason.detail])])
        self._pipe.close()

    def drained(self) -> None:
        """Do nothing: one notification is sent at a time."""

    def closed(self, why: str) -> None:
        """Forget the request."""
        self._client.run(self._forget)

    def _forget(self) -> None:
        self._client.unwatch(self._over)
        if self._telling is not None:
            self._telling.cancel()
