"""The base of all checkers: credentials in, avatar id out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import pykka

from actorcred._service import Service
from actorcred.actors import ActorRef, ControlCall, Future
from actorcred.credentials import AvatarId, UsernameHashedPassword, UsernamePassword, UsernameScram

if TYPE_CHECKING:
    from actorcred.actors.mailbox import Mailbox

__all__ = ["Checker", "CheckerRef", "Revocation", "offered_by_all"]


class Revocation(StrEnum):
    """What happened to an account whose sessions may be live."""

    DISABLED = "disabled"
    DELETED = "deleted"
    PASSWORD_CHANGED = "password changed"


class Kinds(Protocol):
    """Which credentials somebody takes."""

    @property
    def credential_interfaces(self) -> tuple[type, ...]:
        """All kinds."""

    @property
    def offered_interfaces(self) -> tuple[type, ...]:
        """Those by which each user can log in."""


def offered_by_all(checkers: Iterable[Kinds]) -> tuple[type, ...]:
    """Return the kinds of credentials that can be offered where a client may ask any of several checkers.

    Proofs of a password are among them only if every checker of passwords takes them: a client that chooses the strongest
    would lock those out whom another one knows.
    """
    asked = tuple(checkers)
    kinds = dict.fromkeys(kind for checker in asked for kind in checker.credential_interfaces)
    of_passwords = [checker for checker in asked if issubclass(UsernamePassword, checker.credential_interfaces)]
    return tuple(
        kind
        for kind in kinds
        if not issubclass(kind, UsernameHashedPassword | UsernameScram)
        or all(issubclass(kind, checker.offered_interfaces) for checker in of_passwords)
    )


class RevocationListener(Protocol):
    """What a checker knows of a portal."""

    def revoke(self, checker: ActorRef[Any], avatar_id: AvatarId, what: Revocation) -> None:
        """Learn what happened to an account."""


class CheckerRef(ActorRef["Checker"]):
    """A ref to a checker."""

    __slots__ = ("portals",)

    def __init__(self, mailbox: Mailbox) -> None:
        super().__init__(mailbox)
        # Kept here and not in the checker, since a restarted checker is a fresh one.
        self.portals: tuple[RevocationListener, ...] = ()

    @property
    def credential_interfaces(self) -> tuple[type, ...]:
        """The kinds of credentials that the checker takes; settled when it is constructed."""
        checker = self.actor_inbox.actor
        return checker.credential_interfaces if isinstance(checker, Checker) else ()

    @property
    def offered_interfaces(self) -> tuple[type, ...]:
        """The kinds by which each of its users can log in; see `Checker`."""
        checker = self.actor_inbox.actor
        offered = checker.offered_interfaces if isinstance(checker, Checker) else None
        return self.credential_interfaces if offered is None else offered

    def revoke(self, avatar_id: AvatarId, what: Revocation) -> None:
        """Tell all portals what happened to an account, so that its live sessions end. May be called from anywhere."""
        for portal in self.portals:
            try:
                portal.revoke(self, avatar_id, what)
            except pykka.ActorDeadError:
                self.portals = tuple(other for other in self.portals if other is not portal)


class Checker(Service):
    """A source of truth about users, to be subclassed.

    A checker that calls what blocks (a database, a directory server) either sets `dispatcher` to a pool of its own, or
    returns a future. One that is stopped or crashes for good lets nobody in.

    Attributes:
        credential_interfaces: the kinds of credentials that it takes, classes; subclasses of them count. Set it on the
            class, or in `__init__`.
        offered_interfaces: those by which each of its users can log in, so that they may be offered to clients which
            choose the strongest; None for all of them.
    """

    ref_class = CheckerRef
    credential_interfaces: tuple[type, ...] = ()
    offered_interfaces: tuple[type, ...] | None = None

    @abstractmethod
    def request_avatar_id(self, credentials: Any) -> Any:
        """Check credentials.

        Args:
            credentials: an instance of one of `credential_interfaces`.

        Returns:
            The avatar id, or a future or a coroutine of it.

        Raises:
            UnauthorizedLogin: if they do not prove who the client is. The next checker is asked.
            LoginDenied: if a policy is against it, as too many failures. No other checker is asked.
            CheckerUnavailable: if it cannot be told now. The next checker is asked.
        """

    def cred_then(self, future: Future[Any], method: str, *args: Any) -> None:
        """Run `method(future, *args)` in this actor's own context once the future is done."""
        mailbox = self.actor_inbox
        future.add_done_callback(lambda done: mailbox.put(ControlCall((method, done, *args))))
