"""The arena's realm on several nodes: one clock, one board, points that outlive a node."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

import pytest

from actorcred import ClientInfo, Policy, Portal
from actorcred.actors import InlineDispatcher
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.memory import MemoryChecker
from examples.arena.nodes.board import Roll, best_of, chest_of, who_of
from examples.arena.nodes.realm import AT_BORDER, LOST, NodeArena
from examples.arena.realm import Settings
from examples.arena.world.region import Seat
from examples.arena.world.shard import Strip
from tests.examples.arena.hall import USERS, Hall, sign_up
from tests.settings import portal_options

FAR = ClientInfo(address="127.0.0.1", protocol="rpc", transport="websocket")


class Wire:
    """The way from one node to the others within a process."""

    def __init__(self, number: int, wires: dict[int, Wire]) -> None:
        self.rolls: dict[int, Roll] = {}
        self.strips: deque[Strip] = deque()
        self.number = number
        self.wires = wires
        wires[number] = self

    def take_strips(self) -> list[Strip]:
        taken = list(self.strips)
        self.strips.clear()
        return taken

    def tell(self, node: int, strip: Strip) -> None:
        if node in self.wires:
            self.wires[node].strips.append(strip)

    def announce(self, roll: Roll) -> None:
        for number, wire in self.wires.items():
            if number != self.number:
                wire.rolls[self.number] = roll


class NodeHall(Hall):
    """A portal to the arena of a node."""

    def __init__(
        self, clock: InlineDispatcher, wire: Wire, living: set[int], scores: Path, **settings: Any
    ) -> None:
        self.clock = clock
        seat = Seat(wire.number, 2)
        settings = {"size": 96.0, "scores": scores, **settings}
        self.arena = NodeArena.start(
            Settings(**settings), seat, wire, lambda: living | {wire.number}, sign_up
        )
        self.portal = Portal.start(
            self.arena,
            [MemoryChecker.start(USERS, plaintext=True), AnonymousChecker.start()],
            portal_options(policy=Policy.REPLACE),
        )


class Island:
    """Two nodes, of which each can be left out."""

    def __init__(self, clock: InlineDispatcher, folder: Path, **settings: Any) -> None:
        self.clock = clock
        self.living = {1, 2}
        wires: dict[int, Wire] = {}
        made = [
            NodeHall(clock, Wire(number, wires), self.living, folder / "scores.sqlite", **settings)
            for number in (1, 2)
        ]
        self.west, self.east = made
        self.wires = wires

    def kill_the_east(self) -> None:
        """Have the node in the east be silent, as if it had died."""
        del self.wires[2]
        self.living.discard(2)
        arena = self.east.arena._actor_weakref()  # type: ignore[union-attr]
        arena._others = Wire(2, {})

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(0.1)


@pytest.fixture
def island(inline: InlineDispatcher, tmp_path: Path) -> Island:
    return Island(inline, tmp_path)


def score(hall: Hall, name: str, gold: int) -> None:
    """Have a player bring gold home."""
    world = hall.world
    body = world.bodies[name]
    body.set_load(gold)
    world._bring(body)


def test_the_board_the_ranks_and_who_plays_are_those_of_all_nodes(island: Island) -> None:
    ann, ann_mind = island.west.enter("ann")
    bob, bob_mind = island.east.enter("bob")
    island.west.ask(ann, "watch"), island.east.ask(bob, "watch")
    score(island.west, "ann", 3)
    score(island.east, "bob", 5)
    island.ticks(25)
    boards = [mind.named("board")[-1][0] for mind in (ann_mind, bob_mind)]
    assert boards[0] == boards[1]
    assert boards[0]["best"] == [
        ("bob", island.east.world.bodies["bob"].team, 5),
        ("ann", island.west.world.bodies["ann"].team, 3),
    ]
    assert (sum(boards[0]["teams"]), boards[0]["players"], boards[0]["people"]) == (8, 2, 2)
    assert ann_mind.named("rank")[-1] == [2, 3, 3]
    assert bob_mind.named("rank")[-1] == [1, 5, 5]
    assert island.west.ask(ann, "who") == [("bob", 5), ("ann", 3)]


def test_a_round_has_one_result_and_the_next_one_begins_for_all(
    inline: InlineDispatcher, tmp_path: Path
) -> None:
    island = Island(inline, tmp_path, round=4, rest=2)
    minds = []
    for hall, name in ((island.west, "ann"), (island.east, "bob")):
        login, mind = hall.enter(name)
        hall.ask(login, "watch")
        minds.append(mind)
    island.ticks(38)
    score(island.west, "ann", 3)  # after the last roll of the round
    score(island.east, "bob", 5)
    island.ticks(30)
    one, other = ([args[0] for args in mind.named("round")] for mind in minds)
    assert [round_["phase"] for round_ in one] == ["rest", "play"]
    assert [(r["number"], r["storm"], r["ends"], r["result"]) for r in one] == [
        (r["number"], r["storm"], r["ends"], r["result"]) for r in other
    ]
    assert sum(one[0]["result"]["teams"]) == 8
    assert [name for name, _, _ in one[0]["result"]["best"]] == ["bob", "ann"]
    assert island.west.world.bodies["ann"].points == 0


def test_the_result_does_not_wait_for_a_node_that_has_died(
    inline: InlineDispatcher, tmp_path: Path
) -> None:
    island = Island(inline, tmp_path, round=4, rest=3)
    login, mind = island.west.enter("ann")
    island.west.ask(login, "watch")
    island.east.enter("bob")
    island.ticks(12)
    score(island.east, "bob", 5)
    island.ticks(12)
    island.kill_the_east()
    island.ticks(35)
    assert mind.named("news") == [[LOST]]
    result = mind.named("round")[0][0]["result"]
    assert sum(result["teams"]) == 5  # what was brought home counts


def test_a_node_keeps_step_with_its_neighbour_in_the_west(island: Island) -> None:
    for _ in range(7):
        island.west.world.step()
    island.ticks(12)
    assert abs(island.east.world.tick - island.west.world.tick) <= 1
    for _ in range(7):
        island.east.world.step()
    island.ticks(12)
    assert abs(island.east.world.tick - island.west.world.tick) <= 1


def test_points_of_a_player_whose_node_dies_are_kept_in_the_round_and_for_ever(
    island: Island,
) -> None:
    island.east.enter("ann")
    team = island.east.world.bodies["ann"].team
    island.ticks(12)
    score(island.east, "ann", 5)
    island.ticks(12)
    island.kill_the_east()
    login, mind = island.west.enter("ann")
    island.west.ask(login, "watch")
    body = island.west.world.bodies["ann"]
    assert (body.points, body.total, body.team) == (5, 5, team)
    assert body.x > 0
    island.ticks(25)
    board = mind.named("board")[-1][0]
    assert sum(board["teams"]) == 5
    assert board["best"] == [("ann", team, 5)]
    assert board["players"] == 1


def test_who_leaves_one_node_comes_back_at_another_with_points_and_team(island: Island) -> None:
    first, _ = island.east.enter("ann")
    team = island.east.world.bodies["ann"].team
    score(island.east, "ann", 5)
    first.logout().get()
    island.west.enter("ann")
    body = island.west.world.bodies["ann"]
    assert (body.points, body.total, body.team) == (5, 5, team)
    island.ticks(15)
    login, mind = island.east.enter("bob")
    island.east.ask(login, "watch")
    island.ticks(12)
    assert sum(mind.named("board")[-1][0]["teams"]) == 5


def test_a_guest_who_makes_an_account_is_found_by_it_at_the_other_node(island: Island) -> None:
    guest, _ = island.east.enter()
    body = island.east.world.bodies["guest 2"]
    body.points = body.total = 5
    body.set_load(2)
    island.east.ask(guest, "sign_up", "zoe", "right")
    guest.logout().get()
    island.west.enter("zoe")
    heir = island.west.world.bodies["zoe"]
    assert (heir.points, heir.load, heir.x, heir.y) == (5, 2, body.x, body.y)


def test_guests_of_all_nodes_have_names_of_their_own(island: Island) -> None:
    for hall in (island.west, island.east, island.west, island.east):
        hall.enter()
    names = [*island.west.world.bodies, *island.east.world.bodies]
    assert sorted(names) == ["guest 1", "guest 2", "guest 3", "guest 4"]


def to_border(hall: Hall, name: str) -> Any:
    """Have a player stand beyond the border."""
    body = hall.world.bodies[name]
    body.x, body.y = next(
        (50.0, row + 0.5) for row in range(8, 88) if hall.world.terrain.is_free(50.0, row + 0.5)
    )
    hall.world.grid.place(body)
    return body


def test_a_bot_sees_a_land_that_ends_at_the_border_and_stays_there(island: Island) -> None:
    login, _ = island.west.enter("ann", look="gatherer")
    land = island.west.ask(login, "glance", 1.0)
    assert {row[24:] for row in land["rows"]} == {"w" * 24}
    assert all(x < 48 for _, x, _ in land["camps"])
    body = to_border(island.west, "ann")
    island.ticks(5)
    assert island.west.world.bodies["ann"] is body
    assert island.west.world.parted == {}


def test_a_player_who_cannot_go_over_is_told_and_plays_on(island: Island) -> None:
    login, mind = island.west.enter("ann", client=FAR)
    whole = island.west.ask(login, "glance", 1.0)
    assert any("p" in row[24:] for row in whole["rows"])
    island.west.ask(login, "watch")
    body = to_border(island.west, "ann")
    island.ticks(3)  # there is no cluster to move in
    assert mind.named("news") == [[AT_BORDER]]
    assert login.session.is_open
    assert island.west.world.bodies["ann"] is body
    glances, frames = len(mind.named("glance")), len(mind.named("frame"))
    island.ticks(15)
    assert len(mind.named("glance")) > glances
    assert len(mind.named("frame")) > frames
    assert {number for frame in mind.named("frame") for number in frame[4]} == set()


def test_who_leaves_on_the_way_to_another_node_is_gone(island: Island) -> None:
    login, _ = island.west.enter("ann", client=FAR)
    body = to_border(island.west, "ann")
    body.points = body.total = 4
    arena = island.west.arena._actor_weakref()  # type: ignore[union-attr]
    arena._send_over(body, arena._ways["ann"], 2)
    login.logout().get()
    island.ticks(10)
    world = island.west.world
    assert (world.bodies, world.parted, world.far) == ({}, {}, {})
    island.east.enter("ann")
    assert island.east.world.bodies["ann"].points == 4


def roll(source: int, *best: tuple[str, int, int], chest: int | None = None) -> Roll:
    named = [(name, points, name.islower()) for name, _, points in best]
    return Roll(source, 1, "play", [0] * 4, list(best), [one[2] for one in best], 0, chest, named)


def test_a_player_who_is_told_of_by_two_nodes_is_listed_once() -> None:
    rolls = [roll(1, ("ann", 0, 3), ("Bot", 1, 9)), roll(2, ("ann", 0, 5), chest=7)]
    assert best_of(rolls) == [("Bot", 1, 9), ("ann", 0, 5)]
    assert who_of(rolls) == [("ann", 5), ("Bot", 9)]
    assert chest_of(rolls) == 7
    assert chest_of(rolls[:1]) is None
