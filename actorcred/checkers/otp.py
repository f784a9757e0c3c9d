"""One-time codes of authenticator apps (TOTP, RFC 6238): a second factor, for `AllOf`."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote, urlencode

from actorcred.actors import Dispatcher, Future
from actorcred.auth.plugin import CheckerPlugin, start_with_path
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.bases.database import DatabaseChecker, DatabaseRef, Order, open_database
from actorcred.checkers.bases.records import Complaints
from actorcred.credentials import OneTimePassword, is_blank
from actorcred.errors import AccountError, CheckerUnavailable, UnauthorizedLogin
from actorcred.names import prepare_username

__all__ = ["OTPChecker", "OTPCheckerRef", "plugin"]

PERIOD = 30
"""Seconds for which an app shows a code."""

DIGITS = 6

FEWEST_BITS = 80
"""Of an imported secret, such as old apps have made; ours have 160. RFC 4226 requires 128."""

WIDEST_SKEW = 10
"""Most periods by which clocks may differ. Each makes one more code valid, and guessing easier."""

REMEMBERED = 32
"""Used codes remembered for each user. Only the last few could still be shown."""

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS otp (
    name TEXT PRIMARY KEY NOT NULL,
    secret TEXT NOT NULL,
    last INTEGER NOT NULL  -- the period of the last used code, from versions before otp_used
) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS otp_used (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    period INTEGER NOT NULL  -- of a used code
)""",
    "CREATE INDEX IF NOT EXISTS otp_used_name ON otp_used (name, period)",
)

# Periods after the newest valid one are from a clock that was ahead. They must not lock the user
# out until time catches up.
_USE_UP = """INSERT INTO otp_used (name, period) SELECT name, :period FROM otp
    WHERE name = :name AND secret = :secret AND NOT last BETWEEN :period AND :newest
    AND NOT EXISTS (
        SELECT 1 FROM otp_used WHERE name = :name AND period BETWEEN :period AND :newest
    )"""

_FORGET = """DELETE FROM otp_used WHERE name = :name
    AND id NOT IN (SELECT id FROM otp_used WHERE name = :name ORDER BY id DESC LIMIT :count)"""


@dataclass(slots=True)
class _Enrol(Order):
    name: str
    issuer: str
    secret: str | None = field(repr=False)


@dataclass(slots=True)
class _Remove(Order):
    name: str


@dataclass(slots=True)
class _ListEnrolled(Order):
    pass


class OTPCheckerRef(DatabaseRef):
    """A ref to an `OTPChecker`, with methods to enrol and remove users."""

    __slots__ = ()

    def enrol(self, name: str, issuer: str = "actorcred", secret: str | None = None) -> Future[str]:
        """Give a user a new secret.

        Args:
            name: the user.
            issuer: what the app shows next to the name.
            secret: in base32 as programs show it, perhaps in lower case, with blanks or hyphens, or
                without padding; a random one by default.

        Returns:
            A future of the URI for the app's QR code, which contains the secret. It fails with
            `ValueError` if the name or the secret is invalid.
        """
        return self.request(_Enrol(name, issuer, secret))

    def remove(self, name: str) -> Future[None]:
        """Remove a user's secret. The future fails with `AccountError` if there is none."""
        return self.request(_Remove(name))

    def enrolled(self) -> Future[list[str]]:
        """Return a future of the names of all users who have a secret."""
        return self.request(_ListEnrolled())


