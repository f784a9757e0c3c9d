"""Throttling of accounts and sources after failed logins."""

from __future__ import annotations

from functools import partial
from typing import Any

from actorcred.actors import Dispatcher, Future
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.auth.registry import start_group
from actorcred.checker import CheckerRef
from actorcred.checkers.wrappers.wrapper import Filter
from actorcred.errors import LoginDenied, RefusalCause, UnauthorizedLogin, UnknownKey
from actorcred.identity import Identity
from actorcred.network import source_of
from actorcred.throttle import Penalties, Penalty, Turns, account_of, spelling_of

__all__ = ["ThrottlingChecker", "plugin"]


class ThrottlingChecker(Filter):
    """Asks another checker, but denies accounts and sources that failed too often.

    They are denied for longer with each failure. Logins to one account beyond `free` at a time wait
    for those before them, so that simultaneous guesses are throttled, too. SSH keys that a user
    does not have are not guesses, and do not count.

    A portal throttles by itself, by `PortalOptions.penalty`. This is for one checker that needs
    stricter rules than the others of the portal, such as one with short PINs, or that is asked
    without a portal of this package, such as in a portal of Twisted's. Unlike a portal, it knows no
    familiar sources: it can keep the owner of an account out while others guess.

    Args:
        checker: a ref to the started checker. It stops with this one.
        step: seconds to wait after the first failure that counts; doubled with each further one.
        free: failures without a penalty.
        most: the most seconds to wait.
    """

    def __init__(
        self, checkers: tuple[CheckerRef, ...], step: float, free: int, most: float
    ) -> None:
        super().__init__(checkers)
        if step <= 0 or free < 0 or most <= 0:
            raise ValueError("step and most must be more than 0, and free 0 or more")
        self._penalties = Penalties(Penalty(step=step, free_failures=free, longest=most))
        self._turns = Turns(max(1, free))

    @classmethod
    def start(  # type: ignore[override]
        cls,
        checker: CheckerRef,
        step: float = 1.0,
        free: int = 5,
        most: float = 60.0,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cls.launch((checker,), step, free, most, dispatcher=dispatcher)

    def request_avatar_id(self, credentials: Any) -> Any:
        """Ask the wrapped checker when it is the login's turn."""
        account = _account_of(credentials)
        decision: Future[Identity] = Future()
        if account:
            self._turns.take(account, partial(self._go, credentials, decision))
        else:
            self._go(credentials, decision)
        return decision

    def _go(self, credentials: Any, decision: Future[Identity]) -> bool:
        if decision.done():
            return False  # cancelled meanwhile
        try:
            self.before(credentials)
        except LoginDenied as error:
            decision.settle_error(error)
            return False
        self.ask(credentials, decision)
        return True

    def answered(self, credentials: Any) -> None:
        """Let the next login to the account have its turn."""
        account = _account_of(credentials)
        if account:
            self._turns.leave(account)

    @staticmethod
    def _keys(credentials: Any) -> list[str]:
        source = source_of(str(getattr(credentials, "source", "")))
        return [
            prefix + what
            for prefix, what in (("as ", _account_of(credentials)), ("from ", source))
            if what
        ]

    def before(self, credentials: Any) -> None:
        """Deny accounts and sources that must wait."""
        now = self.now()
        wait = max((self._penalties.wait(key, now) for key in self._keys(credentials)), default=0.0)
        if wait:
            denied = LoginDenied(
                "too many failed logins", retry_after=round(wait, 1) or 0.1, seen=False
            )
            raise denied.because(RefusalCause.PENALTY_ACCOUNT)

    def after(self, credentials: Any, identity: Identity) -> Identity:
        """Forget the failures of the account.

        Those of the source stay, since it might own one account and try others.
        """
        for key in self._keys(credentials):
            if key.startswith("as "):
                self._penalties.succeeded(key, _spelling(credentials))
        return identity

    def refused(self, credentials: Any, error: BaseException) -> None:
        """Count a failure that might have been a guess.

        Unknown SSH keys are not guesses: an agent offers all keys that it has.
        """
        if isinstance(error, UnauthorizedLogin) and not isinstance(error, UnknownKey):
            now = self.now()
            for key in self._keys(credentials):
                self._penalties.failed(key, now, _spelling(credentials))


def _account_of(credentials: Any) -> str:
    return account_of(str(getattr(credentials, "username", "")))


def _spelling(credentials: Any) -> str:
    return spelling_of(str(getattr(credentials, "username", "")))


def _generate(argument: ArgString) -> CheckerRef:
    options = read_options(argument, {"step": float, "free": int, "most": float})
    return ThrottlingChecker.start(start_group(argument), **options)


plugin = CheckerPlugin(
    "throttle",
    "(TYPE:...)",
    "Makes accounts and sources wait after failed logins. Options: free=5 failures without a "
    "penalty, step=1 second to wait after the next one, doubled after each further one, most=60 "
    "seconds.",
    (object,),
    _generate,
)
