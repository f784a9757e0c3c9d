"""What a new password must be like."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import cache

from actorcred.errors import MissingExtra, PasswordRejected
from actorcred.names import prepare_password

__all__ = ["PasswordPolicy", "prepare_new_password"]


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """What a new password has to be (OWASP ASVS 5.0, 6.2): long enough, of any characters, and not a common one.

    Args:
        min_length: characters at least; ASVS 6.2.1 asks for 8.
        max_length: characters at most, so that nobody has megabytes hashed; ASVS 6.2.9 asks for 64 or more.
        common: passwords in lower case that are refused, anything that has `in`. None takes the list of the package
            zxcvbn (`pip install 'actorcred[accounts]'`), of which ASVS 6.2.4 asks for the first 3,000.
    """

    min_length: int = 8
    max_length: int = 1024
    common: Container[str] | None = None

    def check(self, *, password: str) -> None:
        """Refuse a password that breaks a rule.

        Raises:
            PasswordRejected: names the rule.
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


def prepare_new_password(*, password: str | bytes) -> str:
    """Return a password in the form in which it is kept, prepared by RFC 8265.

    Raises:
        PasswordRejected: if it is empty, holds control characters or is not UTF-8.
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
