"""The policy for new passwords."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import cache

from actorcred.errors import MissingExtra, PasswordRejected
from actorcred.names import prepare_password
from actorcred.passwords.named import by_name

__all__ = ["PasswordPolicy", "prepare_new_password"]


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """Requirements for a new password: long enough, of any characters, and not a common one.

    They follow OWASP ASVS 5.0, 6.2.

    Args:
        min_length: minimum number of characters; ASVS 6.2.1 requires 8.
        max_length: maximum number of characters, so that no user can have megabytes hashed; ASVS
            6.2.9 requires 64 or more.
        common: passwords in lower case that are refused; any object that supports `in`. None stands
            for the list of the package zxcvbn (`pip install 'actorcred[accounts]'`), of which ASVS
            6.2.4 requires the first 3,000.
    """

    min_length: int = 8
    max_length: int = 1024
    common: Container[str] | None = None

    def check(self, *, password: str) -> None:
        """Check a new password.

        Raises:
            PasswordRejected: if it breaks a rule; the text names the rule.
            MissingExtra: if the list of common passwords is not installed.
        """
        if len(password) < self.min_length:
            raise PasswordRejected(f"the password needs at least {self.min_length} characters")
        if len(password) > self.max_length:
            raise PasswordRejected(f"the password may have at most {self.max_length} characters")
        prepare_new_password(password=password)
        if password.lower() in (_common_passwords() if self.common is None else self.common):
            raise PasswordRejected("the password is one of the most common ones; choose another")


@cache
def _common_passwords() -> frozenset[str]:
    try:
        from zxcvbn.frequency_lists import FREQUENCY_LISTS
    except ImportError:
        raise MissingExtra("the list of common passwords", "accounts") from None
    return frozenset(FREQUENCY_LISTS["passwords"])


@by_name
def prepare_new_password(*, password: str | bytes) -> str:
    """Return a password in the form in which it is stored, prepared by RFC 8265.

    Raises:
        PasswordRejected: if it is empty, contains control characters or is not UTF-8.
    """
    if (b"\0" in password) if isinstance(password, bytes) else ("\0" in password):
        raise PasswordRejected("the password must not hold NUL characters")
    try:
        prepared = prepare_password(password)
    except ValueError as error:
        raise PasswordRejected(str(error)) from None
    if not prepared:
        raise PasswordRejected("the password must not be empty")
    return prepared
