"""Users in a file as Apache's htdigest writes it."""

from __future__ import annotations

import hmac
import logging
import os
from typing import cast

from actorcred.actors import ControlCall, Dispatcher
from actorcred.checkers.base import Checker, CheckerRef, Revocation
from actorcred.checkers.plugin import CheckerPlugin, start_with_path
from actorcred.checkers.watched import POLL, WatchedFile, lines_that_count, why
from actorcred.credentials import UsernameDigestHash, UsernamePassword
from actorcred.errors import CheckerUnavailable, UnauthorizedLogin
from actorcred.http_digest import digest_of
from actorcred.precis import prepare_username

__all__ = ["HtdigestChecker", "plugin"]

logger = logging.getLogger("actorcred.checkers")

_ALGORITHMS = {32: "MD5", 64: "SHA-256"}
"""Digits of a digest -> how it was made. Apache makes MD5."""


class HtdigestChecker(Checker):
    """Checks HTTP Digest, and passwords, against a file with lines `name:realm:digest`.

    The digest suffices to log in by HTTP Digest, so the file is as secret as the passwords are; and MD5 is no hash for
    passwords. Use it for files that exist. It is read again when it has changed, and sessions of users who were removed
    or got a new password are revoked a few seconds after.

    Args:
        path: the file. UTF-8; digests of MD5, or of SHA-256 for other makers' files.
        realm: the realm whose lines count; "" if the file has only one.

    Raises:
        AccountError: if the file cannot be read, or has several realms and none is named.
    """

    credential_interfaces = (UsernameDigestHash, UsernamePassword)

    def __init__(self, path: str | os.PathLike[str], realm: str) -> None:
        super().__init__()
        self._wanted = realm
        self.digest_algorithms = frozenset()
        self._path = os.fspath(path)
        self._file = WatchedFile(path, self._parse, lines=True, hint=f"make one with `htdigest -c {path} REALM NAME`")

    @classmethod
    def start(  # type: ignore[override]
        cls, path: str | os.PathLike[str], realm: str = "", *, dispatcher: Dispatcher | None = None
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("CheckerRef", super().start(path, realm, dispatcher=dispatcher))

    def on_start(self) -> None:
        """Begin to watch the file."""
        self.send_every(POLL, ControlCall(("_poll",)))

    def _parse(self, raw: bytes) -> tuple[str, dict[str, dict[str, str]]]:
        """Return the realm, and the digests of its users by their algorithms."""
        rows = self._rows(raw)
        realms = {realm for _, realm, _ in rows}
        if not self._wanted and len(realms) > 1:
            raise ValueError(f"it has the realms {', '.join(sorted(realms))}; say which one")
        chosen = self._wanted or next(iter(realms), "")
        digests: dict[str, dict[str, str]] = {}
        for name, realm, digest in rows:
            if realm == chosen:
                digests.setdefault(name, {}).setdefault(_ALGORITHMS[len(digest)], digest)
        self.digest_algorithms = frozenset(algorithm for kept in digests.values() for algorithm in kept) or frozenset(("MD5",))
        return chosen, digests

    def _rows(self, raw: bytes) -> list[tuple[str, str, str]]:
        rows, is_text = [], True
        for number, line in lines_that_count(raw):
            try:
                rows.append(_row(line.decode().rstrip("\r")))
            except ValueError as error:
                logger.warning("%s, line %d cannot be used: %s", self._path, number, why(error))
                is_text = is_text and not isinstance(error, UnicodeDecodeError)
        if not rows and not is_text:
            raise ValueError("it is not UTF-8")
        return rows

    def request_avatar_id(self, credentials: UsernameDigestHash | UsernamePassword) -> str:
        """Check an answer to a challenge, or a password."""
        try:
            realm, digests = self._file.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"{self._path} cannot be used: {why(error)}") from None
        if isinstance(credentials, UsernameDigestHash) and credentials.realm != realm:
            raise UnauthorizedLogin(f"the answer is for the realm {credentials.realm!r}, the file for {realm!r}")
        name = credentials.username
        kept = digests.get(name, {})
        usual = next(iter(next(iter(digests.values()), {"MD5": ""})))  # of an unknown user, whose answer is checked as well
        if isinstance(credentials, UsernamePassword):
            algorithm = next(iter(kept), usual)
            known = kept.get(algorithm)
            made = digest_of(algorithm, name, realm, credentials.password)
            right = hmac.compare_digest(made.encode(), (known or "").encode())
        else:
            known = kept.get(credentials.algorithm)
            right = credentials.check_hash(known or "0" * 32)
        if not right or known is None:
            why_not = "no such user" if not kept else "wrong password" if known is not None else "no digest of this algorithm"
            raise UnauthorizedLogin(why_not, known=bool(kept))
        return name

    def _poll(self) -> None:
        """Revoke what the file does not bear out any more."""
        (_, old), (_, new) = self._file.poll() or (("", {}), ("", {}))
        for name, digest in old.items():
            now = new.get(name)
            if now != digest:
                what = Revocation.DELETED if now is None else Revocation.PASSWORD_CHANGED
                cast("CheckerRef", self._actor_ref).revoke(name, what)


def _row(line: str) -> tuple[str, str, str]:
    name, _, rest = line.partition(":")
    realm, _, digest = rest.rpartition(":")
    if len(digest) not in _ALGORITHMS or not all(digit in "0123456789abcdefABCDEF" for digit in digest):
        raise ValueError("this is no name:realm:digest")
    return prepare_username(name), realm, digest.lower()


plugin = CheckerPlugin(
    "htdigest",
    "PATH",
    "A file as Apache's htdigest writes it, for HTTP Digest and for passwords. The option realm=REALM says which lines count.",
    (UsernameDigestHash, UsernamePassword),
    start_with_path(HtdigestChecker.start, {"realm": str}),
)
