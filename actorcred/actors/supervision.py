"""Restarting crashed actors, as in Erlang/OTP: a fresh instance behind the same ref and mailbox, within an intensity."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from actorcred.actors.future import Future

__all__ = ["RestartIntensity", "Restarts", "Supervisor"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until an actor is tried again that crashed too often; each pause is twice the one before."""


class Supervisor(Protocol):
    """What decides on the crashes of a restartable actor. Called where the actor ran."""

    def crashed(self, error: BaseException) -> Future[float | None]:
        """Return a future of the seconds until a fresh instance is made: 0 for at once, None for never.

        During a pause the actor is down: what it is sent is answered with `pykka.ActorDeadError`.
        """

    def begun(self) -> None:
        """Called when an instance has begun its life, the first one or a fresh one."""


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
            raise ValueError(
                f"an intensity needs restarts >= 0 and within > 0, not {self.restarts} and {self.within}"
            )


class Restarts:
    """The restarts of one actor, counted against an intensity. Pure: `now` comes in."""

    def __init__(self, intensity: RestartIntensity) -> None:
        self._intensity = intensity
        self._times: deque[float] = deque()
        self._pause = 0.0
        self._last = 0.0

    def pause(self, now: float) -> float:
        """Count a crash at `now` (seconds); return the seconds until a fresh instance may be made, 0 for at once.

        Past the intensity the pauses grow, until the actor has lived for as long as the intensity's time.
        """
        lived = now - self._last - self._pause
        if lived > self._intensity.within:
            self._pause = 0.0
        self._last = now
        while self._times and now - self._times[0] > self._intensity.within:
            self._times.popleft()
        if not self._pause and len(self._times) < self._intensity.restarts:
            self._times.append(now)
            return 0.0
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or FIRST_PAUSE)
        return self._pause
