"""Users in a file of lines and fields, as Apache's htpasswd."""

from __future__ import annotations

import hmac
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from actorcred.actors import ControlCall, Dispatcher
from actorcred.checkers.base import CheckerRef, Revocation
from actorcred.checkers.passwords import Account, PasswordChecker
from actorcred.checkers.plugin import CheckerPlugin, start_with_path
from actorcred.credentials import UsernamePassword, make_avatar_id
from actorcred.errors import AccountError, ActorcredError, CheckerUnavailable
from actorcred.passwords import UnsupportedHash, check_format

__all__ = ["FileChecker", "FileFormat", "plugin"]

logger = logging.getLogger("actorcred.checkers")

POLL = 2.0
"""Seconds between two looks whether the file has changed, for the sake of live sessions."""

HashFunction = Callable[[str, str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How the lines of a password file are to be read.

    Args:
        delimiter: between two fields.
        username_field: which field is the name, from 0.
        password_field: which field is the hash, from 0.
        case_sensitive: whether "Ann" and "ann" are two users.
        hash_function: `hash_function(username, password, stored)` returns what `stored` is if the password is right;
            for formats of your own. It runs on a thread of its own.
    """

    delimiter: str = ":"
    username_field: int = 0
    password_field: int = 1
    case_sensitive: bool = True
    hash_function: HashFunction | None = None

    def __post_init__(self) -> None:
        if not self.delimiter:
            raise ValueError("the delimiter must not be empty")
        if min(self.username_field, self.password_field) < 0 or self.username_field == self.password_field:
            raise ValueError("username_field and password_field must be two different numbers from 0")

    def key(self, username: str) -> str:
        """Return the form of a name under which it is looked up."""
        return username if self.case_sensitive else username.casefold()


class FileChecker(PasswordChecker):
    """Checks against a file with a user per line, `name:hash`, as Apache's htpasswd writes it.

    Hashes may be bcrypt and SHA-1, and with the extra `htpasswd` apr1, sha256-crypt and sha512-crypt. A user with a
    hash in a format that is not safe cannot log in, and the log says so by name. The file is read again when it has
    changed; sessions of users who were removed or got a new password are revoked a few seconds after.

    Args:
        path: the file. UTF-8; empty lines and those that begin with # do not count; of two lines with the same name
            the first one counts.
        format: how to read it.

    Raises:
        AccountError: if the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], format: FileFormat | None = None) -> None:  # noqa: A002
        super().__init__()
        self._path = Path(path)
        self._format = format or FileFormat()
        self._seen: tuple[int, ...] = ()
        self._pending: tuple[int, ...] = ()
        self._accounts: dict[str, Account] = {}
        try:
            self._load()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise AccountError(f"cannot read {str(path)!r}: {why}; make one with `htpasswd -cB {path} NAME`") from None
        self._confirmed: tuple[tuple[int, ...], dict[str, Account]] = (self._seen, self._accounts)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        format: FileFormat | None = None,  # noqa: A002
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("CheckerRef", super().start(path, format, dispatcher=dispatcher))

    def on_start(self) -> None:
        """Begin to watch the file."""
        self.send_every(POLL, ControlCall(("_poll",)))

    # -- reading ------------------------------------------------------------------------------------------------------

    def _signature(self) -> tuple[int, ...]:
        status = self._path.stat()
        return (status.st_mtime_ns, status.st_ino, status.st_dev, status.st_size)

    def _load(self) -> None:
        """Read the file if it is not the one that was read last."""
        for _ in range(5):
            before = self._signature()
            if before == self._seen:
                return
            text = self._path.read_bytes().decode()
            if self._signature() == before:
                break
        half_written = not text.endswith("\n") and self._accounts and time.time() - before[0] / 1e9 < 1.0
        if half_written:  # htpasswd itself writes the file in place; the next login will see all of it
            return
        self._accounts = self._parse(text)
        self._seen = before

    def _parse(self, text: str) -> dict[str, Account]:
        accounts: dict[str, Account] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                key, account = self._parse_line(line)
            except ValueError as error:
                logger.warning("%s, line %d: %s", self._path, number, error)
            else:
                accounts.setdefault(key, account)
        return accounts

    def _parse_line(self, line: str) -> tuple[str, Account]:
        fields = line.split(self._format.delimiter)
        if len(fields) <= max(self._format.username_field, self._format.password_field):
            raise ValueError(f"there are only {len(fields)} fields")
        name = make_avatar_id(fields[self._format.username_field])
        stored = fields[self._format.password_field].strip()
        usable = True
        if self._format.hash_function is None:
            try:
                check_format(hash=stored)
            except (UnsupportedHash, ActorcredError) as error:
                logger.warning("%s: %r cannot log in: %s", self._path, name, error)
                usable = False
        return self._format.key(name), Account(name, stored, usable)

    # -- checking -----------------------------------------------------------------------------------------------------

    def dummy(self) -> str:
        """Return a hash of some user, so that an unknown one costs what that one does."""
        return next((account.hash for account in self._accounts.values() if account.usable), super().dummy())

    def lookup(self, username: str) -> Account | None:
        """Return the account of a user, from the file as it is now."""
        try:
            self._load()
        except (OSError, UnicodeDecodeError) as error:
            logger.error("%s cannot be read: %s", self._path, error)
            raise CheckerUnavailable(f"{self._path} cannot be read") from None
        return self._accounts.get(self._format.key(username))

    def verify(self, credentials: UsernamePassword, account: Account) -> bool:
        """Tell whether the password is right."""
        make = self._format.hash_function
        if make is None:
            return super().verify(credentials, account)
        made = make(credentials.username, credentials.password, account.hash)
        return hmac.compare_digest(made.encode(), account.hash.encode())

    # -- revoking -----------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Revoke what the file does not bear out any more, once it has stayed the same from one look to the next."""
        try:
            self._load()
        except (OSError, UnicodeDecodeError):
            return  # logins say so; live sessions stay
        confirmed, accounts = self._confirmed
        if self._seen != confirmed:
            if self._seen == self._pending:
                self._confirmed = (self._seen, self._accounts)
                self._revoke_changes(accounts)
            self._pending = self._seen

    def _revoke_changes(self, old: dict[str, Account]) -> None:
        ref = cast("CheckerRef", self._actor_ref)
        for key, account in old.items():
            now = self._accounts.get(key)
            if now is None or not now.usable:
                ref.revoke(account.avatar_id, Revocation.DELETED)
            elif now.hash != account.hash:
                ref.revoke(account.avatar_id, Revocation.PASSWORD_CHANGED)


plugin = CheckerPlugin(
    "file",
    "PATH",
    "A file with a user per line, NAME:HASH, as Apache's htpasswd and `actorcred passwd` write it. It is read again when it "
    "has changed. With the option delimiter=SIGN the fields are divided by another sign.",
    (UsernamePassword,),
    start_with_path(lambda path, delimiter=":": FileChecker.start(path, FileFormat(delimiter=delimiter)), {"delimiter": str}),
)
