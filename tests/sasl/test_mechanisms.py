"""The mechanisms, server against client and against the examples of the RFCs. No I/O."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred.credentials import (
    Anonymous,
    BearerToken,
    Certificate,
    ExternalIdentity,
    UsernamePassword,
)
from actorcred.errors import ProtocolError, UnauthorizedLogin
from actorcred.exchange import (
    TRANSITIONS,
    ExchangeEvent,
    ExchangeState,
    UsernameHashedPassword,
    UsernameScram,
)
from actorcred.identity import ClientInfo, TLSInfo
from actorcred.sasl.cram_md5 import CramMD5
from actorcred.sasl.mechanism import Challenge, Credentials, Secrets
from actorcred.sasl.mechanisms import (
    CLIENT_MECHANISMS,
    LEGACY,
    SERVER_MECHANISMS,
    check_legacy,
    choose,
    find,
    named,
    offered,
)
from actorcred.sasl.scram import ScramSHA1, ScramSHA256, ScramSHA512, make_verifier

CERTIFICATE = Certificate(b"der", {"commonName": "ann"})
PRIVATE = ClientInfo(encrypted=True, tls=TLSInfo(certificate=CERTIFICATE))
VERIFIER = make_verifier("pencil", 4096)


def server(name: str) -> Any:
    return SERVER_MECHANISMS[name](PRIVATE)


def client(name: str, **secrets: Any) -> Any:
    return CLIENT_MECHANISMS[name](Secrets(**secrets))


def presented(step: Any) -> Any:
    assert isinstance(step, Credentials)
    return step.credentials


def test_plain_as_in_rfc_4616() -> None:
    assert server("PLAIN").step(b"\0tim\0tanstaaftanstaaf") == Credentials(
        UsernamePassword("tim", "tanstaaftanstaaf")
    )
    assert server("PLAIN").step(b"Ursel\0Kurt\0xipj3plmq") == Credentials(
        UsernamePassword("Kurt", "xipj3plmq"), "Ursel"
    )


def test_a_server_that_must_speak_first_asks_with_nothing() -> None:
    for name in ("PLAIN", "ANONYMOUS", "EXTERNAL", "OAUTHBEARER"):
        assert server(name).step(None) == Challenge(b"")


@pytest.mark.parametrize(
    ("name", "secrets", "credentials"),
    [
        ("PLAIN", {"username": "ann", "password": "s3cret"}, UsernamePassword("ann", "s3cret")),
        ("ANONYMOUS", {"trace": "sirhc"}, Anonymous("sirhc")),
        ("EXTERNAL", {}, CERTIFICATE),
        (
            "OAUTHBEARER",
            {"token": "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "username": "u,=x"},
            BearerToken("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==", "u,=x"),
        ),
    ],
)
def test_a_client_says_all_in_one_message(name: str, secrets: Any, credentials: Any) -> None:
    assert presented(server(name).step(client(name, **secrets).start())) == credentials


def test_oauthbearer_as_in_rfc_7628() -> None:
    message = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    step = server("OAUTHBEARER").step(message)
    assert step.authorize_as == "user@example.com"
    assert presented(step).token == "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    assert "vF9d" not in repr(step)


def test_oauthbearer_has_an_error_that_clients_read() -> None:
    refused = server("OAUTHBEARER").refusal()
    assert refused is not None
    assert json.loads(refused)["status"] == "invalid_token"
    assert client("OAUTHBEARER", token="t").answer(refused) == b"\x01"
    assert server("PLAIN").refusal() is None


def test_cram_md5_as_in_rfc_2195() -> None:
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    made = CramMD5("tim", challenge, "b913a602c7eda7a495b4e6e7334d3890")
    assert made.check_password(b"tanstaaftanstaaf")
    assert not made.check_password(b"tanstaaf")
    assert client("CRAM-MD5", username="tim", password="tanstaaftanstaaf").answer(challenge) == (
        b"tim b913a602c7eda7a495b4e6e7334d3890"
    )


def test_cram_md5_never_asks_the_same_twice() -> None:
    assert server("CRAM-MD5").step(None) != server("CRAM-MD5").step(None)


def scram(password: str, verifier: Any = VERIFIER) -> tuple[Any, Any, list[bool]]:
    ours = client("SCRAM-SHA-256", username="ann", password=password)
    exchange = presented(server("SCRAM-SHA-256").step(ours.start()))
    challenges: list[bytes] = []
    verdict: list[bool] = []
    exchange.on_challenge = challenges.append
    exchange.verify(verifier, verdict.append)
    exchange.respond(ours.answer(challenges[0]))
    return ours, exchange, verdict


def test_scram_proves_the_password_both_ways() -> None:
    ours, exchange, verdict = scram("pencil")
    assert verdict == [True]
    ours.finish(exchange.outcome)
    with pytest.raises(ProtocolError, match="not the one"):
        scram("pencil")[0].finish(b"v=AAAA")


BINDING = ("tls-server-end-point", b"the server's certificate")


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "verdict"),
    [
        ("SCRAM-SHA-256-PLUS", BINDING, BINDING, [True]),
        ("SCRAM-SHA-256-PLUS", BINDING, (BINDING[0], b"that of somebody in between"), [False]),
        ("SCRAM-SHA-1", None, None, [True]),
        ("SCRAM-SHA-1-PLUS", BINDING, BINDING, [True]),
    ],
)
def test_scram_is_bound_to_the_connection(
    name: str, ours: Any, theirs: Any, verdict: list[bool]
) -> None:
    mine = CLIENT_MECHANISMS[name](Secrets("ann", "pencil", binding=ours))
    exchange = presented(
        SERVER_MECHANISMS[name](ClientInfo(tls=TLSInfo(binding=theirs))).step(mine.start())
    )
    challenges: list[bytes] = []
    decided: list[bool] = []
    exchange.on_challenge = challenges.append
    exchange.verify(make_verifier("pencil", 4096, algorithm=exchange.algorithm), decided.append)
    exchange.respond(mine.answer(challenges[0]))
    assert decided == verdict


def test_a_client_that_was_told_there_is_no_binding_is_refused_where_there_is_one() -> None:
    misled = CLIENT_MECHANISMS["SCRAM-SHA-256"](Secrets("ann", "pencil", binding=BINDING))
    with pytest.raises(ProtocolError):
        SERVER_MECHANISMS["SCRAM-SHA-256"](ClientInfo(tls=TLSInfo(binding=BINDING))).step(
            misled.start()
        )


def test_scram_goes_for_one_verifier_only() -> None:
    _, exchange, _ = scram("pencils")
    with pytest.raises(UnauthorizedLogin):
        exchange.verify(VERIFIER, print)


def test_scram_refuses_a_wrong_password() -> None:
    _, exchange, verdict = scram("pencils")
    assert verdict == [False]
    assert exchange.outcome is None


def test_scram_of_an_unknown_user_looks_like_that_of_a_known_one() -> None:
    salts = set()
    for _ in range(2):
        exchange = ScramSHA256(
            client("SCRAM-SHA-256", username="nobody", password="x").start().decode()
        )
        exchange.iterations = 4096  # as a checker says that its users have
        challenges: list[bytes] = []
        exchange.on_challenge = challenges.append
        exchange.pretend(lambda right: None)
        fields = dict(part.split("=", 1) for part in challenges[0].decode().split(","))
        salts.add(fields["s"])
        assert fields["i"] == "4096"
        assert len(base64.b64decode(fields["s"])) == len(VERIFIER.salt)
    assert len(salts) == 1


def test_a_step_out_of_order_is_an_error_and_no_way_in() -> None:
    exchange = ScramSHA256(client("SCRAM-SHA-256", username="ann", password="x").start().decode())
    with pytest.raises(ProtocolError, match="answer in an exchange that is new"):
        exchange.respond(b"c=biws,r=x,p=AAAA")
    _, finished, verdict = scram("pencil")
    with pytest.raises(ProtocolError, match="answer in an exchange that is over"):
        finished.respond(b"c=biws,r=x,p=AAAA")
    assert verdict == [True]


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("PLAIN", [b"\0ann\0s3cret", b"\0bob\0hush"]),
        ("PLAIN", [None, None]),
        ("PLAIN", [b"nonsense", b"\0ann\0s3cret"]),
        ("CRAM-MD5", [None, b"ann " + b"0" * 32, b"ann " + b"1" * 32]),
        ("CRAM-MD5", [None, b"nonsense", b"ann " + b"0" * 32]),
        ("ANONYMOUS", [b"", b""]),
        ("EXTERNAL", [b"", b""]),
        ("OAUTHBEARER", [b"n,,\x01auth=Bearer x\x01\x01"] * 2),
        ("SCRAM-SHA-256", [b"n,,n=ann,r=abcdefghijklmnopqrstuvwx"] * 2),
    ],
)
def test_one_exchange_is_one_try(name: str, messages: list[bytes | None]) -> None:
    mechanism = server(name)
    for message in messages[:-1]:
        with contextlib.suppress(ProtocolError):
            mechanism.step(message)
    with pytest.raises(ProtocolError, match="out of order"):
        mechanism.step(messages[-1])


def test_every_state_of_an_exchange_leads_to_its_end() -> None:
    assert set(TRANSITIONS) == set(ExchangeState)
    for state in ExchangeState:
        assert (ExchangeEvent.FAIL in TRANSITIONS[state]) == (state is not ExchangeState.OVER)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("PLAIN", b""),
        ("PLAIN", b"ann"),
        ("PLAIN", b"\0ann"),
        ("PLAIN", b"\0\0secret"),
        ("PLAIN", b"\0ann\0pass\0word"),
        ("PLAIN", b"\0ann\0\xff"),
        ("ANONYMOUS", b"\xff"),
        ("ANONYMOUS", b"x" * 256),
        ("OAUTHBEARER", b""),
        ("OAUTHBEARER", b"n,,\x01auth=Basic x\x01\x01"),
        ("OAUTHBEARER", b"n,,\x01auth=Bearer \x01\x01"),
        ("OAUTHBEARER", b"n,,\x01auth=Bearer x y\x01\x01"),
        ("OAUTHBEARER", b"p=tls-unique,,\x01auth=Bearer x\x01\x01"),
        ("SCRAM-SHA-256", b""),
        ("SCRAM-SHA-256", b"n,,n=ann"),
        ("SCRAM-SHA-256", b"n,,n=,r=abc"),
        ("SCRAM-SHA-256", b"p=tls-unique,,n=ann,r=abcdefghijklmnopqrstuvwx"),
        ("SCRAM-SHA-256", b"\xff"),
        ("SCRAM-SHA-256", b"n,,n=" + b"x" * 10_000_000 + b",r=abcdefghijklmnopqrstuvwx"),
        ("CRAM-MD5", b"too early"),
    ],
)
def test_what_is_no_message_is_refused_by_name(name: str, message: bytes) -> None:
    with pytest.raises(ProtocolError):
        server(name).step(message)


@pytest.mark.parametrize(
    "answer", [b"", b"ann", b"ann 12", b"ann " + b"z" * 32, b"\xff " + b"0" * 32]
)
def test_a_cram_md5_answer_must_be_one(answer: bytes) -> None:
    mechanism = server("CRAM-MD5")
    mechanism.step(None)
    with pytest.raises(ProtocolError):
        mechanism.step(answer)


@given(
    st.sampled_from(sorted(SERVER_MECHANISMS)),
    st.lists(st.binary(max_size=300) | st.none(), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_whatever_a_client_says_there_is_no_other_error(
    name: str, messages: list[bytes | None]
) -> None:
    mechanism = server(name)
    try:
        for message in messages:
            mechanism.step(message)
    except (ProtocolError, UnauthorizedLogin):
        return


def test_the_server_offers_what_some_checker_can_serve() -> None:
    def names(kinds: list[type], client: ClientInfo = PRIVATE, *, clear: bool = False) -> list[str]:
        return offered(kinds, client, passwords_in_clear=clear, legacy=LEGACY)

    assert names([UsernamePassword]) == ["PLAIN"]
    assert names([UsernamePassword], ClientInfo()) == []
    assert names([UsernamePassword], ClientInfo(), clear=True) == ["PLAIN"]
    assert names([UsernameHashedPassword, UsernameScram], ClientInfo()) == [
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "CRAM-MD5",
    ]
    assert names([ScramSHA256], ClientInfo(tls=TLSInfo(binding=BINDING))) == [
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-256",
    ]
    assert names([ExternalIdentity], ClientInfo(asserted=ExternalIdentity("ann"))) == ["EXTERNAL"]
    assert names([ExternalIdentity], ClientInfo()) == []
    assert names([Anonymous, BearerToken], ClientInfo()) == ["ANONYMOUS"]
    assert names([Certificate]) == ["EXTERNAL"]
    assert names([Certificate], ClientInfo(encrypted=True)) == []
    assert names([]) == []
    assert names([object], replace(PRIVATE, tls=replace(PRIVATE.tls, binding=BINDING))) == list(
        SERVER_MECHANISMS
    )


@pytest.mark.parametrize(
    ("secrets", "private", "name"),
    [
        (Secrets("ann", "x"), True, "SCRAM-SHA-256"),
        (Secrets("ann", "x", authorize_as="bob"), True, "PLAIN"),
        (Secrets("ann", "x", authorize_as="bob"), False, None),
        (Secrets("ann"), True, "EXTERNAL"),
        (Secrets(), True, "ANONYMOUS"),
        (Secrets(token="t"), True, "OAUTHBEARER"),
        (Secrets(token="t"), False, None),
    ],
)
def test_the_client_chooses_the_strongest_that_is_of_use(
    secrets: Secrets, private: bool, name: str | None
) -> None:
    chosen = choose(SERVER_MECHANISMS, secrets, private=private)
    assert (chosen and chosen.name) == name


def test_a_password_is_never_sent_where_somebody_can_read_along() -> None:
    assert choose(["PLAIN", "ANONYMOUS"], Secrets("ann", "x"), private=False) is None


@pytest.mark.parametrize("secrets", [Secrets("ann", "\U0001f600"), Secrets("\u0627a", "x")])
def test_what_scram_cannot_carry_is_carried_by_another_mechanism(secrets: Secrets) -> None:
    chosen = choose(SERVER_MECHANISMS, secrets, private=True)
    assert chosen is not None
    assert chosen.name == "PLAIN"
    with pytest.raises(ProtocolError, match="SCRAM cannot carry"):
        CLIENT_MECHANISMS["SCRAM-SHA-256"](secrets)


@pytest.mark.parametrize("name", ["\u200bann", "ann\u00ad", "ann\u202e", "x" * 1024])
def test_scram_takes_no_name_for_another(name: str) -> None:
    with pytest.raises((UnauthorizedLogin, ProtocolError)):
        server("SCRAM-SHA-256").step(f"n,,n={name},r=abcdefghijklmnopqrstuvwx".encode())
    assert (
        presented(
            server("SCRAM-SHA-256").step(b"n,,n=a=2Cb=3Dc,r=abcdefghijklmnopqrstuvwx")
        ).username
        == "a,b=c"
    )


def test_secrets_do_not_show() -> None:
    assert "s3cret" not in repr(Secrets("ann", "s3cret", "s3cret-token"))
    assert "s3cret" not in repr(BearerToken("s3cret"))
    assert "digest" not in repr(CramMD5("ann", b"c", "digest"))


# -- SCRAM, message by message ---------------------------------------------------------------------

NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = f"n,,n=user,r={NONCE}"


def proof_for(
    exchange: Any, bare: str, header: bytes, extensions: str, password: str = "pencil"
) -> bytes:
    """Return a client's last message, made by hand (RFC 5802, section 3)."""
    challenges: list[bytes] = []
    exchange.on_challenge = challenges.append
    exchange.verify(make_verifier(password, 4096, algorithm=exchange.algorithm), print)
    fields = dict(part.split("=", 1) for part in challenges[0].decode().split(","))
    name = exchange.algorithm.replace("-", "").lower()
    salted = hashlib.pbkdf2_hmac(
        name, password.encode(), base64.b64decode(fields["s"]), int(fields["i"])
    )
    key = hmac.digest(salted, b"Client Key", name)
    final = f"c={base64.b64encode(header).decode()},r={fields['r']}{extensions}"
    signature = hmac.digest(
        hashlib.new(name, key).digest(), f"{bare},{challenges[0].decode()},{final}".encode(), name
    )
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return f"{final},p={base64.b64encode(proof).decode()}".encode()


