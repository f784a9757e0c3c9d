"""The base class of checkers, which verify credentials and return an avatar id."""

from __future__ import annotations

import logging
import traceback
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast

import pykka

from actorcred.actors import ActorRef, AnsweredMessage, ControlMessage, Future
from actorcred.actors.cell import Cell
from actorcred.actors.lifecycle import stops_all
from actorcred.credentials import Anonymous
from actorcred.errors import CheckerUnavailable, LoginFailed, RestartRole, UnauthorizedLogin
from actorcred.identity import InvalidIdentity, identity_of
from actorcred.listeners import CheckerListener, use_up
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.naming import AvatarIds, IdSpace, parse_avatar_ids
from actorcred.network import source_of
from actorcred.offers import KnownOffers, Offers
from actorcred.service import Answer, Question, Service
from actorcred.standing import AskStanding, Revocation, Standing
from actorcred.throttle import account_of

__all__ = [
    "Check",
    "Checker",
    "CheckerRef",
    "Revocation",
    "require_checker",
    "turn_of",
]


logger = logging.getLogger("actorcred.checkers")

T = TypeVar("T")
P = ParamSpec("P")


class CheckerRef(ActorRef["Checker"]):
    """A ref to a checker.

    Attributes:
        offers: what the checker takes and offers. The checker sets it, so it can be read on any
            thread, and while the checker is down.
        avatar_ids: the template of its users' avatar ids; None if they are the names that the
            checker gives.
    """

    __slots__ = ("_id_spaces", "_listeners", "avatar_ids", "offers")

    def __init__(self, mailbox: Cell) -> None:
        super().__init__(mailbox)
        # Here and not in the checker, since a restarted checker is another instance. A dictionary,
        # because adding and removing a key is one step for other threads.
        self._listeners: dict[CheckerListener, None] = {}
        self.offers: KnownOffers = Offers()
        self.avatar_ids: AvatarIds | None = None
        self._id_spaces: tuple[IdSpace, ...] | None = None

    @property
    def credential_interfaces(self) -> tuple[type, ...]:
        """The kinds of credentials that the checker takes."""
        return self.offers.credential_interfaces

    @property
    def offered_interfaces(self) -> tuple[type, ...]:
        """The kinds by which each of its users can log in; see `Checker`."""
        return self.offers.offered_interfaces

    @property
    def digest_algorithms(self) -> frozenset[str] | None:
        """The algorithms of HTTP Digest whose digests the checker keeps; see `Checker`."""
        return self.offers.digest_algorithms

    @property
    def tells_standing(self) -> bool:
        """Whether the checker, or one that it wraps, has a `standing` of its own."""
        return self.offers.tells_standing

    def named(self, *, avatar_ids: str | AvatarIds) -> Self:
        """Give the users of this checker avatar ids by a template.

        Call it before the checker is registered with a portal or wrapped. A name that contains the
        character that separates it from the template's text is refused.

        Args:
            avatar_ids: text around `{name}`, such as "corp/{name}" or "{name}@corp.example"; see
                `actorcred.naming`.

        Returns:
            This ref.

        Raises:
            TemplateError: if the template cannot be used, or would refuse all users of a checker
                within this one.
        """
        made = parse_avatar_ids(avatar_ids) if isinstance(avatar_ids, str) else avatar_ids
        for space in self._spaces_within():
            space.within(made)
        self.avatar_ids = made
        return self

    @property
    def id_spaces(self) -> tuple[IdSpace, ...]:
        """The avatar ids that the checker can give, for each store of users within it.

        It is empty for a checker that only accepts anonymous clients.
        """
        spaces, own = self._spaces_within(), self.avatar_ids
        return spaces if own is None else tuple(space.within(own) for space in spaces)

    def _spaces_within(self) -> tuple[IdSpace, ...]:
        if self._id_spaces is not None:
            return self._id_spaces
        only_anonymous = self.credential_interfaces == (Anonymous,)
        return () if only_anonymous else (IdSpace(self.actor_class.__name__),)

    def set_id_spaces(self, spaces: Iterable[IdSpace]) -> None:
        """Set the avatar ids that the checkers within this one can give; for wrappers."""
        self._id_spaces = tuple(spaces)

    def avatar_id_of(self, avatar_id: AvatarId, issuer: str | None = None) -> AvatarId:
        """Return the avatar id of a user by the template, if there is one.

        Args:
            avatar_id: what the checker itself calls the user.
            issuer: the user's issuer.

        Raises:
            ValueError: if it has none.
        """
        if self.avatar_ids is None or avatar_id is ANONYMOUS:
            return avatar_id
        return self.avatar_ids.make(avatar_id, issuer)

    def add_listener(self, listener: CheckerListener) -> None:
        """Report changed accounts to a portal or a wrapper, too."""
        self._listeners[listener] = None

    def remove_listener(self, listener: CheckerListener) -> None:
        """Report changed accounts to a listener no longer."""
        self._listeners.pop(listener, None)

    @property
    def listeners(self) -> tuple[CheckerListener, ...]:
        """What changed accounts are reported to."""
        return tuple(self._listeners)

    def revoke(self, avatar_id: AvatarId, what: Revocation) -> None:
        """Report a changed account to all portals, which end its sessions.

        With `Revocation.CHANGED` they first ask the checker's `standing`. May be called on any
        thread.

        Args:
            avatar_id: what the checker itself calls the user.
            what: what happened.
        """
        try:
            avatar_id = self.avatar_id_of(avatar_id)
        except ValueError as error:
            logger.warning("A changed account of %s cannot be reported: %s", self, error)
            return
        self._report(lambda listener: listener.revoke(self, avatar_id, what))

    def recheck(self, checker: ActorRef[Any] | None = None) -> None:
        """Have all portals ask a checker's `standing` about all users with sessions.

        For a checker that might have missed changes. May be called on any thread.

        Args:
            checker: the checker to ask; by default this one. Wrappers pass on the one they wrap.
        """
        self._report(lambda listener: listener.recheck(checker or self))

    def use_up(self, key: str, seconds: float, use: str = "") -> Future[bool]:
        """Use up what can be used once, such as a one-time code, for all portals of this checker.

        A portal of a cluster asks the other machines. May be called on any thread.

        Args:
            key: what it is, the same on all machines; no secret.
            seconds: for which it can be used at most, from the first moment on; an hour at most.
            use: stands for this use; random by default.

        Returns:
            A future of whether it was not used before. It fails with `CheckerUnavailable` if that
            is not known. Without a portal it is always true.

        Raises:
            ValueError: if it can be used for longer than an hour.
        """
        return use_up(self.listeners, key, seconds, use)

    def _report(self, tell: Callable[[CheckerListener], object]) -> None:
        for listener in self.listeners:
            try:
                tell(listener)
            except pykka.ActorDeadError:
                self.remove_listener(listener)
            except Exception:
                logger.exception("A listener failed when an account of %s had changed:", self)


