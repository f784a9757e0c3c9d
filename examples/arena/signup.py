"""Accounts that players make themselves. The realm knows this as a function; no more."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container

from actorcred import AccountError, PasswordRejected
from actorcred.checkers.bases.accounts import SQLiteCheckerRef
from actorcred.names import prepare_username
from actorcred.throttle import account_of

LONGEST_NAME = 16
"""Characters of a name, so that it fits over a head."""

RESERVED = "guest"
"""Names that begin like this are for guests."""

RATE, WINDOW = 20, 60.0
"""So many accounts can be made in so many seconds, since each costs a hash of a password."""


class SignUpRefused(Exception):
    """An account cannot be made; the text is for the user."""


class SignUps:
    """Makes accounts in a store; call it with a name and a password.

    That a name is taken is said, and cannot be hidden from those who choose a name; the rate is
    what keeps anyone from trying many.

    Args:
        accounts: the store.
        taken: names in other stores, in the form of `account_of`.
        now: the time in seconds.
    """

    def __init__(
        self,
        accounts: SQLiteCheckerRef,
        taken: Container[str],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self._taken = taken
        self._now = now
        self._recent: deque[float] = deque(maxlen=RATE)

    async def __call__(self, name: str, password: str) -> str:
        """Make an account; return its name as it is stored.

        Raises:
            SignUpRefused: if the name or the password cannot be used, or too many try.
        """
        name = _checked(name)
        if account_of(name) in self._taken:
            raise SignUpRefused("This name is taken.")
        self._count()
        try:
            await self._accounts.add_account(name, password)
        except AccountError:
            raise SignUpRefused("This name is taken.") from None
        except PasswordRejected as error:
            text = str(error)
            raise SignUpRefused(f"{text[0].upper()}{text[1:]}.") from None
        return name

    def _count(self) -> None:
        now = self._now()
        if len(self._recent) == RATE and now - self._recent[0] < WINDOW:
            raise SignUpRefused("Too many accounts are being made. Try again in a minute.")
        self._recent.append(now)


def _checked(name: str) -> str:
    try:
        name = prepare_username(name.strip())
    except ValueError as error:
        raise SignUpRefused(f"This name cannot be used: {error}.") from None
    if len(name) > LONGEST_NAME:
        raise SignUpRefused(f"A name may have at most {LONGEST_NAME} characters.")
    if account_of(name).startswith(RESERVED):
        raise SignUpRefused(f"Names that begin with “{RESERVED}” are for guests.")
    return name
