"""Restarts of crashed actors, as in Erlang/OTP.

A restart is a new instance behind the same ref and mailbox. The restart intensity limits how often
this happens.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

from actorcred.actors.future import Future

__all__ = ["RestartIntensity", "Restarts", "Supervisor"]

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until an actor that crashed too often is restarted; each pause is twice the last one."""


class Supervisor(Protocol):
    """Decides on the restarts of a restartable actor. Called on the thread where the actor ran."""

    def crashed(self, error: BaseException) -> Future[float | None]:
        """Return a future of the seconds until the restart: 0 for immediately, None for never.

        During a pause the actor is down: its messages are answered with `pykka.ActorDeadError`.
        """

    def begun(self) -> None:
        """Called when an instance has started, the first one or a new one."""


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """How often an actor may crash before it stays down (Erlang/OTP: "maximum restart intensity").

    Args:
        restarts: the number of restarts that are allowed in the period `within`.
        within: seconds.
    """

    restarts: int = 3
    within: float = 5.0

    def __post_init__(self) -> None:
        if self.restarts < 0 or self.within <= 0:
            raise ValueError(
                "an intensity needs restarts >= 0 and within > 0, "
                f"not {self.restarts} and {self.within}"
            )


class Restarts:
    """The restarts of one actor, counted against an intensity. Pure: `now` is an argument."""

    def __init__(self, intensity: RestartIntensity) -> None:
        self._intensity = intensity
        self._times: deque[float] = deque()
        self._pause = 0.0
        self._last = 0.0

    def pause(self, now: float) -> float:
        """Count a crash at `now` (seconds); return the seconds until the restart, which can be 0.

        Beyond the intensity the pauses grow, until the actor has lived for more than `within`
        seconds.
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
