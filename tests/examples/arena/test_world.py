"""The rules of the game: walking, gold, dashes, camps, the storm, and rounds."""

from __future__ import annotations

import math
import random

import pytest

from examples.arena.world.bodies import IN_STORM, SHIELDED, STUNNED, WALK, Look, heading_of
from examples.arena.world.events import What
from examples.arena.world.gold import CHEST, HEAP_LIMIT
from examples.arena.world.rounds import Phase
from examples.arena.world.terrain import TEAMS
from examples.arena.world.world import BEST, CAPACITY, DASH_PAUSE, SHIELD, SPEECH_PAUSE, STUN, World
from tests.examples.arena.lands import clearing, put, steps, world_with


def of(events: list, what: What) -> list:
    return [event for event in events if event.what is what]


def test_a_player_walks_in_a_straight_line_until_it_stops() -> None:
    world = world_with("ann")
    x, y = clearing(world)
    ann = put(world, "ann", x, y)
    world.steer("ann", 1, 0)
    steps(world, 10)
    assert (ann.x, ann.y) == pytest.approx((x + WALK / 10, y))
    world.steer("ann", 0, 0)
    steps(world, 5)
    assert ann.x == pytest.approx(x + WALK / 10)


def test_the_length_of_the_direction_is_the_share_of_full_speed_and_no_more_than_all() -> None:
    world = world_with("ann")
    for length, speed in ((0.5, WALK // 2), (1, WALK), (99, WALK), (0.01, 0)):
        world.steer("ann", 0, length)
        assert world.bodies["ann"].speed == speed
    assert world.bodies["ann"].heading == heading_of(0, 1) == 64


def test_random_walkers_never_leave_the_land_and_are_where_the_grid_says() -> None:
    world = world_with(*(f"p{n}" for n in range(40)))
    dice = random.Random(1)
    for _ in range(400):
        for name in world.bodies:
            if dice.random() < 0.1:
                world.steer(name, dice.gauss(0, 1), dice.gauss(0, 1))
            if dice.random() < 0.02:
                world.dash(name)
        world.step()
        for body in world.bodies.values():
            assert world.terrain.is_free(body.x, body.y)
            assert body.number in world.grid.cells[body.cell]
    assert sum(len(cell) for cell in world.grid.cells) == 40


def test_who_walks_against_a_wall_goes_along_it() -> None:
    world = world_with("ann")
    ann = world.bodies["ann"]
    world.steer("ann", -0.7, -0.7)
    steps(world, 600)  # to the shore, and along it into a corner
    before = (ann.x, ann.y)
    steps(world, 20)
    assert math.dist(before, (ann.x, ann.y)) < 1.0
    assert not world.terrain.is_free(ann.x - 0.5, ann.y) or not world.terrain.is_free(
        ann.x, ann.y - 0.5
    )


def test_gold_is_picked_up_slows_down_and_counts_at_the_own_camp_only() -> None:
    world = world_with("ann", "bob")
    x, y = clearing(world)
    ann = put(world, "ann", x, y)
    world.gold.place_chest(world.terrain.tile_at(x + 4, y))
    world.steer("ann", 1, 0)
    events = steps(world, 10)
    assert of(events, What.TOOK) == [(What.TOOK, *_at(events), ann.number, CHEST)]
    assert ann.load == CHEST
    assert ann.speed < WALK
    own = next(camp for camp in world.terrain.camps if camp.team == ann.team)
    rival = next(camp for camp in world.terrain.camps if camp.team != ann.team)
    put(world, "ann", rival.x, rival.y)
    assert of(steps(world, 1), What.BROUGHT) == []
    put(world, "ann", own.x, own.y)
    assert [event.detail for event in of(steps(world, 1), What.BROUGHT)] == [CHEST]
    assert (ann.load, ann.points, ann.total) == (0, CHEST, CHEST)
    assert world.team_gold()[ann.team] == CHEST


def _at(events: list) -> tuple[float, float]:
    return events[0].x, events[0].y


def test_a_full_bag_takes_no_more() -> None:
    world = world_with("ann")
    x, y = clearing(world)
    ann = put(world, "ann", x, y)
    ann.set_load(CAPACITY)
    world.gold.place_chest(world.terrain.tile_at(x + 2, y))
    world.steer("ann", 1, 0)
    assert of(steps(world, 10), What.TOOK) == []
    assert ann.load == CAPACITY


def test_a_dash_into_a_rival_makes_it_drop_its_gold_and_then_it_is_left_alone() -> None:
    world = world_with("ann", "bob")
    x, y = clearing(world)
    ann, bob = put(world, "ann", x, y), put(world, "bob", x + 3, y)
    bob.set_load(5)
    world.steer("ann", 1, 0)
    assert world.dash("ann")
    events = steps(world, 4)
    assert [(e.number, e.detail) for e in of(events, What.HIT)] == [(ann.number, bob.number)]
    assert bob.load == 0
    assert bob.flags & STUNNED
    assert sum(world.gold.heaps.values()) + ann.load == 5
    assert not world.dash("ann")  # not yet again
    world.steer("bob", 0, 1)
    assert bob.speed == 0
    put(world, "ann", bob.x - 1, bob.y)
    world.steer("ann", 0, 0)
    steps(world, STUN)
    assert bob.speed > 0
    steps(world, DASH_PAUSE - STUN)
    assert bob.flags == SHIELDED
    put(world, "bob", ann.x + 1, ann.y)
    assert world.dash("ann")
    assert of(steps(world, 2), What.HIT) == []
    steps(world, SHIELD)
    assert bob.flags == 0
    assert not world._timed


def test_team_mates_and_those_in_their_own_camp_are_not_hit() -> None:
    world = world_with("ann", "bob", "cid", "dan", "eve")
    x, y = clearing(world)
    put(world, "ann", x, y)
    assert world.bodies["eve"].team == world.bodies["ann"].team
    put(world, "eve", x + 1, y)
    world.dash("ann")
    assert of(steps(world, 4), What.HIT) == []
    camp = next(c for c in world.terrain.camps if c.team == world.bodies["bob"].team)
    put(world, "bob", camp.x, camp.y)
    put(world, "ann", camp.x - 1, camp.y)
    steps(world, DASH_PAUSE)
    world.steer("ann", 1, 0)
    world.dash("ann")
    assert of(steps(world, 4), What.HIT) == []


def test_the_storm_takes_gold_and_slows_and_none_of_it_stays_in_the_next_round() -> None:
    world = world_with("ann", seconds=30, rest=1)
    storm = world.rounds.storm
    steps(world, storm.ends)
    corner = max(
        (world.terrain.middle_of(tile) for tile in world.terrain.open_tiles),
        key=lambda place: math.dist(place, (storm.x, storm.y)),
    )
    assert storm.covers(*corner, world.tick)
    ann = put(world, "ann", *corner)
    ann.set_load(3)
    assert len(of(steps(world, 19), What.LOST)) in {1, 2}
    assert ann.flags == IN_STORM
    world.steer("ann", 1, 0)
    assert ann.speed < WALK * 0.7
    steps(world, world.rounds.ends - world.tick)
    assert world.rounds.phase is Phase.REST
    assert (ann.load, ann.flags) == (0, 0)


def test_in_each_storm_each_team_has_a_camp_that_stays_out_of_it() -> None:
    for seed in range(1, 6):
        world = World(100.0, seed, seconds=2, rest=0.1)
        for _ in range(5):
            storm = world.rounds.storm
            calm = {c.team for c in world.terrain.camps if not storm.covers(c.x, c.y, storm.ends)}
            assert calm == set(range(len(TEAMS)))
            assert storm.radius(storm.begins) == storm.first
            assert storm.radius(storm.ends + 99) == storm.last < storm.first
            steps(world, 21)


def test_a_round_ends_with_winners_and_the_next_one_begins_at_nought() -> None:
    world = world_with("ann", "bob", "cid", seconds=10, rest=2)
    world.bodies["ann"].points, world.bodies["bob"].points = 3, 5
    turns = []
    while len(turns) < 2:
        if world.step():
            turns.append((world.tick, world.rounds.phase, len(world.gold.heaps) > 0))
    assert turns == [(100, Phase.REST, False), (120, Phase.PLAY, True)]
    result = world.result
    assert result is not None
    assert result.teams == [3, 5, 0, 0]
    assert result.winners == [1]
    assert result.best == [("bob", 1, 5), ("ann", 0, 3)]
    assert world.rounds.number == 2
    assert world.team_gold() == [0, 0, 0, 0]
    assert result._replace(teams=[0, 0, 0, 0]).winners == []


def test_who_leaves_drops_its_gold_and_comes_back_with_its_points_in_this_round() -> None:
    world = world_with("ann", "bob")
    ann = put(world, "ann", *clearing(world))
    ann.points = 7
    ann.set_load(4)
    standing = world.leave("ann")
    assert sum(world.gold.heaps.values()) == 4
    assert world.team_gold()[ann.team] == 7
    back = world.enter("ann", Look.PERSON, standing)
    assert (back.team, back.points, back.load) == (ann.team, 7, 0)
    assert (back.x, back.y) == (ann.x, ann.y)
    assert world.team_gold()[ann.team] == 7
    back.set_load(2)
    kept = world.leave("ann", keep_load=True)
    assert kept.load == 2
    again = world.enter("ann", Look.PERSON, kept._replace(round=99))
    assert (again.team, again.points, again.load) == (ann.team, 0, 0)


def test_a_name_is_in_the_world_once_and_teams_stay_equal() -> None:
    world = world_with(*(f"p{n}" for n in range(8)))
    first = world.bodies["p3"]
    second = world.enter("p3", Look.GUARD)
    assert world.bodies["p3"] is second
    assert first.number not in world.by_number
    assert world._members == [2, 2, 2, 2]


def test_gold_grows_back_to_its_first_amount_and_a_chest_appears_in_the_calm() -> None:
    world = world_with()
    assert not world.gold.heaps
    steps(world, 150)
    chest = world.chest
    assert chest is not None
    assert world.gold.heaps[chest] >= CHEST
    assert not world.rounds.storm.covers(*world.terrain.middle_of(chest), world.rounds.storm.ends)
    steps(world, 1200)
    assert len(world.gold.heaps) >= world.gold._count
    world.enter("ann", Look.PERSON)
    put(world, "ann", *world.terrain.middle_of(world.chest or 0))
    world.steer("ann", 0.1, 0)
    steps(world, 2)
    assert world.chest is None


def test_spilled_gold_is_all_there_and_on_land() -> None:
    world = world_with()
    for amount in (0, 1, 12, 24, 60):
        world.gold.clear()
        world.gold.spill(world.terrain.tile_at(*clearing(world)), amount)
        assert sum(world.gold.heaps.values()) == amount
        assert all(world.terrain.is_walkable(tile) for tile in world.gold.heaps)
        assert max(world.gold.heaps.values(), default=0) <= HEAP_LIMIT


def test_what_is_said_has_one_line_of_printable_text() -> None:
    world = world_with("ann")
    for text, said in (("  hello\n\x1b[2J you ", "hello [2J you"), ("x" * 999, "x" * 160)):
        world.say("ann", text)
        world.say("ann", "too soon")
        world.step()
        assert [event.detail for event in world.events] == [said]
        steps(world, SPEECH_PAUSE)
    world.say("ann", " \n ")
    world.step()
    assert world.events == []


def test_the_same_commands_give_the_same_game() -> None:
    def play() -> list:
        world, dice, happened = World(64.0, 5, seconds=30), random.Random(2), []
        for number in range(30):
            world.enter(f"p{number}", Look.PERSON)
        for _ in range(400):
            name = f"p{dice.randrange(30)}"
            world.steer(name, dice.gauss(0, 1), dice.gauss(0, 1))
            world.dash(f"p{dice.randrange(30)}")
            world.step()
            happened += world.events
        return [*happened, *((b.x, b.y, b.points, b.load) for b in world.ranking()[:BEST])]

    first = play()
    assert first == play()
    assert {event[0] for event in first} >= {What.TOOK, What.HIT}
