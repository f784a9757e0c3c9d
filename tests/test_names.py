"""Avatar ids are one form per user, and ANONYMOUS is none of them."""

from __future__ import annotations

import copy
import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import ANONYMOUS
from actorcred.names import (
    LONGEST_NAME,
    make_avatar_id,
    password_forms,
    prepare_password,
    prepare_username,
)


def test_anonymous_is_one_object_wherever_it_goes():
    assert pickle.loads(pickle.dumps(ANONYMOUS)) is ANONYMOUS
    assert copy.deepcopy(ANONYMOUS) is ANONYMOUS
    assert repr(ANONYMOUS) == "ANONYMOUS"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("", "empty"),
        ("a\nb", "control"),
        ("\x7f", "control"),
        ("\ud800", "control"),
        (b"\xff", "UTF-8"),
        (5, "a string"),
        (None, "a string"),
    ],
)
def test_what_cannot_be_an_avatar_id_is_named(wrong, error):
    with pytest.raises((TypeError, ValueError), match=error):
        make_avatar_id(wrong)


@given(st.one_of(st.text(), st.binary()))
def test_any_name_becomes_an_avatar_id_or_is_refused(name):
    try:
        made = make_avatar_id(name)
    except ValueError:
        return
    assert made
    assert unicodedata.is_normalized("NFC", made)
    assert make_avatar_id(made) == made


def test_a_name_of_a_class_that_cannot_be_a_key_is_no_avatar_id():
    class Unhashable(str):
        __slots__ = ()
        __hash__ = None

    with pytest.raises(TypeError, match="unhashable"):
        make_avatar_id(Unhashable("ann"))


@pytest.mark.parametrize(
    ("name", "prepared"),
    [
        ("ann", "ann"),
        (b"ann", "ann"),
        ("Ann Lee", "Ann Lee"),
        ("andre\u0301", "andr\u00e9"),
        ("\uff21nn Lee", "Ann Lee"),
        ("l\u00b7l", "l\u00b7l"),
    ],
)
def test_user_names_are_compared_in_one_form(name, prepared):
    assert prepare_username(name) == prepared


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", "must not be empty"),
        (" ann", "is not allowed"),
        ("ann\u200f", "is not allowed"),
        ("l\u00b7", "is not allowed"),
        ("\u2460", "is not allowed"),
        ("a" * (LONGEST_NAME + 1), "longer than 1023 bytes"),
        ("\u00e9" * LONGEST_NAME, "longer than 1023 bytes"),
        ("a" + "\u0301" * 65, "more than 64 combining marks"),
        (b"\xff", "must be UTF-8"),
        ("\ud800", "must be UTF-8"),
    ],
)
def test_what_is_no_user_name_is_refused_with_the_reason(name, error):
    with pytest.raises(ValueError, match=error):
        prepare_username(name)


def test_only_texts_and_bytes_are_names_and_passwords():
    for prepare in (prepare_username, prepare_password, password_forms):
        with pytest.raises(TypeError, match="must be str or bytes, not int"):
            prepare(5)


def test_a_password_is_prepared_and_its_refusal_does_not_show_it():
    assert prepare_password("") == ""
    assert prepare_password("correct\u00a0horse") == "correct horse"
    with pytest.raises(ValueError, match="not allowed") as raised:
        prepare_password("s3cret\t")
    assert "s3cret" not in str(raised.value)


def test_a_password_has_the_form_that_was_sent_and_the_prepared_one():
    assert password_forms("plain") == ("plain",)
    assert password_forms("caf\u00e9") == ("caf\u00e9",)
    assert password_forms("cafe\u0301") == ("cafe\u0301", "caf\u00e9")
    assert password_forms("with\ttab") == ("with\ttab",)
    with pytest.raises(ValueError, match="NUL"):
        password_forms("a\0b")
