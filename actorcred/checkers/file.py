"""Users in a file with one user per line, such as Apache's htpasswd files."""

from __future__ import annotations

import hmac
import logging
import os
from typing import cast

from actorcred.actors import Dispatcher
from actorcred.auth.plugin import CheckerPlugin, start_with_path
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.bases.passwords import Account, PasswordChecker, advice
from actorcred.checkers.bases.polling import PollingChecker
from actorcred.checkers.bases.watched import WatchedFile, why
from actorcred.checkers.group_file import GroupFile
from actorcred.checkers.htpasswd import LOCKED, FileFormat, UserLine, lines_by_user, user_lines
from actorcred.credentials import UsernamePassword
from actorcred.errors import CheckerUnavailable, MissingExtra
from actorcred.identity import Identity, identity_of
from actorcred.names import AvatarId
from actorcred.passwords.hashing import UnsupportedHash, check_format, verify_password

__all__ = ["FILE_OPTIONS", "FileChecker", "FileFormat", "plugin"]

logger = logging.getLogger("actorcred.checkers")

FILE_OPTIONS = {"delimiter": str, "encoding": str}
"""Options of the type "file", which are fields of `FileFormat`."""


class FileChecker(PollingChecker, PasswordChecker):
    """Checks against a file with one user per line, `name:hash`, as written by Apache's htpasswd.

    Hashes may be bcrypt and SHA-1, and with the extra `htpasswd` apr1, sha256-crypt and
    sha512-crypt. A user whose hash has an unsafe format cannot log in, and the log names the user.
    The file is read again when it has changed; sessions of users who were removed or got a new
    password are revoked a few seconds later. With a file of groups, the identity has the user's
    groups; if they change, later logins have the new ones.

    Args:
        path: the file. Empty lines, lines that begin with # and blanks around a line are ignored.
            Of two lines with the same name the first one counts, but a line with the name in the
            form of RFC 8265 takes precedence. A line that cannot be used, such as one in another
            encoding, is logged and does not affect the others.
        format: how to read it.
        groups: a file with the users' groups, in the form of Apache's AuthGroupFile; see
            `actorcred.checkers.group_file`. It has the encoding of the other one.

    Raises:
        AccountError: if a file cannot be read.
    """

    remedy = "make a new one with `htpasswd -B`"

    def __init__(
        self,
        path: str | os.PathLike[str],
        format: FileFormat | None = None,  # noqa: A002
        groups: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self._format = format or FileFormat()
        self._groups = (
            None if groups is None else GroupFile(groups, self._format.encoding, self._format.key)
        )
        self._path = os.fspath(path)
        self._dummy = ""
        self._dummy_of: dict[str, Account] | None = None  # the accounts it was chosen from
        hint = f"make one with `actorcred passwd add file:{path} NAME`"
        self._file = WatchedFile(path, self._parse, lines=True, hint=hint)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        format: FileFormat | None = None,  # noqa: A002
        *,
        groups: str | os.PathLike[str] | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("CheckerRef", super().start(path, format, groups, dispatcher=dispatcher))

    def on_start(self) -> None:
        """Start watching the file."""
        self.start_polling()

    # -- reading -----------------------------------------------------------------------------------

    def _parse(self, raw: bytes) -> dict[str, Account]:
        wrong: list[ValueError] = []

        def complain(number: int, error: ValueError) -> None:
            wrong.append(error)
            logger.warning("%s, line %d: %s", self._path, number, why(error))

        lines = lines_by_user(user_lines(raw, self._format, complain), self._format)
        unreadable = next((error for error in wrong if isinstance(error, UnicodeDecodeError)), None)
        if not lines and unreadable is not None:
            raise unreadable
        return {key: self._account(*same) for key, same in lines.items()}

    def _account(self, line: UserLine, *others: UserLine) -> Account:
        where = f"{self._path}, line {line.number}"
        if others:
            numbers = ", ".join(str(other.number) for other in others)
            logger.warning("%s: %r is also in line %s, which is ignored", where, line.name, numbers)
        if self._format.hash_function is not None:
            return Account(line.name, line.stored)
        try:
            check_format(hash=line.stored)
        except (UnsupportedHash, MissingExtra) as error:
            reason = (
                "the account is disabled"
                if line.stored.startswith(LOCKED)
                else advice(error, self.remedy)
            )
            logger.warning("%s: %r cannot log in: %s", where, line.name, reason)
            return Account(line.name, line.stored, usable=False)
        return Account(line.name, line.stored)

    # -- checking ----------------------------------------------------------------------------------

    def dummy(self) -> str:
        """Return the usable hash of some user, so that an unknown user takes the same time."""
        accounts = self._file.value
        if self._dummy_of is not accounts:
            self._dummy = next(
                (account.hash for account in accounts.values() if account.usable), super().dummy()
            )
            self._dummy_of = accounts
        return self._dummy

    def lookup(self, username: str) -> Account | None:
        """Return the account of a user, from the current content of the file."""
        try:
            accounts = self._file.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"{self._path} cannot be used: {why(error)}") from None
        return accounts.get(self._format.key(username))

    def answer(self, account: Account) -> AvatarId | Identity:
        """Return the avatar id, or the identity if there is a file of groups."""
        if self._groups is None:
            return account.avatar_id
        return Identity(account.avatar_id, groups=self._groups.groups_of(account.avatar_id))

    def current_identity(self, name: str) -> Identity | None:
        """Return what the files say of a user now; None if no one may log in to the account.

        Args:
            name: the user's name.

        Raises:
            CheckerUnavailable: if a file cannot be read.
        """
        account = self.lookup(name)
        if account is None or not account.usable:
            return None
        return identity_of(self.answer(account))

    def can_verify(self, account: Account) -> bool:
        """Return whether an account's hash can be verified; always True with a `hash_function`."""
        return self._format.hash_function is not None or super().can_verify(account)

    def verify(self, credentials: UsernamePassword, account: Account) -> bool:
        """Return whether the password is right."""
        make = self._format.hash_function
        if make is None:
            return verify_password(
                password=credentials.sent, hash=account.hash, encoding=self._format.encoding
            )
        try:
            made = make(credentials.username, credentials.password, account.hash)
        except Exception as error:  # its text might show the hash
            raise UnsupportedHash(f"hash_function failed with {type(error).__name__}") from None
        return hmac.compare_digest(made.encode(), account.hash.encode())

    # -- revoking ----------------------------------------------------------------------------------

    def poll(self) -> None:
        """Revoke users who were removed from the file, disabled, or got a new password."""
        if self._groups is not None:
            self._groups.poll()
        old, new = self._file.poll() or ({}, {})
        for key, account in old.items():
            now = new.get(key)
            if now is None or not now.usable:
                cast("CheckerRef", self._actor_ref).revoke(account.avatar_id, Revocation.DELETED)
            elif now.hash != account.hash:
                cast("CheckerRef", self._actor_ref).revoke(
                    account.avatar_id, Revocation.PASSWORD_CHANGED
                )


def _start(path: str, groups: str | None = None, **options: str) -> CheckerRef:
    return FileChecker.start(path, FileFormat(**options), groups=groups)  # type: ignore[arg-type]


plugin = CheckerPlugin(
    "file",
    "PATH",
    "A file with one user per line, NAME:HASH, as written by Apache's htpasswd and `actorcred "
    "passwd`. It is read again when it has changed. Options: delimiter=CHARACTER if fields are not "
    "separated by colons; encoding=latin-1 for an old file; groups=PATH is a file of groups, as "
    "Apache's AuthGroupFile.",
    (UsernamePassword,),
    start_with_path(_start, {**FILE_OPTIONS, "groups": str}),
)
