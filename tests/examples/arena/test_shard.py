"""The world on several nodes: regions, sight over borders, and players who walk over them."""

from __future__ import annotations

from typing import Any

import pytest

from examples.arena.world.bodies import STUNNED, Body, Look
from examples.arena.world.events import What
from examples.arena.world.glances import Glances
from examples.arena.world.region import Region, Seat, regions_of
from examples.arena.world.rounds import Phase
from examples.arena.world.shard import MARGIN, SIGHT, SILENCE, Shard
from examples.arena.world.views import Memory, View, glance_of
from examples.arena.world.world import World

SIZE = 144.0
BORDER = 48.0


def shards(count: int = 3, **options: Any) -> list[Shard]:
    return [Shard(Seat(number, count), SIZE, 1, **options) for number in range(1, count + 1)]


def exchange(nodes: list[Shard]) -> None:
    """Have all nodes go on by one tick, and tell their neighbours."""
    for node in nodes:
        node.step()
    for node in nodes:
        for side in (-1, 1):
            other = node.neighbour(side)
            if other is not None and other <= len(nodes):
                nodes[other - 1].see(node.strip(side))


def put(node: Shard, name: str, x: float, y: float) -> Body:
    if name not in node.bodies:
        node.enter(name, Look.PERSON)
    body = node.bodies[name]
    body.x, body.y = x, y
    node.grid.place(body)
    return body


def lane(node: World, left: float = BORDER - 8, right: float = BORDER + 8) -> float:
    """Return the height of a row on which one can walk over the border."""
    for row in range(8, int(SIZE) - 8):
        if all(
            node.terrain.is_free(left + step / 2, row + 0.5)
            for step in range(int(2 * (right - left)))
        ):
            return row + 0.5
    raise AssertionError("there is no way over the border")


def test_regions_cover_the_island_and_the_ground_of_the_dead_falls_to_a_neighbour() -> None:
    assert regions_of(90, 3, {1, 2, 3}) == {
        1: Region(0, 30), 2: Region(30, 60), 3: Region(60, 90),
    }  # fmt: skip
    assert regions_of(90, 3, {1, 3}) == {1: Region(0, 60), 3: Region(60, 90)}
    assert regions_of(90, 3, {2, 3}) == {2: Region(0, 60), 3: Region(60, 90)}
    assert regions_of(90, 3, {2}) == {2: Region(0, 90)}


def test_land_rounds_and_storms_are_those_of_one_process() -> None:
    alone, nodes = World(SIZE, 1, seconds=2, rest=0.5), shards(seconds=2, rest=0.5)
    for _ in range(60):
        alone.step()
        exchange(nodes)
        for node in nodes:
            assert node.terrain.rows == alone.terrain.rows
            assert (node.rounds.number, node.rounds.phase) == (
                alone.rounds.number,
                alone.rounds.phase,
            )
            assert node.rounds.storm == alone.rounds.storm


def test_gold_lies_in_the_own_region_and_that_of_neighbours_is_seen_but_not_taken() -> None:
    nodes = shards()
    for node in nodes:
        places = [node.terrain.middle_of(tile)[0] for tile in node.gold.heaps]
        assert places
        assert all(node.region.holds(x) for x in places)
    for _ in range(5):
        exchange(nodes)
    west, middle, _ = nodes
    seen = {tile for tile in west.gold.heaps if not west.gold.is_own(tile)}
    near = {t for t in middle.gold.heaps if middle.terrain.middle_of(t)[0] < BORDER + SIGHT}
    assert seen >= {t for t in near if middle.gold.is_own(t)}
    tile = min(seen)
    body = put(west, "ann", *west.terrain.middle_of(tile))
    west._take(body, tile)
    assert (body.load, west.gold.heaps[tile]) == (0, middle.gold.heaps[tile])
    middle.gold.take(tile)
    for _ in range(5):
        exchange(nodes)
    assert tile not in west.gold.heaps


