"""What the channels to clients on an asyncio loop have in common."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Callable, Iterable
from threading import get_ident
from typing import Any

from actorcred.audit import printable
from actorcred.errors import ClientGone
from actorcred.fronts.clients import endpoint_of
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.channel import Channel
from actorcred.mind.outbox import Notification
from actorcred.portal.login import Login

__all__ = ["LoopChannel", "drain", "goodbye", "local_of"]


def goodbye(reason: LogoutReason) -> str:
    """Return the line that a client is sent at the end of its session."""
    return printable(f"logged out: {reason}")


def local_of(name: Any) -> str:
    """Return the address and port of a server, as `get_extra_info("sockname")` returns it."""
    return endpoint_of(str(name[0]), int(name[1])) if isinstance(name, tuple) else ""


async def drain(logins: Iterable[Login | None], timeout: float) -> int:
    """End sessions because the server shuts down; return their number.

    Waits at most `timeout` seconds for `on_logout`.
    """
    ended = [login.session.end(LogoutCode.DRAINED) for login in logins if login is not None]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            for future in ended:
                await future
    return len(ended)


class LoopChannel(Channel):
    """A channel to a client on the loop that creates it. Its mind may be on any thread."""

    __slots__ = ("_loop", "_thread")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = get_ident()

    @abstractmethod
    def told(self, name: str, args: tuple[Any, ...]) -> None:
        """Called for a notification. Runs on the loop."""

    @abstractmethod
    def over(self, reason: LogoutReason) -> None:
        """Called when the session has ended. Runs on the loop."""

    def notify(self, notification: Notification) -> None:
        """Send a notification."""
        self._here(self.told, notification.name, notification.args)

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        """Raise `ClientGone`: these protocols have no calls to clients."""
        raise ClientGone("clients of this protocol cannot be called")

    def close(self, reason: LogoutReason) -> None:
        """Tell the client that its session has ended."""
        self._here(self.over, reason)

    def _here(self, function: Callable[..., object], *args: Any) -> None:
        if get_ident() == self._thread:
            function(*args)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and the client with it
            self._loop.call_soon_threadsafe(function, *args)