def outcome_of(
    name: str, first: str, header: bytes | None = None, extensions: str = "", **tls: Any
) -> tuple[str, bool]:
    """Return whom a client wants to act as, and whether it was right."""
    step = SERVER_MECHANISMS[name](ClientInfo(tls=TLSInfo(**tls))).step(first.encode())
    exchange = presented(step)
    flag, who, bare = first.split(",", 2)
    exchange.respond(
        proof_for(
            exchange, bare, f"{flag},{who},".encode() if header is None else header, extensions
        )
    )
    return step.authorize_as, exchange.outcome is not None


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_scram_says_whom_to_act_as(name: str) -> None:
    assert outcome_of(name, FIRST) == ("", True)
    assert outcome_of(name, f"n,a=the=2Cboss=3D,n=user,r={NONCE}") == ("the,boss=", True)
    assert outcome_of(name, f"y,a=user,n=user,r={NONCE}") == ("user", True)
    assert outcome_of(name, f"n,a=user,n=user,r={NONCE}", b"n,a=other,") == ("user", False)
    assert outcome_of(name, f"n,a=user,n=user,r={NONCE}", b"n,,") == ("user", False)


def test_scram_ignores_extensions_and_refuses_mandatory_ones() -> None:
    assert outcome_of("SCRAM-SHA-256", f"{FIRST},x=1,Y=2")[1]
    assert outcome_of("SCRAM-SHA-256", FIRST, extensions=",z=anything,t=1")[1]
    assert not outcome_of("SCRAM-SHA-256", FIRST, extensions=",m=1")[1]
    for more in ("m=1", "n=other", "a=other", "x=", "1=2", "x", ""):
        with pytest.raises(ProtocolError):
            server("SCRAM-SHA-256").step(f"{FIRST},{more}".encode())
    for first in (f"n,,m=1,n=user,r={NONCE}", f"n,,x=1,n=user,r={NONCE}"):
        with pytest.raises(ProtocolError):
            server("SCRAM-SHA-256").step(first.encode())


