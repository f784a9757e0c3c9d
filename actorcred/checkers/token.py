"""JSON Web Tokens (RFC 7519) from another issuer, such as those of OpenID Connect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.checker import CheckerRef
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker
from actorcred.checkers.bases.facts import IgnoredFacts
from actorcred.checkers.key_set import Fetching, KeyFile, KeySource, KeyURL
from actorcred.checkers.revoked_tokens import RevokedTokens
from actorcred.checkers.token_claims import ClaimReader
from actorcred.checkers.token_kinds import TokenKind, why_refused
from actorcred.credentials import BearerToken
from actorcred.errors import AccountError, LoginFailed, MissingExtra, UnauthorizedLogin
from actorcred.identity import Identity
from actorcred.network import is_local
from actorcred.standing import Standing

__all__ = ["ANY", "Fetching", "TokenChecker", "TokenKind", "TokenRules", "plugin"]

ANY = "any"
"""An issuer or audience that is not checked."""

LONGEST_TOKEN = 16_384
"""Characters of the longest token that is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """Which tokens are accepted.

    Args:
        algorithms: accepted signature algorithms (RFC 7518), whatever a token claims: "RS256",
            "ES256", "EdDSA"; or "HS256" with a shared secret.
        issuer: the required issuer (`iss`); "any" accepts all tokens that the key signed.
        audience: the required audience (`aud`); "any" also accepts tokens for other services.
        claim: the claim that is the avatar id, a string or an integer.
        groups: the claim that has the user's groups or roles, an array or a string with blanks
            between them; such as "groups", "scope", or "realm_access.roles" for a nested one.
        attributes: the claims to have in `Identity.attributes`.
        leeway: seconds by which clocks may differ.
        kind: whether access tokens or ID tokens are accepted. Refresh and logout tokens, and tokens
            bound to a key of the client, are always refused.
        revoked: the path of a file with the ids (`jti`) of tokens that were revoked, one on each
            line; "" if there is none. With it, a token must have an id.

    Raises:
        ValueError: if they are inconsistent, or `issuer` or `audience` is missing.
    """

    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    issuer: str | None = None
    audience: str | None = None
    claim: str = "sub"
    groups: str = ""
    attributes: tuple[str, ...] = ()
    leeway: float = 10.0
    kind: TokenKind = TokenKind.ACCESS
    revoked: str = ""

    def __post_init__(self) -> None:
        if not self.issuer or not self.audience:
            raise ValueError(
                "tokens need an issuer (iss=) and an audience (aud=); to accept any, use "
                "iss=any, aud=any"
            )
        if not self.algorithms or any(name.lower() == "none" for name in self.algorithms):
            raise ValueError(
                "tokens need a signature: algorithms must not be empty or contain 'none'"
            )
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

    A token must have an expiry (`exp`), which ends the session. The identity has the claims `iss`
    and `sub` as issuer and subject, `auth_time` (or else `iat`) as the time of authentication,
    `amr` as methods, and the attribute "scope", a tuple of words. If one of `iss`, `sub`,
    `auth_time` and `iat` cannot be used, the token is refused. A scope, methods, groups or an
    attribute that cannot be used is ignored, so that it grants nothing, and is logged once.

    Args:
        keys: the URL of a JWKS (https, or http on this machine); or a file with a public key in PEM
            form or a JWKS.
        rules: which tokens are accepted.
        secret: instead of keys, the secret shared with the issuer; for HS256 and the like.
        limits: limits on the requests to the URL.
        fetching: how often keys are fetched from the URL.

    Raises:
        AccountError: if the keys or the secret do not match the rules, or the file cannot be used.
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
                "jwt: keys fetched over a network need https, or they could be replaced on the way"
            )
        if keys.startswith(("http://", "https://")):
            self._source = KeyURL(keys, self.limits.timeout, fetching)
        elif keys:
            self._source = KeyFile(keys)
        ignored = IgnoredFacts("jwt")
        self._reader = ClaimReader(
            name=rules.claim,
            groups=rules.groups,
            attributes=rules.attributes,
            leeway=rules.leeway,
            ignored=lambda claim, why: ignored.about(f"the claim {claim}", why),
        )
        self._revoked = RevokedTokens(rules.revoked) if rules.revoked else None

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

    @property
    def tells_standing(self) -> bool:
        """Whether there is a list of revoked tokens."""
        return self._revoked is not None

    def check_standing(self, names: tuple[str, ...]) -> Standing:
        """Return whose tokens were revoked."""
        return Standing() if self._revoked is None else self._revoked.standing(names)

    def check(self, credentials: BearerToken) -> Identity:
        """Check a token, and return the identity."""
        if len(credentials.token) > LONGEST_TOKEN:
            raise UnauthorizedLogin("the token is too long")
        claims = self._claims_of(credentials.token)
        identity = self._reader.identity(claims, datetime.now(UTC))
        if self._revoked is None:
            return identity
        return self.proven_by(self._revoked.check(claims.get("jti")), identity)

    def _claims_of(self, token: str) -> dict[str, Any]:
        """Return the claims of a token, after checking its signature, times and kind."""
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            claims = self._verified(token, header)
            refused = (
                "it is not signed with a known key"
                if claims is None
                else why_refused(header, claims, self._rules.kind)
            )
        except LoginFailed:
            raise
        except Exception as error:  # damaged tokens raise many kinds of errors
            raise UnauthorizedLogin(f"the token is not accepted: {type(error).__name__}") from None
        if claims is None or refused:
            raise UnauthorizedLogin(f"the token is not accepted: {refused}")
        return claims

    def _verified(self, token: str, header: dict[str, Any]) -> dict[str, Any] | None:
        """Return the claims of a token; None if no known key has signed it."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._rules.algorithms:
            raise UnauthorizedLogin("the token is signed with another algorithm")
        if self._source is None:
            return self._decode(token, [self._secret], algorithm)
        kid = kid if isinstance(kid, str) else None
        keys = self._source.find(kid, algorithm)
        claims = self._decode(token, keys, algorithm)
        # The issuer might have a new key by now. A token that names a known key just has a wrong
        # signature.
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
        "groups": "groups",
        "attributes": "attributes",
        "leeway": "leeway",
        "kind": "kind",
        "revoked": "revoked",
    }
    numbers: dict[str, Any] = dict.fromkeys(("leeway", "lifespan", "cooldown", "timeout"), float)
    texts: dict[str, Any] = dict.fromkeys(
        ("iss", "aud", "claim", "groups", "secret", "revoked"), str
    )
    lists: dict[str, Any] = dict.fromkeys(("alg", "attributes"), lambda text: tuple(text.split()))
    options = read_options(argument, {"kind": TokenKind, **lists, **texts, **numbers})

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
    "jwt[iss=ISSUER,aud=AUDIENCE]:URL-OR-PATH. Both are required; iss=any and aud=any accept any "
    "issuer and audience. Options: alg=RS256 ES256 EdDSA, kind=access, id or any, claim=sub (the "
    "claim with the name), groups=CLAIM (roles, groups, scope, or realm_access.roles), "
    "attributes=CLAIM CLAIM, leeway=10, revoked=PATH (a file with the jti of revoked tokens), "
    "and for a URL lifespan=300, cooldown=5 and timeout=10 "
    "seconds; or alg=HS256,secret=${file:PATH} without keys.",
    (BearerToken,),
    _generate,
)
