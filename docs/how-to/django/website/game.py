"""The game: what its players can do. It knows nothing of Django."""

from abc import ABC, abstractmethod

from actorcred import Avatar, Group, Realm
from actorcred.methods import requires


class Player(ABC):
    """What a client may call."""

    @abstractmethod
    def shout(self, text: str) -> int:
        """Tell all players; return how many."""

    @abstractmethod
    @requires("staff")
    def close(self) -> str:
        """Close the game; only for the staff of the site."""


class SitePlayer(Avatar, Player):
    """A player. Its name and groups are those of Django's user."""

    def __init__(self, avatar_id, mind, players):
        super().__init__(avatar_id, mind)
        self.players = players

    def on_login(self):
        self.players.add(self.mind)

    def shout(self, text):
        return self.players.notify("shouted", self.avatar_id, text)

    def close(self):
        return f"closed by {self.avatar_id}"


class Game(Realm):
    """Gives each user a player."""

    interfaces = (Player,)

    def __init__(self):
        super().__init__()
        self.players = Group()

    def request_avatar(self, avatar_id, mind, *interfaces):
        avatar = SitePlayer.start(avatar_id, mind, self.players)
        return Player, avatar, avatar.stop