def test_a_mechanism_by_name_is_bound_only_if_it_can_be() -> None:
    secrets = Secrets("user", "pencil", binding=BINDING)
    assert named("SCRAM-SHA-256-PLUS", secrets).secrets.binding == BINDING
    assert named("SCRAM-SHA-256", secrets).secrets.binding is None
    with pytest.raises(ValueError, match=r"'GUESS' is unknown; use one of .*SCRAM-SHA-256"):
        named("GUESS", secrets)


UNIQUE = b"the first Finished"


@pytest.mark.parametrize(("kind", "value"), [BINDING, ("tls-unique", UNIQUE)])
@pytest.mark.parametrize("name", ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"])
def test_the_client_names_the_kind_of_binding(name: str, kind: str, value: bytes) -> None:
    header = f"p={kind},,".encode()
    first = f"p={kind},,n=user,r={NONCE}"
    assert outcome_of(name, first, header + value, binding=BINDING, tls_unique=UNIQUE)[1]
    for wrong in (b"", value[:-1], UNIQUE if value != UNIQUE else BINDING[1]):
        assert not outcome_of(name, first, header + wrong, binding=BINDING, tls_unique=UNIQUE)[1]
    assert outcome_of(
        name,
        first,
        header + value,
        **({"binding": BINDING} if value != UNIQUE else {"tls_unique": UNIQUE}),
    )[1]


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("SCRAM-SHA-256", "p=tls-unique"),
        ("SCRAM-SHA-256", "y"),
        ("SCRAM-SHA-256-PLUS", "n"),
        ("SCRAM-SHA-256-PLUS", "y"),
        ("SCRAM-SHA-256-PLUS", "p=tls-exporter"),
        ("SCRAM-SHA-256-PLUS", "p="),
        ("SCRAM-SHA-256", "x"),
        ("SCRAM-SHA-256", ""),
    ],
)
def test_a_binding_cannot_be_talked_away(name: str, flag: str) -> None:
    with pytest.raises(ProtocolError):
        SERVER_MECHANISMS[name](ClientInfo(tls=TLSInfo(binding=BINDING, tls_unique=UNIQUE))).step(
            f"{flag},,n=user,r={NONCE}".encode()
        )


