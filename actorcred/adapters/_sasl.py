"""A SASL exchange of a protocol on an asyncio loop, from the client's first word to the portal's decision."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from actorcred.errors import ProtocolError, UnauthorizedLogin
from actorcred.exchange import Exchange, ExchangeState
from actorcred.portal.login import Login, LoginFuture
from actorcred.portal.ref import PortalRef
from actorcred.sasl.mechanism import Challenge, Credentials, ServerMechanism

__all__ = ["negotiate"]

AskClient = Callable[[bytes], Awaitable[bytes]]
LogIn = Callable[[Credentials], LoginFuture]


async def negotiate(
    mechanism: ServerMechanism,
    first: bytes | None,
    ask: AskClient,
    log_in: LogIn,
    portal: PortalRef,
) -> tuple[Login, bytes | None]:
    """Go through an exchange.

    Args:
        mechanism: the one that the client chose.
        first: what it sent with its choice; None for nothing.
        ask: sends the client a challenge and returns its answer.
        log_in: presents credentials to the portal.
        portal: which is told of names that cannot be anybody's.

    Returns:
        The login, and what the client is to be sent with the server's consent, if there is something.

    Raises:
        LoginFailed: if it did not succeed.
        ProtocolError: if the client does not keep to the mechanism.
    """
    data = first
    while isinstance(step := _step(mechanism, data, portal), Challenge):
        data = await ask(step.challenge)
    if not isinstance(step.credentials, Exchange):
        return await _plainly(mechanism, step, ask, log_in), None
    return await _converse(step, step.credentials, ask, log_in), step.credentials.outcome


async def _plainly(
    mechanism: ServerMechanism, step: Credentials, ask: AskClient, log_in: LogIn
) -> Login:
    """Log in with credentials that are complete; a client whose mechanism has words for a refusal hears them first."""
    try:
        return await log_in(step)
    except UnauthorizedLogin:
        refusal = mechanism.refusal()
        if refusal is not None:
            with contextlib.suppress(
                ProtocolError
            ):  # it may break off, and is refused all the same
                await ask(refusal)
        raise


def _step(
    mechanism: ServerMechanism, data: bytes | None, portal: PortalRef
) -> Challenge | Credentials:
    try:
        return mechanism.step(data)
    except UnauthorizedLogin as error:
        portal.tell_refused(error, mechanism.name, address=mechanism.situation.source)
        raise


async def _converse(step: Credentials, exchange: Exchange, ask: AskClient, log_in: LogIn) -> Login:
    """Carry questions and answers between a checker and the client until the portal has decided."""
    loop = asyncio.get_running_loop()
    challenges: asyncio.Queue[bytes] = asyncio.Queue()
    exchange.on_challenge = lambda challenge: loop.call_soon_threadsafe(
        challenges.put_nowait, challenge
    )
    decision = loop.create_task(_decided(log_in(step)))
    challenged = loop.create_task(challenges.get())
    try:
        await asyncio.wait((decision, challenged), return_when=asyncio.FIRST_COMPLETED)
        if challenged.done() and not decision.done():
            exchange.respond(await ask(challenged.result()))
        return await decision
    except UnauthorizedLogin:
        if exchange.state is ExchangeState.NEW:
            # No checker knows the user. The client is asked all the same, or it would learn just that.
            exchange.pretend(lambda right: None)
            exchange.respond(await ask(await challenged))
        raise
    finally:
        decision.cancel()
        challenged.cancel()


async def _decided(login: LoginFuture) -> Login:
    return await login
