"""When credentials were proven, and what a newer proof changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from actorcred import Identity
from actorcred.sessions.proof import Expiry, Proof, age_of, renewed

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_proof_is_of_now_unless_the_checker_says_when_it_was_made() -> None:
    assert age_of(Identity("ann"), NOON) == 0.0
    assert age_of(Identity("ann", authenticated=NOON - HOUR), NOON) == 3600.0
    assert age_of(Identity("ann", authenticated=NOON + HOUR), NOON) == 0.0


def test_a_name_alone_adds_its_method_and_takes_nothing_away() -> None:
    known = Identity("ann", groups=frozenset({"staff"}), expires=NOON + HOUR)

    later = renewed(known, Identity("ann", methods=frozenset({"otp"})), NOON)

    assert later == known.replaced(methods=frozenset({"pwd", "otp"}), authenticated=NOON)


def test_a_proof_that_says_more_replaces_what_was_known() -> None:
    known = Identity("ann", groups=frozenset({"staff"}), expires=NOON + HOUR)
    token = Identity("ann", groups=frozenset({"guest"}), expires=NOON + 2 * HOUR)

    later = renewed(known, token, NOON)

    assert (later.groups, later.expires) == ({"guest"}, NOON + 2 * HOUR)


def test_a_proof_without_an_end_leaves_the_end_where_it_is() -> None:
    known = Identity("ann", expires=NOON + HOUR)

    later = renewed(known, Identity("ann", groups=frozenset({"guest"})), NOON)

    assert later.expires == NOON + HOUR


def test_an_older_proof_brings_nothing_back() -> None:
    known = Identity("ann", groups=frozenset({"guest"}), authenticated=NOON)
    old = Identity("ann", groups=frozenset({"admin"}), authenticated=NOON - HOUR)

    assert renewed(known, old, NOON).groups == {"guest"}


def test_a_proof_of_somebody_else_changes_nothing() -> None:
    known = Identity("ann")

    assert renewed(known, Identity("root", groups=frozenset({"admin"})), NOON) is known


def test_proofs_and_their_ends_are_values() -> None:
    assert Proof(1.0, frozenset({"pwd"})) == (1.0, {"pwd"})
    assert Expiry(5.0).announced is False
