"""When the user of a session has proven the credentials, and when the proof ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from actorcred.identity import Identity

__all__ = ["Expiry", "Proof", "age_of", "renewed"]


class Proof(NamedTuple):
    """The last time that a user has proven the credentials again.

    Attributes:
        at: when, on the portal's clock.
        methods: by which methods (RFC 8176).
    """

    at: float
    methods: frozenset[str]


@dataclass(slots=True)
class Expiry:
    """The end of a proof, and of its session.

    Attributes:
        at: when, on the portal's clock.
        announced: whether the client was told that it is near.
    """

    at: float
    announced: bool = False


def age_of(proven: Identity, now: datetime) -> float:
    """Return how old a proof is in seconds; a token may have been issued long ago."""
    if proven.authenticated is None:
        return 0.0
    return max(0.0, (now - proven.authenticated) / timedelta(seconds=1))


def renewed(known: Identity, proven: Identity, now: datetime) -> Identity:
    """Return the identity of a session whose user has proven the credentials again.

    A checker that says nothing but a name changes only the methods, and so does a proof that is
    older than the known one. A proof without an end leaves the end of the session where it is.

    Args:
        known: the identity so far.
        proven: what the checker says now.
        now: an aware datetime.
    """
    if proven.avatar_id != known.avatar_id:
        return known  # somebody who may act as this user; the groups of the one are not the other's
    if None not in (proven.authenticated, known.authenticated) and age_of(known, now) < age_of(
        proven, now
    ):
        return known.replaced(methods=known.methods | proven.methods)  # it is older
    said_more = proven != Identity(proven.avatar_id, methods=proven.methods)
    later = proven if said_more else known.replaced(authenticated=now)
    ends = later.expires or known.expires
    # The newer proof is the one that must stand from now on; see `Checker.standing`.
    by = proven if proven.vouchers else known
    return later.replaced(
        methods=known.methods | proven.methods,
        expires=ends,
        vouchers=by.vouchers,
        parts=by.parts,
    )
