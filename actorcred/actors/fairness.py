"""A fair queue: the next key is the one whose work has taken the least time so far.

Keys form paths, such as `(checker, source, account)`: the checkers share the threads, the sources
share what their checker gets, and the accounts share what their source gets. A thousand entries of
one key delay another key only by the entry that is running.

Keys share time, not turns; otherwise cheap work would wait for expensive work. Each key is charged
the seconds that its work took, and the waiting key with the lowest sum is next (start-time fair
queueing, Goyal, Vin and Cheng 1996). A key that returns after a pause starts level with the others,
so turns cannot be saved up.

Pure: the caller measures the time.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Entry", "FairQueue"]

T = TypeVar("T")

REMEMBERED = 1024
"""The maximum number of remembered keys per level that have no work; the oldest are forgotten.

A key is remembered if it has had more than its share, or is on the first level.
"""

WEIGHT = 0.1
"""The weight of the latest entry in the running average of what an entry takes."""

_numbers = itertools.count()


class _Node:
    """A key on one level: what waits and runs below it, and the seconds that its work has taken."""

    __slots__ = (
        "busy",
        "children",
        "clock",
        "entries",
        "idle",
        "key",
        "parent",
        "quiet",
        "running",
        "spent",
        "stamp",
        "tally",
        "usual",
        "waiting",
    )

    clock: float
    spent: float

    def __init__(self, key: Hashable, parent: _Node | None) -> None:
        self.key = key
        self.parent = parent
        self.waiting = 0
        self.running = 0
        self.spent = 0.0 if parent is None else parent.clock
        self.usual = 0.0
        """The seconds that one of its entries takes, as a running average."""
        self.stamp = 0
        """Changes when the node enters or leaves its parent's heap; older heap items are stale."""
        self.clock = 0.0
        """The seconds that each active child has had so far; a newcomer starts with as many."""
        self.children: dict[Hashable, _Node] = {}
        self.idle: list[tuple[float, int, _Node]] = []
        """A heap of the children with waiting entries and none running: (spent, stamp, child)."""
        self.busy: dict[_Node, None] = {}
        """The children with running entries, at most as many as there are threads."""
        self.quiet: dict[Hashable, None] = {}
        """The children without any entries, the longest quiet first."""
        self.tally = _Tally()
        self.entries: dict[int, Entry[Any]] = {}
        """The waiting entries of a leaf, the oldest first."""

    def child(self, key: Hashable) -> _Node:
        """Return the node of a key; create it if there is none."""
        found = self.children.get(key)
        if found is None:
            found = self.children[key] = _Node(key, self)
        elif key in self.quiet:
            del self.quiet[key]
            found.spent = max(found.spent, self.clock)
        return found

    def offer(self) -> None:
        """Enter the parent's heap, if something waits and nothing runs."""
        parent = self.parent
        if parent is None or not self.waiting or self.running:
            return
        self.stamp = next(_numbers)
        heapq.heappush(parent.idle, (self.spent, self.stamp, self))
        if len(parent.idle) > 2 * len(parent.children) + 16:  # most of them are stale
            parent.idle = [place for place in parent.idle if place[2].in_line(place[1])]
            heapq.heapify(parent.idle)

    def in_line(self, stamp: int) -> bool:
        """Return whether a heap item with this stamp is still valid."""
        return stamp == self.stamp and self.waiting > 0 and not self.running

    def first_idle(self) -> _Node | None:
        """Return the child with waiting entries and none running that has spent the least."""
        while self.idle:
            _, stamp, child = self.idle[0]
            if child.in_line(stamp):
                return child
            heapq.heappop(self.idle)
        return None

    def next_child(self) -> _Node:
        """Return the next child: the one with the fewest running entries, then the least spent."""
        idle = self.first_idle()
        if idle is not None:
            return idle
        return min((child for child in self.busy if child.waiting), key=_share)

    def pass_time(self, seconds: float) -> None:
        """Advance the clock by the share of one child, counting the active ones and one newcomer.

        Otherwise it would stand still as long as newcomers arrive. A newcomer starts at the current
        clock value, and so would always precede the children that had a turn.
        """
        self.clock += seconds / (1 + len(self.children) - len(self.quiet))

    def forget_quiet(self) -> None:
        """Forget this node if it has no entries and had no more than its share.

        Otherwise remember it as quiet, and forget the oldest quiet node if there are too many.
        """
        parent = self.parent
        if parent is None or self.waiting or self.running:
            return
        # On the first level the average cost of a key's work must be remembered.
        if self.spent <= parent.clock and parent.parent is not None:
            parent.children.pop(self.key, None)
            return
        parent.quiet[self.key] = None
        if len(parent.quiet) > REMEMBERED:
            oldest = next(iter(parent.quiet))
            del parent.quiet[oldest], parent.children[oldest]


def _share(node: _Node) -> tuple[int, float]:
    return node.running, node.spent


class _Tally:
    """Tracks which child has the most waiting entries; each change must be by one."""

    __slots__ = ("_by_count", "_most")

    def __init__(self) -> None:
        self._by_count: dict[int, dict[_Node, None]] = {}
        self._most = 0

    def move(self, child: _Node, old: int, new: int) -> None:
        """Record that a child has `new` waiting entries instead of `old`."""
        if old:
            those = self._by_count[old]
            del those[child]
            if not those:
                del self._by_count[old]
        if new:
            self._by_count.setdefault(new, {})[child] = None
        if new > self._most or (old == self._most and old not in self._by_count):
            self._most = new

    def heaviest(self, preferred: _Node | None) -> _Node:
        """Return a child with the most waiting entries: the preferred one in a tie."""
        most = self._by_count[self._most]
        return preferred if preferred is not None and preferred in most else next(reversed(most))


