"""What a client presents: names in one form, and no secret in any text."""

from __future__ import annotations

import pytest

from actorcred import Anonymous, BearerToken, Certificate, UnauthorizedLogin, UsernamePassword
from actorcred.credentials import Combined, ExternalIdentity, OneTimePassword, SSHKey, is_blank

SECRET = "s3cret"

KINDS = {
    "password": lambda name: UsernamePassword(name, SECRET),
    "code": lambda name: OneTimePassword(name, SECRET),
    "identity": lambda name: ExternalIdentity(name, "proxy"),
    "key": lambda name: SSHKey(name, SECRET.encode(), SECRET.encode(), SECRET.encode()),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_name_is_prepared_and_one_that_nobody_can_have_is_refused_as_a_wrong_one(kind):
    assert kind("andre\u0301").username == kind(b"andr\xc3\xa9").username == "andr\u00e9"
    with pytest.raises(UnauthorizedLogin) as raised:
        kind("a\nb")
    assert str(raised.value) == "login refused"
    assert "not allowed" in raised.value.detail


def test_no_text_shows_a_secret():
    shown = [
        *(kind("ann") for kind in KINDS.values()),
        BearerToken(SECRET, "ann"),
        Certificate(SECRET.encode(), {"commonName": "ann"}),
        Combined((UsernamePassword("ann", SECRET), OneTimePassword("ann", SECRET))),
    ]

    assert SECRET not in "".join(f"{one} {one!r}" for one in shown)
    assert "ann" in repr(shown[0])


def test_where_a_client_comes_from_makes_no_other_credentials():
    assert UsernamePassword("ann", "x", source="192.0.2.1") == UsernamePassword("ann", "x")
    assert SSHKey("ann", b"", b"", b"", source="192.0.2.1") == SSHKey("ann", b"", b"", b"")
    assert ExternalIdentity("ann", "proxy").front == "proxy"


def test_a_password_keeps_the_form_in_which_it_was_sent():
    credentials = UsernamePassword("ann", "cafe\u0301")

    assert (credentials.password, credentials.sent) == ("caf\u00e9", "cafe\u0301")


def test_blanks_in_a_code_do_not_count():
    assert OneTimePassword("ann", "123\u00a0456\u200b").code == "123456"
    assert is_blank("\ufeff")
    assert not is_blank("1")


def test_of_several_proofs_the_first_that_knows_it_says_who_and_from_where():
    token, code = BearerToken("t"), OneTimePassword("ann", "1", source="192.0.2.1")

    assert (Combined((token, code)).username, Combined((token, code)).source) == (
        "ann",
        "192.0.2.1",
    )
    assert (Combined((Anonymous("x"),)).username, Combined(()).source) == ("", "")
