"""What an entry says of its user, in the forms that directories write."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

pytest.importorskip("ldap", reason="python-ldap is not installed: pip install 'actorcred[ldap]'")

from actorcred import UnauthorizedLogin
from actorcred.checkers.ldap.facts import LDAPFacts, text_of, time_of
from actorcred.checkers.ldap.settings import LDAPSettings, take_place

DN = "uid=ann,dc=example"


def test_an_id_of_active_directory_is_shown_as_its_tools_do() -> None:
    guid = uuid.uuid4()

    assert text_of(guid.bytes_le, "objectGUID") == str(guid)
    assert text_of("andre\u0301".encode(), "uid") == "andr\u00e9"
    with pytest.raises(UnicodeError):
        text_of(b"\xff", "uid")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("20261231235958Z", datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)),
        ("20261231235958.5Z", datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC)),
        ("2026123123Z", datetime(2026, 12, 31, 23, tzinfo=UTC)),
        (
            "202612312359+0130",
            datetime(2026, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=1.5))),
        ),
        ("2026123123-01", datetime(2026, 12, 31, 23, tzinfo=timezone(timedelta(hours=-1)))),
        ("133500000000000000", datetime(2024, 1, 17, 21, 20, tzinfo=UTC)),
        ("20000", datetime(2024, 10, 4, tzinfo=UTC)),
        ("0", None),
        ("-1", None),
        ("9223372036854775807", None),
    ],
)
def test_a_time_is_read_as_directories_write_it(text: str, time: datetime | None) -> None:
    assert time_of(text) == time


@pytest.mark.parametrize("text", ["", "soon", "20261331235958Z", "9" * 30, "20261231Z"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="it is no time"):
        time_of(text)


def facts_of(**settings: Any) -> LDAPFacts:
    made = LDAPSettings(**settings)
    place = take_place("ldaps://ldap.example:636/dc=example", made)
    return LDAPFacts(made, place, lambda entry, attribute: entry.get(attribute.lower(), []))


def test_an_entry_without_a_uuid_is_known_by_its_dn() -> None:
    facts = facts_of()
    identity = facts.identity("ann", DN, {})

    assert (identity.issuer, identity.subject) == ("ldap.example:636", DN)
    assert facts.wanted == ("entryUUID", "objectGUID")
    assert facts.identity("ann", DN, {"entryuuid": [b"1-2"]}).subject == "1-2"


def test_a_subject_that_is_asked_for_must_be_there() -> None:
    facts = facts_of(subject="employeeNumber", issuer="Example Ltd")

    assert facts.identity("ann", DN, {"employeenumber": [b"7"]}).subject == "7"
    with pytest.raises(UnauthorizedLogin):
        facts.identity("ann", DN, {})


def test_an_attribute_that_cannot_be_told_is_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    facts = facts_of(attributes=("mail", "photo", "note", "none"), last_login="seen")
    entry = {
        "mail": [b"b@x", b"a@x"],
        "photo": [b"\xff\xd8"],
        "note": [b"x" * 5000],
        "seen": [b"yesterday"],
    }
    for _ in range(2):
        identity = facts.identity("ann", DN, entry)

    assert dict(identity.attributes) == {"mail": ("a@x", "b@x")}
    assert identity.last_login is None
    assert [message.partition("out: ")[2] for message in caplog.messages] == [
        "the attribute photo of the entry: it is binary",
        "the attribute note of the entry: it is longer than 4096 characters",
        "the attribute seen of the entry: it is no time",
    ]


def test_an_account_that_has_expired_or_may_have_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    facts = facts_of(expires="shadowExpire")

    assert facts.identity("ann", DN, {"shadowexpire": [b"99999"]}).expires is not None
    assert facts.identity("ann", DN, {"shadowexpire": [b"-1"]}).expires is None
    for value in (b"1", b"soon"):
        with pytest.raises(UnauthorizedLogin):
            facts.identity("ann", DN, {"shadowexpire": [value]})
    assert "cannot log in by LDAP: the attribute shadowExpire: it is no time" in caplog.text
