"""SASL for Twisted's protocols: the mechanisms of `actorcred.sasl` on a `CredPortal`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from twisted.cred import error as theirs
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.python.failure import Failure
from zope.interface.interface import InterfaceClass

from actorcred.adapters import _sasl
from actorcred.adapters._sasl import AskClient
from actorcred.adapters.twisted.dispatcher import deferred_of, on_reactor
from actorcred.adapters.twisted.errors import their_error
from actorcred.adapters.twisted.fronts import client_of
from actorcred.adapters.twisted.portal import CredPortal
from actorcred.errors import UnauthorizedLogin
from actorcred.exchange import Exchange
from actorcred.identity import ClientInfo
from actorcred.sasl.mechanism import Credentials, ServerMechanism
from actorcred.sasl.mechanisms import SERVER_MECHANISMS, check_legacy, offered
from actorcred.sasl.stepper import Action, Stepper

__all__ = ["AskClient", "Granted", "authenticate", "client_of", "mechanisms"]

Granted = tuple[InterfaceClass, Any, Callable[[], None]]
"""The result of `CredPortal.login`."""


async def mechanisms(
    portal: CredPortal,
    client: ClientInfo,
    *,
    passwords_in_clear: bool = False,
    legacy_mechanisms: Collection[str] | None = None,
) -> dict[str, type[ServerMechanism]]:
    """Return the mechanisms that a client can log in by, in order of preference.

    Args:
        portal: the portal.
        client: where the client comes from; see `client_of`.
        passwords_in_clear: whether passwords may be sent where others on the network can read them.
        legacy_mechanisms: those of CRAM-MD5 and SCRAM-SHA-1 that are offered. By default they are
            if the checkers support no better SCRAM.

    Raises:
        ValueError: if `legacy_mechanisms` names anything else.
    """
    check_legacy(legacy_mechanisms)
    kinds = await deferred_of(portal.portal.list_credentials_interfaces(for_everybody=True))
    names = offered(kinds, client, passwords_in_clear=passwords_in_clear, legacy=legacy_mechanisms)
    return {name: SERVER_MECHANISMS[name] for name in names}


async def authenticate(
    portal: CredPortal,
    mechanism: ServerMechanism,
    first: bytes | None,
    ask: AskClient,
    interface: InterfaceClass,
) -> Granted:
    """Log a client in by SASL.

    Args:
        portal: the portal.
        mechanism: the mechanism that the client chose.
        first: the client's initial response; None without one.
        ask: sends the client a challenge and returns its answer; raises `ProtocolError` if the
            client aborts.
        interface: the interface that the client requests of its avatar.

    Returns:
        The result of `CredPortal.login`.

    Raises:
        LoginFailed: Twisted Cred's, if it did not succeed.
        ProtocolError: if the client breaks the rules of the mechanism, or aborts.
    """
    hearing = _Hearing(portal, interface)
    try:
        await _sasl.drive(Stepper(mechanism), first, ask, hearing, portal.portal)
    except BaseException as error:
        hearing.give_up()
        if isinstance(error, UnauthorizedLogin):
            raise their_error(error) from None
        raise
    granted: Granted = hearing.result
    return granted


class _Hearing:
    """The portal's side of a login on the reactor.

    Attributes:
        result: what the portal has granted, or its failure.
    """

    def __init__(self, portal: CredPortal, interface: InterfaceClass) -> None:
        self._portal = portal
        self._interface = interface
        self._news: DeferredQueue[bytes | None] = DeferredQueue()
        self._decision: Deferred[Any] | None = None
        self.result: Any = None

    def begin(self, step: Credentials) -> None:
        credentials = step.credentials
        if isinstance(credentials, Exchange):
            credentials.on_challenge = lambda challenge: on_reactor(self._news.put, challenge)
        self._decision = self._portal.login(
            credentials,
            None,
            self._interface,
            authorize_as=step.authorize_as or None,
            mechanism=step.mechanism,
        )
        self._decision.addBoth(self._decided)

    def _decided(self, result: Any) -> None:
        self.result = result
        self._news.put(None)

    async def next(self, stepper: Stepper) -> Action:
        news = await self._news.get()
        if news is not None:
            return stepper.challenged(news)
        if not isinstance(self.result, Failure):
            return stepper.succeeded()
        error: Any = self.result.value
        unauthorized = isinstance(error, theirs.UnauthorizedLogin)
        if unauthorized and not isinstance(error, theirs.LoginDenied):
            return stepper.refused(error)
        return stepper.failed(error)

    def give_up(self) -> None:
        """Cancel the login if it is not decided; log out if it has succeeded."""
        if self._decision is None:
            return
        if self.result is None:
            self._decision.cancel()
        elif not isinstance(self.result, Failure):
            self.result[2]()
