"""Users in a file as written by Apache's htdigest."""

from __future__ import annotations

import hmac
import logging
import os
from dataclasses import dataclass, field
from typing import cast

from actorcred.actors import Dispatcher
from actorcred.auth.plugin import CheckerPlugin, start_with_path
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.bases.polling import PollingChecker
from actorcred.checkers.bases.watched import WatchedFile, check_encoding, lines_that_count, why
from actorcred.checkers.group_file import GroupFile
from actorcred.credentials import UsernamePassword
from actorcred.errors import CheckerUnavailable, UnauthorizedLogin
from actorcred.exchange import UsernameDigestHash
from actorcred.identity import Identity, identity_of
from actorcred.names import prepare_username
from actorcred.passwords.hashing import password_bytes
from actorcred.sasl.http_digest import digest_of

__all__ = ["HtdigestChecker", "plugin"]

logger = logging.getLogger("actorcred.checkers")

_ALGORITHMS = {32: "MD5", 64: "SHA-256"}
"""Number of hex digits of a digest -> its algorithm. Apache's htdigest uses MD5."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line: its number from 1, the name as compared and as written, the realm, and the digest."""

    number: int = field(compare=False)
    name: str
    written: str = field(compare=False)
    realm: str
    digest: str = field(repr=False)

    @property
    def algorithm(self) -> str:
        return _ALGORITHMS[len(self.digest)]


_Users = dict[str, dict[str, _Row]]
"""The lines of each user, by algorithm."""