def test_what_is_near_a_border_is_seen_and_heard_beyond_it() -> None:
    nodes = shards()
    west, middle, east = nodes
    y = lane(west)
    put(west, "ann", BORDER - 3, y)
    bob = put(middle, "bob", BORDER + 2, y)
    middle.steer("bob", 1.0, 0.0)
    memory, view = Memory(), View("ann")
    middle.say("bob", "hello")
    exchange(nodes)
    west.step()
    memory.add(west.tick, west.events)
    frame = view.frame(west, memory)
    assert (bob.number, "bob", bob.team, 0) in frame.arrived
    assert ("said", bob.number, "hello") in frame.events
    assert [other.name for other in glance_of(west, "ann", []).others] == ["bob"]
    assert [body.name for body in east.far.values()] == []
    assert west.team_gold() == [0, 0, 0, 0]
    assert [body.name for body in west.ranking()] == ["ann"]


def test_no_number_is_given_twice() -> None:
    nodes = shards()
    numbers = [node.enter(f"{n}", Look.PERSON).number for node in nodes for n in range(5)]
    assert len(set(numbers)) == 15


def test_who_is_no_more_told_of_is_no_more_shown() -> None:
    nodes = shards()
    west, middle, _ = nodes
    put(middle, "bob", BORDER + 2, lane(west))
    exchange(nodes)
    assert [body.name for body in west.far.values()] == ["bob"]
    for _ in range(SILENCE + 1):
        west.step()
    assert west.far == {}
    assert not any(west.grid.cells)


def test_a_dash_over_the_border_hits() -> None:
    nodes = shards()
    west, middle, _ = nodes
    y = lane(west)
    ann, bob = put(west, "ann", BORDER - 0.5, y), put(middle, "bob", BORDER + 1, y)
    ann.team, bob.team = 0, 1
    bob.set_load(5)
    exchange(nodes)
    west.steer("ann", 1.0, 0.0)
    west.dash("ann")
    exchange(nodes)
    assert What.HIT in [event.what for event in west.events]
    assert bob.flags & STUNNED
    assert bob.load == 0
    exchange(nodes)
    assert next(iter(west.far.values())).flags & STUNNED


def over(nodes: list[Shard], name: str = "ann") -> tuple[Body, Body]:
    """Have a player walk from the first node to the second one; return both bodies."""
    west, middle, _ = nodes
    before = put(west, name, BORDER - 1, lane(west))
    for node in nodes:
        node.gold.clear()
    before.points, before.total = 7, 70
    before.set_load(3)
    west.steer(name, 1.0, 0.0)
    while not (left := west.beyond()):
        exchange(nodes)
    assert left == [(before, 2)]
    state = west.describe(west.part(name))
    exchange(nodes)
    after = middle.admit(state)
    exchange(nodes)
    west.arrived(name)
    return before, after


def test_a_player_walks_over_a_border_with_all_that_is_its_own() -> None:
    nodes = shards()
    west, middle, _ = nodes
    before, after = over(nodes)
    assert (after.number, after.team, after.load, after.points, after.total) == (
        before.number, before.team, 3, 7, 70,
    )  # fmt: skip
    assert sum(west.team_gold()) == 0
    assert sum(middle.team_gold()) == 7
    x = after.x
    assert x >= BORDER + MARGIN
    for _ in range(5):
        exchange(nodes)
    assert after.x > x  # it walks on
    assert list(west.bodies) == []
    assert [body.name for body in west.far.values()] == ["ann"]


def test_never_are_two_figures_of_a_player_seen_and_never_none_while_it_walks_over() -> None:
    nodes = shards()
    west, middle, _ = nodes
    y = lane(west)
    put(west, "wes", BORDER - 5, y), put(middle, "mid", BORDER + 5, y)
    seen: list[list[str]] = []
    one, other, memory = View("wes"), View("mid"), Memory()
    known: list[dict[int, str]] = [{}, {}]

    def look() -> None:
        for node, view, bodies in ((west, one, known[0]), (middle, other, known[1])):
            frame = view.frame(node, memory)
            for number in frame.gone:
                del bodies[number]
            bodies |= {number: name for number, name, *_ in frame.arrived}
            seen.append(sorted(bodies.values()))

    original = Shard.step

    def step(self: Shard) -> bool:
        turned = original(self)
        if self is nodes[-1]:
            look()
        return turned

    put(west, "ann", BORDER - 2, y)
    exchange(nodes)
    exchange(nodes)
    for view_known in known:
        view_known.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shard, "step", step)
        over(nodes)
        for _ in range(10):
            exchange(nodes)
    assert seen
    assert set(map(tuple, seen)) == {("ann", "mid", "wes")}


