"""What a checker reports to the portals that it is registered with, and asks of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import pykka

from actorcred.actors import ActorRef, Future
from actorcred.names import AvatarId
from actorcred.standing import Revocation

__all__ = ["LONGEST_USE", "CheckerListener", "agreement", "use_up"]


class CheckerListener(Protocol):
    """What a checker reports changed accounts to: a portal, or a checker that wraps this one."""

    def revoke(self, checker: ActorRef[Any], avatar_id: AvatarId, what: Revocation) -> None:
        """Called when an account has changed.

        Raises:
            pykka.ActorDeadError: if the listener has stopped; it is removed then.
        """

    def recheck(self, checker: ActorRef[Any]) -> None:
        """Called when changes of any account of a checker might have been missed.

        Raises:
            pykka.ActorDeadError: if the listener has stopped; it is removed then.
        """

    def use_up(self, key: str, seconds: float, use: str) -> Future[bool]:
        """Use up what can be used once; see `CheckerRef.use_up`.

        Args:
            key: what it is.
            seconds: for which it can be used at most.
            use: random text that stands for this use: a portal can be asked by several ways.
        """


LONGEST_USE = 3600.0
"""Seconds for which something can be used at most, to be used once: it is remembered as long."""


def use_up(
    listeners: Sequence[CheckerListener], key: str, seconds: float, use: str
) -> Future[bool]:
    """Use something up for all of some listeners; see `CheckerRef.use_up`.

    Raises:
        ValueError: if it can be used for longer than is remembered.
    """
    if not 0 < seconds <= LONGEST_USE:
        raise ValueError(
            f"what can be used once must be valid for at most {LONGEST_USE:g} s, not {seconds:g} s"
        )
    use = use or secrets.token_hex(8)
    return agreement([listener.use_up(key, seconds, use) for listener in listeners])


def agreement(asked: Sequence[Future[bool]]) -> Future[bool]:
    """Return a future of whether all of several futures are true, or of the first error.

    Futures of listeners that have stopped do not count.
    """
    decision: Future[bool] = Future()

    def look_at(index: int, so_far: bool) -> None:
        if index == len(asked):
            decision.settle(so_far)
        else:
            asked[index].add_done_callback(partial(take, index, so_far))

    def take(index: int, so_far: bool, done: Future[bool]) -> None:
        try:
            so_far = done.get() and so_far
        except pykka.ActorDeadError:
            pass  # it has no session that the login could get
        except BaseException as error:
            decision.settle_error(error)
            return
        look_at(index + 1, so_far)

    look_at(0, so_far=True)
    return decision
