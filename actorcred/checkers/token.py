"""Tokens that somebody else gives out: JSON Web Tokens (RFC 7519), as those of OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.checker import CheckerRef
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker
from actorcred.checkers.key_set import Fetching, KeyFile, KeySource, KeyURL
from actorcred.checkers.token_kinds import TokenKind, why_refused
from actorcred.credentials import BearerToken
from actorcred.errors import AccountError, LoginFailed, MissingExtra, UnauthorizedLogin
from actorcred.names import TemporaryId, make_avatar_id
from actorcred.network import is_local

__all__ = ["ANY", "Fetching", "TokenChecker", "TokenKind", "TokenRules", "plugin"]

ANY = "any"
"""An issuer or audience that is not checked."""

LONGEST_TOKEN = 16_384
"""Characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Which tokens count.

    Args:
        algorithms: how they may be signed (RFC 7518), whatever a token says of itself: "RS256", "ES256", "EdDSA"; or with
            a shared secret "HS256".
        issuer: who must have given them out (`iss`); "any" takes all that the key signed.
        audience: for whom (`aud`); "any" takes tokens for other services too.
        claim: the claim that is the avatar id, a string or an integer.
        leeway: seconds by which clocks may differ.
        kind: whether they are access tokens or ID tokens. Refresh and logout tokens, and those that are bound to a key of the
            client, do not count in any case.

    Raises:
        ValueError: if they make no sense, or leave out `issuer` or `audience`.
    """

    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    issuer: str | None = None
    audience: str | None = None
    claim: str = "sub"
    leeway: float = 10.0
    kind: TokenKind = TokenKind.ACCESS

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError(
                "tokens need an issuer (iss=) and an audience (aud=); for tokens of or for anybody say iss=any, aud=any"
            )
        if not self.algorithms or any(name.lower() == "none" for name in self.algorithms):
            raise ValueError("tokens need a signature, so algorithms must name some, and not none")
        if len({name.startswith("HS") for name in self.algorithms}) > 1:
            raise ValueError(
                "algorithms for a shared secret (HS...) and for public keys do not go together"
            )

    @property
    def shared(self) -> bool:
        """Whether the key is a shared secret."""
        return self.algorithms[0].startswith("HS")


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

    def __init__(
        self,
        keys: str,
        rules: TokenRules,
        secret: str,
        limits: BackendLimits | None,
        fetching: Fetching,
    ) -> None:
        super().__init__(limits)
        _need_library()
        if bool(secret) != rules.shared or bool(keys) == bool(secret):
            raise AccountError(
                "jwt: a secret goes with HS256 and the like, and keys with the other algorithms"
            )
        if rules.shared and len(secret.encode()) < 32:
            raise AccountError(
                "jwt: the shared secret needs 32 bytes at least (RFC 7518, section 3.2)"
            )
        self._rules = rules
        self._secret = secret
        self._source: KeySource | None = None
        if keys.startswith("http://") and not is_local(keys):
            raise AccountError(
                "jwt: keys that come over a network need https, or anybody on the way could put in others"
            )
        if keys.startswith(("http://", "https://")):
            self._source = KeyURL(keys, self.limits.timeout, fetching)
        elif keys:
            self._source = KeyFile(keys)

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
        name = claims[rules.claim]
        try:
            # It is checked each time, and so must not be remembered beyond its end.
            return TemporaryId(
                make_avatar_id(str(name) if type(name) is int else name), float(claims["exp"])
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise UnauthorizedLogin(f"the claim {rules.claim} is no avatar id: {error}") from None

    def _claims_of(self, token: str) -> dict[str, Any]:
        """Return what a token says, once its signature, its times and its kind have been checked."""
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            claims = self._verified(token, header)
            refused = (
                "it is signed with no key that is known"
                if claims is None
                else why_refused(header, claims, self._rules.kind)
            )
        except LoginFailed:
            raise
        except Exception as error:  # the library's own and many of Python's, of what is damaged: too deep, no number, no text
            raise UnauthorizedLogin(f"the token does not count: {type(error).__name__}") from None
        if claims is None or refused:
            raise UnauthorizedLogin(f"the token does not count: {refused}")
        return claims

    def _verified(self, token: str, header: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a token says; None if no key that is known has signed it."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._rules.algorithms:
            raise UnauthorizedLogin("the token is signed with another algorithm")
        if self._source is None:
            return self._decode(token, [self._secret], algorithm)
        kid = kid if isinstance(kid, str) else None
        keys = self._source.find(kid, algorithm)
        claims = self._decode(token, keys, algorithm)
        # The issuer may have another key by now. A token that names one which is known has just a wrong signature.
        if claims is None and (kid is None or not keys) and self._source.renew():
            claims = self._decode(token, self._source.find(kid, algorithm), algorithm)
        return claims

    def _decode(self, token: str, keys: list[Any], algorithm: str) -> dict[str, Any] | None:
        import jwt

        rules = self._rules
        options: Any = {"require": ["exp", rules.claim], "verify_sub": False, "verify_jti": False}
        options |= {"verify_iss": rules.issuer != ANY, "verify_aud": rules.audience != ANY}
        options["require"] += [name for name in ("iss", "aud") if options[f"verify_{name}"]]
        expected: Any = {"issuer": rules.issuer if options["verify_iss"] else None}
        expected["audience"] = rules.audience if options["verify_aud"] else None
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    leeway=rules.leeway,
                    options=options,
                    **expected,
                )
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
                continue
        return None


def _need_library() -> None:
    try:
        import jwt  # noqa: F401
    except ImportError:
        raise MissingExtra("TokenChecker", "jwt") from None


def _generate(argument: ArgString) -> CheckerRef:
    _need_library()
    rules = {
        "alg": "algorithms",
        "iss": "issuer",
        "aud": "audience",
        "claim": "claim",
        "leeway": "leeway",
        "kind": "kind",
    }
    numbers: dict[str, Any] = dict.fromkeys(("leeway", "lifespan", "cooldown", "timeout"), float)
    texts: dict[str, Any] = dict.fromkeys(("iss", "aud", "claim", "secret"), str)
    options = read_options(
        argument, {"alg": lambda text: tuple(text.split()), "kind": TokenKind, **texts, **numbers}
    )

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
    "JSON Web Tokens, with public keys from the URL of a JWKS, a file with one, or a PEM file: "
    "jwt[iss=ISSUER,aud=AUDIENCE]:URL-OR-PATH. Both have to be said; iss=any and aud=any take those of and for anybody. Options: "
    "alg=RS256 ES256 EdDSA, kind=access, id or any, claim=sub (who it is), leeway=10, and for a URL lifespan=300, cooldown=5 and "
    "timeout=10 seconds; or alg=HS256,secret=${file:PATH} without keys.",
    (BearerToken,),
    _generate,
)
