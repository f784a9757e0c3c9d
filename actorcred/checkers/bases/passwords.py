"""Base class of checkers of stored password hashes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from time import monotonic

from actorcred.actors import Future, Overloaded
from actorcred.checker import Checker, turn_of
from actorcred.checkers.bases.records import Complaints
from actorcred.credentials import UsernamePassword, note_hashing
from actorcred.errors import LoginDenied, MissingExtra, RefusalCause, UnauthorizedLogin
from actorcred.identity import Identity
from actorcred.names import AvatarId
from actorcred.passwords.hashing import (
    DEFAULT_ROUNDS,
    UnsupportedHash,
    check_format,
    dummy_hash,
    verify_password,
)
from actorcred.throttle import RETRY_AFTER

__all__ = ["Account", "PasswordChecker", "advice", "too_many", "verify_timed"]


@dataclass(frozen=True, slots=True)
class Account:
    """What a checker knows about a user.

    Args:
        avatar_id: the avatar id of logins with this account.
        hash: the stored hash.
        usable: False if no one may log in to the account.
    """

    avatar_id: str
    hash: str = field(repr=False)
    usable: bool = True


def too_many(error: Overloaded) -> LoginDenied:
    """Return the error of a login that is denied because too many passwords wait to be verified.

    Most of them come from the same source as the login.
    """
    why = f"passwords cannot be verified: {error}"
    denied = LoginDenied(why, retry_after=RETRY_AFTER, seen=False)
    return denied.because(RefusalCause.FULL)


def verify_timed(credentials: UsernamePassword, reference: str, asked: float) -> bool:
    """Return whether a password is right, on a thread, and note how long that took.

    Args:
        credentials: the name and the password.
        reference: the stored hash.
        asked: when the thread was asked for, by `time.monotonic`.
    """
    began = monotonic()
    try:
        return verify_password(password=credentials.sent, hash=reference)
    finally:
        note_hashing(credentials, began - asked, monotonic() - began)


def advice(error: Exception, remedy: str) -> str:
    """Return what is wrong with a hash, and what to do about it; `MissingExtra` says both."""
    return str(error) if isinstance(error, MissingExtra) else f"{error}; {remedy}"


class PasswordChecker(Checker):
    """Checks a name and a password against stored hashes.

    Hashing runs in the background, so that the checker is free for the next login. An unknown user,
    an unusable account, a hash that cannot be verified and a wrong password take the same time and
    get the same answer. A login is refused if the account changes while its password is being
    verified.

    Attributes:
        remedy: what to do about a hash that cannot be verified, for the log.
    """

    credential_interfaces: tuple[type, ...] = (UsernamePassword,)
    remedy = "set a new password"

    def __init__(self) -> None:
        super().__init__()
        self.complaints = Complaints()

    @abstractmethod
    def lookup(self, username: str) -> Account | None:
        """Return the account of a user, or None.

        Raises:
            CheckerUnavailable: if the account cannot be looked up now.
        """

    def dummy(self) -> str:
        """Return a hash to verify the passwords of unknown users against, to take equal time."""
        return dummy_hash(DEFAULT_ROUNDS)

    def can_verify(self, account: Account) -> bool:
        """Return whether an account's hash can be verified; if not, the log says why."""
        try:
            check_format(hash=account.hash)
        except (UnsupportedHash, MissingExtra) as error:
            self.complaints.about(account.avatar_id, advice(error, self.remedy))
            return False
        return True

    def verify(self, credentials: UsernamePassword, account: Account) -> bool:
        """Return whether the password is right.

        Runs on a thread of its own and must not touch the checker's state.
        """
        return verify_password(password=credentials.sent, hash=account.hash)

    def verified(self, credentials: UsernamePassword, account: Account) -> None:
        """Called when a user has logged in; the place to upgrade a weak hash."""

    def answer(self, account: Account) -> AvatarId | Identity:
        """Return the avatar id or the identity of a user who has logged in."""
        return account.avatar_id

    def request_avatar_id(self, credentials: UsernamePassword) -> Future[AvatarId | Identity]:
        """Verify a password in the background and return a future of the checker's answer."""
        account = self.lookup(credentials.username)
        known = account is not None
        if account is None or not account.usable or not self.can_verify(account):
            account = Account("", self.dummy(), usable=False)
        decision: Future[AvatarId | Identity] = Future()
        verdict = self.offload(
            self._timed, credentials, account, monotonic(), keys=turn_of(self, credentials)
        )
        decision.add_done_callback(lambda done: verdict.cancel() if done.cancelled() else None)
        self.cred_then(verdict, self._verified, credentials, account, known, decision)
        return decision

    def _timed(self, credentials: UsernamePassword, account: Account, asked: float) -> bool:
        began = monotonic()
        try:
            return self.verify(credentials, account)
        finally:
            note_hashing(credentials, began - asked, monotonic() - began)

    def _verified(
        self,
        verdict: Future[bool],
        credentials: UsernamePassword,
        account: Account,
        known: bool,
        decision: Future[AvatarId | Identity],
    ) -> None:
        if verdict.cancelled():
            return
        try:
            right = verdict.get()
            if not right or not account.usable:
                why = "wrong password" if account.usable else "no such user, or it is disabled"
                raise UnauthorizedLogin(why, known=known)
            if self.lookup(credentials.username) != account:
                changed = UnauthorizedLogin("the account was changed during the login", known=True)
                raise changed.because(RefusalCause.REVOKED)
            answer = self.answer(account)
            self.verified(credentials, account)
        except Overloaded as error:
            decision.settle_error(too_many(error))
        except UnsupportedHash as error:
            if account.usable:
                self.complaints.about(account.avatar_id, advice(error, self.remedy))
            decision.settle_error(UnauthorizedLogin("the stored hash cannot be used", known=known))
        except Exception as error:
            decision.settle_error(error)
        else:
            decision.settle(answer)
