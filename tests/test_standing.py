"""What a checker answers when asked who may stay; names that say how a login was proven."""

from __future__ import annotations

import pytest

from actorcred.identity import Identity
from actorcred.standing import (
    AskStanding,
    Revocation,
    Standing,
    fingerprint,
    named,
    with_proof,
)


def test_answers_about_different_names_are_joined():
    ann, bob = Identity("ann"), Identity("bob")
    one = Standing({"carl": Revocation.DELETED}, {"ann": ann})
    two = Standing({"dora": Revocation.DISABLED}, {"bob": bob})
    assert one.joined(two) == Standing(
        {"carl": Revocation.DELETED, "dora": Revocation.DISABLED}, {"ann": ann, "bob": bob}
    )


def test_nobody_is_gone_by_default():
    assert Standing() == Standing({}, {})
    assert Standing().mistake() == ""


@pytest.mark.parametrize(
    ("answer", "mistake"),
    [
        (Standing({"ann": "deleted"}), "gone"),
        (Standing({"ann": Revocation.CHANGED}), "gone"),
        (Standing(identities={"ann": "ann"}), "identities"),
    ],
)
def test_a_mistake_is_named(answer, mistake):
    assert f"`{mistake}`" in answer.mistake()


def test_a_name_can_say_what_proved_the_login_without_the_secret():
    made = with_proof("ann", "$2b$04$hash")
    assert named(made) == ("ann", fingerprint("$2b$04$hash"))
    assert fingerprint("$2b$04$hash") == fingerprint(b"$2b$04$hash") != fingerprint("other")
    assert "hash" not in made
    assert named("ann") == ("ann", "")


def test_a_question_is_about_its_names():
    assert AskStanding(None, ("ann",)).subject == ("ann",)
