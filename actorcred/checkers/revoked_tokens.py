"""A list of tokens that were revoked before they expire."""

from __future__ import annotations

import os

from actorcred.checkers.bases.watched import WatchedFile, lines_that_count, why
from actorcred.errors import CheckerUnavailable, UnauthorizedLogin
from actorcred.standing import Revocation, Standing, fingerprint, named

__all__ = ["RevokedTokens"]


class RevokedTokens:
    """A file with the id (`jti`, RFC 7519, section 4.1.7) of a revoked token on each line.

    It is read again when it has changed.

    Args:
        path: the file.

    Raises:
        AccountError: if it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = WatchedFile(path, _parse, lines=True)

    def check(self, jti: object) -> str:
        """Return the id of a token that is not on the list.

        Raises:
            UnauthorizedLogin: if it is on the list, or the token has no id by which it could be.
            CheckerUnavailable: if the list cannot be used.
        """
        if not isinstance(jti, str) or not jti:
            raise UnauthorizedLogin("the token has no jti, by which it could be revoked")
        if fingerprint(jti) in self._read():
            raise UnauthorizedLogin("the token is revoked", known=True)
        return jti

    def standing(self, names: tuple[str, ...]) -> Standing:
        """Return which sessions rest on a token that is on the list.

        Raises:
            CheckerUnavailable: if the list cannot be used.
        """
        revoked = self._read()
        return Standing({name: Revocation.DISABLED for name in names if named(name)[1] in revoked})

    def _read(self) -> frozenset[str]:
        try:
            return self._file.read()
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"the list of tokens cannot be used: {why(error)}") from None


def _parse(raw: bytes) -> frozenset[str]:
    """Return the fingerprints of the ids in a file."""
    return frozenset(fingerprint(line) for _, line in lines_that_count(raw))
