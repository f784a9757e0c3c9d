"""How long a source or an account has to wait after failed logins, and whose turn it is. Pure: time comes in."""

from __future__ import annotations

import itertools
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

__all__ = ["RETRY_AFTER", "Penalties", "Turns", "account_of"]


RETRY_AFTER = 5.0
"""Seconds after which a client may come back to a server that is full, too busy, or going down."""

LONGEST_NAME = 256
"""Characters of a claimed name that are remembered; names of megabytes must not fill the memory."""


def account_of(name: str) -> str:
    """Return what counts as one account: where "Ann" and "ann" are one user, nobody shall have the guesses of both."""
    return name[:LONGEST_NAME].casefold()


LOOKED_AT = 64
"""How many of those that have been quiet for longest are looked at for one that may be forgotten."""


class Penalties:
    """Makes sources and accounts wait after failed logins: longer with each failure, and less with time.

    Args:
        step: seconds of waiting for the first failure that counts; it doubles with each further one.
        free: failures that cost nothing.
        most: seconds of waiting at most.
        remember: sources and accounts that are remembered at most; the longest quiet ones are forgotten first.
    """

    FORGIVE = 4
    """After so many times the waiting time without a failure, one failure is forgiven."""

    def __init__(self, step: float, free: int, most: float, remember: int = 10_000) -> None:
        self._step = step
        self._free = free
        self._most = most
        self._remember = remember
        # key -> failures, and when the last one was
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        # key -> how often it tried in vain since its last failure; only of those in the other one
        self._denials: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._failures)

    def wait(self, key: str, now: float) -> float:
        """Return the seconds that this key has to wait until it may try again; 0 if it may now."""
        known = self._failures.get(key)
        if known is None:
            return 0.0
        failures, last = known
        return max(0.0, last + self._penalty(self._forgiven(failures, last, now)) - now)

    def failed(self, key: str, now: float) -> None:
        """Note a failed login."""
        failures, last = self._failures.pop(key, (0, now))
        self._failures[key] = (self._forgiven(failures, last, now) + 1, now)
        self._denials.pop(key, None)
        while len(self._failures) > self._remember:
            self._forget_one(now)

    def _forget_one(self, now: float) -> None:
        """Forget the longest quiet one that need not wait; the longest quiet one of all if the first few have to."""
        oldest = list(itertools.islice(self._failures, LOOKED_AT))
        key = next((key for key in oldest if not self.wait(key, now)), oldest[0])
        self.succeeded(key)

    def denied(self, key: str) -> int:
        """Note that a key tried in vain during its penalty; return how often it did."""
        if key not in self._failures:
            return 0
        count = self._denials[key] = self._denials.get(key, 0) + 1
        return count

    def denials(self, key: str, now: float) -> int:
        """Return how often a key tried in vain during the penalty that it has now; 0 if it has none."""
        return self._denials.get(key, 0) if self.wait(key, now) else 0

    def succeeded(self, key: str) -> None:
        """Forget the failures of a key that has logged in."""
        self._failures.pop(key, None)
        self._denials.pop(key, None)

    def _penalty(self, failures: int) -> float:
        over = failures - self._free
        return 0.0 if over <= 0 else min(self._most, self._step * 2.0 ** min(over - 1, 30))

    def _forgiven(self, failures: int, last: float, now: float) -> int:
        quiet = (now - last) / (self.FORGIVE * max(self._penalty(failures), self._step, 1.0))
        return max(0, failures - int(quiet))


class Turns:
    """Lets only so many logins to one account be looked at at a time; the others wait for their turn.

    Without it, many guesses at once would all be looked at before the first failure counts.

    Args:
        abreast: how many.
    """

    def __init__(self, abreast: int) -> None:
        self._abreast = abreast
        self._busy: Counter[str] = Counter()
        self._waiting: dict[str, deque[Callable[[], bool]]] = {}
        self._going: set[str] = set()

    def __len__(self) -> int:
        """Return how many accounts there are to which somebody logs in."""
        return len(self._busy)

    def take(self, account: str, go: Callable[[], bool]) -> None:
        """Have `go()` called when it is its turn, which may be at once.

        Args:
            account: the account.
            go: begins, and returns True if `leave` will be called at the end; False if there is nothing to do any more.
        """
        self._waiting.setdefault(account, deque()).append(go)
        self._go_on(account)

    def leave(self, account: str) -> None:
        """End a turn."""
        self._busy[account] -= 1
        self._go_on(account)

    def _go_on(self, account: str) -> None:
        if account in self._going:
            return  # somebody came to the end at once: whoever called goes on, so that no chain of ends is too deep
        self._going.add(account)
        waiting = self._waiting.get(account, ())
        try:
            while waiting and self._busy[account] < self._abreast:
                self._busy[account] += 1
                if not waiting.popleft()():
                    self._busy[account] -= 1
        except BaseException:
            self._busy[account] -= 1
            raise
        finally:
            self._going.discard(account)
            if not waiting:
                self._waiting.pop(account, None)
            if not self._busy[account]:
                del self._busy[account]
