"""Avatar ids have one form per user, and ANONYMOUS is none of them."""

from __future__ import annotations

import copy
import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorcred import ANONYMOUS
from actorcred.names import make_avatar_id


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
