"""What all characters of bots share: walking, talk, and what to do about the storm.

A character decides from a glance on a direction, a dash and a remark. It knows no actor and no
network.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from examples.arena.bots.atlas import Atlas, Camp, direction
from examples.arena.bots.talk import Tongue, compass, topic_of
from examples.arena.world.bodies import SHIELDED, STUNNED, TICK, Look
from examples.arena.world.terrain import TEAMS
from examples.arena.world.views import Glance, Other

DASH_REACH = 3.5
"""A rival this near can be hit by a dash."""

ROOM = 1.6
"""Bots keep this far apart, if they can."""

STRIDE = 4.6
"""Steps that a walk covers in a second."""


class Intent(NamedTuple):
    """What a bot wants to do now."""

    dx: float = 0.0
    dy: float = 0.0
    dash: bool = False
    text: str = ""


@dataclass(slots=True)
class Memory:
    """What a bot remembers."""

    heading: float
    until: float = 0.0
    """The time in seconds until which it keeps its heading, or stands and talks."""

    stands: bool = False
    met: int = 0
    """The number of the player it met last."""

    last: tuple[float, float] = (0.0, 0.0)
    goal: Camp | None = None
    walks: bool = False
    detour_until: float = 0.0
    rests_until: float = 0.0
    """The time in seconds until which it chases no one."""


class Character(ABC):
    """A bot's mind.

    Args:
        atlas: the ways.
        round_: the state of the round, as the arena sends it.
        dice: decide.

    Class attributes:
        look: how it is shown.
        seconds: from one glance to the next.
        bag: the load with which it goes home.
        pace: its usual share of full speed.
        sociable: the chance that it stops for someone it meets.
    """

    look: ClassVar[Look]
    seconds: ClassVar[float] = 1.2
    bag: ClassVar[int] = 7
    pace: ClassVar[float] = 0.85
    sociable: ClassVar[float] = 0.1

    def __init__(self, atlas: Atlas, round_: Mapping[str, Any], dice: random.Random) -> None:
        self._atlas = atlas
        self._dice = dice
        self._tongue = Tongue(dice)
        self._memory = Memory(dice.uniform(0, math.tau))
        self.see_round(round_)

    def see_round(self, round_: Mapping[str, Any]) -> None:
        """Learn of a new round, or the end of one."""
        self._storm = round_["storm"]
        self._plays = round_["phase"] == "play"
        self._calm: tuple[Camp, ...] | None = None

    def think(self, sight: Glance) -> Intent:
        """Return what to do now."""
        me, now = sight.me, sight.tick * TICK
        text = self._react(sight, now)
        if me.flags & STUNNED:
            return Intent(text=text)
        intent = self._unstick(sight, now) or self._shelter(sight) or self._act(sight, now)
        intent = _apart(sight, intent)
        self._memory.last = (me.x, me.y)
        self._memory.walks = abs(intent.dx) + abs(intent.dy) > 0.2
        return intent._replace(text=text or intent.text)

    def _unstick(self, sight: Glance, now: float) -> Intent | None:
        """Walk another way for a moment if it did not get on; None if it did."""
        me, memory = sight.me, self._memory
        moved = math.hypot(me.x - memory.last[0], me.y - memory.last[1])
        if memory.walks and moved < 0.25 * self.seconds:
            memory.heading = self._dice.uniform(0, math.tau)
            memory.detour_until = now + self._dice.uniform(0.8, 2)
        if now < memory.detour_until:
            return self._walk((math.cos(memory.heading), math.sin(memory.heading)), self.pace)
        return None

    # -- for each character ------------------------------------------------------------------------

    @abstractmethod
    def _act(self, sight: Glance, now: float) -> Intent:
        """Return what this character does when nothing urgent happens."""

    # -- talk --------------------------------------------------------------------------------------

    def _react(self, sight: Glance, now: float) -> str:
        me, names = sight.me, {other.number: other.name for other in sight.others}
        names[me.number] = me.name
        for kind, number, detail in sight.news:
            text = ""
            if kind == "said":
                text = self._answer(sight, now, number, str(detail))
            elif kind == "hit" and number == me.number:
                text = self._tongue.remark(0.5, now, "hit", name=names.get(int(detail), "friend"))
            elif kind == "hit":
                text = self._tongue.remark(0.6, now, "was hit", name=names.get(number, "friend"))
            elif kind == "took" and me.load:
                occasion = "chest" if int(detail) >= 5 else "took"
                text = self._tongue.remark(0.06, now, occasion, count=me.load)
            elif kind == "brought":
                text = self._tongue.remark(
                    0.3, now, "brought", count=detail, team=team_name(me.team)
                )
            elif kind == "lost":
                text = self._tongue.remark(0.3, now, "storm")
            if text:
                return text
        return ""

    def _answer(self, sight: Glance, now: float, number: int, text: str) -> str:
        """Answer who speaks to this bot: a person who is nearest to it, or who says its name."""
        me, nearest = sight.me, sight.others[0] if sight.others else None
        speaker = next((other for other in sight.others if other.number == number), None)
        topic = topic_of(text)
        if speaker is None or topic is None:
            return ""
        is_asked = me.name in text
        to_any = speaker.look == Look.PERSON and speaker is nearest
        if not (is_asked or to_any) or (is_asked and self._dice.random() < 0.3):
            return ""
        self._stand(now, speaker)
        way = ""
        if topic == "gold":
            if sight.gold:
                way = compass(sight.gold[0][0] - me.x, sight.gold[0][1] - me.y)
            else:
                topic = "no gold"
        elif topic == "storm?":
            way = compass(self._storm["x"] - me.x, self._storm["y"] - me.y)
        return self._tongue.answer(now, topic, name=speaker.name, way=way)

    def _stand(self, now: float, other: Other) -> None:
        memory = self._memory
        memory.stands, memory.until, memory.met = True, now + 2.2, other.number

    def _meet(self, sight: Glance, now: float) -> Intent | None:
        """Stop for a moment with someone who comes by, or go on standing; None to go on."""
        me, memory = sight.me, self._memory
        if memory.stands:
            if now < memory.until:
                return Intent()
            memory.stands = False
        for other in sight.others[:1]:
            near = math.hypot(other.x - me.x, other.y - me.y) < 3.0
            if near and other.number != memory.met and self._dice.random() < self.sociable:
                occasion = "greet" if other.team == me.team else "greet rival"
                team = team_name(other.team)
                text = self._tongue.remark(0.6, now, occasion, name=other.name, team=team)
                if text:
                    self._stand(now, other)
                    # A small step towards the other, so that they face each other.
                    dx, dy = direction(me.x, me.y, other.x, other.y)
                    return Intent(dx * 0.08, dy * 0.08, text=text)
        return None

    # -- walking -----------------------------------------------------------------------------------

    def _refuges(self, team: int) -> tuple[Camp, ...]:
        """Return the camps of the own team that the storm leaves alone; all if there are none."""
        if self._calm is None:
            storm, camps = self._storm, self._atlas.camps_of(team)
            calm = tuple(
                camp
                for camp in camps
                if math.hypot(camp[1] - storm["x"], camp[2] - storm["y"]) <= storm["last"]
            )
            self._calm = calm or camps  # the storm may cover the whole region of a node
        return self._calm

    def _radius(self, tick: int) -> float:
        storm = self._storm
        share = (tick - storm["begins"]) / (storm["ends"] - storm["begins"])
        return float(storm["first"] + (storm["last"] - storm["first"]) * min(1.0, max(0.0, share)))

    def _shelter(self, sight: Glance) -> Intent | None:
        """Walk out of the storm, if it is here or near."""
        me, storm = sight.me, self._storm
        away = math.hypot(me.x - storm["x"], me.y - storm["y"])
        if not self._plays or away < self._radius(sight.tick) - 6:
            return None
        return self._walk(self._atlas.way(self._refuges(me.team), me.x, me.y), 1.0)

    def _walk(self, way: tuple[float, float], pace: float) -> Intent:
        return Intent(way[0] * pace, way[1] * pace)

    def _home(self, sight: Glance) -> Intent:
        """Carry the gold home."""
        me = sight.me
        away = math.hypot(me.x - self._storm["x"], me.y - self._storm["y"])
        is_calm = away < self._storm["last"]
        camps = self._atlas.camps_of(me.team) if is_calm else self._refuges(me.team)
        dash = any(
            other.team != me.team and other.look == Look.HUNTER for other in sight.others[:2]
        )
        way = self._atlas.way(camps, me.x, me.y)
        return self._walk(way, 1.0)._replace(dash=dash and self._dice.random() < 0.3)

    def _to_gold(self, sight: Glance) -> Intent | None:
        me = sight.me
        for x, y, _ in sight.gold:
            if self._atlas.is_clear(me.x, me.y, x, y):
                distance = math.hypot(x - me.x, y - me.y)
                pace = min(1.0, max(0.35, distance / (STRIDE * self.seconds)))
                return self._walk(direction(me.x, me.y, x, y), pace)
        return None

    def _roam(self, now: float) -> Intent:
        """Walk about: a gentle curve, and another direction if there is no way."""
        memory = self._memory
        if now >= memory.until:
            memory.heading += self._dice.gauss(0, 0.5)
            memory.until = now + self._dice.uniform(2, 6)
        return self._walk((math.cos(memory.heading), math.sin(memory.heading)), self.pace)

    def _chase(self, sight: Glance, now: float, least: int, occasion: str) -> Intent | None:
        """Run after the nearest rival with gold, and dash into it; not all the time."""
        me = sight.me
        if any(kind == "hit" and number == me.number for kind, number, _ in sight.news):
            self._memory.rests_until = now + self._dice.uniform(8, 20)
        if now < self._memory.rests_until:
            return None
        for other in sight.others:
            is_prey = other.team != me.team and other.load >= least
            if is_prey and not other.flags & (SHIELDED | STUNNED):
                distance = math.hypot(other.x - me.x, other.y - me.y)
                way = direction(me.x, me.y, other.x, other.y)
                names = {"name": other.name, "team": team_name(me.team)}
                text = self._tongue.remark(0.25, now, occasion, **names)
                return Intent(*way, dash=distance < DASH_REACH, text=text)
        return None


def _apart(sight: Glance, intent: Intent) -> Intent:
    """Bend a walk a little away from the nearest player, unless it runs after it."""
    me, near = sight.me, sight.others[0] if sight.others else None
    if near is None or intent.dash or not (intent.dx or intent.dy):
        return intent
    dx, dy = me.x - near.x, me.y - near.y
    distance = math.hypot(dx, dy)
    if not 0 < distance < ROOM:
        return intent
    push = 0.7 * (1 - distance / ROOM) / distance
    return intent._replace(dx=intent.dx + dx * push, dy=intent.dy + dy * push)


def team_name(team: int) -> str:
    """Return a team's name as bots say it."""
    return TEAMS[team].capitalize()
