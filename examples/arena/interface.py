"""What clients may ask of their avatars: the interfaces of the arena's realm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class Spectator(ABC):
    """Someone who watches, and has no body in the world."""

    @abstractmethod
    def watch(self) -> dict[str, Any]:
        """Subscribe to what is in sight.

        Notifications follow: `frame` (`world.views.Frame`) at each tick, `board` once a second, and
        `round` when a round begins or ends. A spectator sees what some player sees.

        Returns:
            The land and the state of the round; see `realm.Arena`.
        """

    @abstractmethod
    def who(self) -> list[tuple[str, int]]:
        """Return the names and points of the players, at most a hundred.

        Guests and people come before bots, and high points first.
        """

    @abstractmethod
    def sign_up(self, name: str, password: str) -> None:
        """Create an account.

        If a guest does this, the account goes on where the guest is when it leaves, with its
        points.
        """


class Player(Spectator):
    """Someone who plays."""

    @abstractmethod
    def move(self, dx: float, dy: float) -> None:
        """Walk in a direction from now on; (0, 0) to stand.

        Args:
            dx: to the east; a vector of length 1 or more is full speed.
            dy: to the south.
        """

    @abstractmethod
    def dash(self) -> None:
        """Dash, which makes a rival who is hit drop its gold. Possible every few seconds."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Say something to all players nearby."""

    @abstractmethod
    def glance(self, seconds: float) -> dict[str, Any]:
        """Subscribe to the notification `glance` (`world.views.Glance`) every so many seconds.

        It is for clients that draw nothing, such as bots. The notification `round` is sent, too.

        Returns:
            The land and the state of the round.
        """

    @abstractmethod
    def stumble(self) -> None:
        """Trigger a bug in the game: the avatar crashes."""