class OTPChecker(DatabaseChecker):
    """Checks one-time codes against secrets in an SQLite database.

    A code is accepted only once, even if several processes use the database, and in a cluster whose
    machines have a database each. It is valid while it
    is shown and, since clocks differ, one period before and after, but not after a later code was
    used. Six digits can be guessed: ask for a password first (`AllOf`), and throttle.

    Args:
        path: the database; created, accessible to its owner only, if it is missing.
        clock: returns the seconds since the epoch.
        skew: periods of 30 seconds by which a user's clock may differ, at most `WIDEST_SKEW`.

    Raises:
        AccountError: if the database cannot be opened.
        ValueError: if the skew is out of range.
    """

    ref_class = OTPCheckerRef
    credential_interfaces = (OneTimePassword,)

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float], skew: int) -> None:
        if not 0 <= skew <= WIDEST_SKEW:
            raise ValueError(f"skew must be 0 to {WIDEST_SKEW}")
        self._clock = clock
        self._skew = skew
        self._complaints = Complaints()
        super().__init__(
            open_database(path, lambda database: [database.execute(text) for text in SCHEMA])
        )

    @classmethod
    def start(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        clock: Callable[[], float] = time.time,
        skew: int = 1,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> OTPCheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("OTPCheckerRef", super().start(path, clock, skew, dispatcher=dispatcher))

    def carry_out(self, order: Order) -> Any:
        """Enrol, remove or list users."""
        match order:
            case _Enrol(name, issuer, secret):
                return self._enrol(name, issuer, secret)
            case _Remove(name):
                return self._remove(name)
            case _ListEnrolled():
                return self._enrolled()
        raise TypeError(order)

    def request_avatar_id(self, credentials: OneTimePassword) -> Future[str]:
        """Check a code, and mark it as used."""
        try:
            row = self.database.execute(
                "SELECT secret FROM otp WHERE name = ?", (credentials.username,)
            ).fetchone()
            secret = None if row is None else row[0]
            # A user without a usable secret is checked against a random one.
            key = self._key_of(credentials.username, secret)
            now = int(self._clock()) // PERIOD
            period = self._period_of(key or secrets.token_bytes(20), credentials.code, now)
            if key is None or period is None:
                raise UnauthorizedLogin("wrong code, or no secret", known=row is not None)
            if not self._use_up(credentials.username, secret, period, now):
                raise UnauthorizedLogin("the code was used before", known=True)
        except sqlite3.Error as error:
            raise CheckerUnavailable(f"the secrets cannot be read: {error}") from None
        return self._use_up_everywhere(credentials.username, key, period)

    def _key_of(self, name: str, secret: object) -> bytes | None:
        """Return the key of a user; None if there is none or it is damaged."""
        if secret is None:
            return None
        try:
            return _key_in(secret)
        except ValueError as error:
            self._complaints.about(name, error)
            return None

    def _period_of(self, key: bytes, code: str, now: int) -> int | None:
        """Return the period in which a code is shown, if it is close enough to the current one."""
        found = None
        for period in range(max(0, now - self._skew), now + self._skew + 1):
            if hmac.compare_digest(_code_of(key, period).encode(), code.encode("utf-8", "replace")):
                found = period
        return found

    def _use_up(self, name: str, secret: object, period: int, now: int) -> bool:
        """Mark a code as used; return whether neither it nor a later one was used before."""
        values = {"name": name, "secret": secret, "period": period, "newest": now + self._skew}
        # A single statement, so that only one of several processes accepts the code.
        if not self.database.execute(_USE_UP, values).rowcount:
            return False
        self.database.execute(_FORGET, {"name": name, "count": REMEMBERED})
        return True

    def _use_up_everywhere(self, name: str, key: bytes, period: int) -> Future[str]:
        """Use up a code for the other machines of a cluster, each of which has its own database."""
        what = f"actorcred otp {period} {name}".encode("utf-8", "surrogatepass")
        which = "otp " + hmac.digest(key, what, "sha256").hex()
        checker = cast("CheckerRef", self._actor_ref)
        used = checker.use_up(which, (2 * self._skew + 1) * PERIOD)
        decision: Future[str] = Future()
        self.cred_then(used, self._used_everywhere, name, decision)
        return decision

    def _used_everywhere(self, used: Future[bool], name: str, decision: Future[str]) -> None:
        if not used.get():
            raise UnauthorizedLogin("the code was used before", known=True)
        decision.settle(name)

    # -- managing ----------------------------------------------------------------------------------

    def _enrol(self, name: str, issuer: str, secret: str | None) -> str:
        name = prepare_username(name)
        key = _key_in(secret) if secret else secrets.token_bytes(20)
        if len(key) * 8 < FEWEST_BITS:
            raise ValueError(f"the secret must be base32 of at least {FEWEST_BITS} bits")
        secret = base64.b32encode(key).decode().rstrip("=")  # as apps take it
        with self.writing() as database:
            # Used codes of the same secret stay used.
            database.execute(
                "DELETE FROM otp_used WHERE name = ? "
                "AND name NOT IN (SELECT name FROM otp WHERE secret = ?)",
                (name, secret),
            )
            database.execute(
                "INSERT OR REPLACE INTO otp (name, secret, last) VALUES (?, ?, -1)", (name, secret)
            )
        query = urlencode({"secret": secret, "issuer": issuer}, quote_via=quote)
        return f"otpauth://totp/{quote(issuer)}:{quote(name)}?{query}"

    def _remove(self, name: str) -> None:
        name = prepare_username(name)
        with self.writing() as database:
            if not database.execute("DELETE FROM otp WHERE name = ?", (name,)).rowcount:
                raise AccountError(f"{name!r} has no secret")
            database.execute("DELETE FROM otp_used WHERE name = ?", (name,))
        cast("CheckerRef", self._actor_ref).revoke(name, Revocation.DISABLED)

    def _enrolled(self) -> list[str]:
        return [name for (name,) in self.database.execute("SELECT name FROM otp ORDER BY name")]


def _key_in(secret: object) -> bytes:
    """Return the key encoded in base32.

    Raises:
        ValueError: if it is invalid; the error's text does not show it.
    """
    signs = secret if isinstance(secret, str) else ""
    text = "".join(sign for sign in signs if not is_blank(sign) and sign != "-").rstrip("=")
    try:
        key = base64.b32decode(text + "=" * (-len(text) % 8), casefold=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("the secret must be base32")
    return key


def _code_of(key: bytes, period: int) -> str:
    """Return the code of a period (RFC 4226, section 5.3)."""
    digest = hmac.digest(key, period.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 15
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


plugin = CheckerPlugin(
    "otp",
    "PATH",
    "Codes of authenticator apps (TOTP), as a second factor: all:(file:players)(otp:codes.db). "
    "`actorcred otp` enrols users. Option: skew=1, the periods of 30 seconds by which clocks may "
    "differ.",
    (OneTimePassword,),
    start_with_path(OTPChecker.start, {"skew": int}),
)
