"""Tokens that somebody else gives out: JSON Web Tokens (RFC 7519), as those of OpenID Connect."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.checkers.base import CheckerRef
from actorcred.checkers.blocking import BackendLimits, BlockingChecker, is_local
from actorcred.checkers.plugin import CheckerPlugin, read_options
from actorcred.checkers.watched import WatchedFile, why
from actorcred.credentials import BearerToken, TemporaryId, make_avatar_id
from actorcred.descriptors import ArgString
from actorcred.errors import AccountError, CheckerUnavailable, LoginFailed, MissingExtra, UnauthorizedLogin

__all__ = ["Fetching", "TokenChecker", "TokenRules", "plugin"]

LONGEST_TOKEN = 16_384
"""Characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Which tokens count.

    Args:
        algorithms: how they may be signed (RFC 7518), whatever a token says of itself: "RS256", "ES256", "EdDSA"; or with
            a shared secret "HS256".
        issuer: who must have given them out (`iss`); None takes any that the key signed.
        audience: for whom (`aud`); with None, tokens that name an audience are refused.
        claim: the claim that is the avatar id.
        leeway: seconds by which clocks may differ.
    """

    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    issuer: str | None = None
    audience: str | None = None
    claim: str = "sub"
    leeway: float = 10.0

    def __post_init__(self) -> None:
        if not self.algorithms or any(name.lower() == "none" for name in self.algorithms):
            raise ValueError("tokens need a signature, so algorithms must name some, and not none")
        if len({name.startswith("HS") for name in self.algorithms}) > 1:
            raise ValueError("algorithms for a shared secret (HS...) and for public keys do not go together")

    @property
    def shared(self) -> bool:
        """Whether the key is a shared secret."""
        return self.algorithms[0].startswith("HS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """How often keys at a URL are fetched.

    Args:
        lifespan: seconds for which they are used; a key that the issuer has withdrawn may count so long.
        cooldown: seconds between two fetches for the sake of a key that is not known, so that nobody can flood the issuer.
    """

    lifespan: float = 300.0
    cooldown: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.lifespan < math.inf or not 0 <= self.cooldown < math.inf:
            raise ValueError("lifespan must be more than 0, and cooldown no less than that")


class _KeyFile:
    """Keys in a file, which is read again when it has changed."""

    def __init__(self, path: str) -> None:
        self._file = WatchedFile(path, _parse_keys)

    def find(self, kid: str | None) -> Any:
        try:
            return _choose(self._file.read(), kid)
        except (OSError, ValueError) as error:
            raise CheckerUnavailable(f"the keys cannot be used: {why(error)}") from None


def _parse_keys(raw: bytes) -> list[Any]:
    """Return the keys of a JWKS, or the one in PEM form."""
    import jwt
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = raw.decode()
    try:
        if text.lstrip().startswith("{"):
            return list(jwt.PyJWKSet.from_dict(json.loads(text)).keys)
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ValueError(f"it is no JWKS that can be used ({type(error).__name__})") from None
    if "PRIVATE" in text:
        raise ValueError("this is a private key; the public one is wanted")
    try:
        load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("it is neither a JWKS nor a public key in PEM form") from None
    return [text]


def _choose(keys: list[Any], kid: str | None) -> Any:
    """Return the key that a token names, or the only one there is."""
    named = [key for key in keys if getattr(key, "key_id", None) == kid] if kid is not None else []
    if not named and len(keys) == 1 and getattr(keys[0], "key_id", None) is None:
        named = keys
    if not named and kid is None and len(keys) == 1:
        named = keys
    if len(named) != 1:
        raise UnauthorizedLogin("the token names no key that is known")
    return named[0]


class _KeyURL:
    """Keys at a URL (a JWKS, RFC 7517), which are fetched again when a token names one that is not among them."""

    def __init__(self, url: str, timeout: float, fetching: Fetching) -> None:
        import jwt

        self._client = jwt.PyJWKClient(url, lifespan=fetching.lifespan, timeout=timeout, cooldown_duration=fetching.cooldown)

    def find(self, kid: str | None) -> Any:
        import jwt

        try:
            if kid is not None:
                return self._client.get_signing_key(kid)
            return _choose(self._client.get_signing_keys(), None)
        except (jwt.PyJWKClientConnectionError, jwt.PyJWKSetError, OSError, ValueError) as error:
            raise CheckerUnavailable(f"the keys cannot be fetched: {type(error.__cause__ or error).__name__}") from None
        except jwt.PyJWKClientError:
            raise UnauthorizedLogin("the token names no key that is known") from None
        except LoginFailed:
            raise
        except Exception as error:  # of what is no JWKS
            raise CheckerUnavailable(f"the keys cannot be used: {type(error).__name__}") from None


class TokenChecker(BlockingChecker):
    """Checks JSON Web Tokens.

    A token has to have an end (`exp`). Whoever logs in with it stays in when it ends: bound the sessions' lifetime
    (`PortalOptions.lifetime`) where that matters.

    Args:
        keys: the URL of a JWKS (https, or http on this machine); or a file with a public key in PEM form or a JWKS.
        rules: which tokens count.
        secret: instead of keys, what is shared with who gives them out; for HS256 and the like.
        limits: how much is asked of the URL.
        fetching: how often the URL is asked.

    Raises:
        AccountError: if the keys or the secret do not fit the rules, or the file cannot be used.
        MissingExtra: without the extra "jwt".
    """

    credential_interfaces = (BearerToken,)

    def __init__(self, keys: str, rules: TokenRules, secret: str, limits: BackendLimits | None, fetching: Fetching) -> None:
        super().__init__(limits)
        try:
            import jwt  # noqa: F401
        except ImportError:
            raise MissingExtra("TokenChecker", "jwt") from None
        if bool(secret) != rules.shared or bool(keys) == bool(secret):
            raise AccountError("jwt: a secret goes with HS256 and the like, and keys with the other algorithms")
        if rules.shared and len(secret.encode()) < 32:
            raise AccountError("jwt: the shared secret needs 32 bytes at least (RFC 7518, section 3.2)")
        self._rules = rules
        self._secret = secret
        self._source: _KeyFile | _KeyURL | None = None
        if keys.startswith("http://") and not is_local(keys):
            raise AccountError("jwt: keys that come over a network need https, or anybody on the way could put in others")
        if keys.startswith(("http://", "https://")):
            self._source = _KeyURL(keys, self.limits.timeout, fetching)
        elif keys:
            self._source = _KeyFile(keys)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        keys: str = "",
        rules: TokenRules | None = None,
        *,
        secret: str = "",
        limits: BackendLimits | None = None,
        fetching: Fetching | None = None,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        arguments = (keys, rules or TokenRules(), secret, limits, fetching or Fetching())
        return cast("CheckerRef", super().start(*arguments, dispatcher=dispatcher))

    def check(self, credentials: BearerToken) -> str:
        """Check a token, and return who it is for."""
        rules = self._rules
        if len(credentials.token) > LONGEST_TOKEN:
            raise UnauthorizedLogin("the token is too long")
        claims = self._claims_of(credentials.token)
        try:
            # It is checked each time, and so must not be remembered beyond its end.
            return TemporaryId(make_avatar_id(claims[rules.claim]), float(claims["exp"]))
        except (TypeError, ValueError) as error:
            raise UnauthorizedLogin(f"the claim {rules.claim} is no avatar id: {error}") from None

    def _claims_of(self, token: str) -> dict[str, Any]:
        """Return what a token says, once its signature and its times have been checked."""
        import jwt

        rules = self._rules
        required = ["exp", rules.claim, *(["iss"] if rules.issuer else []), *(["aud"] if rules.audience else [])]
        try:
            return jwt.decode(
                token,
                self._key_for(jwt.get_unverified_header(token)),
                algorithms=list(rules.algorithms),
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=rules.leeway,
                options={"require": required},
            )
        except LoginFailed:
            raise
        except Exception as error:  # the library's own and many of Python's, of what is damaged: too deep, no number, no text
            raise UnauthorizedLogin(f"the token does not count: {type(error).__name__}") from None

    def _key_for(self, header: dict[str, Any]) -> Any:
        if self._source is None:
            return self._secret
        kid = header.get("kid")
        return self._source.find(kid if isinstance(kid, str) else None)


def _generate(argument: ArgString) -> CheckerRef:
    rules = {"alg": "algorithms", "iss": "issuer", "aud": "audience", "claim": "claim", "leeway": "leeway"}
    numbers: dict[str, Any] = dict.fromkeys(("leeway", "lifespan", "cooldown", "timeout"), float)
    texts: dict[str, Any] = dict.fromkeys(("iss", "aud", "claim", "secret"), str)
    options = read_options(argument, {"alg": lambda text: tuple(text.split()), **texts, **numbers})

    def some(names: Iterable[str]) -> dict[str, Any]:
        return {name: options[name] for name in names if name in options}

    return TokenChecker.start(
        str(argument),
        TokenRules(**{rules[name]: value for name, value in some(rules).items()}),
        secret=options.get("secret", ""),
        limits=BackendLimits(**some(["timeout"])),
        fetching=Fetching(**some(["lifespan", "cooldown"])),
    )


plugin = CheckerPlugin(
    "jwt",
    "URL-OR-PATH",
    "JSON Web Tokens, with public keys from the URL of a JWKS, a file with one, or a PEM file. Options: alg=RS256 ES256 EdDSA, "
    "iss=ISSUER, aud=AUDIENCE, claim=sub (who it is), leeway=10, and for a URL lifespan=300, cooldown=5 and timeout=10 seconds; or "
    "alg=HS256,secret=${file:PATH} without keys.",
    (BearerToken,),
    _generate,
)
