"""The world: who is in it, how it goes on from tick to tick, and what comes of commands."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

from examples.arena.world.bodies import (
    COS,
    DASHING,
    DIRECTIONS,
    IN_STORM,
    SHIELDED,
    SIN,
    STUNNED,
    TICK,
    WALK,
    Body,
    Look,
    heading_of,
)
from examples.arena.world.events import Event, Result, Standing, What
from examples.arena.world.gold import Gold
from examples.arena.world.grid import Grid
from examples.arena.world.rounds import REST, ROUND, Phase, Rounds
from examples.arena.world.terrain import CELLS, TEAMS, TILE, Camp, make_terrain

CAPACITY = 12
"""A player who carries this much gold picks up no more."""

REACH = 1.25
"""How close a dash must come to hit, in steps."""

DASH, DASH_PAUSE, STUN, SHIELD = (round(seconds / TICK) for seconds in (0.4, 2.5, 0.9, 3.0))
"""Ticks: a dash, from one to the next, standing still after a hit, and safe from the next one."""

DASH_PACE = 2.5
"""How many times as fast as a walk a dash is."""

CHEST_EVERY = round(30 / TICK)
"""Ticks from one chest to the next."""

SPEECH_PAUSE = round(0.3 / TICK)
"""Ticks between two lines of one player, so that no one can drown out the others."""

LONGEST_TEXT = 160
"""Characters of a spoken line; what is longer is cut."""

BEST = 10
"""Players on the board and in a round's result."""


