"""One-time codes as authenticator apps show them (TOTP, RFC 6238): a second factor, for `AllOf`."""

from __future__ import annotations

import hmac
import os
import sqlite3
import time
from collections.abc import Callable
from typing import Any, cast

from actorcred.actors import Dispatcher, Future
from actorcred.checkers.base import CheckerRef, Revocation
from actorcred.checkers.database import DatabaseChecker, DatabaseRef, open_database
from actorcred.checkers.plugin import CheckerPlugin, start_with_path
from actorcred.credentials import OneTimePassword
from actorcred.errors import AccountError, CheckerUnavailable, MissingExtra, UnauthorizedLogin
from actorcred.precis import prepare_username

__all__ = ["OTPChecker", "OTPCheckerRef", "plugin"]

PERIOD = 30
"""Seconds for which an app shows a code."""

DIGITS = 6

SCHEMA = """CREATE TABLE IF NOT EXISTS otp (
    name TEXT PRIMARY KEY NOT NULL,
    secret TEXT NOT NULL,
    last INTEGER NOT NULL  -- the period of the last code that was used
) WITHOUT ROWID"""


def _pyotp() -> Any:
    try:
        import pyotp
    except ImportError:
        raise MissingExtra("one-time codes", "otp") from None
    return pyotp


class OTPCheckerRef(DatabaseRef):
    """A ref to an `OTPChecker`, with which users are enrolled."""

    __slots__ = ()

    def enrol(self, name: str, issuer: str = "actorcred", secret: str | None = None) -> Future[str]:
        """Give a user a new secret.

        Args:
            name: the user.
            issuer: what the app shows beside the name.
            secret: in base32; a random one by default.

        Returns:
            A future of the address that the app takes, as a QR code. It holds the secret. It fails with
            `ValueError` if the name or the secret is none.
        """
        return self.request("_enrol", name, issuer, secret)

    def remove(self, name: str) -> Future[None]:
        """Take a user's secret away. The future fails with `AccountError` if there is none."""
        return self.request("_remove", name)

    def enrolled(self) -> Future[list[str]]:
        """Return the names of those who have a secret."""
        return self.request("_enrolled")


class OTPChecker(DatabaseChecker):
    """Checks codes against secrets in an SQLite database, and takes no code twice, in whatever process.

    A code counts from one period before it is shown until one after, for clocks that differ. Six digits can be guessed:
    ask for a password first (`AllOf`), and throttle.

    Args:
        path: the database; made, for its owner only, if there is none.
        clock: returns the seconds since the epoch.

    Raises:
        AccountError: if the database cannot be opened.
        MissingExtra: without the extra "otp".
    """

    ref_class = OTPCheckerRef
    credential_interfaces = (OneTimePassword,)

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float]) -> None:
        self._totp = _pyotp().TOTP
        self._clock = clock
        super().__init__(open_database(path, lambda database: database.execute(SCHEMA)))

    @classmethod
    def start(  # type: ignore[override]
        cls, path: str | os.PathLike[str], clock: Callable[[], float] = time.time, *, dispatcher: Dispatcher | None = None
    ) -> OTPCheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("OTPCheckerRef", super().start(path, clock, dispatcher=dispatcher))

    def request_avatar_id(self, credentials: OneTimePassword) -> str:
        """Check a code, and use it up."""
        try:
            row = self.database.execute("SELECT secret FROM otp WHERE name = ?", (credentials.username,)).fetchone()
            # Somebody without a secret is checked against one that nobody has.
            secret = _pyotp().random_base32() if row is None else row[0]
            period = self._period_of(secret, credentials.code)
            if row is None or period is None:
                raise UnauthorizedLogin("wrong code, or no secret", known=row is not None)
            # One statement, so that of several processes one takes the code.
            update = "UPDATE otp SET last = ? WHERE name = ? AND last < ? AND secret = ?"
            if not self.database.execute(update, (period, credentials.username, period, secret)).rowcount:
                raise UnauthorizedLogin("the code was used before", known=True)
        except sqlite3.Error as error:
            raise CheckerUnavailable(f"the secrets cannot be read: {error}") from None
        return credentials.username

    def _period_of(self, secret: str, code: str) -> int | None:
        """Return in which period a code is shown, if it is now or next to it."""
        totp = self._totp(secret, digits=DIGITS, interval=PERIOD)
        now = int(self._clock()) // PERIOD
        found = None
        for period in (now - 1, now, now + 1):
            if hmac.compare_digest(totp.generate_otp(period).encode(), code.encode("utf-8", "replace")):
                found = period
        return found

    # -- managing -----------------------------------------------------------------------------------------------------

    def _enrol(self, name: str, issuer: str, secret: str | None) -> str:
        name = prepare_username(name)
        secret = secret or _pyotp().random_base32()
        totp = self._totp(secret, digits=DIGITS, interval=PERIOD)
        try:
            totp.generate_otp(0)
        except Exception:  # binascii.Error in this version of pyotp, and its text shows the secret
            raise ValueError("the secret has to be base32") from None
        self.database.execute("INSERT OR REPLACE INTO otp (name, secret, last) VALUES (?, ?, -1)", (name, secret))
        return str(totp.provisioning_uri(name=name, issuer_name=issuer))

    def _remove(self, name: str) -> None:
        name = prepare_username(name)
        if not self.database.execute("DELETE FROM otp WHERE name = ?", (name,)).rowcount:
            raise AccountError(f"{name!r} has no secret")
        cast("CheckerRef", self._actor_ref).revoke(name, Revocation.DISABLED)

    def _enrolled(self) -> list[str]:
        return [name for (name,) in self.database.execute("SELECT name FROM otp ORDER BY name")]


plugin = CheckerPlugin(
    "otp",
    "PATH",
    "Codes of authenticator apps (TOTP), as a second factor: all:(file:players)(otp:codes.db). `actorcred otp` enrols users.",
    (OneTimePassword,),
    start_with_path(OTPChecker.start, {}),
)