@dataclass(slots=True)
class Check(Question):
    """Asks which user the credentials belong to."""

    credentials: object

    @property
    def subject(self) -> object:
        """The credentials."""
        return self.credentials


class _NamedAnswer:
    """The answer to a check by a checker with a template, which is put in on the way."""

    __slots__ = ("_answer", "_checker", "_credentials")

    def __init__(self, answer: Answer, checker: CheckerRef, credentials: object) -> None:
        self._answer = answer
        self._checker = checker
        self._credentials = credentials

    def settle(self, value: Any) -> object:
        """Pass on the identity with the avatar id by the template."""
        checker = self._checker
        try:
            known = identity_of(value, self._credentials)
        except InvalidIdentity:
            return self._answer.settle(value)  # the asker refuses it, and logs why
        if known.avatar_id is ANONYMOUS:
            return self._answer.settle(known)
        try:
            made = checker.avatar_id_of(known.avatar_id, known.issuer)
        except ValueError as error:
            return self._answer.settle_error(UnauthorizedLogin(str(error), known=True))
        vouchers = known.vouchers or ((checker, known.avatar_id),)
        return self._answer.settle(known.replaced(avatar_id=made, vouchers=vouchers))

    def settle_error(self, error: BaseException) -> object:
        """Pass on the reason why there is no identity."""
        return self._answer.settle_error(error)

    def started(self, work: Future[Any]) -> None:
        """Pass on the work in progress."""
        self._answer.started(work)


@dataclass(slots=True)
class Continue(AnsweredMessage):
    """Continue a request after work in the background."""

    step: Callable[..., object]
    done: Future[Any]
    args: tuple[Any, ...]
    answer: Future[Any]


