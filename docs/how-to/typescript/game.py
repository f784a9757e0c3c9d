"""A game with one interface, and a web application that serves it beside its page."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from actorcred import Avatar, Group, Portal, Realm, rpc
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.memory import MemoryChecker


@dataclass
class Place:
    """Where a player is."""

    x: float
    y: float


class Player(ABC):
    """What clients may call."""

    @abstractmethod
    def move(self, way: Literal["north", "east", "south", "west"], steps: int = 1) -> Place: ...

    @abstractmethod
    def say(self, text: str) -> int: ...


WAYS = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}


class GamePlayer(Avatar, Player):
    """A player."""

    def __init__(self, avatar_id, mind, players):
        super().__init__(avatar_id, mind)
        self.players = players
        self.place = Place(0, 0)

    def on_login(self):
        self.players.add(self.mind)

    def move(self, way, steps=1):
        dx, dy = WAYS[way]
        self.place = Place(self.place.x + dx * steps, self.place.y + dy * steps)
        return self.place

    def say(self, text):
        return self.players.notify("said", str(self.avatar_id), text)


class Game(Realm):
    """Gives each user a player, also guests."""

    interfaces = (Player,)

    def __init__(self):
        super().__init__()
        self.players = Group()

    def request_avatar(self, avatar_id, mind, *interfaces):
        avatar = GamePlayer.start(avatar_id, mind, self.players)
        return Player, avatar, avatar.stop


def app():
    """Return the web application: uvicorn --factory game:app."""
    checkers = [MemoryChecker.start({"ann": "s3cret"}), AnonymousChecker.start()]
    sockets = rpc.WebApp(Portal.start(Game.start(), checkers))
    page = StaticFiles(directory="page", html=True)
    return Starlette(routes=[Mount("/rpc", sockets), Mount("/", page)])