def test_a_player_who_cannot_go_over_comes_back_and_stands_at_the_border() -> None:
    nodes = shards()
    west, middle, _ = nodes
    ann = put(west, "ann", BORDER - 1, lane(west))
    west.steer("ann", 1.0, 0.0)
    while not west.beyond():
        exchange(nodes)
    west.part("ann")
    for _ in range(2 * SILENCE):
        exchange(nodes)
    assert [body.name for body in middle.far.values()] == ["ann"]
    assert west.rejoin("ann") is ann
    assert list(west.bodies) == ["ann"]
    assert west.far == {}
    for _ in range(10):
        for body, _node in west.beyond():
            west.hold(body)
        exchange(nodes)
    assert BORDER <= ann.x <= BORDER + 2 * MARGIN
    ann.x = BORDER + 1.5 * MARGIN
    west.steer("ann", -0.1, 0.0)  # it walks back slowly
    for _ in range(20):
        for body, _node in west.beyond():
            west.hold(body)
        exchange(nodes)
    assert ann.x < BORDER + MARGIN


def test_points_and_gold_of_another_round_are_not_carried_into_this_one() -> None:
    nodes = shards(seconds=3, rest=0.5)
    west, middle, _ = nodes
    ann = put(west, "ann", BORDER + 2, lane(west))
    ann.points = 7
    ann.set_load(3)
    state = west.describe(west.part("ann"))
    while middle.rounds.phase is Phase.PLAY:
        middle.step()
    after = middle.admit(state)
    assert (after.points, after.load) == (7, 0)
    middle.leave("ann")
    while middle.rounds.number == 1:
        middle.step()
    after = middle.admit(state)
    assert (after.points, after.load) == (0, 0)


def test_a_node_takes_over_the_ground_of_one_that_has_died() -> None:
    nodes = shards()
    west, _, east = nodes
    for _ in range(5):
        exchange(nodes)
    seen = {tile for tile in west.gold.heaps if not west.gold.is_own(tile)}
    assert west.settle({1, 3})
    assert east.settle({1, 3})
    assert (west.region, east.region) == (Region(0, 96), Region(96, SIZE))
    assert (west.neighbour(1), east.neighbour(-1)) == (3, 1)
    assert seen <= west.gold.heaps.keys()
    assert all(west.gold.is_own(tile) for tile in west.gold.heaps)
    fresh = [t for t in west.gold.heaps if west.terrain.middle_of(t)[0] > BORDER + SIGHT + 8]
    assert len(fresh) > 20
    put(west, "ann", BORDER + 10, lane(west))
    assert west.beyond() == []
    assert not west.settle({1, 3})


def test_newcomers_begin_in_the_region_and_people_never_in_the_storm() -> None:
    nodes = shards()
    for node in nodes:
        for look in (Look.GATHERER, Look.GUARD):
            for number in range(20):
                body = node.enter(f"{look} {number}", look)
                assert node.region.left - 14 <= body.x <= node.region.right + 14
        person = node.enter("ann", Look.PERSON)
        storm = node.rounds.storm
        assert not storm.covers(person.x, person.y, storm.begins)
        camps = node._camps_for(Look.PERSON)
        assert not any(storm.covers(camp.x, camp.y, storm.ends) for camp in camps)


def test_glances_go_on_for_who_was_away_when_one_was_due() -> None:
    west, *_ = shards()
    put(west, "ann", 20.0, 20.0)
    glances = Glances()
    glances.add("ann", 1.0, west.tick)

    def seen(ticks: int) -> int:
        count = 0
        for _ in range(ticks):
            west.step()
            count += len(list(glances.step(west)))
        return count

    assert seen(10) == 1
    west.part("ann")
    assert seen(20) == 0
    west.rejoin("ann")
    glances.resume("ann", west.tick)
    glances.resume("bob", west.tick)  # has none
    assert seen(20) == 2