class Checker(Service):
    """Verifies the credentials of users; to be subclassed.

    A checker that makes blocking calls (a database, a directory server) must either set
    `dispatcher` to its own pool, or return a future. A checker that has ended
    accepts no one.

    Attributes:
        credential_interfaces: the classes of credentials that it accepts, including their
            subclasses. Set it on the class, or in `__init__`.
        offered_interfaces: those with which each of its users can log in, so that they can be
            offered to clients that choose the strongest; None for all of them.
        digest_algorithms: the HTTP Digest algorithms, such as "MD5", for which it keeps digests;
            None if it can compute any digest, or does not accept HTTP Digest.
    """

    ref_class = CheckerRef
    credential_interfaces: tuple[type, ...] = ()
    offered_interfaces: tuple[type, ...] | None = None
    digest_algorithms: frozenset[str] | None = None

    def show_offers(self) -> None:
        """Set in the ref what this checker takes and offers; on any thread.

        It is called when the checker has been constructed. A checker whose `offered_interfaces` or
        `digest_algorithms` change later must call it then. `credential_interfaces` are read when
        the checker is registered or wrapped, and must not change.

        Raises:
            TypeError: if `credential_interfaces` or `offered_interfaces` are not tuples.
        """
        offered = self.offered_interfaces
        for name, kinds in (
            ("credential_interfaces", self.credential_interfaces),
            ("offered_interfaces", () if offered is None else offered),
        ):
            if not isinstance(kinds, tuple):
                raise TypeError(f"{type(self).__name__}.{name} must be a tuple, not {kinds!r}")
        cast("CheckerRef", self._actor_ref).offers = Offers(
            self.credential_interfaces,
            self.credential_interfaces if offered is None else offered,
            self.digest_algorithms,
            self.tells_standing,
        )

    def _actor_made(self) -> None:
        self.show_offers()

    @abstractmethod
    def request_avatar_id(self, credentials: Any) -> Any:
        """Check credentials.

        Args:
            credentials: an instance of one of `credential_interfaces`.

        Returns:
            The avatar id or an `Identity`, or a future or a coroutine of it.

        Raises:
            UnauthorizedLogin: if they are not valid. The next checker is asked.
            LoginDenied: if a policy forbids the login, such as too many failures. No other checker
                is asked.
            CheckerUnavailable: if they cannot be checked now. The next checker is asked.
            RestartRole: if the checker must be restarted to continue.
            OSError: like `CheckerUnavailable`.
            Exception: any other exception refuses this login, and is logged without its message.
        """

    @property
    def tells_standing(self) -> bool:
        """Whether `standing` knows anything; for implementors. If not, no portal calls it."""
        return type(self).standing is not Checker.standing

    def standing(self, names: tuple[str, ...]) -> Any:
        """Return what has become of accounts; for implementors.

        A portal calls it at intervals with the names of users who have sessions
        (`PortalOptions.standing_interval`), in batches. It must not block.

        Args:
            names: avatar ids as this checker returned them, before any wrapper changed them. A
                checker that needs more, such as which key was used, answers logins with an
                `Identity` that has `vouchers=((self.actor_ref, name),)`, and gets these names.

        Returns:
            A `Standing`, or a future or a coroutine of it.

        Raises:
            CheckerUnavailable: if the store cannot be asked now. No session ends.
            Exception: any other exception is logged; no session ends.
        """
        return Standing()

    def cred_then(
        self,
        future: Future[T],
        step: Callable[Concatenate[Future[T], P], object],
        *args: P.args,
        **_: P.kwargs,
    ) -> None:
        """Run a method of this checker in a turn of its own once a future is done.

        If the last argument is a future, it fails if the method raises, or cannot be run because
        the checker is down.

        Args:
            future: what to wait for; also the first argument of the method.
            step: the method, such as `self.verified`. If the checker is restarted in the meantime,
                it runs on the new instance.
            args: further arguments of the method.
        """
        mailbox, function = self.actor_inbox, step.__func__  # type: ignore[attr-defined]
        last = args[-1] if args else None
        answer: Future[Any] = last if isinstance(last, Future) else Future()
        future.add_done_callback(lambda done: mailbox.put(Continue(function, done, args, answer)))

    def _actor_control(self, message: ControlMessage) -> Any:
        if isinstance(message, Check):  # by far the most frequent message
            checker: Any = self._actor_ref
            if checker.avatar_ids is not None:
                message.answer = _NamedAnswer(message.answer, checker, message.credentials)
            self._serve(message, self.request_avatar_id, message.credentials)
        elif isinstance(message, Continue):
            self._continue(message)
        elif isinstance(message, AskStanding):
            self._serve(message, self.standing, message.names)
        else:
            super()._actor_control(message)

    def _continue(self, message: Continue) -> None:
        try:
            message.step(self, message.done, *message.args)
        except RestartRole:
            message.answer.settle_error(CheckerUnavailable(f"{type(self).__name__} is restarted"))
            raise
        except BaseException as error:
            known = isinstance(error, LoginFailed)
            subject = message.args[0] if message.args else None
            message.answer.settle_error(error if known else self._cred_fault(error, subject))
            if stops_all(error):
                raise

    def _cred_fault(self, error: BaseException, subject: object) -> LoginFailed:
        """Log an exception of a request, and return the error with which the request fails.

        Errors that concern all users (files, connections, time-outs) make the checker unavailable.
        Any other exception is attributed to this record or input, and looks to the client like a
        wrong password: "unavailable" for a single name would reveal that it exists.

        The message of the exception is not logged, since it can quote the credentials. Neither is
        the claimed name, which can be a password typed into the wrong field; the audit log shows it
        as far as is permitted.
        """
        kind, credentials = (
            type(error).__name__,
            "credentials" if subject is None else type(subject).__name__,
        )
        whose = f"{credentials} of the user in the audit log"
        if isinstance(subject, tuple):  # see `AskStanding`
            whose = "which users may stay logged in"
        if isinstance(error, InvalidIdentity):  # whose text has no value in it
            kind = f"{kind}: {error}"
        trace = "".join(traceback.format_tb(error.__traceback__))
        logger.error(
            "%s could not check %s: %s\n%s",
            type(self).__name__,
            whose,
            kind,
            trace,
        )
        detail = f"{type(self).__name__}: {kind}"
        return (
            CheckerUnavailable(detail) if isinstance(error, OSError) else UnauthorizedLogin(detail)
        )


