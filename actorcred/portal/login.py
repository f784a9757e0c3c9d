"""A successful login, and its future."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Any, Generic, NamedTuple

import pykka

from actorcred.actors import Future
from actorcred.actors.mailbox import Mailbox
from actorcred.logout import LogoutCode
from actorcred.sessions.interface_ref import Interface_co
from actorcred.sessions.session import AvatarRef, Session

__all__ = ["Login", "LoginFuture"]


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

    __slots__ = ("_when_cancelled",)

    def __init__(self, portal: Mailbox, when_cancelled: Callable[[], object]) -> None:
        Future.__init__(self)
        self._target = portal
        self._when_cancelled: Callable[[], object] | None = when_cancelled

    def _settle(self, state: int, value: Any) -> bool:
        settled = super()._settle(state, value)
        self._when_cancelled = None  # it refers to the attempt, which refers to this future
        return settled

    def cancel(self) -> bool:
        """Give the login up. Callers that wait get `CancelledError`, and no session remains.

        Returns:
            False if the login had already succeeded or failed.
        """
        tell = self._when_cancelled
        cancelled = super().cancel()
        if cancelled and tell is not None:
            tell()
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
