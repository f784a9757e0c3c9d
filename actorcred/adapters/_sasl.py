"""Driving a SASL login by coroutines, and the portal's side of it on an asyncio loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from actorcred.errors import LoginFailed, ProtocolError, UnauthorizedLogin
from actorcred.exchange import Exchange
from actorcred.portal.ref import PortalRef
from actorcred.sasl.mechanism import Challenge, Credentials
from actorcred.sasl.stepper import Accepted, Action, Failed, Stepper

__all__ = ["AskClient", "Hearing", "drive", "negotiate"]

AskClient = Callable[[bytes], Awaitable[bytes]]
"""Sends a client a challenge and returns its answer. Raises `ProtocolError` if it aborts."""

LogIn = Callable[[Credentials], Coroutine[Any, Any, object]]


class Hearing(Protocol):
    """The portal's side of a login: runs it, and feeds the stepper what comes of it."""

    def begin(self, step: Credentials) -> None:
        """Log in."""

    async def next(self, stepper: Stepper) -> Action:
        """Wait for a challenge of a checker or for the portal's decision; return the next step."""


async def drive(
    stepper: Stepper, initial: bytes | None, ask: AskClient, hearing: Hearing, portal: PortalRef
) -> None:
    """Go through a login. Returns when it has succeeded. Independent of the kind of event loop.

    Args:
        stepper: the login, new.
        initial: the client's initial response; None without one.
        ask: see `AskClient`.
        hearing: the portal's side.
        portal: notified of names that no user can have.

    Raises:
        ProtocolError: if the client breaks the rules of the mechanism, or aborts.
        Exception: the portal's error, if the login did not succeed.
    """
    step: Action = stepper.receive(initial)
    while not isinstance(step, Accepted):
        if isinstance(step, Challenge):
            step = await _answer(stepper, step, ask)
        elif isinstance(step, Failed):
            if step.unseen and isinstance(step.error, UnauthorizedLogin):
                mechanism = stepper.mechanism
                portal.tell_refused(step.error, mechanism.name, client=mechanism.client)
            raise step.error
        else:
            if isinstance(step, Credentials):
                hearing.begin(step)
            step = await hearing.next(stepper)


async def _answer(stepper: Stepper, challenge: Challenge, ask: AskClient) -> Action:
    try:
        data = await ask(challenge.challenge)
    except ProtocolError as error:
        return stepper.failed(error)
    return stepper.receive(data)


async def negotiate(
    stepper: Stepper, initial: bytes | None, ask: AskClient, log_in: LogIn, portal: PortalRef
) -> None:
    """Go through a login on the running asyncio loop.

    Args:
        stepper: the login, new.
        initial: the client's initial response; None without one.
        ask: see `AskClient`.
        log_in: presents the credentials to the portal, and stores the `Login`. The caller ends
            the session if this function raises after that.
        portal: notified of names that no user can have.

    Raises:
        LoginFailed: if it did not succeed.
        ProtocolError: if the client breaks the rules of the mechanism, or aborts.
    """
    hearing = _LoopHearing(log_in)
    try:
        await drive(stepper, initial, ask, hearing, portal)
    finally:
        hearing.close()


class _LoopHearing:
    """The portal's side of a login on the running loop."""

    def __init__(self, log_in: LogIn) -> None:
        self._log_in = log_in
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.Queue[bytes | asyncio.Task[object]] = asyncio.Queue()
        self._decision: asyncio.Task[object] | None = None

    def begin(self, step: Credentials) -> None:
        if isinstance(step.credentials, Exchange):
            step.credentials.on_challenge = self._challenged
        self._decision = self._loop.create_task(self._log_in(step))
        self._decision.add_done_callback(self._news.put_nowait)

    def _challenged(self, challenge: bytes) -> None:
        self._loop.call_soon_threadsafe(self._news.put_nowait, challenge)

    async def next(self, stepper: Stepper) -> Action:
        news = await self._news.get()
        if isinstance(news, bytes):
            return stepper.challenged(news)
        try:
            news.result()
        except UnauthorizedLogin as error:
            return stepper.refused(error)
        except LoginFailed as error:
            return stepper.failed(error)
        return stepper.succeeded()

    def close(self) -> None:
        """Give the login up if it is not decided."""
        if self._decision is not None:
            self._decision.cancel()