def require_checker(
    checker: object, interfaces: tuple[type, ...] = ()
) -> tuple[CheckerRef, tuple[type, ...]]:
    """Return a checker's ref and the kinds of credentials to ask it about.

    Raises:
        TypeError: if it is not a ref to a checker, if it accepts no credentials, or if one of its
            kinds cannot be used with `isinstance` or matches any object.
    """
    if not isinstance(checker, CheckerRef):
        raise TypeError(
            "a checker must be a ref, as MyChecker.start() returns it, of a subclass of Checker; "
            f"not {checker!r}"
        )
    interfaces = interfaces or checker.credential_interfaces
    if not interfaces or not all(isinstance(interface, type) for interface in interfaces):
        raise TypeError(
            f"{checker.actor_class.__name__}.credential_interfaces must name "
            "the classes of credentials it takes"
        )
    for interface in interfaces:
        _require_class_of_credentials(checker.actor_class.__name__, interface)
    return checker, interfaces


def _require_class_of_credentials(checker: str, interface: type) -> None:
    try:
        usable = not isinstance(None, interface) and not issubclass(type(None), interface)
    except Exception as error:  # such as a Protocol without @runtime_checkable, or with attributes
        raise TypeError(
            f"{checker}.credential_interfaces: {interface.__name__} does not support "
            f"isinstance() and issubclass(): {error}"
        ) from error
    if not usable and interface is not object:
        raise TypeError(f"{checker}.credential_interfaces: {interface.__name__} matches any object")


def turn_of(checker: Checker, credentials: Any) -> tuple[Hashable, ...]:
    """Return the keys under which logins take turns.

    They are the checker, whether the user has logged in from the same source recently, the source,
    and the account. So a flood of any number of sources leaves known users their share.
    """
    # This machine is exempt from penalties as a source, but it takes turns with clients inside the
    # process, such as bots.
    source = source_of(str(getattr(credentials, "source", "")), loopback=True)
    familiar = getattr(credentials, "familiar", False)
    account = account_of(str(getattr(credentials, "username", "")))
    return checker.actor_inbox.number, familiar, source, account
