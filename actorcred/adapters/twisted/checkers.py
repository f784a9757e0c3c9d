"""Twisted's checkers in our portals, and ours in Twisted's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from twisted.cred.checkers import ANONYMOUS as THEIR_ANONYMOUS
from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.interface import InterfaceClass

from actorcred.actors import Dispatcher, Future
from actorcred.adapters.twisted.connection import ProtocolConnection
from actorcred.adapters.twisted.credentials import (
    from_twisted,
    kinds_from_twisted,
    kinds_to_twisted,
    to_twisted,
)
from actorcred.adapters.twisted.dispatcher import deferred_of, reactor_dispatcher
from actorcred.adapters.twisted.errors import our_error, raise_theirs
from actorcred.checker import Checker, CheckerRef
from actorcred.checkers.wrappers.wrapper import ask_checker
from actorcred.errors import CheckerUnavailable, LoginFailed
from actorcred.identity import NO_CLIENT
from actorcred.names import ANONYMOUS, AvatarId, make_avatar_id
from actorcred.portal.ref import PortalRef

__all__ = ["CredChecker", "PortalChecker", "TextAvatarId", "TwistedChecker", "avatar_id_to_twisted"]


class TextAvatarId(str):
    """An avatar id from a Twisted checker that returns str, not bytes; its realm gets str again."""

    __slots__ = ()


def avatar_id_from_twisted(answer: Any) -> AvatarId:
    """Return Twisted's avatar id as ours.

    Raises:
        CheckerUnavailable: if it is not valid: neither str nor bytes, or with control characters.
    """
    if answer is THEIR_ANONYMOUS:  # the empty tuple is one object
        return ANONYMOUS
    try:
        made = make_avatar_id(answer)
    except (TypeError, ValueError) as error:
        raise CheckerUnavailable(f"the checker returned no avatar id: {error}") from None
    return TextAvatarId(made) if isinstance(answer, str) else made


def avatar_id_to_twisted(avatar_id: AvatarId) -> Any:
    """Return our avatar id as Twisted's: UTF-8 bytes, or the empty tuple."""
    if avatar_id is ANONYMOUS:
        return THEIR_ANONYMOUS
    return str(avatar_id) if isinstance(avatar_id, TextAvatarId) else avatar_id.encode()


class TwistedChecker(Checker):
    """A Twisted checker, for our portals. Runs on the reactor.

    Twisted Cred's refusals become ours. Any other exception or failure is logged and becomes
    `CheckerUnavailable`.

    Args:
        checker: a provider of `ICredentialsChecker`.
        interfaces: the kinds of credentials to ask it about; by default its own.
    """

    def __init__(self, checker: Any, *interfaces: InterfaceClass) -> None:
        super().__init__()
        self._checker = checker
        self.credential_interfaces = kinds_from_twisted(interfaces or checker.credentialInterfaces)

    @classmethod
    def start(  # type: ignore[override]
        cls, checker: Any, *interfaces: InterfaceClass, dispatcher: Dispatcher | None = None
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast(
            "CheckerRef",
            super().start(checker, *interfaces, dispatcher=dispatcher or reactor_dispatcher()),
        )

    def request_avatar_id(self, credentials: Any) -> Any:
        """Ask the Twisted checker."""
        try:
            answer = self._checker.requestAvatarId(to_twisted(credentials))
        except Exception as error:
            raise our_error(error, self._checker) from None
        if not isinstance(answer, Deferred):
            return avatar_id_from_twisted(answer)
        decision: Future[AvatarId] = Future()
        answer.addCallback(avatar_id_from_twisted)
        answer.addCallbacks(decision.settle, self._failed, errbackArgs=(decision,))
        if not decision.done():
            decision.add_done_callback(lambda done: answer.cancel() if done.cancelled() else None)
        return decision

    def _failed(self, failure: Any, decision: Future[AvatarId]) -> None:
        if not decision.cancelled():  # otherwise this failure comes from cancelling the Deferred
            decision.settle_error(our_error(failure.value, self._checker))


@implementer(ICredentialsChecker)
class CredChecker:
    """One of our checkers, for Twisted's portals.

    Args:
        checker: a ref to the started checker.

    Attributes:
        credentialInterfaces: the kinds of credentials that it accepts.
    """

    def __init__(self, checker: CheckerRef) -> None:
        self.checker = checker
        self.credentialInterfaces = kinds_to_twisted(checker.credential_interfaces)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:  # noqa: N802  # Twisted's name
        """Return a Deferred of the avatar id in Twisted's form, which fails with Cred's errors."""
        return _answer(lambda presented: ask_checker(self.checker, presented), credentials)


@implementer(ICredentialsChecker)
class PortalChecker:
    """All checkers of one of our portals, as one Twisted checker.

    Args:
        portal: the portal.
        interfaces: the kinds of credentials that it accepts.

    Attributes:
        credentialInterfaces: the same.
    """

    def __init__(self, portal: PortalRef, interfaces: Sequence[InterfaceClass]) -> None:
        self._portal = portal
        self.credentialInterfaces = interfaces

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:  # noqa: N802  # Twisted's name
        """Return a Deferred of the avatar id; see `CredChecker`."""
        connection = ProtocolConnection.speaking_to(self._portal)
        client = NO_CLIENT if connection is None else connection.client
        verify = partial(self._portal.verify, client=client)
        return _answer(verify, credentials, client.address)


def _answer(
    ask: Callable[[object], Future[AvatarId]], credentials: Any, source: str = ""
) -> Deferred[Any]:
    decision: Future[Any] = Future()
    try:
        asked = ask(from_twisted(credentials, source))
    except LoginFailed as error:
        decision.settle_error(error)
    else:
        decision.follow(asked, avatar_id_to_twisted)
        decision.add_done_callback(lambda done: asked.cancel() if done.cancelled() else None)
    return deferred_of(decision).addErrback(raise_theirs)
