"""Who is due a glance at each tick, and the news that it will hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from examples.arena.world.bodies import TICK
from examples.arena.world.events import Event, What
from examples.arena.world.views import HEARING, Glance, glance_of
from examples.arena.world.world import World

SHORTEST, LONGEST = 0.5, 10.0
"""Limits of the seconds between two glances."""

MOST_NEWS = 12
"""Events in one glance; what happens after them is not told."""


@dataclass(slots=True)
class _Glancer:
    name: str
    ticks: int
    news: list[Event] = field(default_factory=list)


class Glances:
    """The players who get glances."""

    def __init__(self) -> None:
        self._glancers: dict[str, _Glancer] = {}
        self._due: defaultdict[int, list[_Glancer]] = defaultdict(list)

    def add(self, name: str, seconds: float, tick: int) -> None:
        """Have a player get a glance at the next tick, and then every so many seconds."""
        seconds = min(max(seconds, SHORTEST), LONGEST)
        glancer = self._glancers[name] = _Glancer(name, round(seconds / TICK))
        self._due[tick + 1].append(glancer)

    def resume(self, name: str, tick: int) -> None:
        """Have a player who was away get its glances again, if it had any."""
        if name in self._glancers:
            self.add(name, self._glancers[name].ticks * TICK, tick)

    def discard(self, name: str) -> None:
        """Have a player get no more glances."""
        self._glancers.pop(name, None)

    def step(self, world: World) -> Iterator[tuple[str, Glance]]:
        """Note what happened in a step of the world, and yield the names and glances now due."""
        self._hear(world)
        for glancer in self._due.pop(world.tick, ()):
            if self._glancers.get(glancer.name) is glancer and glancer.name in world.bodies:
                news, glancer.news = glancer.news, []
                self._due[world.tick + glancer.ticks].append(glancer)
                yield glancer.name, glance_of(world, glancer.name, news)

    def _hear(self, world: World) -> None:
        for event in world.events:
            if event.what is What.SAID:
                for body in world.grid.around(event.x, event.y, HEARING, HEARING):
                    self._note(body.name, event)
            else:
                self._note_for(world, event.number, event)
                if event.what is What.HIT:
                    self._note_for(world, int(event.detail), event)

    def _note_for(self, world: World, number: int, event: Event) -> None:
        if number in world.by_number:
            self._note(world.by_number[number].name, event)

    def _note(self, name: str, event: Event) -> None:
        glancer = self._glancers.get(name)
        if glancer is not None and len(glancer.news) < MOST_NEWS:
            glancer.news.append(event)
