"""The characters of bots: who gathers, who guards, who hunts, and who wanders."""

from __future__ import annotations

import math
import random

from examples.arena.bots.atlas import Camp, direction
from examples.arena.bots.character import Character, Intent
from examples.arena.world.bodies import Look
from examples.arena.world.views import Glance


class Gatherer(Character):
    """Picks up what it sees, and brings it home when its bag is full."""

    look = Look.GATHERER

    def _act(self, sight: Glance, now: float) -> Intent:
        if sight.me.load >= self.bag:
            text = self._tongue.remark(0.1, now, "full", count=sight.me.load)
            return self._home(sight)._replace(text=text)
        return self._meet(sight, now) or self._to_gold(sight) or self._roam(now)


class Guard(Character):
    """Stays near a camp of its team, and drives off rivals with gold."""

    look = Look.GUARD
    seconds = 0.9
    bag = 3
    pace = 0.6

    def _act(self, sight: Glance, now: float) -> Intent:
        me = sight.me
        if me.load >= self.bag:
            return self._home(sight)
        camp = min(
            self._refuges(me.team), key=lambda camp: math.hypot(camp[1] - me.x, camp[2] - me.y)
        )
        away = math.hypot(camp[1] - me.x, camp[2] - me.y)
        chase = self._chase(sight, now, 1, "guard") if away < 18 else None
        if chase is not None:
            return chase
        if away > 22:
            return self._walk(self._atlas.way((camp,), me.x, me.y), 0.85)
        return self._meet(sight, now) or self._patrol(sight, camp, away)

    def _patrol(self, sight: Glance, camp: Camp, away: float) -> Intent:
        """Walk around the camp at some distance."""
        me = sight.me
        gold = self._to_gold(sight) if away < 14 else None
        angle = math.atan2(me.y - camp[2], me.x - camp[1]) + 0.7
        x, y = camp[1] + math.cos(angle) * 9, camp[2] + math.sin(angle) * 9
        return gold or self._walk(direction(me.x, me.y, x, y), self.pace)


class Hunter(Character):
    """Looks for rivals with gold near their camps, and takes it."""

    look = Look.HUNTER
    seconds = 0.8
    bag = 4
    sociable = 0.03

    def _act(self, sight: Glance, now: float) -> Intent:
        me = sight.me
        if me.load >= self.bag:
            return self._home(sight)
        hunt = self._chase(sight, now, 3, "chase")
        return hunt or self._meet(sight, now) or self._to_gold(sight) or self._prowl(sight, now)

    def _prowl(self, sight: Glance, now: float) -> Intent:
        """Go to a camp of rivals, and walk about there."""
        me, memory = sight.me, self._memory
        if memory.goal is None:
            rivals = [camp for camp in self._atlas.camps if camp[0] != me.team]
            memory.goal = min(
                self._dice.sample(rivals, min(4, len(rivals))),
                key=lambda camp: math.hypot(camp[1] - me.x, camp[2] - me.y),
            )
        if math.hypot(memory.goal[1] - me.x, memory.goal[2] - me.y) < 16:
            if self._dice.random() < 0.03:
                memory.goal = None
            return self._roam(now)
        return self._walk(self._atlas.way((memory.goal,), me.x, me.y), self.pace)


class Wanderer(Character):
    """Walks from camp to camp, and stops for whom it meets."""

    look = Look.WANDERER
    seconds = 1.6
    bag = 5
    pace = 0.55
    sociable = 0.5

    def _act(self, sight: Glance, now: float) -> Intent:
        me, memory = sight.me, self._memory
        if me.load >= self.bag:
            return self._home(sight)
        if memory.goal is None or math.hypot(memory.goal[1] - me.x, memory.goal[2] - me.y) < 7:
            near = sorted(
                self._atlas.camps, key=lambda camp: math.hypot(camp[1] - me.x, camp[2] - me.y)
            )
            memory.goal = self._dice.choice(near[1:5])
        meeting = self._meet(sight, now)
        if meeting is not None:
            return meeting
        return self._walk(self._atlas.way((memory.goal,), me.x, me.y), self.pace)


SHARES: dict[type[Character], float] = {Gatherer: 0.55, Wanderer: 0.2, Guard: 0.13, Hunter: 0.12}
"""The shares of the characters among bots."""


def choose_character(dice: random.Random) -> type[Character]:
    """Return a character by its share."""
    return dice.choices(list(SHARES), list(SHARES.values()))[0]