class Entry(Generic[T]):
    """An entry of the queue.

    Attributes:
        item: what was put.
        waiting: whether it is still waiting; False once it was taken, dropped or discarded.
    """

    __slots__ = ("item", "leaf", "number", "waiting")

    def __init__(self, item: T, leaf: _Node) -> None:
        self.item = item
        self.leaf = leaf
        self.number = next(_numbers)
        self.waiting = True


class FairQueue(Generic[T]):
    """The fair queue. Not thread-safe: its owner must hold a lock.

    An entry beyond the limits drops the newest entry of the path that has the most waiting entries,
    which can be itself.

    Args:
        bound: the maximum number of waiting entries.
        backlog: the maximum seconds of work that may wait for one key of the first level, estimated
            from its earlier work.
        levels: the number of keys in a path.
    """

    def __init__(self, bound: int, backlog: float = float("inf"), levels: int = 3) -> None:
        if bound < 1 or levels < 1 or backlog <= 0:
            raise ValueError("bound and levels must be at least 1, and backlog more than 0")
        self._bound = bound
        self._backlog = backlog
        self._levels = levels
        self._root = _Node(None, None)

    def __len__(self) -> int:
        """Return how many entries wait."""
        return self._root.waiting

    def put(self, path: tuple[Hashable, ...], item: T) -> tuple[Entry[T], Entry[T] | None]:
        """Add an item to the queue.

        Args:
            path: whose it is, the most general key first. Missing keys count as None.
            item: the item.

        Returns:
            Its entry, and the entry that was dropped because the queue was full, which can be the
            same, or None.
        """
        nodes = [self._root]
        for level in range(self._levels):
            nodes.append(nodes[-1].child(path[level] if level < len(path) else None))
        entry: Entry[T] = Entry(item, nodes[-1])
        entry.leaf.entries[entry.number] = entry
        self._count_waiting(entry.leaf, 1)
        first = nodes[1]
        if len(self) > self._bound:
            dropped: Entry[T] = _heaviest(nodes)
        elif first.waiting > 1 and first.waiting * first.usual > self._backlog:
            dropped = _heaviest(nodes[1:])
        else:
            return entry, None
        self.discard(dropped)
        return entry, dropped

    def take(self, *, newcomers_only: bool = False) -> Entry[T] | None:
        """Take out the next entry, or return None. The caller must `finish` the entry.

        Args:
            newcomers_only: take only an entry of a key that has nothing running, on any level but
                the last.
        """
        if not self._root.waiting:
            return None
        node = self._newcomer() if newcomers_only else self._root
        if node is None:
            return None
        while node.children:
            node = node.next_child()
        entry: Entry[T] = next(iter(node.entries.values()))
        self._remove(entry)
        while node.parent is not None:
            node.running += 1
            node.parent.busy[node] = None
            node.parent.clock = max(node.parent.clock, node.spent)
            node = node.parent
        return entry

    def finish(self, entry: Entry[T], seconds: float) -> None:
        """End an entry that was taken, and charge its keys the seconds that it took."""
        node = entry.leaf
        while node.parent is not None:
            node.running -= 1
            node.spent += seconds
            node.usual += (seconds - node.usual) * (WEIGHT if node.usual else 1.0)
            node.parent.pass_time(seconds)
            if not node.running:
                del node.parent.busy[node]
                node.offer()
                node.forget_quiet()
            node = node.parent

    def discard(self, entry: Entry[T]) -> bool:
        """Remove an entry that is no longer needed; return whether it was still waiting."""
        if not entry.waiting:
            return False
        self._remove(entry)
        node: _Node | None = entry.leaf
        while node is not None:
            node.forget_quiet()
            node = node.parent
        return True

    def _newcomer(self) -> _Node | None:
        """Return a node above the last level with waiting entries and none running."""
        nodes = [self._root]
        for _ in range(max(1, self._levels - 1)):
            for node in nodes:
                idle = node.first_idle()
                if idle is not None:
                    return idle
            nodes = [child for node in nodes for child in sorted(node.busy, key=_share)]
        return None

    def _remove(self, entry: Entry[T]) -> None:
        entry.waiting = False
        del entry.leaf.entries[entry.number]
        self._count_waiting(entry.leaf, -1)

    def _count_waiting(self, node: _Node, change: int) -> None:
        step: _Node | None = node
        while step is not None:
            before = step.waiting
            step.waiting += change
            if step.parent is not None:
                step.parent.tally.move(step, before, step.waiting)
            if not before:
                step.offer()
            step = step.parent


def _heaviest(own: list[_Node]) -> Entry[Any]:
    """Return the newest entry of the path that has the most waiting entries on each level.

    Args:
        own: the path of the entry that was added last, which is preferred in a tie.
    """
    preferred = {node.parent: node for node in own[1:]}
    node = own[0]
    while node.children:
        node = node.tally.heaviest(preferred.get(node))
    return next(reversed(node.entries.values()))
