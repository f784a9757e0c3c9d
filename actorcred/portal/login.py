"""A successful login, and its future."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Any, Generic, NamedTuple, Protocol

import pykka

from actorcred.actors import Future
from actorcred.actors.mailbox import Mailbox
from actorcred.logout import LogoutCode
from actorcred.sessions.interface_ref import Interface_co
from actorcred.sessions.session import AvatarRef, Session

__all__ = ["AttemptOwner", "Login", "LoginFuture"]


class AttemptOwner(Protocol):
    """What a login needs of the ref to its portal."""

    @property
    def actor_inbox(self) -> Mailbox:
        """The portal's mailbox."""

    def give_up(self, attempt: Any) -> None:
        """Called when the client no longer waits for a login."""


class _LoginFields(NamedTuple, Generic[Interface_co]):
    interface: type[Interface_co]
    avatar: AvatarRef[Interface_co]
    logout: Callable[..., Future[None]]


class Login(_LoginFields[Interface_co]):
    """A successful login: `interface, avatar, logout = login`.

    `Login[Player]` is one whose avatar is used as a `Player`.

    Attributes:
        interface: the requested interface that the realm granted.
        avatar: a ref to the avatar, for this client; it works until logout.
        logout: ends the session. It may be called on any thread and more than once; see
            `Session.end`.
    """

    __slots__ = ()

    @property
    def session(self) -> Session[Interface_co]:
        """The session."""
        return self.avatar.session


class LoginFuture(Future[Login[Interface_co]]):
    """The future of a login. When the caller stops waiting for it, the login is given up.

    That happens when `get(timeout=...)` raises `pykka.Timeout`, when a task that awaits it is
    cancelled, and on `cancel`. No session remains then.
    """

    __slots__ = ("_attempt", "_portal")

    def __init__(self, portal: AttemptOwner, attempt: Any) -> None:
        Future.__init__(self)
        self._target = portal.actor_inbox
        self._portal = portal
        self._attempt = attempt

    def _settle(self, state: int, value: Any) -> bool:
        settled = Future._settle(self, state, value)
        self._attempt = None  # it refers to this future
        return settled

    def cancel(self) -> bool:
        """Give the login up. Callers that wait get `CancelledError`, and no session remains.

        Returns:
            False if the login had already succeeded or failed.
        """
        attempt = self._attempt
        cancelled = super().cancel()
        if cancelled and attempt is not None:
            self._portal.give_up(attempt)
        return cancelled

    def get(self, *, timeout: float | None = None) -> Login[Interface_co]:
        """Wait for the login.

        Args:
            timeout: seconds to wait; with None, the portal's `login_timeout` is the only limit.

        Raises:
            LoginFailed: if it did not succeed.
            pykka.Timeout: if it took too long. The login is then given up.
        """
        try:
            return super().get(timeout=timeout)
        except pykka.Timeout:
            if self.cancel():
                raise
            return super().get()  # it was settled at the last moment

    def __await__(self) -> Generator[Any, None, Login[Interface_co]]:
        """Wait for the login in a coroutine; cancelling the wait gives the login up."""
        if self._state:
            return Future.get(self)
        try:
            return (yield from super().__await__())
        except (asyncio.CancelledError, GeneratorExit):
            self.give_up()
            raise

    def give_up(self) -> None:
        """Cancel the login, or log out if it has just succeeded."""
        if not self.cancel():
            with contextlib.suppress(Exception):  # a login that failed needs no logout
                super().get().session.end(LogoutCode.LOST)