class HtdigestChecker(PollingChecker):
    """Checks HTTP Digest, and passwords, against a file with lines `name:realm:digest`.

    The digest is enough to log in by HTTP Digest, so the file must be kept as secret as the
    passwords; and MD5 is not a hash for passwords. Use this checker for existing files. The file is
    read again when it has changed, and sessions of users who were removed or got a new password are
    revoked a few seconds later. With a file of groups, the identity has the user's groups; if they
    change, later logins have the new ones.

    Args:
        path: the file, with digests of MD5, or of SHA-256 if other programs made it. Of two lines
            with the same name the first one counts, but a line with the name in the form of
            RFC 8265 takes precedence.
        realm: the realm whose lines count; "" if the file has only one.
        encoding: the encoding of the file, "latin-1" for an old one.
        groups: a file with the users' groups, in the form of Apache's AuthGroupFile; see
            `actorcred.checkers.group_file`. It has the encoding of the other one.

    Raises:
        AccountError: if a file cannot be read, or has several realms and `realm` is empty.
    """

    credential_interfaces = (UsernameDigestHash, UsernamePassword)

    def __init__(
        self,
        path: str | os.PathLike[str],
        realm: str,
        encoding: str,
        groups: str | os.PathLike[str] | None,
    ) -> None:
        super().__init__()
        check_encoding(encoding)
        self._groups = None if groups is None else GroupFile(groups, encoding, str)
        self._encoding = encoding
        self._wanted = realm
        self.digest_algorithms = frozenset()
        self._path = os.fspath(path)
        self._file = WatchedFile(
            path, self._parse, lines=True, hint=f"make one with `htdigest -c {path} REALM NAME`"
        )

    @classmethod
    def start(  # type: ignore[override]
        cls,
        path: str | os.PathLike[str],
        realm: str = "",
        encoding: str = "utf-8",
        *,
        groups: str | os.PathLike[str] | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast(
            "CheckerRef", super().start(path, realm, encoding, groups, dispatcher=dispatcher)
        )

    def on_start(self) -> None:
        """Start watching the file."""
        self.start_polling()

    def _parse(self, raw: bytes) -> tuple[str, _Users]:
        """Return the realm, and the lines of its users by algorithm."""
        rows = self._rows(raw)
        realms = {row.realm for row in rows}
        if not self._wanted and len(realms) > 1:
            raise ValueError(f"it has the realms {', '.join(sorted(realms))}; say which one")
        chosen = self._wanted or next(iter(realms), "")
        users: _Users = {}
        for row in sorted(
            (row for row in rows if row.realm == chosen), key=lambda row: row.written != row.name
        ):
            first = users.setdefault(row.name, {}).setdefault(row.algorithm, row)
            if first is not row:
                where = f"{self._path}, line {first.number}"
                logger.warning(
                    "%s: %r is also in line %d, which is ignored", where, row.name, row.number
                )
        self.digest_algorithms = frozenset(
            algorithm for kept in users.values() for algorithm in kept
        ) or frozenset(("MD5",))
        self.show_offers()
        return chosen, users

    def _rows(self, raw: bytes) -> list[_Row]:
        rows: list[_Row] = []
        unreadable: UnicodeDecodeError | None = None
        for number, line in lines_that_count(raw):
            try:
                rows.append(_row(number, line.decode(self._encoding)))
            except ValueError as error:
                logger.warning("%s, line %d cannot be used: %s", self._path, number, why(error))
                unreadable = error if isinstance(error, UnicodeDecodeError) else unreadable
        if not rows and unreadable is not None:
            raise unreadable
        return rows

    def _read(self) -> tuple[str, _Users]:
        try:
            return self._file.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"{self._path} cannot be used: {why(error)}") from None

    def _answer(self, name: str) -> str | Identity:
        if self._groups is None:
            return name
        return Identity(name, groups=self._groups.groups_of(name))

    def current_identity(self, name: str) -> Identity | None:
        """Return what the files say of a user now; None if there is no such user.

        Args:
            name: the user's name.

        Raises:
            CheckerUnavailable: if a file cannot be read.
        """
        _, users = self._read()
        return identity_of(self._answer(name)) if name in users else None

    def request_avatar_id(
        self, credentials: UsernameDigestHash | UsernamePassword
    ) -> str | Identity:
        """Check an answer to a challenge, or a password."""
        realm, digests = self._read()
        if isinstance(credentials, UsernameDigestHash) and credentials.realm != realm:
            raise UnauthorizedLogin(
                f"the answer is for the realm {credentials.realm!r}, the file is for {realm!r}"
            )
        name = credentials.username
        kept = digests.get(name, {})
        # For an unknown user, whose answer is checked as well.
        usual = next(iter(next(iter(digests.values()), {"MD5": ""})))
        if isinstance(credentials, UsernamePassword):
            algorithm = next(iter(kept), usual)
            known = kept.get(algorithm)
            right = self._fits(credentials, realm, algorithm, known)
        else:
            known = kept.get(credentials.algorithm)
            right = credentials.check_hash("0" * 32 if known is None else known.digest)
        if not right or known is None:
            why_not = (
                "no such user"
                if not kept
                else "wrong password"
                if known is not None
                else "no digest of this algorithm"
            )
            raise UnauthorizedLogin(why_not, known=bool(kept))
        return self._answer(name)

    def _fits(
        self, credentials: UsernamePassword, realm: str, algorithm: str, row: _Row | None
    ) -> bool:
        """Return whether a password matches a line.

        It is tried as sent and as prepared, in the encodings of the file and of the client.
        """
        written, digest = (credentials.username, "") if row is None else (row.written, row.digest)
        # The program that made the file hashed the bytes of the line.
        name, place = (
            text.encode(self._encoding, "replace").decode("utf-8", "surrogateescape")
            for text in (written, realm)
        )
        tried = password_bytes(credentials.sent, self._encoding)
        fits = [
            hmac.compare_digest(digest_of(algorithm, name, place, raw), digest) for raw in tried
        ]
        return any(fits)

    def poll(self) -> None:
        """Revoke users who were removed from the file or got a new password."""
        if self._groups is not None:
            self._groups.poll()
        (_, old), (_, new) = self._file.poll() or (("", {}), ("", {}))
        for name, digest in old.items():
            now = new.get(name)
            if now != digest:
                what = Revocation.DELETED if now is None else Revocation.PASSWORD_CHANGED
                cast("CheckerRef", self._actor_ref).revoke(name, what)


def _row(number: int, line: str) -> _Row:
    name, _, rest = line.partition(":")
    realm, _, digest = rest.rpartition(":")
    digest = digest.strip().lower()
    if len(digest) not in _ALGORITHMS or not all(digit in "0123456789abcdef" for digit in digest):
        raise ValueError("this is not of the form name:realm:digest")
    return _Row(number, prepare_username(name), name, realm, digest)


plugin = CheckerPlugin(
    "htdigest",
    "PATH",
    "A file as written by Apache's htdigest, for HTTP Digest and for passwords. Options: "
    "realm=REALM is the realm whose lines count; encoding=latin-1 for an old file; groups=PATH is "
    "a file of groups, as Apache's AuthGroupFile.",
    (UsernameDigestHash, UsernamePassword),
    start_with_path(HtdigestChecker.start, {"realm": str, "encoding": str, "groups": str}),
)
