"""SASL for Twisted's protocols: what `actorcred.sasl` has, on a `CredPortal`, with Deferreds."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.cred import error as theirs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure
from zope.interface.interface import InterfaceClass

from actorcred.adapters.twisted.dispatcher import deferred_of, on_reactor
from actorcred.adapters.twisted.errors import their_error
from actorcred.adapters.twisted.portal import CredPortal
from actorcred.errors import ProtocolError, UnauthorizedLogin
from actorcred.exchange import Exchange, ExchangeState
from actorcred.network import is_private_connection
from actorcred.sasl.mechanism import Challenge, Credentials, ServerMechanism, Situation
from actorcred.sasl.mechanisms import SERVER_MECHANISMS, offered

__all__ = ["AskClient", "Granted", "authenticate", "mechanisms", "situation_of"]

AskClient = Callable[[bytes], Awaitable[bytes]]
"""Sends a client a challenge and returns its answer. Raises `ProtocolError` if that is none."""

Granted = tuple[InterfaceClass, Any, Callable[[], None]]
"""What `CredPortal.login` answers."""


def situation_of(transport: Any, host: str = "localhost") -> Situation:
    """Return what mechanisms must know of a connection.

    Args:
        transport: Twisted's.
        host: the server's name.
    """
    peer = str(getattr(transport.getPeer(), "host", None) or "")
    private = is_private_connection(peer, encrypted=ISSLTransport.providedBy(transport))
    return Situation(private=private, host=host, source=peer)


async def mechanisms(
    portal: CredPortal, situation: Situation, *, passwords_in_clear: bool = False
) -> dict[str, type[ServerMechanism]]:
    """Return the mechanisms that a client can log in by, the strongest first.

    Args:
        portal: where it logs in.
        situation: of its connection.
        passwords_in_clear: whether passwords may be sent where others on the network can read them.
    """
    kinds = await deferred_of(portal.portal.list_credentials_interfaces(for_everybody=True))
    return {
        name: SERVER_MECHANISMS[name]
        for name in offered(kinds, situation, passwords_in_clear=passwords_in_clear)
    }


async def authenticate(
    portal: CredPortal,
    mechanism: ServerMechanism,
    first: bytes | None,
    ask: AskClient,
    interface: InterfaceClass,
) -> Granted:
    """Log a client in by SASL.

    Args:
        portal: where.
        mechanism: the one that the client chose.
        first: what it sent with its choice; None for nothing.
        ask: sends it a challenge.
        interface: what it wants to use its avatar as.

    Returns:
        What `CredPortal.login` does.

    Raises:
        LoginFailed: Twisted Cred's, if it did not succeed.
        ProtocolError: if the client does not keep to the mechanism.
    """
    data = first
    while isinstance(step := _step(portal, mechanism, data), Challenge):
        data = await ask(step.challenge)
    if not isinstance(step.credentials, Exchange):
        return await _plainly(portal, mechanism, step, ask, interface)
    granted = await _Conversation(step.credentials).hold(_log_in(portal, step, interface), ask)
    if step.credentials.outcome is not None:
        try:
            await ask(step.credentials.outcome)
        except BaseException:
            granted[2]()
            raise
    return granted


def _step(
    portal: CredPortal, mechanism: ServerMechanism, data: bytes | None
) -> Challenge | Credentials:
    try:
        return mechanism.step(data)
    except UnauthorizedLogin as error:
        portal.portal.tell_refused(error, mechanism.name, address=mechanism.situation.source)
        raise their_error(error) from None


def _log_in(portal: CredPortal, step: Credentials, interface: InterfaceClass) -> Deferred[Granted]:
    return portal.login(step.credentials, None, interface, authorize_as=step.authorize_as or None)


def _is_refusal(error: object) -> bool:
    return isinstance(error, theirs.UnauthorizedLogin) and not isinstance(error, theirs.LoginDenied)


async def _plainly(
    portal: CredPortal,
    mechanism: ServerMechanism,
    step: Credentials,
    ask: AskClient,
    interface: InterfaceClass,
) -> Granted:
    """Log in with credentials that are complete; a client whose mechanism has words for a refusal hears them first."""
    try:
        return await _log_in(portal, step, interface)
    except theirs.UnauthorizedLogin as error:
        refusal = mechanism.refusal()
        if refusal is not None and _is_refusal(error):
            with contextlib.suppress(
                ProtocolError
            ):  # it may break off, and is refused all the same
                await ask(refusal)
        raise


class _Conversation:
    """Carries questions and answers between a checker and a client until the portal has decided."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._challenges: list[bytes] = []
        self._results: list[Any] = []
        self._news: Deferred[None] | None = None
        exchange.on_challenge = lambda challenge: on_reactor(
            self._happened, self._challenges, challenge
        )

    def _happened(self, where: list[Any], what: Any) -> None:
        where.append(what)
        news, self._news = self._news, None
        if news is not None:
            news.callback(None)

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._news = Deferred()
            await self._news

    async def hold(self, decision: Deferred[Granted], ask: AskClient) -> Granted:
        """Return what the portal grants, or raise what it answers."""
        decision.addBoth(lambda result: self._happened(self._results, result))
        try:
            await self._until(lambda: self._challenges or self._results)
            if not self._results:
                self._exchange.respond(await ask(self._challenges[0]))
            await self._until(lambda: self._results)
        finally:
            self._give_up(decision)
        result = self._results[0]
        if not isinstance(result, Failure):
            granted: Granted = result
            return granted
        error: Any = result.value
        if _is_refusal(error) and self._exchange.state is ExchangeState.NEW:
            await self._pretend(ask)
        raise error

    def _give_up(self, decision: Deferred[Granted]) -> None:
        if not self._results:
            decision.cancel()

    async def _pretend(self, ask: AskClient) -> None:
        """Ask a client whose user no checker knows all the same, or it would learn just that."""
        self._exchange.pretend(lambda right: None)
        await self._until(lambda: self._challenges)
        self._exchange.respond(await ask(self._challenges[0]))
