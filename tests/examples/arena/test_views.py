"""What clients are sent: frames are differences, glances are short."""

from __future__ import annotations

import json
import random

import msgspec

from examples.arena.world.bodies import LOOKS, STUNNED, Look
from examples.arena.world.events import What
from examples.arena.world.glances import LONGEST, MOST_NEWS, SHORTEST, Glances
from examples.arena.world.views import MEMORY, MOST_BODIES, UNITS, Frame, Memory, View, glance_of
from examples.arena.world.world import World
from tests.examples.arena.lands import clearing, put, world_with

COURSE = 7


class Client:
    """What a client knows from the frames that it was sent."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.courses: dict[int, list[int]] = {}
        self.heaps: dict[int, int] = {}
        self.events: list[tuple[str, int, int | str]] = []

    def take(self, frame: Frame) -> None:
        for number, name, _, _ in frame.arrived:
            self.names[number] = name
        for at in range(0, len(frame.courses), COURSE):
            course = frame.courses[at : at + COURSE]
            assert course[0] in self.names
            self.courses[course[0]] = course
        for number in frame.gone:
            del self.names[number], self.courses[number]
        for tile, gold in zip(frame.heaps[::2], frame.heaps[1::2], strict=True):
            if gold:
                self.heaps[tile] = gold
            else:
                del self.heaps[tile]
        self.events += frame.events


def play(world: World, dice: random.Random) -> None:
    for name in world.bodies:
        if dice.random() < 0.2:
            world.steer(name, dice.gauss(0, 1), dice.gauss(0, 1))
        if dice.random() < 0.05:
            world.dash(name)
    world.step()


def test_frames_add_up_to_what_is_in_sight_even_if_some_are_not_sent() -> None:
    world, dice, memory = World(150.0, 1), random.Random(1), Memory()
    for number in range(80):
        world.enter(f"p{number}", Look.PERSON)
    client, view = Client(), View("p0")
    for _ in range(300):
        play(world, dice)
        memory.add(world.tick, world.events)
        if dice.random() < 0.5:
            continue  # the client is slow
        frame = view.frame(world, memory)
        client.take(frame)
        assert frame.eye == world.bodies["p0"].number
        seen = {body.number: body for body in view._seen(world)}
        assert client.names == {number: body.name for number, body in seen.items()}
        for number, course in client.courses.items():
            body = seen[number]
            assert course[3:] == [body.heading, body.speed, body.load, body.flags]
        tiles = world.gold.around(*_middle(world), 19, 14)
        assert client.heaps == {tile: world.gold.heaps[tile] for tile in tiles}
    assert "took" in {event[0] for event in client.events}


def _middle(world: World) -> tuple[float, float]:
    body = world.bodies["p0"]
    return body.x, body.y


def test_a_client_that_extrapolates_courses_knows_where_everyone_is() -> None:
    world, dice, memory = World(60.0, 1), random.Random(3), Memory()
    for number in range(20):
        world.enter(f"p{number}", Look.PERSON)
    client, view, since = Client(), View("p0"), dict[int, int]()
    for _ in range(200):
        play(world, dice)
        memory.add(world.tick, world.events)
        frame = view.frame(world, memory)
        for number in frame.courses[::COURSE]:
            since[number] = world.tick
        client.take(frame)
        for number, (_, x, y, *_rest) in client.courses.items():
            body = world.by_number[number]
            ticks = world.tick - since[number]
            assert abs(x / UNITS + body.vx * ticks - body.x) < 0.04
            assert abs(y / UNITS + body.vy * ticks - body.y) < 0.04


def test_who_walks_straight_on_costs_nothing() -> None:
    world, memory = world_with("ann"), Memory()
    put(world, "ann", *clearing(world))
    view = View("ann")
    world.steer("ann", 0.2, 0)
    world.step()
    assert len(view.frame(world, memory).courses) == COURSE
    for _ in range(8):
        world.step()
        assert view.frame(world, memory).courses == []


def test_events_out_of_sight_and_those_before_the_first_frame_are_not_told() -> None:
    world, memory = World(200.0, 1), Memory()
    for name in ("ann", "bob"):
        world.enter(name, Look.PERSON)
    put(world, "ann", 30, 30)
    put(world, "bob", 150, 150)

    def step() -> None:
        world.step()
        memory.add(world.tick, world.events)

    world.say("ann", "before")
    step()
    step()
    step()
    view = View("ann")
    assert view.frame(world, memory).events == []
    step()
    world.say("ann", "hello")
    world.say("bob", "far away")
    step()
    step()
    assert view.frame(world, memory).events == [("said", world.bodies["ann"].number, "hello")]
    for number in range(MEMORY + 10):
        world.say("ann", str(number))
        step()
    told = [int(detail) for _, _, detail in view.frame(world, memory).events]
    assert told[0] >= 10
    assert told[-1] > MEMORY


def test_a_view_without_its_player_stays_where_it_was() -> None:
    world, memory = world_with("ann", "bob"), Memory()
    put(world, "bob", world.bodies["ann"].x, world.bodies["ann"].y)
    view = View("ann")
    view.frame(world, memory)
    number = world.bodies["ann"].number
    world.leave("ann")
    frame = view.frame(world, memory)
    assert (frame.eye, frame.gone) == (0, [number])


def test_a_crowd_is_cut_to_the_nearest() -> None:
    world, memory = World(64.0, 1), Memory()
    for number in range(MOST_BODIES + 50):
        world.enter(f"p{number}", Look.PERSON)
        put(world, f"p{number}", 30 + number * 0.01, 30)
    frame = View("p0").frame(world, memory)
    assert [number for number, *_ in frame.arrived] == list(range(1, MOST_BODIES + 1))


def test_a_frame_is_small_as_json() -> None:
    """200 players in sight, each of whom changes its course once a second: 30 KB/s at most."""
    world, dice, memory = World(64.0, 1), random.Random(1), Memory()
    for number in range(200):
        world.enter(f"p{number}", Look.PERSON)
        put(world, f"p{number}", *clearing(world))
    view, size = View("p0"), 0
    view.frame(world, memory)
    for _ in range(100):
        for name in world.bodies:
            if dice.random() < 0.1:
                world.steer(name, dice.gauss(0, 1), dice.gauss(0, 1))
        world.step()
        memory.add(world.tick, world.events)
        size += len(msgspec.json.encode([2, "frame", view.frame(world, memory)]))
    assert size / 10 < 30_000


def test_a_frame_is_plain_lists_and_numbers_on_the_wire() -> None:
    world = world_with("ann")
    frame = View("ann").frame(world, Memory())
    tick, eye, arrived, courses, gone, heaps, events = json.loads(msgspec.json.encode(frame))
    assert (tick, eye, gone, heaps, events) == (0, 1, [], [], [])
    assert arrived == [[1, "ann", 0, LOOKS.index(Look.PERSON)]]
    assert len(courses) == COURSE


def test_a_glance_shows_the_nearest_and_what_the_player_took_part_in() -> None:
    world = world_with(*(f"p{number}" for number in range(9)))
    x, y = clearing(world)
    for number in range(9):
        put(world, f"p{number}", x + number * 0.5, y)
    put(world, "p8", x + 12, y)
    world.gold.place_chest(world.terrain.tile_at(x, y + 2))
    glance = glance_of(world, "p0", [])
    assert glance.me.name == "p0"
    assert [other.name for other in glance.others] == ["p1", "p2", "p3", "p4"]
    assert glance.gold == [(*world.terrain.middle_of(world.terrain.tile_at(x, y + 2)), 8)]
    world.bodies["p0"].set_flag(STUNNED, True)
    assert glance_of(world, "p0", []).gold == []


def test_glances_come_at_their_own_pace_with_the_news_since_the_last_one() -> None:
    world, glances = world_with("ann", "bob", "cid"), Glances()
    x, y = clearing(world)
    put(world, "ann", x, y)
    put(world, "bob", x + 1, y)
    put(world, "cid", x + 30, y + 20)
    glances.add("ann", 0.5, world.tick)
    glances.add("cid", 99, world.tick)
    got: dict[str, list] = {"ann": [], "cid": []}
    for tick in range(1, 12):
        if tick == 3:
            world.say("bob", "hello")
            world.steer("bob", -1, 0)
            world.dash("bob")
        world.step()
        for name, glance in glances.step(world):
            got[name].append((world.tick, [(kind, detail) for kind, _, detail in glance.news]))
    ann = world.bodies["ann"].number
    assert got["ann"] == [(1, []), (6, [("said", "hello"), ("hit", ann)]), (11, [])]
    assert got["cid"] == [(1, [])]
    glances.discard("ann")
    for _ in range(round(LONGEST * 10) + 10):
        world.step()
        assert "ann" not in dict(glances.step(world))
    assert SHORTEST == 0.5


def test_the_news_of_a_glance_are_bounded_and_start_anew_with_the_next_subscription() -> None:
    world, glances = world_with("ann", "bob"), Glances()
    put(world, "bob", world.bodies["ann"].x, world.bodies["ann"].y)
    glances.add("ann", 10, world.tick)
    world.step()
    list(glances.step(world))
    for number in range(60):
        world.say("bob", str(number))
        world.step()
        assert list(glances.step(world)) == []
    assert len(glances._glancers["ann"].news) == MOST_NEWS
    glances.add("ann", 10, world.tick)
    world.step()
    ((_, glance),) = glances.step(world)
    assert glance.news == []
    assert What.SAID.value == "said"
