"""Restarting crashed actors, as in Erlang/OTP: a fresh instance behind the same ref and mailbox, within an intensity."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from actorcred.actors._context import thread

if TYPE_CHECKING:
    from actorcred.actors.actor import Actor
    from actorcred.actors.future import Future
    from actorcred.actors.mailbox import Mailbox
    from actorcred.actors.ref import ActorRef

__all__ = ["Blueprint", "RestartIntensity", "Restarts", "Supervisor"]

Supervisor: TypeAlias = "Callable[[BaseException], Future[Any]]"
"""Called with the exception of a crash; the future says whether to restart (True) or to give up."""


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """How often an actor may crash before it stays down (Erlang/OTP: "maximum restart intensity").

    Args:
        restarts: at most so many restarts ...
        within: ... in so many seconds.
    """

    restarts: int = 3
    within: float = 5.0

    def __post_init__(self) -> None:
        if self.restarts < 0 or self.within <= 0:
            raise ValueError(f"an intensity needs restarts >= 0 and within > 0, not {self.restarts} and {self.within}")


class Restarts:
    """The restarts of one actor, counted against an intensity. Pure: `now` comes in."""

    def __init__(self, intensity: RestartIntensity) -> None:
        self._intensity = intensity
        self._times: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Count a crash at `now` (seconds); tell whether the actor may be restarted."""
        while self._times and now - self._times[0] > self._intensity.within:
            self._times.popleft()
        if len(self._times) >= self._intensity.restarts:
            return False
        self._times.append(now)
        return True


class Blueprint:
    """What is needed to make an actor again: its class, the arguments of its `start`, and the ref that others have."""

    __slots__ = ("_args", "_kwargs", "_ref")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], ref: ActorRef[Any]) -> None:
        self._args = args
        self._kwargs = kwargs
        self._ref = ref

    def construct(self, mailbox: Mailbox) -> Actor:
        """Make a fresh instance that lives in `mailbox`, behind the refs which exist already."""
        thread.reborn = mailbox
        try:
            actor = mailbox.actor_class(*self._args, **self._kwargs)
        finally:
            thread.reborn = None
        actor._actor_ref = self._ref
        return actor
