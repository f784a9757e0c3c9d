"""Judges from what the nodes record whether a user ever had two avatars. It does no I/O.

All times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

GRACE = 0.5
"""Seconds after it runs again for a node that was stopped to end its sessions."""

LATE = 1.0
"""Seconds until what a node has recorded is sure to have been read."""

MEMORY = 20.0
"""Seconds for which avatars that have ended are compared with others."""


@dataclass(slots=True, eq=False)
class Life:
    """The life of an avatar."""

    node: str
    number: int
    user: str
    fence: int
    begin: float
    end: float = math.inf
    why: str = ""
    answered: float = -math.inf
    """When it began to answer its last call."""
    answers: list[float] = field(default_factory=list)
    """When it began to answer calls."""
    frozen: float = math.inf

    @property
    def until(self) -> float:
        """When it last could do anything."""
        return min(self.end, self.frozen)

    def __str__(self) -> str:
        number = f"{self.fence >> 38}:{self.fence % (1 << 38)}"
        times = f"{self.begin:.3f} to {self.end:.3f}"
        return f"{self.user} at {self.node} #{self.number}, fence {number}, {times} {self.why}"


@dataclass(slots=True)
class Pause:
    """A time in which a node did not run."""

    begin: float
    end: float
    by_us: bool


@dataclass(frozen=True, slots=True)
class Sight:
    """What a client has seen: the avatar with which it was connected between two times."""

    user: str
    at: str
    node: str
    number: int
    begin: float
    end: float


@dataclass(slots=True)
class Judge:
    """Collects what the nodes record.

    Attributes:
        hold: whether a node that is cut off holds its avatars: these may live beside others, but
            must not answer calls.
        violations: what must not have been, in words.
        counts: what there was.
        longest: the longest overlap that was allowed since a node was stopped, in seconds after it
            ran again.
    """

    hold: bool = False
    violations: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    _lives: dict[str, list[Life]] = field(default_factory=dict)
    _open: dict[tuple[str, int], Life] = field(default_factory=dict)
    _pauses: dict[str, list[Pause]] = field(default_factory=dict)
    _emptied: list[float] = field(default_factory=list)
    _seen: set[frozenset[Life]] = field(default_factory=set)
    _sights: list[Sight] = field(default_factory=list)

    # -- what has happened -----------------------------------------------------------------------

    def begin(self, node: str, number: int, user: str, fence: int | None, at: float) -> None:
        """Record the beginning of an avatar."""
        if fence is None:
            self.violations.append(f"an avatar without a fence: {user} at {node}")
            fence = 0
        life = Life(node, number, user, fence, at)
        earlier = self._lives.setdefault(user, [])
        if earlier and earlier[-1].node != node and earlier[-1].why != "logout":
            self.counts["take-overs"] += 1
        self.counts["avatars"] += 1
        earlier.append(life)
        self._open[node, number] = life

    def end(self, node: str, number: int, why: str, at: float) -> None:
        """Record the end of an avatar."""
        life = self._open.pop((node, number))
        life.end, life.why = at, why
        self.counts[f"ended: {why}"] += 1

    def answer(self, node: str, number: int, at: float) -> None:
        """Record that an avatar answers a call."""
        life = self._open.get((node, number))
        if life is None:
            self.violations.append(f"an avatar that has answered after its end: {node} #{number}")
            return
        life.answered = at
        life.answers.append(at)
        self.counts["calls answered"] += 1

    def freeze(self, node: str, number: int, at: float) -> None:
        """Record that an avatar does nothing any more, since it moves or has moved."""
        self._open[node, number].frozen = at
        self.counts["moves begun"] += 1

    def thaw(self, node: str, number: int) -> None:
        """Record that an avatar goes on, since it has not moved."""
        self._open[node, number].frozen = math.inf
        self.counts["moves in vain"] += 1

    def pause(self, node: str, at: float) -> None:
        """Record that a node was stopped."""
        self._pauses.setdefault(node, []).append(Pause(at, math.inf, by_us=True))

    def resume(self, node: str, at: float) -> None:
        """Record that a node was made to go on."""
        self._pauses[node][-1].end = at

    def stall(self, node: str, begin: float, end: float) -> None:
        """Record what a node itself has noticed: that it did not run."""
        pauses = self._pauses.setdefault(node, [])
        for pause in pauses:
            if pause.by_us and pause.begin <= end and begin <= pause.end < math.inf:
                pause.end = max(pause.end, end)  # a slow machine let it go on later
                return
        self.counts["stalls of a slow machine"] += 1
        pauses.append(Pause(begin, end, by_us=False))

    def died(self, node: str, at: float) -> None:
        """Record that a node was killed, with all its avatars."""
        for key in [key for key in self._open if key[0] == node]:
            self.end(*key, "killed", at)
        for pause in self._pauses.get(node, ()):
            pause.end = min(pause.end, at)

    def emptied(self, at: float) -> None:
        """Record that NATS has lost all that it knew."""
        self._emptied.append(at)

    def sight(self, sight: Sight) -> None:
        """Record which avatar a client has seen."""
        self.counts["looks"] += 1
        if sight.at != sight.node:
            self.counts["looks from another node"] += 1
        self._sights.append(sight)

    def gap(self, node: str, user: str, last: int, number: int) -> None:
        """Record that a client was told something, and not what came before it."""
        self.violations.append(f"{user} at {node} heard {number} after {last}")

    # -- judging ---------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Look for violations in what is known."""
        horizon = now - LATE
        for lives in self._lives.values():
            recent = [life for life in lives if life.until > now - MEMORY and life.begin < horizon]
            for index, one in enumerate(recent):
                for other in recent[index + 1 :]:
                    pair = frozenset((one, other))
                    if pair not in self._seen:
                        self._compare(one, other, horizon, pair)

    def finish(self, now: float) -> None:
        """Look for violations once all nodes have ended."""
        self.check(now + LATE)
        for sight in self._sights:
            lives = self._lives.get(sight.user, ())
            seen = [one for one in lives if (one.node, one.number) == (sight.node, sight.number)]
            if not any(one.begin <= sight.end and sight.begin <= one.end for one in seen):
                self.violations.append(f"an avatar that was not there: {sight}")
        self.violations.extend(
            f"an avatar that never ended: {life}" for life in self._open.values()
        )

    def _compare(self, one: Life, other: Life, horizon: float, pair: frozenset[Life]) -> None:
        renumbered = self._renumbered(one, other)
        first, second = sorted(pair, key=lambda life: (0 if renumbered else life.fence, life.begin))
        begin = max(first.begin, second.begin)
        end = min(first.until, second.until, horizon)
        if end > begin and self.hold and first.answered <= begin:
            self._held(first, second, pair, horizon)
        elif self._forgotten(first, second, horizon):
            self._seen.add(pair)
            self.counts["gone on after one that NATS had forgotten"] += 1
        elif end > begin:
            self._overlap(first, second, begin, min(end, first.answered) if self.hold else end)
            if min(first.end, second.end) <= horizon:
                self._seen.add(pair)
        elif not renumbered and (first.begin > second.begin or first.fence == second.fence):
            self._seen.add(pair)
            if self._excuse(first.node, second.begin, first.begin) is None:
                self.violations.append(f"a fence that does not grow: {second} | {first}")

    def _forgotten(self, first: Life, second: Life, horizon: float) -> bool:
        """Return whether one was held while the other one came and went, and NATS has lost all.

        Then nothing is left that could tell the first one of the other.
        """
        lost = any(first.begin < at < second.end for at in self._emptied)
        if not self.hold or not lost or second.end > horizon:
            return False
        return not any(second.begin <= at <= second.end for at in first.answers)

    def _held(self, first: Life, second: Life, pair: frozenset[Life], horizon: float) -> None:
        """Record that there were two avatars, of which the earlier one answered no more calls."""
        if min(first.end, second.end) <= horizon:
            self._seen.add(pair)
            self.counts["overlaps with an avatar that was held"] += 1

    def _overlap(self, first: Life, second: Life, begin: float, end: float) -> None:
        """Judge that there were two avatars, the earlier one by its fence being the first."""
        excuse = self._excuse(first.node, begin, end)
        over = end in {first.until, second.until, first.answered}
        if excuse is None:
            self._seen.add(frozenset((first, second)))
            self.violations.append(f"two avatars for {end - begin:.3f} s: {first} | {second}")
        elif over and excuse.by_us:
            self.counts["overlaps while a node was stopped"] += 1
            self.longest = max(self.longest, end - excuse.end)
        elif over:
            self.counts["overlaps while the machine was slow"] += 1

    def _excuse(self, node: str, begin: float, end: float) -> Pause | None:
        """Return the pause of a node that allows an overlap."""
        for pause in self._pauses.get(node, ()):
            if pause.begin <= begin and end <= pause.end + GRACE:
                return pause
        return None

    def _renumbered(self, one: Life, other: Life) -> bool:
        """Return whether NATS has lost the roster between two avatars, within a minute.

        The number of a place then can be smaller than that of an earlier one.
        """
        first, last = sorted((one.begin, other.begin))
        return one.fence >> 38 == other.fence >> 38 and any(
            first - 10 < at < last for at in self._emptied
        )