def test_a_client_learns_nothing_of_how_messages_are_read() -> None:
    damaged = ("n,a==,n=user,r=x", "n,,n=a=b,r=x", "n,,n=user,r=\u00e9", "p=\u00e9,,n=u,r=x")
    for first in ("", "x", "n,,", FIRST + "\0", *damaged):
        with pytest.raises(ProtocolError) as refused:
            server("SCRAM-SHA-256").step(first.encode())
        assert not re.search(
            r"[A-Z][a-z]+Error|Exception|ServerError|[a-z]_[a-z]|\.py", str(refused.value)
        )


def test_a_verifier_of_another_algorithm_lets_nobody_in() -> None:
    for size in (0, 20, 32, 64):
        copy = presented(server("SCRAM-SHA-512").step(FIRST.encode()))
        challenges: list[bytes] = []
        copy.on_challenge = challenges.append
        copy.verify(VERIFIER, print)
        nonce = challenges[0].decode().split(",")[0]
        copy.respond(f"c=biws,{nonce},p={base64.b64encode(bytes(size)).decode()}".encode())
        assert copy.outcome is None


def test_sha_512_is_offered_where_a_checker_names_it() -> None:
    def names(*kinds: type, **tls: Any) -> list[str]:
        return offered(
            kinds, ClientInfo(tls=TLSInfo(**tls)), passwords_in_clear=False, legacy=LEGACY
        )

    assert names(UsernameScram, ScramSHA512) == ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
    assert names(ScramSHA512, tls_unique=UNIQUE) == ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-512"]
    assert "SCRAM-SHA-512" not in names(UsernameScram)


