"""Users in a file of lines and fields, as Apache's htpasswd."""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from actorcred.actors import ControlCall, Dispatcher
from actorcred.checkers.base import CheckerRef, Revocation
from actorcred.checkers.passwords import Account, PasswordChecker
from actorcred.checkers.plugin import CheckerPlugin, start_with_path
from actorcred.checkers.watched import POLL, WatchedFile, lines_that_count, why
from actorcred.credentials import UsernamePassword
from actorcred.errors import CheckerUnavailable, MissingExtra
from actorcred.passwords import UnsupportedHash, check_format
from actorcred.precis import prepare_username

__all__ = ["FileChecker", "FileFormat", "plugin"]

logger = logging.getLogger("actorcred.checkers")

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
        self._format = format or FileFormat()
        self._path = os.fspath(path)
        self._dummy = ""
        self._dummy_of: dict[str, Account] | None = None  # the accounts among which it was chosen
        self._file = WatchedFile(path, self._parse, lines=True, hint=f"make one with `htpasswd -cB {path} NAME`")

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

    def _parse(self, raw: bytes) -> dict[str, Account]:
        accounts: dict[str, Account] = {}
        is_text = True
        for number, line in lines_that_count(raw):
            where = f"{self._path}, line {number}"
            try:
                account = self._parse_line(line.decode(), where)
            except ValueError as error:
                logger.warning("%s: %s", where, why(error))
                is_text = is_text and not isinstance(error, UnicodeDecodeError)
            else:
                accounts.setdefault(self._format.key(account.avatar_id), account)
        if not accounts and not is_text:
            raise ValueError("it is not UTF-8")
        return accounts

    def _parse_line(self, line: str, where: str) -> Account:
        fields = line.split(self._format.delimiter)
        if len(fields) <= max(self._format.username_field, self._format.password_field):
            raise ValueError(f"there are only {len(fields)} fields")
        name = prepare_username(fields[self._format.username_field])
        stored = fields[self._format.password_field].strip()
        if self._format.hash_function is None:
            try:
                check_format(hash=stored)
            except (UnsupportedHash, MissingExtra) as error:
                logger.warning("%s: %r cannot log in: %s", where, name, error)
                return Account(name, stored, usable=False)
        return Account(name, stored)

    # -- checking -----------------------------------------------------------------------------------------------------

    def dummy(self) -> str:
        """Return a hash of some user that can be verified, so that an unknown one costs what that one does."""
        accounts = self._file.value
        if self._dummy_of is not accounts:
            self._dummy = next((account.hash for account in accounts.values() if account.usable), super().dummy())
            self._dummy_of = accounts
        return self._dummy

    def lookup(self, username: str) -> Account | None:
        """Return the account of a user, from the file as it is now."""
        try:
            accounts = self._file.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"{self._path} cannot be used: {why(error)}") from None
        return accounts.get(self._format.key(username))

    def can_verify(self, account: Account) -> bool:
        """Tell whether an account's hash can be verified; a function of the application is taken to know all of them."""
        return self._format.hash_function is not None or super().can_verify(account)

    def verify(self, credentials: UsernamePassword, account: Account) -> bool:
        """Tell whether the password is right."""
        make = self._format.hash_function
        if make is None:
            return super().verify(credentials, account)
        try:
            made = make(credentials.username, credentials.password, account.hash)
        except Exception as error:  # its text may show the hash
            raise UnsupportedHash(f"hash_function failed with {type(error).__name__}") from None
        return hmac.compare_digest(made.encode(), account.hash.encode())

    # -- revoking -----------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """Revoke what the file does not bear out any more."""
        old, new = self._file.poll() or ({}, {})
        for key, account in old.items():
            now = new.get(key)
            if now is None or not now.usable:
                cast("CheckerRef", self._actor_ref).revoke(account.avatar_id, Revocation.DELETED)
            elif now.hash != account.hash:
                cast("CheckerRef", self._actor_ref).revoke(account.avatar_id, Revocation.PASSWORD_CHANGED)


plugin = CheckerPlugin(
    "file",
    "PATH",
    "A file with a user per line, NAME:HASH, as Apache's htpasswd and `actorcred passwd` write it. It is read again when it "
    "has changed. With the option delimiter=SIGN the fields are divided by another sign.",
    (UsernamePassword,),
    start_with_path(lambda path, delimiter=":": FileChecker.start(path, FileFormat(delimiter=delimiter)), {"delimiter": str}),
)