class World:
    """An island with gold, four teams and a storm.

    Args:
        size: the length of each side in steps.
        seed: of everything that is random.
        seconds: of a round.
        rest: seconds between rounds.

    Attributes:
        tick: the number of the last step.
        bodies: the players, by name.
        events: what happened in the last step, and between the one before and it.
        result: of the last round; None in the first one.
        chest: the tile of the last chest; None if there was none in this round.
    """

    def __init__(self, size: float, seed: int, seconds: float = ROUND, rest: float = REST) -> None:
        self.terrain = make_terrain(size, seed)
        self._dice = random.Random(f"world {seed}")
        self.rounds = Rounds(self.terrain, random.Random(f"rounds {seed}"), seconds, rest)
        self.gold = self._make_gold()
        self.gold.scatter()
        self.grid = Grid(self.terrain.size)
        self.tick = 0
        self.bodies: dict[str, Body] = {}
        self.by_number: dict[int, Body] = {}
        self.events: list[Event] = []
        self.result: Result | None = None
        self.chest: int | None = None
        self._happened: list[Event] = []
        self._numbers = itertools.count(1)
        self._members = [0] * len(TEAMS)
        self._gold_of_those_who_left = [0] * len(TEAMS)
        self._pressed: dict[int, Body] = {}
        self._timed: dict[int, Body] = {}

    def _make_gold(self) -> Gold:
        return Gold(self.terrain, self._dice, self.terrain.open_tiles)

    # -- who is there ------------------------------------------------------------------------------

    def enter(self, name: str, look: Look, before: Standing | None = None) -> Body:
        """Let a player in, at a camp of the smallest team, or where it was before.

        A player of this name who is there leaves.
        """
        if name in self.bodies:
            self.leave(name)
        same_round = before is not None and before.round == self.rounds.number
        camps = self._camps_for(look)
        teams = sorted({camp.team for camp in camps})
        team = before.team if before else min(teams, key=self._members.__getitem__)
        body = Body(next(self._numbers), name, team, look)
        if before and same_round:
            body.x, body.y = before.x, before.y
            body.set_load(before.load)
            body.points = before.points
            self._gold_of_those_who_left[team] -= before.points
        else:
            body.x, body.y = self._place_near_camp(team, camps)
        self._add(body)
        return body

    def _add(self, body: Body) -> None:
        self.bodies[body.name] = self.by_number[body.number] = body
        self._members[body.team] += 1
        self.grid.place(body)

    def _camps_for(self, look: Look) -> list[Camp]:
        """Return the camps at which a newcomer may begin: those that the storm leaves alone."""
        storm, end = self.rounds.storm, self.rounds.storm.ends
        return [camp for camp in self.terrain.camps if not storm.covers(camp.x, camp.y, end)]

    def _place_near_camp(self, team: int, camps: list[Camp]) -> tuple[float, float]:
        of_team = [camp for camp in camps if camp.team == team]
        camp = self._dice.choice(of_team or [c for c in self.terrain.camps if c.team == team])
        for _ in range(20):
            angle, far = self._dice.uniform(0, math.tau), self._dice.uniform(1, 14)
            x, y = camp.x + math.cos(angle) * far, camp.y + math.sin(angle) * far
            if (
                0 < x < self.terrain.size
                and 0 < y < self.terrain.size
                and self.terrain.is_free(x, y)
            ):
                return x, y
        return camp.x, camp.y

    def leave(self, name: str, keep_load: bool = False) -> Standing:
        """Let a player go; what it has brought to its camps stays.

        Args:
            name: of the player.
            keep_load: whether the gold that it carries is kept for its return, not dropped.
        """
        body = self._remove(name)
        self._gold_of_those_who_left[body.team] += body.points
        load = body.load if keep_load else 0
        if self.rounds.phase is Phase.PLAY:
            self.gold.spill(self.terrain.tile_at(body.x, body.y), body.load - load)
        return Standing(self.rounds.number, body.team, body.x, body.y, load, body.points)

    def _remove(self, name: str) -> Body:
        body = self.bodies.pop(name)
        del self.by_number[body.number]
        self.grid.remove(body)
        self._members[body.team] -= 1
        self._pressed.pop(body.number, None)
        self._timed.pop(body.number, None)
        return body

    # -- the board ---------------------------------------------------------------------------------

    def team_gold(self) -> list[int]:
        """Return the gold of each team in this round."""
        gold = list(self._gold_of_those_who_left)
        for body in self.bodies.values():
            gold[body.team] += body.points
        return gold

    def ranking(self) -> list[Body]:
        """Return the players with the most points in this round first."""
        return sorted(self.bodies.values(), key=lambda body: (-body.points, body.number))

    # -- commands ----------------------------------------------------------------------------------

    def steer(self, name: str, dx: float, dy: float) -> None:
        """Have a player walk in a direction from now on; (0, 0) lets it stand.

        Args:
            name: of the player.
            dx: to the east; a vector of length 1 or more is full speed.
            dy: to the south.
        """
        body, length = self.bodies[name], math.hypot(dx, dy)
        body.wish = (heading_of(dx, dy), min(1.0, length)) if length >= 0.05 else None
        self._set_course(body)

    def dash(self, name: str) -> bool:
        """Have a player dash in the direction in which it walks or looks, if it can now."""
        body = self.bodies[name]
        if self.tick < body.dash_ready or body.flags & STUNNED:
            return False
        body.dash_ends, body.dash_ready = self.tick + DASH, self.tick + DASH_PAUSE
        self._set_timed(body, DASHING)
        return True

    def say(self, name: str, text: str) -> None:
        """Have a player say something; what comes too soon after its last words is not heard."""
        body = self.bodies[name]
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if text and self.tick >= body.speech_ready:
            body.speech_ready = self.tick + SPEECH_PAUSE
            self._happen(What.SAID, body, text[:LONGEST_TEXT])

    # -- courses -----------------------------------------------------------------------------------

    def _set_course(self, body: Body) -> None:
        """Derive a course from what a player wants and its state."""
        self._pressed.pop(body.number, None)
        heading, speed = self._wished(body)
        body.take_course(heading, speed)

    def _wished(self, body: Body) -> tuple[int, int]:
        heading, share = body.wish or (body.heading, 0.0)
        flags = body.flags
        if flags & STUNNED:
            return heading, 0
        if flags & DASHING:
            return heading, round(WALK * DASH_PACE)
        pace = WALK * share * (1 - 0.025 * min(body.load, CAPACITY))
        return heading, round(pace * 0.65 if flags & IN_STORM else pace)

    def _set_timed(self, body: Body, flag: int) -> None:
        body.set_flag(flag, True)
        self._timed[body.number] = body
        self._set_course(body)

    def _is_free(self, body: Body) -> bool:
        return self.terrain.is_free(body.x + body.vx, body.y + body.vy)

    def _press_on(self, body: Body) -> None:
        """Find a course for a player whose way is blocked: as wished, around it, or none."""
        heading, speed = self._wished(body)
        body.take_course(heading, speed)
        if speed == 0 or self._is_free(body):
            self._pressed.pop(body.number, None)
            return
        self._pressed[body.number] = body
        for along, pace in self._ways_around(body):
            body.take_course(along, pace)
            if self._is_free(body):
                return
        body.take_course(heading, 0)

    def _ways_around(self, body: Body) -> Iterator[tuple[int, int]]:
        """Yield headings and speeds along the axes that bring a player on.

        First with the larger part of its velocity; then with the smaller one, at half of the speed
        at least, so that no one sticks to a corner. Who walks straight along an axis is led around
        a corner that is near.
        """
        vx, vy, half = body.vx, body.vy, body.speed // 2
        east, south = (0 if vx > 0 else 128), (64 if vy > 0 else 192)
        parts = [(abs(vx), east), (abs(vy), south)]
        (smaller, aside), (larger, ahead) = sorted(parts)
        yield ahead, round(larger / TICK * 10)
        if smaller > 0.01:
            yield aside, max(half, round(smaller / TICK * 10))
        else:
            for side in ((ahead + 64) % DIRECTIONS, (ahead + 192) % DIRECTIONS):
                x, y = body.x + COS[side] + vx, body.y + SIN[side] + vy
                if self.terrain.is_free(x, y):
                    yield side, half

    # -- a step ------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Go on by one tick; return whether a phase of the game has ended."""
        self.tick += 1
        turned = self.rounds.advance(self.tick)
        if turned:
            self._turn()
        self._end_states()
        for body in list(self._pressed.values()):
            self._press_on(body)
        self._move()
        self._strike()
        if self.rounds.phase is Phase.PLAY:
            self._blow()
            self._grow()
        self.events, self._happened = self._happened, []
        return turned

    def _happen(self, what: What, body: Body, detail: int | str) -> None:
        self._happened.append(Event(what, body.x, body.y, body.number, detail))

    def _turn(self) -> None:
        """Begin the rest, or the next round."""
        self.chest = None
        if self.rounds.phase is Phase.REST:
            best = [(body.name, body.team, body.points) for body in self.ranking()[:BEST]]
            self.result = Result(
                self.rounds.number, self.team_gold(), [one for one in best if one[2]]
            )
            self.gold.clear()
        else:
            self._gold_of_those_who_left = [0] * len(TEAMS)
            self.gold.scatter()
        for body in self.bodies.values():
            body.set_flag(IN_STORM, False)
            if self.rounds.phase is Phase.PLAY:
                body.points = 0
            self._carry(body, 0)

    def _carry(self, body: Body, load: int) -> None:
        body.set_load(load)
        self._set_course(body)

    def _end_states(self) -> None:
        for body in list(self._timed.values()):
            tick = self.tick
            body.set_flag(DASHING, tick < body.dash_ends)
            body.set_flag(STUNNED, tick < body.stun_ends)
            body.set_flag(SHIELDED, tick < body.shield_ends)
            if not body.flags & ~IN_STORM:
                del self._timed[body.number]
            self._set_course(body)

    def _move(self) -> None:
        # The one loop over all players at each tick, so it is written to be fast.
        free, cells, scale = self.terrain.free, self.terrain.across * CELLS, CELLS / TILE
        across, grid = self.terrain.across, self.grid
        heaps, camps = self.gold.heaps, self.terrain.camp_of_tile
        for body in self.bodies.values():
            if not body.speed:
                continue
            x, y = body.x + body.vx, body.y + body.vy
            if not free[int(y * scale) * cells + int(x * scale)]:
                self._press_on(body)  # it goes on at the next tick
                continue
            body.x, body.y = x, y
            grid.place(body)
            tile = int(y / TILE) * across + int(x / TILE)
            if tile in heaps and body.load < CAPACITY:
                self._take(body, tile)
            if body.load and tile in camps and camps[tile].team == body.team:
                self._bring(body)

    def _take(self, body: Body, tile: int) -> None:
        amount = self.gold.take(tile)
        self._carry(body, body.load + amount)
        self._happen(What.TOOK, body, amount)
        if tile == self.chest:
            self.chest = None

    def _bring(self, body: Body) -> None:
        amount = body.load
        body.points += amount
        body.total += amount
        self._carry(body, 0)
        self._happen(What.BROUGHT, body, amount)

    def _strike(self) -> None:
        for body in list(self._timed.values()):
            if body.flags & DASHING:  # who was hit in this loop dashes no more
                rival = self._rival_in_reach(body)
                if rival is not None:
                    self._hit(body, rival)

    def _rival_in_reach(self, body: Body) -> Body | None:
        camps, terrain = self.terrain.camp_of_tile, self.terrain
        for other in self.grid.around(body.x, body.y, REACH, REACH):
            if other.team == body.team or other.flags & (SHIELDED | STUNNED):
                continue
            if math.hypot(other.x - body.x, other.y - body.y) <= REACH:
                camp = camps.get(terrain.tile_at(other.x, other.y))
                if camp is None or camp.team != other.team:
                    return other
        return None

    def _hit(self, body: Body, rival: Body) -> None:
        """A hit ends the dash."""
        body.dash_ends = self.tick
        body.set_flag(DASHING, False)
        self._set_course(body)
        self._suffer(rival)
        self._happen(What.HIT, body, rival.number)

    def _suffer(self, rival: Body) -> None:
        """A rival who is hit drops its gold, and is left alone for a while."""
        rival.stun_ends, rival.shield_ends = self.tick + STUN, self.tick + SHIELD
        rival.dash_ends = self.tick
        rival.set_flag(DASHING, False)
        self.gold.spill(self.terrain.tile_at(rival.x, rival.y), rival.load)
        rival.set_load(0)
        rival.set_flag(SHIELDED, True)
        self._set_timed(rival, STUNNED)

    def _blow(self) -> None:
        """Let the storm blow at a tenth of the players, so at each of them once a second."""
        storm, tick = self.rounds.storm, self.tick
        if tick <= storm.begins:
            return
        reach = storm.radius(tick) ** 2
        for body in list(self.bodies.values())[tick % 10 :: 10]:
            in_storm = (body.x - storm.x) ** 2 + (body.y - storm.y) ** 2 > reach
            if in_storm != bool(body.flags & IN_STORM):
                body.set_flag(IN_STORM, in_storm)
                self._set_course(body)
            if in_storm and body.load:
                self._carry(body, body.load - 1)
                self._happen(What.LOST, body, 1)

    def _grow(self) -> None:
        if self.tick % 5 == 0:
            self.gold.grow()
        if (self.tick - self.rounds.begins) % CHEST_EVERY == CHEST_EVERY // 2:
            storm = self.rounds.storm
            for _ in range(50):
                tile = self._dice.choice(self.gold.tiles)
                if not storm.covers(*self.terrain.middle_of(tile), storm.ends):
                    self.chest = tile
                    self.gold.place_chest(tile)
                    return
