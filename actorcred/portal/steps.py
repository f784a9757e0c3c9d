"""How long the steps of a login took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from actorcred.credentials import HashTimes

__all__ = ["StepTimes", "times_of"]


class StepTimes(NamedTuple):
    """The milliseconds of each step of a login; None for a step that it did not take.

    Args:
        queue: waiting for its turn, and for a thread that verifies the password.
        check: the checkers, including a client's answers to challenges, without `queue` and `hash`.
        hash: verifying the password.
        realm: waiting for a place, and getting the avatar, including its `on_login`.
    """

    queue: float | None = None
    check: float | None = None
    hash: float | None = None
    realm: float | None = None

    def audit_fields(self) -> Iterator[tuple[str, object]]:
        """Return the fields of a log record."""
        for name, value in zip(self._fields, self, strict=True):
            if value is not None:
                yield f"{name}_ms", value


class Timed(Protocol):
    """What is known of the times of a login, on the portal's clock; None if not known."""

    @property
    def began(self) -> float | None:
        """When it began."""

    @property
    def looked(self) -> float | None:
        """When it was its turn, if it had to wait."""

    @property
    def proven_at(self) -> float | None:
        """When a checker had accepted the credentials."""

    @property
    def hashed(self) -> HashTimes | None:
        """How long its password waited for a thread, and took."""


NO_TIMES = StepTimes()


def times_of(login: Timed, now: float, *, checked: bool) -> StepTimes:
    """Return how long the steps of a login took.

    Args:
        login: the login.
        now: when the login was over.
        checked: whether a checker had accepted the credentials.
    """
    began = login.began
    if began is None:
        return NO_TIMES
    queue = 0.0 if login.looked is None else min(login.looked, now) - began
    waited, hashed = login.hashed or (0.0, None)
    end = login.proven_at if checked else now
    if end is None:  # nobody wanted to know then
        return StepTimes(_ms(queue + waited), None, _ms(hashed), None)
    check = max(0.0, end - began - queue - waited - (hashed or 0.0))
    realm = now - end if checked else None
    return StepTimes(_ms(queue + waited), _ms(check), _ms(hashed), _ms(realm))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
