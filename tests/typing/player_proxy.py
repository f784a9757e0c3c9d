# isort: skip_file
"""The proxy of a `Player` for type checkers: `avatar.proxy(PlayerProxy)`.

Made by `actorcred stubs tests.typing.game:Player`. Make it again when the interface has changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import tests.typing.game
    from actorcred import Future
    from typing import Literal

__all__ = ["PlayerProxy"]


class PlayerProxy(Protocol):
    """The methods of `tests.typing.game:Player`, each of which returns a future."""

    def move(self, dx: float, dy: float = ...) -> Future[tuple[float, float]]: ...
    def think(self, about: str, *more: str) -> Future[list[str]]: ...
    def goto(
        self,
        spot: tests.typing.game.Spot,
        how: Literal["fast", "slow"] = ...,
    ) -> Future[dict[str, tests.typing.game.Spot]]: ...
    def spots(
        self,
        kind: tests.typing.game.Colour,
        /,
        *,
        hidden: bool = ...,
    ) -> Future[set[str]]: ...
    def later(self) -> Future[Future[int]]: ...
