"""The client of a bot: an actor that logs in, and does what its character decides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pykka.messages import ProxyCall

from actorcred import Actor, Login, LoginFailed, LogoutCode, PortalRef, UsernamePassword
from actorcred.actors import Future
from examples.arena.bots.atlas import Atlas
from examples.arena.bots.character import Character
from examples.arena.bots.characters import choose_character
from examples.arena.interface import Player
from examples.arena.world.views import Glance


@dataclass(frozen=True, slots=True)
class Habits:
    """How bots behave apart from their characters.

    Args:
        wrong_password: the chance that a login has a wrong password.
        crash: the chance, per thought, that a bot makes its avatar crash.
        arrival: seconds within which all log in at first.
        logout: the chance, per thought, that it logs out and returns later.
        vanish: the same for losing its connection.
    """

    wrong_password: float
    crash: float
    arrival: float
    logout: float = 0.001
    vanish: float = 0.001


class Guide:
    """What bots share: the atlas of the land, drawn by the first who sees the land."""

    def __init__(self) -> None:
        self._atlas: Atlas | None = None

    def atlas(self, land: Mapping[str, Any]) -> Atlas:
        """Return the atlas of a land."""
        if self._atlas is None:
            camps = [tuple(camp) for camp in land["camps"]]
            self._atlas = Atlas(land["rows"], land["tile"], camps)
        return self._atlas


@dataclass(frozen=True, slots=True)
class Account:
    """A bot's user name and password."""

    name: str
    password: str


class Bot(Actor):
    """A player that is a program.

    Args:
        portal: where it logs in.
        account: its own.
        habits: what it does apart from playing.
        guide: what all bots share.
        seed: of its decisions.
        counts: receives the counts of what happens to it.
    """

    registered = False

    def __init__(
        self,
        portal: PortalRef,
        account: Account,
        habits: Habits,
        guide: Guide,
        seed: str,
        counts: Counter[str],
    ) -> None:
        super().__init__()
        self._portal = portal
        self._account = account
        self._habits = habits
        self._guide = guide
        self._random = random.Random(seed)
        self._counts = counts
        self._kind = choose_character(self._random)
        self._character: Character | None = None
        self._login: Login | None = None
        self._way = (0.0, 0.0)

    def on_start(self) -> None:
        """Log in at a random time."""
        self._later("log_in", self._random.uniform(0, self._habits.arrival))

    def _later(self, method: str, seconds: float) -> None:
        self.send_after(seconds, ProxyCall((method,), (), {}))

    def _then(self, future: Future[Any], method: str) -> None:
        inbox = self.actor_inbox
        future.add_done_callback(lambda done: inbox.put(ProxyCall((method,), (done,), {})))

    # -- logging in --------------------------------------------------------------------------------

    def log_in(self) -> None:
        """Log in with this actor as the mind."""
        wrong = self._random.random() < self._habits.wrong_password
        self._counts["wrong passwords"] += wrong
        name, password = self._account.name, self._account.password
        credentials = UsernamePassword(name, "not " + password if wrong else password)
        info = {"look": self._kind.look.value}
        self._then(self._portal.login(credentials, self.actor_ref, Player, info=info), "logged_in")

    def logged_in(self, done: Future[Login]) -> None:
        """Start to play, or try again."""
        try:
            self._login = done.get()
        except LoginFailed:
            self._counts["refused"] += 1
            self._later("log_in", self._random.uniform(1, 3))
        else:
            self._counts["logins"] += 1
            self._way = (0.0, 0.0)
            self._then(self._ask(self._login, "glance", self._kind.seconds), "arrived")

    def arrived(self, done: Future[Any]) -> None:
        """See the land."""
        try:
            land = done.get()
        except Exception:
            return  # the session is over already: `logged_out` brings it back
        if isinstance(land, Future):  # the avatar passes on the arena's
            self._then(land, "arrived")
            return
        atlas = self._guide.atlas(land)
        self._character = self._kind(atlas, land["round"], self._random)

    def logged_out(self, code: str, detail: str) -> None:
        """Called when its session has ended; log in again after a while."""
        self._login = None
        if code != LogoutCode.DRAINED:
            self._later("log_in", self._random.uniform(0.5, 2))

    # -- playing -----------------------------------------------------------------------------------

    def round(self, round_: Mapping[str, Any]) -> None:
        """Called when a round begins or ends."""
        if self._character is not None:
            self._character.see_round(round_)

    def glance(self, sight: Glance) -> None:
        """Called with what the avatar sees."""
        login, character = self._login, self._character
        self._counts["notifications"] += 1
        if login is None or character is None or not login.session.is_open:
            return
        if self._follow_habits(login):
            return
        intent = character.think(sight)
        way = (intent.dx, intent.dy)
        if abs(way[0] - self._way[0]) + abs(way[1] - self._way[1]) > 0.1 or way == (0.0, 0.0):
            if way != self._way:
                self._tell(login, "move", *way)
            self._way = way
        if intent.dash:
            self._tell(login, "dash")
        if intent.text:
            self._tell(login, "say", intent.text)

    def _follow_habits(self, login: Login) -> bool:
        """Log out, vanish or stumble by chance; return whether it did."""
        habits, luck = self._habits, self._random.random()
        if luck < habits.crash:
            self._counts["crashes"] += 1
            self._tell(login, "stumble")
        elif luck < habits.crash + habits.logout:
            login.logout()
        elif luck < habits.crash + habits.logout + habits.vanish:
            login.logout(LogoutCode.LOST)
        else:
            return False
        return True

    def _tell(self, login: Login, method: str, *args: Any) -> None:
        self._counts["messages"] += 1
        login.avatar.tell(ProxyCall((method,), args, {}))

    def _ask(self, login: Login, method: str, *args: Any) -> Future[Any]:
        self._counts["messages"] += 1
        return login.avatar.ask(ProxyCall((method,), args, {}), block=False)
