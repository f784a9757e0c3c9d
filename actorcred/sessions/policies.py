"""Policies for concurrent sessions. Pure: a policy only decides; the portal acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

__all__ = ["Admit", "Decision", "Deny", "Join", "Limits", "Policy", "decide"]

S = TypeVar("S")


class Policy(StrEnum):
    """What happens when an avatar id logs in that is already logged in."""

    ALLOW = "allow"
    """Each login has an avatar of its own."""

    REPLACE = "replace"
    """The oldest sessions are logged out first."""

    REJECT = "reject"
    """The new login is denied."""

    SHARE = "share"
    """The sessions share one avatar, which stops with the last of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on sessions.

    Args:
        policy: for an avatar id that is already logged in.
        per_avatar: sessions of one avatar id; None is no limit for ALLOW and SHARE, and 1 for
            REPLACE and REJECT.
        total: sessions of the portal; None is no limit.
    """

    policy: Policy = Policy.ALLOW
    per_avatar: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Admit(Generic[S]):
    """The login is admitted as soon as all sessions in `evict` have ended."""

    evict: tuple[S, ...] = ()


@dataclass(frozen=True, slots=True)
class Join(Generic[S]):
    """The login shares the avatar of `session`."""

    session: S


@dataclass(frozen=True, slots=True)
class Deny:
    """The login is denied; `why` is for the log."""

    why: str


Decision: TypeAlias = Admit[S] | Join[S] | Deny


def decide(limits: Limits, present: Sequence[S], opening: int, total: int) -> Decision[S]:
    """Decide on a login whose credentials are proven.

    Args:
        limits: the rules.
        present: the sessions of the same avatar id, oldest first; empty for anonymous clients,
            which are never the same user.
        opening: the number of other logins of the same avatar id that are getting their avatar.
        total: all sessions of the portal and all logins that are getting their avatar.
    """
    evict: tuple[S, ...] = ()
    count = len(present) + opening
    if limits.policy is Policy.REPLACE:
        keep = (limits.per_avatar or 1) - 1
        evict = tuple(present[: max(0, count - keep)])
    else:
        most = limits.per_avatar or (1 if limits.policy is Policy.REJECT else None)
        if most is not None and count >= most:
            return Deny(f"{count} sessions of this avatar id, {most} allowed")
    if limits.total is not None and total - len(evict) >= limits.total:
        return Deny(f"{total} sessions, {limits.total} allowed")
    if limits.policy is Policy.SHARE and present:
        return Join(present[0])
    return Admit(evict)