# -- mechanisms for old clients ------------------------------------------------------------

CHALLENGED = (UsernamePassword, UsernameHashedPassword, UsernameScram)


@pytest.mark.parametrize(
    ("kinds", "legacy", "names"),
    [
        (CHALLENGED, (), ["SCRAM-SHA-256"]),
        (CHALLENGED, ("CRAM-MD5",), ["SCRAM-SHA-256", "CRAM-MD5"]),
        (CHALLENGED, ("SCRAM-SHA-1",), ["SCRAM-SHA-256", "SCRAM-SHA-1"]),
        (CHALLENGED, None, ["SCRAM-SHA-256"]),
        ((ScramSHA512, ScramSHA1), None, ["SCRAM-SHA-512"]),
        ((UsernameHashedPassword,), (), []),
        ((UsernameHashedPassword,), None, ["CRAM-MD5"]),
        ((UsernameHashedPassword, ScramSHA1), None, ["SCRAM-SHA-1", "CRAM-MD5"]),
        ((UsernamePassword,), None, []),
    ],
)
def test_legacy_mechanisms_are_offered_by_name_or_for_want_of_better_ones(
    kinds: Any, legacy: Any, names: list[str]
) -> None:
    assert offered(kinds, ClientInfo(), passwords_in_clear=False, legacy=legacy) == names


