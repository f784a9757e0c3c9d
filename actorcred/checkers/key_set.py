"""Public keys that verify tokens: a JWKS (RFC 7517) or a PEM key, in a file or at a URL."""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

from actorcred.checkers.bases.watched import WatchedFile, why
from actorcred.errors import CheckerUnavailable

__all__ = ["MOST_TRIED", "Fetching", "KeyFile", "KeySet", "KeySource", "KeyURL"]

MOST_TRIED = 8
"""Keys that are tried for one token, if several might have signed it."""

_EDWARDS = frozenset(("EdDSA", "Ed25519"))
"""Two names of the same algorithm (RFC 8037, RFC 9864)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """How often keys at a URL are fetched.

    Args:
        lifespan: seconds for which they are used; a key that the issuer has withdrawn can be
            accepted for that long.
        cooldown: seconds between two fetches because of an unknown key, so that no client can make
            the checker flood the issuer.
    """

    lifespan: float = 300.0
    cooldown: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.lifespan < math.inf or not 0 <= self.cooldown < math.inf:
            raise ValueError("lifespan must be more than 0, and cooldown 0 or more")


class KeySet:
    """The keys of an issuer.

    Args:
        keys: the members of a JWKS. Keys whose signatures cannot be verified here are skipped.

    Raises:
        ValueError: if no usable key remains.
    """

    def __init__(self, keys: Any) -> None:
        if not isinstance(keys, list):
            raise ValueError("it is not a usable JWKS (it has no list of keys)")
        self._keys = [
            key
            for key in keys
            if isinstance(key, dict) and _makes_signatures(key) and _is_usable(key)
        ]
        if not self._keys:
            raise ValueError("it is not a usable JWKS (there is no key for signatures in it)")

    def find(self, kid: str | None, algorithm: str) -> list[Any]:
        """Return the keys that might have signed a token, at most `MOST_TRIED`.

        Args:
            kid: the id of the key that the token names. Keys without an id match any id; if there
                is only one key, it matches a token without an id.
            algorithm: the algorithm that the token names. A key without `alg` can be used with all
                algorithms of its type.
        """
        named = [key for key in self._keys if kid is not None and key.get("kid") == kid]
        nameless = [key for key in self._keys if key.get("kid") is None]
        alone = self._keys if kid is None and len(self._keys) == 1 else []
        made = (_made(key, algorithm) for key in named or nameless or alone)
        return [key for key in made if key is not None][:MOST_TRIED]


class PEMKey:
    """One key in PEM form, for all algorithms of its type."""

    def __init__(self, text: str) -> None:
        self._text = text

    def find(self, kid: str | None, algorithm: str) -> list[Any]:
        """Return the key."""
        return [self._text]


def _makes_signatures(key: dict[str, Any]) -> bool:
    operations = key.get("key_ops")
    return key.get("use") in {None, "sig"} and (
        not isinstance(operations, list) or "verify" in operations
    )


def _is_usable(key: dict[str, Any]) -> bool:
    import jwt

    algorithm = "EdDSA" if key.get("alg") in _EDWARDS else None
    try:
        return jwt.PyJWK(key, algorithm).key_type != "oct"
    except jwt.PyJWTError:
        return False


def _made(key: dict[str, Any], algorithm: str) -> Any:
    """Return a key for an algorithm; None if it cannot be used with that."""
    import jwt

    meant = key.get("alg")
    if meant is not None and meant != algorithm and not {meant, algorithm} <= _EDWARDS:
        return None
    try:
        return jwt.PyJWK(key, algorithm)
    except jwt.PyJWTError:
        return None  # of another type, or on another curve


class KeySource(Protocol):
    """A source of keys."""

    def find(self, kid: str | None, algorithm: str) -> list[Any]:
        """Return the keys that might have signed a token; see `KeySet`.

        Raises:
            CheckerUnavailable: if the keys cannot be used now.
        """

    def renew(self) -> bool:
        """Look for new keys and return whether there might be some.

        Called when a token was signed with none of the keys that were found.
        """


class KeyFile:
    """Keys in a file, which is read again when it has changed."""

    def __init__(self, path: str) -> None:
        self._file = WatchedFile(path, _parse)

    def find(self, kid: str | None, algorithm: str) -> list[Any]:
        """Return the keys that might have signed a token."""
        try:
            return self._file.read().find(kid, algorithm)
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"the keys cannot be used: {why(error)}") from None

    def renew(self) -> bool:
        """Return False: the file has just been checked for changes."""
        return False


def _parse(raw: bytes) -> KeySet | PEMKey:
    """Return the keys of a JWKS, or the one in PEM form."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    # UTF-8, possibly with a BOM, or UTF-16
    text = raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        return KeySet(_members_of(text))
    if "PRIVATE" in text:
        raise ValueError("this is a private key; the public key is needed")
    try:
        load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is neither a JWKS nor a public key in PEM form") from None
    return PEMKey(text)


def _members_of(text: str) -> Any:
    try:
        return json.loads(text).get("keys")
    except RecursionError:
        raise ValueError("it is not a usable JWKS (it is nested too deeply)") from None
    except ValueError as error:
        raise ValueError(f"it is not a usable JWKS ({type(error).__name__})") from None


class KeyURL:
    """Keys at a URL, which are fetched again when they are old or a token names an unknown one.

    Args:
        url: the URL of a JWKS.
        timeout: seconds for a fetch.
        fetching: how often they are fetched.
    """

    def __init__(self, url: str, timeout: float, fetching: Fetching) -> None:
        import jwt

        self._client = jwt.PyJWKClient(url, timeout=timeout, cache_jwk_set=False)
        self._fetching = fetching
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched = -math.inf

    def find(self, kid: str | None, algorithm: str) -> list[Any]:
        """Return the keys that might have signed a token."""
        with self._lock:
            if self._keys is None or time.monotonic() - self._fetched >= self._fetching.lifespan:
                self._keys = self._fetch()
            return self._keys.find(kid, algorithm)

    def renew(self) -> bool:
        """Fetch the keys again, and return True, unless they have just been fetched."""
        with self._lock:
            if time.monotonic() - self._fetched < self._fetching.cooldown:
                return False
            self._keys = self._fetch()
            return True

    def _fetch(self) -> KeySet:
        import jwt

        try:
            keys = KeySet(self._client.fetch_data().get("keys"))
        except jwt.PyJWKClientConnectionError as error:
            raise CheckerUnavailable(
                f"the keys cannot be fetched: {type(error.__cause__ or error).__name__}"
            ) from None
        except Exception as error:  # it is not a JWKS, or nested too deeply
            raise CheckerUnavailable(f"the keys cannot be used: {type(error).__name__}") from None
        self._fetched = time.monotonic()
        return keys
