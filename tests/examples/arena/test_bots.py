"""Bots: they find their ways, each character does what it is there for, and talk fits."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from examples.arena.bots.atlas import BLOCKED, Atlas, direction
from examples.arena.bots.character import Character, Intent
from examples.arena.bots.characters import (
    SHARES,
    Gatherer,
    Guard,
    Hunter,
    Wanderer,
    choose_character,
)
from examples.arena.bots.names import COUNT, name_of
from examples.arena.bots.talk import LINES, Tongue, compass, line_for, topic_of
from examples.arena.world import terrain
from examples.arena.world.bodies import Look
from examples.arena.world.events import What
from examples.arena.world.glances import Glances
from examples.arena.world.views import Glance, Other
from examples.arena.world.world import World
from tests.examples.arena.lands import world_with


def atlas_of(world: World) -> Atlas:
    camps = [(camp.team, camp.x, camp.y) for camp in world.terrain.camps]
    return Atlas(world.terrain.rows, terrain.TILE, camps)


def round_of(world: World) -> dict[str, Any]:
    return {"storm": asdict(world.rounds.storm), "phase": world.rounds.phase.value}


class Game:
    """Bots in a world, without actors.

    Args:
        count: of the bots.
        kinds: their characters, by turns; by default as they come.
    """

    def __init__(self, count: int, *kinds: type[Character], **options: Any) -> None:
        self.world = World(96.0, 1, **options)
        self.minds: dict[str, Character] = {}
        self.glances = Glances()
        self.happened: Counter[tuple[What, Look]] = Counter()
        self.said: list[tuple[int, str, str]] = []
        self.walked = self.stood = 0
        atlas = atlas_of(self.world)
        for number in range(count):
            dice = random.Random(number)
            kind = kinds[number % len(kinds)] if kinds else choose_character(dice)
            name = name_of(number)
            self.world.enter(name, kind.look)
            self.minds[name] = kind(atlas, round_of(self.world), dice)
            self.glances.add(name, kind.seconds, number % 10)

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            if self.world.step():
                for mind in self.minds.values():
                    mind.see_round(round_of(self.world))
            for event in self.world.events:
                look = self.world.by_number[event.number].look
                self.happened[event.what, look] += 1
                if event.what is What.SAID:
                    name = self.world.by_number[event.number].name
                    self.said.append((self.world.tick, name, str(event.detail)))
            for name, glance in self.glances.step(self.world):
                self._obey(name, self.minds[name].think(glance))
            self.walked += sum(body.speed > 0 for body in self.world.bodies.values())
            self.stood += sum(body.speed == 0 for body in self.world.bodies.values())

    def _obey(self, name: str, intent: Intent) -> None:
        self.world.steer(name, intent.dx, intent.dy)
        if intent.dash:
            self.world.dash(name)
        self.world.say(name, intent.text)


@pytest.fixture(scope="module")
def game() -> Game:
    """A round of bots of all characters."""
    made = Game(120, seconds=150)
    made.play(150)
    return made


def test_bots_walk_nearly_all_the_time(game: Game) -> None:
    assert game.stood < 0.15 * (game.walked + game.stood)


def test_bots_gather_bring_and_fight(game: Game) -> None:
    happened = game.happened
    assert happened[What.TOOK, Look.GATHERER] > 100
    assert happened[What.BROUGHT, Look.GATHERER] > 10
    assert happened[What.HIT, Look.HUNTER] > happened[What.HIT, Look.GATHERER]
    assert happened[What.HIT, Look.GUARD] > 0
    assert happened[What.HIT, Look.WANDERER] < happened[What.HIT, Look.GUARD]


def test_bots_are_out_of_the_storm_in_the_end(game: Game) -> None:
    world, storm = game.world, game.world.rounds.storm
    outside = [b for b in world.bodies.values() if storm.covers(b.x, b.y, world.tick)]
    assert len(outside) < 0.1 * len(world.bodies)


def test_bots_answer_each_other_and_no_one_talks_all_the_time(game: Game) -> None:
    assert len(game.said) > 40
    assert max(Counter(name for _, name, _ in game.said).values()) < 25
    greeted = [(tick, text) for tick, _, text in game.said if text.startswith(("Hello", "Hi "))]
    assert greeted
    answers = ("And to you", "Good luck", "Safe ways", "You too")
    assert any(text.startswith(answers) for _, _, text in game.said)


def test_a_guard_stays_near_its_camps_and_a_wanderer_goes_far() -> None:
    game = Game(16, Guard, Wanderer)
    starts = {name: (body.x, body.y) for name, body in game.world.bodies.items()}
    game.play(40)
    went = []
    for name, body in game.world.bodies.items():
        own = [camp for camp in game.world.terrain.camps if camp.team == body.team]
        if body.look is Look.GUARD:
            assert min(math.dist((camp.x, camp.y), (body.x, body.y)) for camp in own) < 35
        else:
            went.append(math.dist(starts[name], (body.x, body.y)))
    assert max(went) > 15


@pytest.mark.parametrize("kind", SHARES)
def test_a_full_bag_is_carried_home_by_every_character(kind: type[Character]) -> None:
    game = Game(1, kind)
    (body,) = game.world.bodies.values()
    body.set_load(kind.bag)
    game.play(60)
    assert body.points >= kind.bag


def sight(me: Other, *others: Other, news: Any = (), gold: Any = ()) -> Glance:
    return Glance(0, me, list(others), list(gold), list(news))


def someone(number: int, x: float, y: float, **more: Any) -> Other:
    facts = {"team": number % 4, "look": Look.GATHERER, "load": 0, "flags": 0, **more}
    return Other(number, f"p{number}", facts["team"], facts["look"], x, y,
                 facts["load"], facts["flags"])  # fmt: skip


def a(kind: type[Character], seed: int = 1) -> tuple[Character, World]:
    world = world_with("ann")
    return kind(atlas_of(world), round_of(world), random.Random(seed)), world


def test_a_hunter_runs_after_a_rival_with_gold_and_dashes_when_it_is_near() -> None:
    _, world = a(Hunter)
    x, y = world.rounds.storm.x, world.rounds.storm.y
    me = someone(0, x, y)

    def think(*others: Other, news: Any = ()) -> Intent:
        return a(Hunter)[0].think(sight(me, *others, news=news))

    far = think(someone(1, x + 6, y, load=5))
    assert (far.dx, far.dy, far.dash) == (1.0, 0.0, False)
    near = think(someone(1, x, y + 3, load=5))
    assert (near.dx, near.dy, near.dash) == (0.0, 1.0, True)
    for spared in (someone(4, x, y + 3, load=5), someone(1, x, y + 3, load=5, flags=4)):
        assert not think(spared).dash
    after = think(someone(1, x, y + 3, load=5), news=[("hit", 0, 1)])
    assert not after.dash  # it rests after a catch


def test_a_person_who_asks_is_answered() -> None:
    gatherer, world = a(Gatherer)
    x, y = world.rounds.storm.x, world.rounds.storm.y
    person = someone(1, x + 1, y, look=Look.PERSON)
    me = someone(0, x, y)
    heaps = [(x, y + 6.0, 1)]
    asked = [("said", 1, "where is the gold?")]
    answer = gatherer.think(sight(me, person, news=asked, gold=heaps))
    assert "south" in answer.text
    assert (answer.dx, answer.dy) == (0, 0)  # it stops to talk
    nothing = gatherer.think(sight(me, person, news=[("said", 1, "gold, gold!")])).text
    assert nothing in LINES["no gold"]
    assert gatherer.think(sight(me, person, news=[("said", 1, "la la la")])).text == ""
    bot = someone(2, x + 1, y)
    assert gatherer.think(sight(me, bot, news=[("said", 2, "where is the gold?")])).text == ""


def test_a_stunned_bot_does_nothing() -> None:
    gatherer, _ = a(Gatherer)
    assert gatherer.think(sight(someone(0, 30, 30, flags=2))) == Intent()


def test_a_bot_that_does_not_get_on_takes_another_way() -> None:
    wanderer, world = a(Wanderer)
    me = someone(0, world.rounds.storm.x, world.rounds.storm.y)
    ways = {wanderer.think(sight(me)._replace(tick=tick))[:2] for tick in range(0, 400, 40)}
    assert len(ways) > 3


def test_every_way_of_the_atlas_leads_home() -> None:
    world = World(96.0, 2)
    atlas = atlas_of(world)
    dice = random.Random(1)
    for team in range(4):
        goals = tuple(camp for camp in atlas.camps if camp[0] == team)
        for tile in dice.sample(world.terrain.open_tiles, 10):
            x, y = world.terrain.middle_of(tile)
            for _ in range(600):
                dx, dy = atlas.way(goals, x, y)
                if (dx, dy) == (0, 0):
                    break
                x, y = x + dx * 0.4, y + dy * 0.4
                assert world.terrain.is_walkable(world.terrain.tile_at(x, y))
            assert min(math.dist((x, y), goal[1:]) for goal in goals) < 3


def test_the_atlas_forgets_old_goals_before_there_are_too_many() -> None:
    world = World(64.0, 2)
    atlas = atlas_of(world)
    for number in range(300):
        atlas.distances(((number, *atlas.camps[0][1:]),))
    assert len(atlas._fields) <= 128


def test_bots_and_world_agree_on_what_blocks() -> None:
    assert BLOCKED == terrain.BLOCKED


def test_names_of_bots_differ() -> None:
    assert len({name_of(number) for number in range(COUNT + 500)}) == COUNT + 500
    assert name_of(COUNT).endswith("2")


def test_each_line_of_talk_can_be_said() -> None:
    words = {"name": "Zoe", "team": "Red", "way": "north", "count": 3}
    for occasion, lines in LINES.items():
        for seed in range(len(lines) * 3):
            assert "{" not in line_for(occasion, random.Random(seed), **words)


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("Hello!", "return"),
        ("where is gold", "gold"),
        ("hello, where is the chest?", "gold"),
        ("Is it safe here", "storm?"),
        ("why?", "answer"),
        ("Drop it, Zoe", None),
        ("Shiny.", None),
    ],
)
def test_topics(text: str, topic: str | None) -> None:
    assert topic_of(text) == topic


def test_a_tongue_rests_after_a_remark() -> None:
    tongue = Tongue(random.Random(1))
    remarks = [second for second in range(1000) if tongue.remark(1.0, second, "took", count=1)]
    assert 5 < len(remarks) < 25
    assert tongue.answer(1000, "return", name="Zoe")
    assert not tongue.remark(1.0, 1001, "took", count=1)


def test_directions() -> None:
    assert direction(1, 1, 1.1, 1.1) == (0, 0)
    assert direction(0, 0, 3, 4) == (0.6, 0.8)
    assert [compass(1, 0), compass(0, 1), compass(-1, 0), compass(0.1, -1)] == [
        "east", "south", "west", "north",
    ]  # fmt: skip
