"""Two issuers with the same subject are two people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from actorcred import AccountError, BearerToken, Checker, Portal, PortalRef, Revocation
from actorcred.auth.registry import from_string
from actorcred.credentials import UsernamePassword
from actorcred.identity import Identity
from actorcred.sessions.policies import Policy
from tests.backends.issuer import Issuer, jwks
from tests.helpers import Arena, Player, Stage
from tests.settings import portal_options

NAMES = ("one", "two")


class SignedBy:
    """An issuer with a key of its own, which names itself by an address that nobody visits."""

    def __init__(self, name: str) -> None:
        self.name = f"https://{name}.example"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.server = Issuer()
        self.server.text = jwks(first=("ES256", self.key))

    def token(self, subject: str) -> BearerToken:
        claims = {"sub": subject, "iss": self.name, "aud": "arena", "exp": time.time() + 60}
        return BearerToken(jwt.encode(claims, self.key, "ES256", headers={"kid": "first"}))

    def descriptor(self, options: str = "") -> str:
        escaped = self.name.replace(":", r"\:")
        return f"jwt[iss={escaped},aud=arena{options}]:{self.server.url}"


@pytest.fixture(scope="module")
def issuers() -> Iterator[list[SignedBy]]:
    made = [SignedBy(name) for name in NAMES]
    yield made
    for one in made:
        one.server.close()


def serve(descriptors: list[str]) -> PortalRef:
    options = portal_options(policy=Policy.REPLACE)
    return Portal.start(Arena.start([]), [from_string(text) for text in descriptors], options)


def test_the_same_subject_of_two_issuers_is_two_people(
    issuers: list[SignedBy], caplog: pytest.LogCaptureFixture
) -> None:
    portal = serve(
        [
            one.descriptor(f",as={{issuer_name}}/{{name}},issuer_name={name}")
            for name, one in zip(NAMES, issuers, strict=True)
        ]
    )
    sessions = [
        portal.login(one.token("ann"), None, Player).get(timeout=20).session for one in issuers
    ]

    assert [session.avatar_id for session in sessions] == ["one/ann", "two/ann"]
    assert all(session.is_open for session in sessions)  # neither takes the other's place
    assert sessions[0].identity != sessions[1].identity
    assert "the same avatar id" not in caplog.text


def test_without_templates_or_with_the_same_one_the_start_says_so(
    issuers: list[SignedBy], caplog: pytest.LogCaptureFixture
) -> None:
    serve([one.descriptor() for one in issuers])
    assert (
        "checker 1, TokenChecker (without a template), and checker 2, TokenChecker "
        "(without a template) can give the same avatar id to two people"
    ) in caplog.text
    with pytest.raises(AccountError, match=r"\(as=jwt/{name}\), and checker 2, TokenChecker"):
        serve([one.descriptor(",as=jwt/{name}") for one in issuers])


class Federation(Checker):
    """Knows the users of several issuers, all by one key; the password names the issuer."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: Any) -> Identity:
        name, issuer = credentials.username, credentials.password
        return Identity(name, issuer=issuer, subject=name)


def test_a_checker_of_several_issuers_keeps_their_users_apart_by_the_issuer(inline: Any) -> None:
    stage = Stage(checkers=0, policy=Policy.REPLACE)
    checker = Federation.start().named(avatar_ids="{issuer}|{name}")
    stage.portal.register_checker(checker).get(timeout=10)
    sessions = [stage.login("ann", f"https://{name}.example").session for name in NAMES]

    assert [session.avatar_id for session in sessions] == [
        "https://one.example|ann",
        "https://two.example|ann",
    ]
    assert {(one.identity.issuer, one.identity.subject) for one in sessions} == {
        ("https://one.example", "ann"),
        ("https://two.example", "ann"),
    }
    assert all(session.is_open for session in sessions)


def test_an_account_of_which_only_the_name_is_known_cannot_be_reported_under_an_issuer(
    inline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    checker: Any = Federation.start().named(avatar_ids="{issuer}|{name}")
    checker.revoke("ann", Revocation.DELETED)

    assert "cannot be reported: the avatar id needs an issuer" in caplog.text
