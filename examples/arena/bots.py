"""Bots: each is an actor, and the client of one session at a time."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pykka.messages import ProxyCall

from actorcred import Actor, Login, LoginFailed, LogoutCode, PortalRef, UsernamePassword
from actorcred.actors import Future
from examples.arena.realm import Player

PAUSE = 1.0
"""Average seconds between two actions of a bot."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How bots behave; the probabilities are per login or per action.

    Args:
        wrong_password: that a bot mistypes its password.
        crash: that it makes its avatar crash.
        logout: that it logs out and returns later.
        vanish: that it loses its connection and returns later.
        talk: that it says something.
    """

    wrong_password: float
    crash: float
    logout: float = 0.003
    vanish: float = 0.003
    talk: float = 0.05


class Bot(Actor):
    """A player that wanders about at random.

    Args:
        portal: where it logs in.
        name: its user name.
        password: its password.
        habits: what it does.
        seed: of its decisions.
        counts: receives the counts of what happens to it.
    """

    def __init__(
        self,
        portal: PortalRef,
        name: str,
        password: str,
        habits: Habits,
        seed: str,
        counts: Counter[str],
    ) -> None:
        super().__init__()
        self._portal = portal
        self._name = name
        self._password = password
        self._habits = habits
        self._random = random.Random(seed)
        self._counts = counts
        self._login: Login | None = None

    def on_start(self) -> None:
        """Log in at a random time within the first seconds."""
        self._later("log_in", self._random.uniform(0, 2))

    def _later(self, method: str, seconds: float) -> None:
        self.send_after(seconds, ProxyCall((method,), (), {}))

    def log_in(self) -> None:
        """Log in with this actor as the mind."""
        wrong = self._random.random() < self._habits.wrong_password
        self._counts["wrong passwords"] += wrong
        credentials = UsernamePassword(
            self._name, "not " + self._password if wrong else self._password
        )
        answer = self._portal.login(credentials, self.actor_ref, Player)
        me = self.actor_inbox
        answer.add_done_callback(lambda done: me.put(ProxyCall(("logged_in",), (done,), {})))

    def logged_in(self, done: Future[Login]) -> None:
        """Start to play, or try again."""
        try:
            self._login = done.get()
        except LoginFailed:
            self._counts["refused"] += 1
            self._later("log_in", self._random.uniform(0.5, 1.5))
        else:
            self._counts["logins"] += 1
            self._later("act", self._random.uniform(0, PAUSE))

    def act(self) -> None:
        """Perform one random action."""
        login, habits, dice = self._login, self._habits, self._random.random()
        if login is None or not login.session.is_open:
            return  # `logged_out` brings it back
        for chance, act in (
            (habits.crash, self._stumble),
            (habits.logout, self._log_out),
            (habits.vanish, self._vanish),
            (habits.talk, self._talk),
        ):
            if dice < chance:
                act(login)
                break
            dice -= chance
        else:
            self._call(login, "move", self._random.uniform(-1, 1), self._random.uniform(-1, 1))
        self._later("act", self._random.uniform(0.5, 1.5) * PAUSE)

    def _call(self, login: Login, method: str, *args: Any) -> None:
        self._counts["messages"] += 1
        login.avatar.ask(ProxyCall((method,), args, {}), block=False)

    def _talk(self, login: Login) -> None:
        self._call(login, "say", f"{self._name} was here")

    def _stumble(self, login: Login) -> None:
        self._counts["crashes"] += 1
        login.avatar.tell(
            ProxyCall(("stumble",), (), {})
        )  # a tell, not an ask: no one waits for the exception

    def _log_out(self, login: Login) -> None:
        login.logout()

    def _vanish(self, login: Login) -> None:
        login.logout(LogoutCode.LOST)

    # -- notifications from the arena --------------------------------------------------------------

    def welcome(self, x: float, y: float, score: int) -> None:
        """Called with its position and score after the login."""
        self._counts["notifications"] += 1

    def near(self, name: str, x: float, y: float) -> None:
        """Called when another player comes near."""
        self._counts["notifications"] += 1

    def said(self, name: str, text: str) -> None:
        """Called when another player speaks."""
        self._counts["notifications"] += 1

    def picked_up(self, score: int) -> None:
        """Called when it has picked something up."""
        self._counts["notifications"] += 1
        self._counts["pick-ups"] += 1

    def logged_out(self, code: str, detail: str) -> None:
        """Called when its session has ended; log in again after a while."""
        self._login = None
        if code != LogoutCode.DRAINED:
            self._later("log_in", self._random.uniform(0.5, 1.5))
