"""Base classes of checkers that wrap other checkers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pykka

from actorcred.actors import (
    ActorRef,
    ControlMessage,
    Dispatcher,
    Future,
    RestartIntensity,
    Restarts,
)
from actorcred.checker import Check, Checker, CheckerRef, Revocation
from actorcred.errors import CheckerUnavailable
from actorcred.identity import Identity, InvalidIdentity, identity_of
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.naming import IdSpace
from actorcred.offers import digests_of_all, offered_by_all

__all__ = ["Wrapper", "ask_checker"]


logger = logging.getLogger("actorcred.checkers")


class _WrappedAnswer(Future[Any]):
    """The future answer of a wrapped checker."""

    __slots__ = ("_checker",)

    def __init__(self, checker: CheckerRef) -> None:
        super().__init__()
        self._checker = checker

    def settle_error(self, error: BaseException, traceback: Any = None) -> bool:
        """Fail with an error, or with `CheckerUnavailable` if the checker is down."""
        if isinstance(error, pykka.ActorDeadError):
            error, traceback = (
                CheckerUnavailable(f"{self._checker.actor_class.__name__} is down"),
                None,
            )
        return super().settle_error(error, traceback)

    def started(self, work: Future[Any]) -> None:
        """Cancel the work when the answer is cancelled."""
        self.add_done_callback(lambda done: work.cancel() if done.cancelled() else None)


def ask_checker(checker: CheckerRef, credentials: object) -> Future[Any]:
    """Ask a checker; return a future of its answer, which fails with a `LoginFailed`."""
    asked = _WrappedAnswer(checker)
    try:
        checker.deliver(Check(asked, credentials), None)
    except pykka.ActorDeadError as error:
        asked.settle_error(error)
    return asked


def vouched(checker: CheckerRef, answer: Any, credentials: object) -> Identity:
    """Return the answer of a wrapped checker as an identity for which that checker vouches.

    Raises:
        CheckerUnavailable: if it is neither an avatar id nor an identity.
    """
    try:
        identity = identity_of(answer, credentials)
    except InvalidIdentity as error:
        name = checker.actor_class.__name__
        logger.error("%s.request_avatar_id() returned no avatar id: %s", name, error)
        raise CheckerUnavailable(f"{name} returned no avatar id: {error}") from None
    if identity.vouchers or identity.avatar_id is ANONYMOUS:
        return identity
    return identity.replaced(vouchers=((checker, identity.avatar_id),))


@dataclass(slots=True)
class _Revoked(ControlMessage):
    """An account of a wrapped checker was revoked."""

    avatar_id: AvatarId
    what: Revocation


class _Relay:
    """Passes what a wrapped checker reports and asks to the wrapper, in place of a portal."""

    def __init__(self, wrapper: ActorRef[Any]) -> None:
        self._wrapper = wrapper

    def revoke(self, checker: ActorRef[Any], avatar_id: AvatarId, what: Revocation) -> None:
        self._wrapper.tell(_Revoked(avatar_id, what))

    def recheck(self, checker: ActorRef[Any]) -> None:
        cast("CheckerRef", self._wrapper).recheck(checker)

    def use_up(self, key: str, seconds: float, use: str) -> Future[bool]:
        return cast("CheckerRef", self._wrapper).use_up(key, seconds, use)


@dataclass(frozen=True, slots=True)
class CombinedOffers:
    """What several checkers together take and offer, as they change.

    Args:
        checkers: refs to these checkers.
        credential_interfaces: the kinds of credentials that are taken at all.
        all_asked: whether a client must convince all of them, and can log in by nothing else.
    """

    checkers: tuple[CheckerRef, ...]
    credential_interfaces: tuple[type, ...]
    all_asked: bool = False

    @property
    def offered_interfaces(self) -> tuple[type, ...]:
        """The kinds by which each user can log in."""
        if self.all_asked:
            return self.credential_interfaces
        return tuple(
            kind
            for kind in offered_by_all(self.checkers)
            if issubclass(kind, self.credential_interfaces)
        )

    @property
    def digest_algorithms(self) -> frozenset[str] | None:
        """The algorithms of HTTP Digest that can be offered."""
        return digests_of_all(self.checkers)

    @property
    def tells_standing(self) -> bool:
        """Whether a portal can ask any of them about its accounts."""
        return any(checker.tells_standing for checker in self.checkers)


class Wrapper(Checker):
    """A checker that asks others. It restarts those that crash, and they stop when it stops.

    Args:
        checkers: refs to started checkers.

    Class attributes:
        all_asked: see `CombinedOffers`.

    Raises:
        TypeError: if one of them is not a ref to a checker.
    """

    all_asked: ClassVar[bool] = False

    def __init__(self, checkers: tuple[CheckerRef, ...]) -> None:
        super().__init__()
        self.checkers = checkers
        for checker in checkers:
            if not isinstance(checker, CheckerRef):
                raise TypeError(
                    f"a checker must be a ref, as MyChecker.start() returns it; not {checker!r}"
                )
        self.credential_interfaces = self.kinds()
        cast("CheckerRef", self._actor_ref).set_id_spaces(self.id_spaces())

    @classmethod
    def launch(
        cls, checkers: tuple[CheckerRef, ...], *args: Any, dispatcher: Dispatcher | None = None
    ) -> CheckerRef:
        """Start the wrapper around started checkers; for the `start` methods of subclasses.

        If it cannot be started, the checkers are stopped.
        """
        try:
            ref: ActorRef[Any] = super().start(checkers, *args, dispatcher=dispatcher)
        except BaseException:
            for checker in checkers:
                checker.stop(block=False)
            raise
        relay = _Relay(ref)
        for checker in checkers:
            checker.supervise(_Supervisor(checker))
            checker.add_listener(relay)
        ref.watch(lambda _: [checker.stop(block=False) for checker in checkers])
        return cast("CheckerRef", ref)

    def kinds(self) -> tuple[type, ...]:
        """Return the kinds of credentials that this wrapper takes.

        By default, these are all that any wrapped checker takes.
        """
        return tuple(
            dict.fromkeys(
                kind for checker in self.checkers for kind in checker.credential_interfaces
            )
        )

    def id_spaces(self) -> Iterable[IdSpace]:
        """Return the avatar ids that the wrapped checkers can give.

        By default, these are those of all of them. A wrapper that changes them returns others.
        """
        return tuple(space for checker in self.checkers for space in checker.id_spaces)

    def show_offers(self) -> None:
        """Set in the ref what can be offered; it follows the wrapped checkers."""
        cast("CheckerRef", self._actor_ref).offers = CombinedOffers(
            self.checkers, self.credential_interfaces, self.all_asked
        )

    def _actor_control(self, message: ControlMessage) -> Any:
        if isinstance(message, _Revoked):
            self.revoked(message.avatar_id, message.what)
        else:
            super()._actor_control(message)

    def revoked(self, avatar_id: AvatarId, what: Revocation) -> None:
        """Pass on the revocation of an account by a wrapped checker."""
        cast("CheckerRef", self._actor_ref).revoke(avatar_id, what)


class Filter(Wrapper):
    """A wrapper around one checker that can refuse logins itself, and change or refuse answers."""

    @property
    def checker(self) -> CheckerRef:
        """The wrapped checker."""
        return self.checkers[0]

    def before(self, credentials: Any) -> Identity | None:
        """Refuse credentials, or return an identity, or return None to ask the wrapped checker."""

    def after(self, credentials: Any, identity: Identity) -> Identity:
        """Return the identity to answer with, or refuse it."""
        return identity

    def refused(self, credentials: Any, error: BaseException) -> None:
        """Called when the wrapped checker, or `after`, has refused."""

    def answered(self, credentials: Any) -> None:
        """Called when the wrapped checker has answered, or the login was cancelled."""

    def request_avatar_id(self, credentials: Any) -> Any:
        """Ask the wrapped checker."""
        known = self.before(credentials)
        if known is not None:
            return known
        decision: Future[Identity] = Future()
        self.ask(credentials, decision)
        return decision

    def ask(self, credentials: Any, decision: Future[Identity]) -> None:
        """Ask the wrapped checker, and settle a decision by its answer."""
        asked = ask_checker(self.checker, credentials)
        decision.add_done_callback(lambda done: asked.cancel() if done.cancelled() else None)
        self.cred_then(asked, self._answered, credentials, decision)

    def _answered(self, asked: Future[Any], credentials: Any, decision: Future[Identity]) -> None:
        if not asked.cancelled():
            try:
                identity = vouched(self.checker, asked.get(), credentials)
                decision.settle(self.after(credentials, identity))
            except Exception as error:
                self.refused(credentials, error)
                decision.settle_error(error)
        self.answered(credentials)


class _Supervisor:
    """Restarts a wrapped checker after crashes, as a portal restarts its own."""

    def __init__(self, checker: CheckerRef) -> None:
        self._checker = checker
        self._restarts = Restarts(RestartIntensity())
        self._down = False

    def crashed(self, error: BaseException) -> Future[float | None]:
        """Return how long to wait before the restart."""
        pause = self._restarts.pause(self._checker.actor_inbox.dispatcher.now())
        if pause and not self._down:
            logger.error(
                "%s is down: it crashed too often, last with %s",
                self._checker,
                type(error).__name__,
            )
        self._down = pause > 0
        decided: Future[float | None] = Future()
        decided.settle(pause)
        return decided

    def begun(self) -> None:
        """Log that the checker is back, if it was down."""
        if self._down:
            logger.warning("%s is back", self._checker)
        self._down = False
