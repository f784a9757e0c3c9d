"""Penalties after failed logins, and the limit of concurrent logins per account. Pure: no clock."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from actorcred.settings import check_settings

__all__ = [
    "RETRY_AFTER",
    "Admission",
    "Failures",
    "Familiarity",
    "News",
    "Penalties",
    "Penalty",
    "Turns",
    "account_of",
    "decrease",
    "spelling_of",
]


RETRY_AFTER = 5.0
"""Seconds after which a client may retry on a server that is full, too busy, or shutting down."""

LONGEST_NAME = 256
"""Characters of a claimed name that are kept, so that huge names cannot fill the memory."""


def account_of(name: str) -> str:
    """Return the key of an account for counting failures.

    Databases compare names by rules of their own, so that "Ann", "ann" and "\u00e1nn" may be one
    user. Guesses for all of them must count together: case and accents are folded.
    """
    name = name[:LONGEST_NAME]
    if name.isascii():
        return name.lower()
    letters = unicodedata.normalize("NFKD", name)
    return "".join(sign for sign in letters if not unicodedata.combining(sign)).casefold()


def spelling_of(name: str) -> str:
    """Return a claimed name as it was written: another spelling can be another user."""
    return name[:LONGEST_NAME]


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """How long a source and an account must wait after failed logins.

    Args:
        step: seconds after the first failure that counts; each further failure doubles them. 0
            disables penalties.
        longest: the maximum in seconds. The penalty decreases with time without failures.
        free_failures: failed logins before the penalties begin.
        free_denials: logins that a source may attempt during its penalty. One more closes its
            connection, and new connections are refused until the penalty is over.
        familiar_for: seconds for which a source stays familiar to an account that has logged in
            from it. Logins from there do not wait for failures of others at the same account, so
            that no one can lock its owner out. Neither do keys, certificates and tokens, which
            cannot be guessed.
    """

    step: float = 1.0
    longest: float = 60.0
    free_failures: int = 5
    free_denials: int = 20
    familiar_for: float = 30 * 86400.0

    def __post_init__(self) -> None:
        check_settings(
            self, or_zero=frozenset(("step", "free_failures", "free_denials", "familiar_for"))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How many connections, logins and sessions a portal and its servers admit.

    Args:
        connections: connections of all transports of a server, including those without a login.
            None is the process's limit of file descriptors (RLIMIT_NOFILE) minus 64, which are
            reserved for databases, files and logs.
        unauthenticated: connections without a login, and no more than half of `connections`. From
            half of this number on, connections are refused at random, with a probability that grows
            with their number, as in OpenSSH's MaxStartups.
        unauthenticated_per_source: the same from one address (of IPv6: one /64 network).
        anonymous_per_source: sessions of anonymous clients from one address.
        sessions_per_source: sessions of other clients from one address; None is no limit.
        logins: logins in progress; further ones are denied immediately. Users who have logged in
            from the same source before are denied at twice this number, so that a flood of
            strangers leaves them room.
        logins_per_source: logins in progress from one address; None is no limit.
        sessions: sessions of the portal, including those in their `on_logout`; None is no limit.
        sessions_per_avatar: sessions of one avatar id; None is no limit for the policies ALLOW and
            SHARE, and 1 for the others. It does not apply to anonymous clients, which are never the
            same user.
        limit_loopback: whether limits and penalties per source apply to connections from this
            machine. By default they do not, as for Unix sockets, since a proxy or any number of
            users can be behind them.
    """

    connections: int | None = None
    unauthenticated: int = 1000
    unauthenticated_per_source: int = 200
    anonymous_per_source: int | None = 100
    sessions_per_source: int | None = None
    logins: int = 1000
    logins_per_source: int | None = 200
    sessions: int | None = None
    sessions_per_avatar: int | None = None
    limit_loopback: bool = False

    def __post_init__(self) -> None:
        check_settings(self)


def decrease(counter: Counter[str], key: str) -> None:
    """Count one less of a key, which is forgotten when nothing of it is left."""
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


