"""Who has left in this round, and what they come back with."""

from __future__ import annotations

from examples.arena.world.events import Standing

MOST_LEFT = 10_000
"""Players who have left whose points of this round are remembered."""


class Leavers:
    """Players who have left, in memory; the first ones are forgotten if there are too many."""

    def __init__(self) -> None:
        self._left: dict[str, Standing] = {}

    def keep(self, name: str, standing: Standing) -> None:
        """Remember a player."""
        self._left[name] = standing
        if len(self._left) > MOST_LEFT:
            del self._left[next(iter(self._left))]

    def take(self, name: str) -> Standing | None:
        """Return what a player comes back with, and forget it."""
        return self._left.pop(name, None)

    def clear(self) -> None:
        """Forget all: the round is over."""
        self._left.clear()
