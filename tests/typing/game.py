"""A small game, whose interfaces the programs of this folder use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from actorcred import Avatar, Future


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Spot:
    x: float
    y: float = 0.0
    colour: Colour | None = None


class Player(ABC):
    @abstractmethod
    def move(self, dx: float, dy: float = 0.0) -> tuple[float, float]: ...
    @abstractmethod
    async def think(self, about: str, *more: str) -> list[str]: ...
    @abstractmethod
    def goto(self, spot: Spot, how: Literal["fast", "slow"] = "fast") -> dict[str, Spot]: ...
    @abstractmethod
    def spots(self, kind: Colour, /, *, hidden: bool = False) -> set[str]: ...
    @abstractmethod
    def later(self) -> Future[int]: ...


class Spectator(Protocol):
    def watch(self) -> str: ...


class GamePlayer(Avatar, Player):
    def move(self, dx: float, dy: float = 0.0) -> tuple[float, float]:
        return dx, dy

    async def think(self, about: str, *more: str) -> list[str]:
        return [about, *more]

    def goto(self, spot: Spot, how: Literal["fast", "slow"] = "fast") -> dict[str, Spot]:
        return {how: spot}

    def spots(self, kind: Colour, /, *, hidden: bool = False) -> set[str]:
        return {kind.value}

    def later(self) -> Future[int]:
        return self.offload(int, "7")