def test_passwords_over_tls_replace_no_legacy_mechanism() -> None:
    kinds = (UsernamePassword, UsernameHashedPassword)
    assert offered(kinds, PRIVATE, passwords_in_clear=False, legacy=None) == ["CRAM-MD5", "PLAIN"]


def test_a_legacy_mechanism_is_not_found_unless_it_is_allowed() -> None:
    def found(name: str, *legacy: str) -> bool:
        client = ClientInfo(tls=TLSInfo(binding=BINDING))
        return find(name, client, passwords_in_clear=False, legacy=legacy) is not None

    assert LEGACY == ("SCRAM-SHA-1", "CRAM-MD5")
    for name in LEGACY:
        assert not found(name)
        assert found(name, name)
    assert not found("SCRAM-SHA-1-PLUS", "CRAM-MD5")
    assert found("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")
    assert found("SCRAM-SHA-256")
    assert not found("PLAIN")
    assert not found("EXTERNAL")
    assert not found("MAGIC")


@pytest.mark.parametrize("names", ["CRAM-MD5", ("PLAIN",), ("MD5",), ("SCRAM-SHA-1-PLUS",)])
def test_what_is_no_legacy_mechanism_is_no_value_of_the_option(names: Any) -> None:
    with pytest.raises(ValueError, match="legacy_mechanisms"):
        check_legacy(names)


def test_legacy_mechanisms_are_valid_by_name() -> None:
    check_legacy(None)
    check_legacy(())
    check_legacy(LEGACY)


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "CRAM-MD5"])
def test_a_client_never_chooses_a_legacy_mechanism_by_itself(name: str) -> None:
    secrets = Secrets("ann", "x", binding=BINDING)
    assert choose([name], secrets, private=True) is None
    chosen = choose([name, "PLAIN"], secrets, private=True)
    assert chosen is not None
    assert chosen.name == "PLAIN"
