"""What a client is sent of the world: frames of what changed in its sight, or a glance.

A frame describes courses, not positions: `[number, x, y, heading, speed, load, flags]`, which the
client extrapolates, so a player who walks straight on costs nothing. Positions are in `UNITS` of a
step, so that everything is a small integer. A frame is always the difference to what this client
was sent before; one that is not sent, since the client is slow, is part of the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from examples.arena.world.bodies import LOOKS, STUNNED, Body
from examples.arena.world.events import Event, What
from examples.arena.world.world import World

UNITS = 32
"""The parts of a step in which positions are sent."""

ACROSS, DOWN = 19.0, 14.0
"""Half of the width and of the height that a client sees at least."""

MOST_BODIES = 300
"""The most players in one client's sight; the nearest are taken."""

MEMORY = 50
"""Ticks for which events are kept for clients that are slow."""

HEARING, SEEING = 7.0, 8.0
"""How far a voice carries in a glance, and how far a player with a glance sees."""


def course_of(body: Body) -> tuple[int, int, int, int, int, int, int]:
    """Return a body's number, course and state as they are sent."""
    x, y = round(body.x * UNITS), round(body.y * UNITS)
    return body.number, x, y, body.heading, body.speed, body.load, body.flags


class Frame(NamedTuple):
    """The arguments of the notification `frame`."""

    tick: int
    eye: int
    """The number of the body in the middle of the view; 0 if there is none."""

    arrived: list[tuple[int, str, int, int]]
    """The number, name, team and look of each player who came in sight."""

    courses: list[int]
    """The new courses, of those who arrived and of others, as one list; see `course_of`."""

    gone: list[int]
    """The numbers of players who are no more in sight."""

    heaps: list[int]
    """Pairs of a tile and its gold, 0 if that is gone."""

    events: list[tuple[str, int, int | str]]
    """The kind, number and detail of each event in sight."""


class Memory:
    """The events of the last ticks."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[int, list[Event]]] = deque(maxlen=MEMORY)

    def add(self, tick: int, events: list[Event]) -> None:
        """Keep the events of a tick."""
        self._ticks.append((tick, events))

    def since(self, tick: int) -> Iterable[Event]:
        """Return the events after a tick, as far as they are kept."""
        missed = [events for when, events in reversed(self._ticks) if when > tick]
        return [event for events in reversed(missed) for event in events]


class View:
    """What one client has been sent.

    Args:
        subject: the name of the player in its middle.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._x = self._y = 0.0
        self._tick = -1
        self._versions: dict[int, int] = {}
        self._heaps: dict[int, int] = {}

    def frame(self, world: World, memory: Memory) -> Frame:
        """Return the difference to the last frame, and take it as sent."""
        body = world.bodies.get(self.subject)
        if body is not None:
            self._x, self._y = body.x, body.y
        since = world.tick - 1 if self._tick < 0 else self._tick
        self._tick = world.tick
        arrived, courses, gone = self._bodies(world)
        return Frame(
            world.tick,
            body.number if body else 0,
            arrived,
            courses,
            gone,
            self._gold(world),
            [self._told(event) for event in memory.since(since) if self._sees(event)],
        )

    def _bodies(self, world: World) -> tuple[list[tuple[int, str, int, int]], list[int], list[int]]:
        arrived: list[tuple[int, str, int, int]] = []
        courses: list[int] = []
        before, now = self._versions, dict[int, int]()
        for body in self._seen(world):
            now[body.number] = body.version
            known = before.get(body.number)
            if known is None:
                arrived.append((body.number, body.name, body.team, LOOKS.index(body.look)))
            if known != body.version:
                courses += course_of(body)
        self._versions = now
        return arrived, courses, [number for number in before if number not in now]

    def _seen(self, world: World) -> list[Body]:
        x, y = self._x, self._y
        bodies = list(world.grid.around(x, y, ACROSS, DOWN))
        if len(bodies) > MOST_BODIES:
            bodies.sort(key=lambda body: (body.x - x) ** 2 + (body.y - y) ** 2)
        return bodies[:MOST_BODIES]

    def _gold(self, world: World) -> list[int]:
        before, heaps = self._heaps, world.gold.heaps
        now = {tile: heaps[tile] for tile in world.gold.around(self._x, self._y, ACROSS, DOWN)}
        self._heaps = now
        changes = [(tile, gold) for tile, gold in now.items() if before.get(tile) != gold]
        changes += [(tile, 0) for tile in before if tile not in now]
        return [number for change in changes for number in change]

    def _sees(self, event: Event) -> bool:
        return abs(event.x - self._x) <= ACROSS and abs(event.y - self._y) <= DOWN

    @staticmethod
    def _told(event: Event) -> tuple[str, int, int | str]:
        return event.what.value, event.number, event.detail


class Other(NamedTuple):
    """Another player in a glance."""

    number: int
    name: str
    team: int
    look: str
    x: float
    y: float
    load: int
    flags: int


class Glance(NamedTuple):
    """A short look around, for clients that decide once in a while and draw nothing."""

    tick: int
    me: Other
    others: list[Other]
    """The nearest players, at most `MOST_OTHERS`."""

    gold: list[tuple[float, float, int]]
    """The nearest heaps: position and amount."""

    news: list[tuple[str, int, int | str]]
    """Events since the last glance that the player took part in, and what was said nearby."""


MOST_OTHERS = 4
MOST_HEAPS = 3


def other_of(body: Body) -> Other:
    """Return how a player is seen."""
    b = body
    return Other(b.number, b.name, b.team, b.look, b.x, b.y, b.load, b.flags)


def glance_of(world: World, name: str, news: Iterable[Event]) -> Glance:
    """Return what a player sees at a glance.

    Args:
        world: where.
        name: the player's.
        news: the events since its last glance that may concern it.
    """
    body = world.bodies[name]
    x, y = body.x, body.y
    near = [
        (distance, other.number, other)
        for other in world.grid.around(x, y, SEEING, SEEING)
        if (distance := (other.x - x) ** 2 + (other.y - y) ** 2) <= SEEING * SEEING
        and other is not body
    ]
    near.sort()
    return Glance(
        world.tick,
        other_of(body),
        [other_of(other) for _, _, other in near[:MOST_OTHERS]],
        [] if body.flags & STUNNED else world.gold.nearest(x, y, MOST_HEAPS),
        [(event.what.value, event.number, event.detail) for event in news if _hears(body, event)],
    )


def _hears(body: Body, event: Event) -> bool:
    if event.what is What.SAID:
        is_near = abs(event.x - body.x) <= HEARING and abs(event.y - body.y) <= HEARING
        return is_near and event.number != body.number
    return body.number in {event.number, event.detail if event.what is What.HIT else None}
