"""The arena of a node: its region, its players, and what it makes of what the others say."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from actorcred import MindRef, Session
from actorcred.actors.future import error_of
from actorcred.names import AvatarId
from examples.arena.avatars import ArenaPlayer, SignUp
from examples.arena.interface import Player
from examples.arena.messages import Enter, Leave, LookAround, Tick, Who
from examples.arena.nodes import messages as m
from examples.arena.nodes.avatars import NodePlayer
from examples.arena.nodes.board import (
    Roll,
    ahead_of,
    best_of,
    chest_of,
    roll_of,
    team_gold,
    who_of,
)
from examples.arena.nodes.standings import Standings
from examples.arena.realm import SECOND, Arena, Settings
from examples.arena.world.bodies import Body
from examples.arena.world.events import Result, Standing, What
from examples.arena.world.region import Seat
from examples.arena.world.rounds import Phase
from examples.arena.world.shard import Shard, Strip
from examples.arena.world.terrain import TILE, WATER
from examples.arena.world.views import View

PATIENCE = SECOND
"""Ticks to wait for the rolls of all nodes at the end of a round."""

RETRY = 2 * SECOND
"""Ticks until a player who could not go to another node tries again."""

AT_BORDER = "You cannot go on here at the moment."
LOST = "A part of the island was lost with its players. Its ground is open again."


class Others(Protocol):
    """The way to the other nodes; see `Line`."""

    rolls: dict[int, Roll]

    def take_strips(self) -> list[Strip]:
        """Return the strips that have come since the last call."""

    def tell(self, node: int, strip: Strip) -> None:
        """Send a strip to a node."""

    def announce(self, roll: Roll) -> None:
        """Send a roll to all nodes."""


@dataclass(slots=True)
class _Way:
    """A player here who could go to another node."""

    mind: MindRef
    session: Session
    view: View | None = None
    """What it was sent here, while it is on its way."""

    retry: int = 0


class NodeArena(Arena):
    """The realm of a node, and the clock of its part of the world.

    Args:
        settings: of the world.
        seat: the node's place.
        others: the way to the other nodes.
        living: returns the numbers of the nodes that are not known to be dead.
        sign_up: makes an account of a name and a password.
        tick_times: receives the seconds that each step of the world took.
    """

    player: ClassVar[type[ArenaPlayer]] = NodePlayer
    _world: Shard
    _left: Standings

    def __init__(
        self,
        settings: Settings,
        seat: Seat,
        others: Others,
        living: Callable[[], set[int]],
        sign_up: SignUp | None = None,
        tick_times: deque[float] | None = None,
    ) -> None:
        self._seat = seat
        super().__init__(settings, sign_up, tick_times)
        self._others = others
        self._living = living
        self._left = Standings(settings.scores)
        self._guests = itertools.count(seat.number, seat.count)
        self._ways: dict[str, _Way] = {}
        self._crossing: dict[str, _Way] = {}
        self._scored: set[str] = set()
        """Players whose points are to be stored."""
        self._behind = 0
        """Ticks by which the neighbour in the west, whose clock this node follows, is ahead."""
        self._result_until: int | None = None
        self._handlers |= {
            m.Tie: self._tie,
            m.Describe: self._describe,
            m.Arrive: self._arrive,
            m.Crossed: self._crossed,
        }

    def _make_world(self, settings: Settings) -> Shard:
        return Shard(self._seat, settings.size, settings.seed, settings.round, settings.rest)

    def on_stop(self) -> None:
        """Save the points."""
        super().on_stop()
        self._left.close()

    def restore_avatar(
        self, avatar_id: AvatarId, mind: MindRef, snapshot: Any, *interfaces: type
    ) -> Any:
        """Create the player who comes from another node."""
        name = str(snapshot["name"])
        player = self.player.start(avatar_id, mind, self.actor_ref, name, self._sign_up)
        return Player, player, player.stop

    # -- the clock ---------------------------------------------------------------------------------

    def _tick(self, message: Tick) -> None:
        """Go on by one step; by two or none to keep step with the neighbour in the west."""
        self._behind = 0
        west, east = self._world.neighbour(-1), self._world.neighbour(1)
        for strip in self._others.take_strips():
            if strip.source in {west, east}:
                self._world.see(strip)
            if strip.source == west:
                self._behind = strip.tick - self._world.tick
        # What came last may be a tick old, so 0 and 1 both mean that they agree.
        for _ in range(2 if self._behind > 1 else 0 if self._behind < 0 else 1):
            super()._tick(message)
            self._after_step()

    def _after_step(self) -> None:
        world = self._world
        for event in world.events:
            if event.what is What.BROUGHT and event.number in world.by_number:
                self._scored.add(world.by_number[event.number].name)
        self._watch_border()
        for side in (-1, 1):
            neighbour = world.neighbour(side)
            if neighbour is not None:
                self._others.tell(neighbour, world.strip(side))
        if self._result_until is not None:
            self._conclude(self._result_until)
        if world.tick % SECOND == 0:
            self._others.announce(self._roll())
            self._store()
            self._count_nodes()

    def _store(self) -> None:
        """Store the points of those who have brought gold home, in case this node dies."""
        number, bodies = self._world.rounds.number, self._world.bodies
        scored = [bodies[name] for name in self._scored if name in bodies]
        self._scored.clear()
        if scored:
            self._scores.save([(body.name, body.total) for body in scored])
            # Nowhere, so that they come back at a camp.
            self._left.keep_all(
                (body.name, Standing(number, body.team, -1.0, -1.0, 0, body.points))
                for body in scored
            )

    def _count_nodes(self) -> None:
        if self._world.settle(self._living()):
            self._audience.notify("news", LOST)

    # -- borders -----------------------------------------------------------------------------------

    def _watch_border(self) -> None:
        """Send those who have walked over a border to the node that has the ground beyond it."""
        for body, node in self._world.beyond():
            way = self._ways.get(body.name)
            # A bot is a client in this process, with no connection that could go elsewhere.
            if way is None or not way.mind.client.protocol or self._world.tick < way.retry:
                self._world.hold(body)
            else:
                self._send_over(body, way, node)

    def _send_over(self, body: Body, way: _Way, node: int) -> None:
        name, mind, inbox = body.name, way.mind, self.actor_inbox
        self._crossing[name] = way
        way.view = self._views.pop(mind, None)  # no frame without the player itself
        self._scores.save([(name, body.total)])
        self._world.part(name)
        self._ranking = None
        way.session.move(name_of(node)).add_done_callback(
            lambda done: inbox.put(m.Crossed(name, mind, error_of(done) is None))
        )

    def _tie(self, message: m.Tie) -> None:
        if self._minds.get(message.name) is message.mind:
            self._ways[message.name] = _Way(message.mind, message.session)

    def _describe(self, message: m.Describe) -> dict[str, Any] | None:
        body = self._world.parted.get(message.name)
        return None if body is None else self._world.describe(body)

    def _arrive(self, message: m.Arrive) -> None:
        name = str(message.state["name"])
        self._go(name)
        self._world.admit(message.state)
        self._minds[name] = message.mind
        self._ways[name] = _Way(message.mind, message.session)
        self._scored.add(name)
        self._ranking = None

    def _crossed(self, message: m.Crossed) -> None:
        way = self._crossing.get(message.name)
        if way is None or way.mind is not message.mind:
            return  # it has left meanwhile
        if not message.there:
            self._stay(message.name)
            return
        del self._crossing[message.name]
        self._views.pop(way.mind, None)
        if self._minds.get(message.name) is way.mind:
            del self._minds[message.name], self._ways[message.name]
            self._glances.discard(message.name)
        if message.name in self._world.parted:
            self._world.arrived(message.name)

    def _stay(self, name: str) -> None:
        """Have a player back who could not go; if its session has ended, it leaves."""
        way = self._crossing.pop(name)
        if name in self._world.parted:
            self._world.rejoin(name)
            self._ranking = None
        if not way.session.is_open:
            self._go(name)
            return
        way.retry = self._world.tick + RETRY
        if way.view is not None:
            self._views.setdefault(way.mind, way.view)
        self._glances.resume(name, self._world.tick)
        way.mind.notify("news", AT_BORDER)

    def _enter(self, message: Enter) -> None:
        super()._enter(message)
        self._scored.add(message.name)

    def _leave(self, message: Leave) -> None:
        way = self._crossing.get(message.name)
        if way is not None and way.mind is message.mind:
            self._stay(message.name)
        super()._leave(message)

    def _go(self, name: str) -> None:
        if name in self._crossing:
            del self._crossing[name]
            if name in self._world.parted:
                self._world.rejoin(name)
        self._ways.pop(name, None)
        super()._go(name)

    # -- what clients are sent ---------------------------------------------------------------------

    def _look_around(self, message: LookAround) -> dict[str, Any]:
        """Return the land; to a bot, as if it ended at the border."""
        land, region = super()._look_around(message), self._world.region
        if message.mind.client.protocol:
            return land
        rows = [
            "".join(
                tile if region.holds((column + 0.5) * TILE) else WATER
                for column, tile in enumerate(row)
            )
            for row in land["rows"]
        ]
        camps = [camp for camp in land["camps"] if region.holds(camp[1])]
        return {**land, "rows": rows, "camps": camps}

    def _roll(self) -> Roll:
        return roll_of(self._seat.number, self._world, self._ranked())

    def _rolls(self) -> list[Roll]:
        """Return the rolls of all nodes in this round, also of those that have died in it."""
        number = self._world.rounds.number
        return [self._roll(), *(r for r in self._others.rolls.values() if r.round == number)]

    def _living_rolls(self) -> list[Roll]:
        rolls = self._others.rolls.items()
        return [roll for node, roll in rolls if node in self._world.regions]

    def _board(self) -> dict[str, Any]:
        rolls, living = self._rolls(), self._living_rolls()
        own = super()._board()
        return {
            **own,
            "teams": team_gold(rolls),
            "best": best_of(rolls),
            "players": own["players"] + sum(len(roll.points) for roll in living),
            "people": own["people"] + sum(roll.people for roll in living),
            "chest": chest_of([*living, rolls[0]]),
        }

    def _ahead(self, body: Body) -> int:
        number = self._world.rounds.number
        return ahead_of(body.points, (r for r in self._living_rolls() if r.round == number))

    def _who(self, _: Who) -> list[tuple[str, int]]:
        return who_of([*self._living_rolls(), self._roll()])

    def _turn(self) -> None:
        """End a phase. A round's result waits for the rolls of all nodes, so that it is one."""
        if self._world.rounds.phase is Phase.PLAY:
            super()._turn()
            return
        self._left.clear()
        self._save()
        self._world.result = None
        self._result_until = self._world.tick + PATIENCE
        self._others.announce(self._roll())

    def _conclude(self, until: int) -> None:
        world, now = self._world, (self._world.rounds.number, self._world.rounds.phase.value)
        others = world.regions.keys() - {self._seat.number}
        final = {roll.source for roll in self._living_rolls() if (roll.round, roll.phase) == now}
        if world.tick < until and not others <= final:
            return
        self._result_until = None
        rolls = self._rolls()
        best = [one for one in best_of(rolls) if one[2]]
        world.result = Result(world.rounds.number, team_gold(rolls), best)
        for group in (self._audience, self._bots):
            group.notify("round", self._round())


def name_of(node: int) -> str:
    """Return the name of a node in the cluster."""
    return f"node-{node}"
