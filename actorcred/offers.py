"""The kinds of credentials that checkers take, and those that can be offered to clients."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from actorcred.credentials import UsernamePassword
from actorcred.exchange import UsernameDigestHash, UsernameHashedPassword, UsernameScram

__all__ = ["Kinds", "KnownOffers", "Offers", "digests_of_all", "offered_by_all"]


class Kinds(Protocol):
    """The kinds of credentials that a checker takes and offers; see `Checker`."""

    @property
    def credential_interfaces(self) -> tuple[type, ...]:
        """All kinds."""

    @property
    def offered_interfaces(self) -> tuple[type, ...]:
        """The kinds with which each of its users can log in."""

    @property
    def digest_algorithms(self) -> frozenset[str] | None:
        """The algorithms of HTTP Digest for which digests are kept; None for any."""


class KnownOffers(Kinds, Protocol):
    """What a checker takes and offers, and whether it can be asked about its accounts."""

    @property
    def tells_standing(self) -> bool:
        """Whether it, or a checker that it wraps, has a `standing` of its own."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What one checker takes and offers."""

    credential_interfaces: tuple[type, ...] = ()
    offered_interfaces: tuple[type, ...] = ()
    digest_algorithms: frozenset[str] | None = None
    tells_standing: bool = False


def offered_by_all(checkers: Iterable[Kinds]) -> tuple[type, ...]:
    """Return the kinds of credentials that can be offered if any of several checkers may decide.

    Proofs of a password are included only if every password checker accepts them. Otherwise a
    client that chooses the strongest kind would lock out the users of the other checkers.
    """
    asked = tuple(checkers)
    kinds = dict.fromkeys(kind for checker in asked for kind in checker.credential_interfaces)
    of_passwords = [
        checker for checker in asked if issubclass(UsernamePassword, checker.credential_interfaces)
    ]
    return tuple(
        kind
        for kind in kinds
        if not issubclass(kind, UsernameHashedPassword | UsernameScram)
        or all(issubclass(kind, checker.offered_interfaces) for checker in of_passwords)
    )


def digests_of_all(checkers: Iterable[Kinds]) -> frozenset[str] | None:
    """Return the HTTP Digest algorithms that can be offered if any of several checkers may decide.

    A client uses the first algorithm that it knows, so one for which a checker has no digests would
    lock out its users. If no algorithm is common to all checkers, the algorithms of all of them are
    offered. None means any algorithm.
    """
    asked = (
        checker
        for checker in checkers
        if issubclass(UsernameDigestHash, checker.credential_interfaces)
    )
    kept = [
        algorithms for checker in asked if (algorithms := checker.digest_algorithms) is not None
    ]
    if not kept:
        return None
    return frozenset.intersection(*kept) or frozenset.union(*kept)
