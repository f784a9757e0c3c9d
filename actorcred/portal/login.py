"""A successful login, and the future of one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import pykka

from actorcred.actors import Future
from actorcred.actors.mailbox import Mailbox
from actorcred.logout import LogoutCode
from actorcred.sessions.session import AvatarRef, Session

__all__ = ["Login", "LoginFuture"]


class _LoginFields(NamedTuple):
    interface: type
    avatar: AvatarRef[Any]
    logout: Callable[..., Future[None]]


class Login(_LoginFields):
    """A successful login: `interface, avatar, logout = login`.

    Attributes:
        interface: the one of the wanted interfaces that the realm granted.
        avatar: a ref to the avatar, for this client; it works until logout.
        logout: ends the session; it may be called from anywhere and more than once. See `Session.end`.
    """

    __slots__ = ()

    @property
    def session(self) -> Session:
        """The session."""
        return self.avatar.session


class LoginFuture(Future[Login]):
    """The future of a login. Whoever stops waiting for it gives the login up, and nothing of it is left.

    That happens when `get(timeout=...)` raises `pykka.Timeout`, when a task that awaits it is cancelled, and at `cancel`.
    """

    __slots__ = ("_when_cancelled",)

    def __init__(self, portal: Mailbox, when_cancelled: Callable[[], object]) -> None:
        Future.__init__(self)
        self._target = portal
        self._when_cancelled: Callable[[], object] | None = when_cancelled

    def _settle(self, state: int, value: Any) -> bool:
        settled = super()._settle(state, value)
        self._when_cancelled = None  # it holds the login under way, which holds this future
        return settled

    def cancel(self) -> bool:
        """Give the login up: whoever waits gets `CancelledError`, and nothing of the login is left.

        Returns:
            False if it had succeeded or failed before.
        """
        tell = self._when_cancelled
        cancelled = super().cancel()
        if cancelled and tell is not None:
            tell()
        return cancelled

    def get(self, *, timeout: float | None = None) -> Login:
        """Wait for the login.

        Args:
            timeout: seconds to wait; None waits as long as the portal's `login_timeout` lasts.

        Raises:
            LoginFailed: if it did not succeed.
            pykka.Timeout: if it took too long; it is given up then.
        """
        try:
            return super().get(timeout=timeout)
        except pykka.Timeout:
            if self.cancel():
                raise
            return super().get()  # it came at the last moment

    def __await__(self) -> Generator[Any, None, Login]:
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
