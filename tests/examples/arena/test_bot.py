"""The client of a bot: it logs in, plays, and comes back after whatever happens to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from actorcred.actors import InlineDispatcher
from examples.arena.bots.bot import Account, Bot, Guide, Habits
from tests.examples.arena.hall import Hall

CALM = Habits(wrong_password=0, crash=0, arrival=0, logout=0, vanish=0)


class Life:
    """A bot called ann, and what it counts."""

    def __init__(self, clock: InlineDispatcher, habits: Habits) -> None:
        self.hall = Hall(clock)
        self.counts: Counter[str] = Counter()
        account = Account("ann", "right")
        self.bot = Bot.start(self.hall.portal, account, habits, Guide(), "seed", self.counts)

    def live(self, seconds: float) -> None:
        self.hall.ticks(round(seconds * 10))

    @property
    def body(self) -> Any:
        return self.hall.world.bodies.get("ann")


def test_a_bot_logs_in_and_walks_about(inline: InlineDispatcher) -> None:
    life = Life(inline, CALM)
    life.live(1)
    start = (life.body.x, life.body.y)
    assert life.body.look != "person"
    life.live(10)
    assert (life.body.x, life.body.y) != start
    assert life.counts["logins"] == 1
    assert life.counts["notifications"] > 5
    assert life.counts["messages"] > 2


def test_a_bot_comes_back_after_a_kick_and_not_after_the_end(inline: InlineDispatcher) -> None:
    life = Life(inline, CALM)
    life.live(1)
    life.hall.portal.kick(avatar_id="ann", reason="be nice").get()
    assert life.body is None
    life.live(4)
    assert life.body is not None
    assert life.counts["logins"] == 2
    life.hall.portal.drain(1).get()
    life.live(5)
    assert life.counts["logins"] == 2


@pytest.mark.parametrize("habit", ["crash", "logout", "vanish"])
def test_a_bot_comes_back_after_each_of_its_habits(inline: InlineDispatcher, habit: str) -> None:
    chances = {"crash": 0.0, "logout": 0.0, "vanish": 0.0, habit: 0.5}
    life = Life(inline, Habits(wrong_password=0, arrival=0, **chances))
    life.live(40)
    assert life.counts["logins"] > 3
    assert (life.counts["crashes"] > 0) == (habit == "crash")


def test_a_bot_tries_again_after_a_wrong_password(inline: InlineDispatcher) -> None:
    life = Life(inline, Habits(wrong_password=0.5, crash=0, arrival=0, logout=0.3, vanish=0))
    life.live(60)
    assert life.counts["refused"] == life.counts["wrong passwords"] > 0
    assert life.counts["logins"] > 2


def test_a_bot_learns_of_rounds(inline: InlineDispatcher) -> None:
    life = Life(inline, CALM)
    life.live(1)
    actor = life.bot._actor_weakref()
    actor.round({"storm": {"x": 1, "y": 1}, "phase": "rest"})
    assert not actor._character._plays