class Failures(NamedTuple):
    """Failed logins of a source or an account.

    Attributes:
        key: the source or account, as in `Penalties`.
        times: how many; 0 if the account has logged in, which forgives its earlier ones.
        spelling: the name as claimed; None if there were several.
        age: seconds since the last one.
    """

    key: str
    times: int
    spelling: str | None = ""
    age: float = 0.0


class Familiarity(NamedTuple):
    """A login of an account from a source, which is familiar from then on.

    Attributes:
        spelling: the name as claimed.
        source: the source.
        age: seconds since the login.
    """

    spelling: str
    source: str
    age: float = 0.0


News: TypeAlias = Failures | Familiarity
"""What machines tell each other, so that penalties are the same on all of them."""


LOOKED_AT = 64
"""The number of the oldest keys that are searched for one that can be forgotten."""


class Penalties:
    """Makes sources and accounts wait after failed logins.

    The wait grows with each failure and shrinks with time.

    Attributes:
        failures: the keys with failures.

    Args:
        penalty: the settings.
        remember: the number of keys (sources and accounts) that are remembered; those without a
            failure for the longest time are forgotten first.
    """

    FORGIVE = 4
    """One failure is forgiven after a time without failures that is this multiple of the wait."""

    def __init__(self, penalty: Penalty, remember: int = 10_000) -> None:
        self._step = penalty.step
        self._free = penalty.free_failures
        self._most = penalty.longest
        self._remember = remember
        # key -> number of failures, the time of the last one, and their spelling; None if several
        self.failures: OrderedDict[str, tuple[int, float, str | None]] = OrderedDict()
        # key -> its denied attempts since its last failure; only keys that are in _failures
        self._denials: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.failures)

    def wait(self, key: str, now: float) -> float:
        """Return the seconds that this key must wait before it may try again; 0 if it may now."""
        known = self.failures.get(key)
        if known is None:
            return 0.0
        failures, last, _ = known
        return max(0.0, last + self._penalty(self._forgiven(failures, last, now)) - now)

    def failed(self, key: str, now: float, spelling: str | None = "", times: int = 1) -> None:
        """Record a failed login.

        Args:
            key: the source or account.
            now: the time in seconds.
            spelling: the name as claimed, if several names share the key; None for several of them.
            times: how often it failed.
        """
        failures, last, spelled = self.failures.pop(key, (0, now, spelling))
        failures = self._forgiven(failures, last, now)
        same = spelled == spelling or not failures
        self.failures[key] = (failures + times, now, spelling if same else None)
        self._denials.pop(key, None)
        self._forget_some(now)

    def _forget_some(self, now: float) -> None:
        while len(self.failures) > self._remember:
            self._forget_one(now)

    def _forget_one(self, now: float) -> None:
        """Forget the oldest key without a penalty; if the oldest few all have one, the oldest."""
        oldest = list(itertools.islice(self.failures, LOOKED_AT))
        key = next((key for key in oldest if not self.wait(key, now)), oldest[0])
        self.succeeded(key)

    def denied(self, key: str) -> int:
        """Record a denied attempt of a key during its penalty; return the number of them."""
        if key not in self.failures:
            return 0
        count = self._denials[key] = self._denials.get(key, 0) + 1
        return count

    def denials(self, key: str, now: float) -> int:
        """Return the number of denied attempts in the current penalty of a key; 0 without one."""
        return self._denials.get(key, 0) if self.wait(key, now) else 0

    def penalised(self, now: float) -> list[str]:
        """Return the keys that must wait now. May be called on any thread."""
        return [key for key in list(self.failures) if self.wait(key, now)]

    def standing(self, now: float, most: int) -> list[Failures]:
        """Return the latest failures that are not forgiven.

        Args:
            now: the time in seconds.
            most: of how many keys.
        """
        found = []
        for key, (count, last, spelling) in itertools.islice(reversed(self.failures.items()), most):
            if self._forgiven(count, last, now):
                found.append(Failures(key, count, spelling, max(0.0, now - last)))
        return found

    def merge(self, failures: Failures, now: float) -> None:
        """Take over failures that were counted elsewhere; those here can be among them."""
        known, last = self.failures.get(failures.key), now - failures.age
        if known is not None:
            here = self._forgiven(known[0], known[1], now), known[1]
            if here >= (self._forgiven(failures.times, last, now), last):
                return
        self.failures[failures.key] = (failures.times, last, failures.spelling)
        self._forget_some(now)

    def succeeded(self, key: str, spelling: str | None = None) -> bool:
        """Forget the failures of a key that has logged in; return whether there were any.

        Args:
            key: the source or account.
            spelling: the name as claimed. Failures of other names that share the key stay, since
                they can be other users: else "\u00e4nn" could log in now and then, and guess the
                password of "ann" in between without a penalty.
        """
        known = self.failures.get(key)
        if known is None or (spelling is not None and known[2] != spelling):
            return False
        self.failures.pop(key, None)
        self._denials.pop(key, None)
        return True

    def _penalty(self, failures: int) -> float:
        over = failures - self._free
        return 0.0 if over <= 0 else min(self._most, self._step * 2.0 ** min(over - 1, 30))

    def _forgiven(self, failures: int, last: float, now: float) -> int:
        quiet = (now - last) / (self.FORGIVE * max(self._penalty(failures), self._step, 1.0))
        return max(0, failures - int(quiet))


