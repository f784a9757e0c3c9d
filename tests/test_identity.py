"""Identities and clients as values."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorcred.credentials import (
    Anonymous,
    BearerToken,
    Certificate,
    Combined,
    ExternalIdentity,
    OneTimePassword,
    SSHKey,
    UsernamePassword,
)
from actorcred.identity import (
    NO_CLIENT,
    ClientInfo,
    Identity,
    InvalidIdentity,
    TLSInfo,
    combined,
    identity_of,
    proofs_of,
    seconds_left,
)
from actorcred.names import ANONYMOUS

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def test_a_plain_identity_is_a_name_that_was_proven_by_a_password() -> None:
    ann = Identity("ann")

    assert (ann.avatar_id, ann.issuer, ann.subject) == ("ann", None, None)
    assert (ann.attributes, ann.groups, ann.methods) == ({}, frozenset(), {"pwd"})
    assert (ann.authenticated, ann.expires, ann.last_login) == (None, None, None)


def test_identities_are_equal_by_value_whoever_vouches_for_them() -> None:
    ann = Identity("ann", groups=frozenset({"staff"}), vouchers=(("a checker", "ann"),))

    assert ann == Identity("ann", groups=frozenset({"staff"}))
    assert ann != Identity("ann")
    assert ann != "ann"
    assert hash(ann) == hash(Identity("ann"))
    assert hash(ann) != hash(Identity("ann", issuer="https://other.example"))


def test_attributes_cannot_be_changed_and_are_not_shown() -> None:
    said = {"mail": "ann@example.org", "token": "s3cret"}
    ann = Identity("ann", attributes=said)
    said["mail"] = "eve@example.org"

    assert ann.attributes["mail"] == "ann@example.org"
    with pytest.raises(TypeError):
        ann.attributes["mail"] = "eve@example.org"  # type: ignore[index]
    with pytest.raises(AttributeError):
        ann.avatar_id = "eve"  # type: ignore[misc]
    assert "s3cret" not in repr(ann)


def test_sets_may_be_given_as_other_collections_and_ids_as_bytes() -> None:
    ann = Identity(b"ann", groups=["a", "b"], methods=("otp",))  # type: ignore[arg-type]

    assert (ann.avatar_id, ann.groups, ann.methods) == ("ann", {"a", "b"}, {"otp"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("avatar_id", None),
        ("avatar_id", ""),
        ("avatar_id", "a\nb"),
        ("issuer", 1),
        ("subject", b"x"),
        ("attributes", [("a", 1)]),
        ("attributes", {1: "a"}),
        ("groups", "staff"),
        ("groups", {"staff": True}),
        ("groups", {"staff", 1}),
        ("groups", {""}),
        ("methods", None),
        ("authenticated", 1764417600),
        ("expires", datetime(2026, 11, 29, 12)),  # what is to be refused
        ("last_login", "yesterday"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(field: str, value: Any) -> None:
    fields: dict[str, Any] = {"avatar_id": "ann", field: value}

    with pytest.raises(InvalidIdentity, match=field) as caught:
        Identity(**fields)
    assert "staff" not in str(caught.value)


def test_the_answer_of_a_checker_is_an_identity_or_becomes_one() -> None:
    ann = Identity("ann", methods=frozenset({"otp"}))

    assert identity_of(ann) is ann
    assert identity_of("ann") == Identity("ann")
    assert identity_of("ann", OneTimePassword("ann", "123456")).methods == {"otp"}
    assert identity_of(ANONYMOUS).methods == set()
    with pytest.raises(InvalidIdentity):
        identity_of(None)


@pytest.mark.parametrize(
    ("credentials", "methods"),
    [
        (UsernamePassword("ann", "s3cret"), {"pwd"}),
        (OneTimePassword("ann", "123456"), {"otp"}),
        (SSHKey("ann", b"", b"", b""), {"swk"}),
        (Certificate(b"", {}), {"swk"}),
        (BearerToken("x"), set()),
        (Anonymous(), set()),
        (Combined((UsernamePassword("ann", "x"), OneTimePassword("ann", "1"))), {"pwd", "otp"}),
        (object(), {"pwd"}),
    ],
)
def test_credentials_tell_by_what_they_prove(credentials: object, methods: set[str]) -> None:
    assert proofs_of(credentials) == methods


def test_two_proofs_of_one_user_are_joined() -> None:
    first = Identity(
        "ann",
        attributes={"mail": "a", "name": "Ann"},
        groups=frozenset({"a"}),
        authenticated=NOON,
        expires=NOON + timedelta(hours=2),
        vouchers=((1, "ann"),),
    )
    second = Identity(
        "ann",
        issuer="https://issuer.example",
        subject="17",
        attributes={"mail": "b", "phone": "1"},
        groups=frozenset({"b"}),
        methods=frozenset({"otp"}),
        authenticated=NOON - timedelta(hours=1),
        expires=NOON + timedelta(hours=1),
        vouchers=((2, "ann"),),
    )

    both = combined(first, second)

    assert (both.issuer, both.subject) == ("https://issuer.example", "17")
    assert both.attributes == {"mail": "a", "name": "Ann", "phone": "1"}
    assert (both.groups, both.methods) == ({"a", "b"}, {"pwd", "otp"})
    assert both.authenticated == NOON - timedelta(hours=1)
    assert both.expires == NOON + timedelta(hours=1)
    assert both.vouchers == ((1, "ann"), (2, "ann"))


def test_the_time_until_a_proof_ends() -> None:
    assert seconds_left(Identity("ann"), NOON) is None
    assert seconds_left(Identity("ann", expires=NOON + timedelta(seconds=5)), NOON) == 5.0
    assert seconds_left(Identity("ann", expires=NOON - timedelta(seconds=5)), NOON) == 0.0


@pytest.mark.parametrize(
    ("client", "private"),
    [
        (NO_CLIENT, False),
        (ClientInfo(transport="unix"), True),
        (ClientInfo(address="127.0.0.1"), True),
        (ClientInfo(address="::1"), True),
        (ClientInfo(address="192.0.2.1"), False),
        (ClientInfo(address="192.0.2.1", encrypted=True), True),
        (ClientInfo(address="127.0.0.1", via=("127.0.0.1",)), False),
        (ClientInfo(transport="unix", via=("unix",)), False),
    ],
)
def test_a_connection_is_private_with_tls_or_on_this_machine(
    client: ClientInfo, private: bool
) -> None:
    assert client.private is private


def test_a_client_shows_where_it_comes_from() -> None:
    assert ClientInfo(address="192.0.2.1", port=7).endpoint == "192.0.2.1:7"
    assert ClientInfo(address="2001:db8::1", port=7).endpoint == "[2001:db8::1]:7"
    assert ClientInfo(address="192.0.2.1").endpoint == "192.0.2.1"
    assert NO_CLIENT.endpoint == ""


def test_a_client_that_names_itself_is_otherwise_the_same() -> None:
    client = ClientInfo(
        address="192.0.2.1",
        port=7,
        protocol="rpc",
        transport="tls",
        local="192.0.2.9:80",
        encrypted=True,
        tls=TLSInfo(version="TLSv1.3"),
        name="bot",
        version="1",
        via=("192.0.2.2",),
        untrusted_front=True,
        asserted=ExternalIdentity("ann"),
    )
    assert all(getattr(client, one.name) != one.default for one in fields(ClientInfo))
    assert client.named("arena", "2") == replace(client, name="arena", version="2")


def test_a_connection_has_all_its_bindings_and_its_certificate() -> None:
    certificate = Certificate(b"der", {"commonName": "ann"})
    tls = TLSInfo(certificate=certificate, binding=("tls-server-end-point", b"a"), tls_unique=b"b")
    client = ClientInfo(encrypted=True, tls=tls)

    assert client.bindings() == {"tls-server-end-point": b"a", "tls-unique": b"b"}
    assert client.certificate is certificate
    assert NO_CLIENT.bindings() == ClientInfo(tls=TLSInfo()).bindings() == {}
    assert NO_CLIENT.certificate is None
    assert "b'a'" not in repr(client)


def test_a_client_can_be_sent_to_another_process() -> None:
    client = ClientInfo(address="192.0.2.1", protocol="ssh", via=("192.0.2.9",))

    assert pickle.loads(pickle.dumps(client)) == client  # our own bytes
