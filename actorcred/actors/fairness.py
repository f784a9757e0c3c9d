"""A queue in which keys take turns: who has had the least is next. Pure: what work has cost is told.

Keys come in paths, such as `(checker, source, account)`: the checkers share the threads, the sources share what their checker
gets, and the accounts what their source gets. A thousand entries of one key delay another key by no more than the one that
is under way.

The share is of time, not of turns, or cheap work would wait for dear work: each key has the seconds on its account that its
work took, and the waiting key with the fewest is next (start-time fair queueing, Goyal, Vin and Cheng 1996). A key that was
away begins where the others are, so nobody saves turns up.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Entry", "FairQueue"]

T = TypeVar("T")

REMEMBERED = 1024
"""Keys of one level without work of which it is known that they had more than their share; then the oldest are forgotten."""

WEIGHT = 0.1
"""Of the latest piece of work in the average of what work takes."""

_numbers = itertools.count()


class _Node:
    """One key on one level: what waits and runs below it, and the seconds that its work has taken."""

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
        """Seconds that one piece of its work takes, a running average."""
        self.stamp = 0
        """Changes when the node enters or leaves the heap of its parent, whose older items are of no use then."""
        self.clock = 0.0
        """What those who are here have had, each; a newcomer begins there."""
        self.children: dict[Hashable, _Node] = {}
        self.idle: list[tuple[float, int, _Node]] = []
        """A heap of the children with waiting work of which nothing runs: (spent, stamp, child)."""
        self.busy: dict[_Node, None] = {}
        """The children of which something runs: no more than there are threads."""
        self.quiet: dict[Hashable, None] = {}
        """The children without any work, the longest quiet first."""
        self.tally = _Tally()
        self.entries: dict[int, Entry[Any]] = {}
        """What waits, at the end of a path, the oldest first."""

    def child(self, key: Hashable) -> _Node:
        """Return the node of a key, made if there is none."""
        found = self.children.get(key)
        if found is None:
            found = self.children[key] = _Node(key, self)
        elif key in self.quiet:
            del self.quiet[key]
            found.spent = max(found.spent, self.clock)
        return found

    def offer(self) -> None:
        """Stand in line with the siblings."""
        parent = self.parent
        if parent is None or not self.waiting or self.running:
            return
        self.stamp = next(_numbers)
        heapq.heappush(parent.idle, (self.spent, self.stamp, self))
        if len(parent.idle) > 2 * len(parent.children) + 16:  # most of them are of no use any more
            parent.idle = [place for place in parent.idle if place[2].in_line(place[1])]
            heapq.heapify(parent.idle)

    def in_line(self, stamp: int) -> bool:
        """Return whether a place in the line of the idle is still this node's."""
        return stamp == self.stamp and self.waiting > 0 and not self.running

    def first_idle(self) -> _Node | None:
        """Return the child of which nothing runs, with waiting work, that has spent least."""
        while self.idle:
            _, stamp, child = self.idle[0]
            if child.in_line(stamp):
                return child
            heapq.heappop(self.idle)
        return None

    def next_child(self) -> _Node:
        """Return the child that is next: of which the least runs, and which has spent least."""
        idle = self.first_idle()
        if idle is not None:
            return idle
        return min((child for child in self.busy if child.waiting), key=_share)

    def pass_time(self, seconds: float) -> None:
        """Move the clock on by the share of each of the children that are here, and of one that may come.

        Else it would stand still as long as new ones come, who all begin there, and go before those who had a turn.
        """
        self.clock += seconds / (1 + len(self.children) - len(self.quiet))

    def forget_quiet(self) -> None:
        """Forget this node if it has nothing to do and had no more than its share; forget the oldest if there are too many."""
        parent = self.parent
        if parent is None or self.waiting or self.running:
            return
        if (
            self.spent <= parent.clock and parent.parent is not None
        ):  # on the first level it is known what work costs
            parent.children.pop(self.key, None)
            return
        parent.quiet[self.key] = None
        if len(parent.quiet) > REMEMBERED:
            oldest = next(iter(parent.quiet))
            del parent.quiet[oldest], parent.children[oldest]


def _share(node: _Node) -> tuple[int, float]:
    return node.running, node.spent


class _Tally:
    """Which child has the most waiting, at any time; each change is one up or down."""

    __slots__ = ("_by_count", "_most")

    def __init__(self) -> None:
        self._by_count: dict[int, dict[_Node, None]] = {}
        self._most = 0

    def move(self, child: _Node, old: int, new: int) -> None:
        """Note that a child has `new` waiting instead of `old`."""
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
        """Return a child with the most waiting: the preferred one, if there are several."""
        most = self._by_count[self._most]
        return preferred if preferred is not None and preferred in most else next(reversed(most))


class Entry(Generic[T]):
    """One piece of work in the queue.

    Attributes:
        item: what was put.
        waiting: whether it still waits; False once it was taken, dropped or discarded.
    """

    __slots__ = ("item", "leaf", "number", "waiting")

    def __init__(self, item: T, leaf: _Node) -> None:
        self.item = item
        self.leaf = leaf
        self.number = next(_numbers)
        self.waiting = True


class FairQueue(Generic[T]):
    """The queue. Not safe between threads: its owner holds a lock.

    One entry too many drops the newest entry of the path that has the most waiting, which may be itself.

    Args:
        bound: entries that may wait.
        backlog: seconds of work that may wait of one key of the first level, by what its work took before.
        levels: keys in a path.
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
        """Have an item wait for its turn.

        Args:
            path: whose it is, the most general key first. A missing key is as good as any other.
            item: the item.

        Returns:
            Its entry, and the entry that was dropped since the queue was full, which may be the same.
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
        """Take the entry whose turn it is; None if there is none. `finish` ends it.

        Args:
            newcomers_only: take it only if nothing of its first key runs, or nothing of its first two.
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
        """End an entry that was taken, and put the seconds that it took on the account of its keys."""
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
        """Take an entry out that nobody needs any more; return whether it still waited."""
        if not entry.waiting:
            return False
        self._remove(entry)
        node: _Node | None = entry.leaf
        while node is not None:
            node.forget_quiet()
            node = node.parent
        return True

    def _newcomer(self) -> _Node | None:
        """Return a key of the first or second level with waiting work of which nothing runs."""
        first = self._root.first_idle()
        if first is not None or self._levels == 1:
            return first
        found = (child.first_idle() for child in sorted(self._root.busy, key=_share))
        return next((child for child in found if child is not None), None)

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
    """Return the newest entry of the path that has the most waiting on each level.

    Args:
        own: the path of the entry that came last, which goes first where several have as much.
    """
    preferred = {node.parent: node for node in own[1:]}
    node = own[0]
    while node.children:
        node = node.tally.heaviest(preferred.get(node))
    return next(reversed(node.entries.values()))