class Turns:
    """Limits the concurrent logins per account; the others wait for their turn.

    Otherwise many simultaneous guesses would all be checked before the first failure counts.

    Args:
        abreast: the number of concurrent logins per account.

    Attributes:
        busy: the number of logins in progress, by account.
    """

    def __init__(self, abreast: int) -> None:
        self._abreast = abreast
        self.busy: dict[str, int] = {}
        self._waiting: dict[str, OrderedDict[int, Callable[[], bool]]] = {}
        self._tickets = itertools.count(1)
        self._going: set[str] = set()

    def __len__(self) -> int:
        """Return the number of accounts with a login in progress."""
        return len(self.busy)

    def enter(self, account: str) -> bool:
        """Take a turn if one is free and no one waits for it; return whether it was taken."""
        busy = self.busy.get(account, 0)
        if busy >= self._abreast or account in self._waiting:
            return False
        self.busy[account] = busy + 1
        return True

    @property
    def waiting(self) -> int:
        """How many logins wait for their turn. May be read on any thread."""
        return sum(map(len, list(self._waiting.values())))

    def take(self, account: str, go: Callable[[], bool]) -> int:
        """Have `go()` called when it is its turn, possibly immediately.

        Args:
            account: the account.
            go: starts the login. Must return True if `leave` will be called at the end, or False if
                there is nothing to do any more.

        Returns:
            A number for `give_up` if it waits; 0 if `go` was called.
        """
        ticket = next(self._tickets)
        waiting = self._waiting.setdefault(account, OrderedDict())
        waiting[ticket] = go
        self._go_on(account)
        return ticket if ticket in waiting else 0

    def give_up(self, account: str, ticket: int) -> None:
        """Wait for a turn no longer, so that logins that are over do not pile up."""
        waiting = self._waiting.get(account)
        if waiting is not None:
            waiting.pop(ticket, None)
            if not waiting and account not in self._going:
                del self._waiting[account]

    def leave(self, account: str) -> None:
        """End a turn."""
        busy = self.busy[account] - 1
        if busy:
            self.busy[account] = busy
        else:
            del self.busy[account]
        if account in self._waiting:
            self._go_on(account)

    def _go_on(self, account: str) -> None:
        if account in self._going:
            return  # called from inside go(): the outer call continues, which avoids deep recursion
        self._going.add(account)
        waiting = self._waiting[account]
        try:
            while waiting and self.busy.get(account, 0) < self._abreast:
                self.busy[account] = self.busy.get(account, 0) + 1
                started = False
                try:
                    started = waiting.popitem(last=False)[1]()
                finally:
                    if not started:
                        self.leave(account)  # it returns here
        finally:
            self._going.discard(account)
            if not waiting:
                del self._waiting[account]
