"""The protection of a portal against guessing and floods, for all protocols alike.

Failed logins are counted by source and by account, whatever protocol they came by, so that no
adapter can forget them. It runs in the portal's context; `wait` and `shut_out` may be called on any
thread.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from functools import partial

from actorcred.credentials import BearerToken, note_familiar
from actorcred.errors import LoginDenied, LoginFailed, RefusalCause, UnauthorizedLogin, UnknownKey
from actorcred.identity import ClientInfo, proofs_of
from actorcred.names import ANONYMOUS, AvatarId
from actorcred.network import is_of_this_machine, source_of
from actorcred.portal.attempt import Attempt
from actorcred.sessions.states import State
from actorcred.throttle import (
    RETRY_AFTER,
    Admission,
    Failures,
    Familiarity,
    News,
    Penalties,
    Penalty,
    Turns,
    account_of,
    decrease,
    spelling_of,
)

__all__ = ["Protection"]

SOURCE_ABREAST = 16
"""Logins of one source that are checked at the same time; any number of users can be behind it."""

_GUESSABLE = frozenset({"pwd", "otp", "pin"})
"""Methods (RFC 8176) whose secret can be found by trying; keys, certificates and tokens cannot."""


class Protection:
    """Decides which logins are looked at, and remembers which have failed.

    Args:
        admission: the limits.
        penalty: how long sources and accounts wait.
        clock: returns the time in seconds.

    Attributes:
        tell: called with failures that are counted here, with those that are forgiven, and with
            sources that have become familiar, for other machines.
    """

    def __init__(self, admission: Admission, penalty: Penalty, clock: Callable[[], float]) -> None:
        self._admission = admission
        self._clock = clock
        self.tell: Callable[[News], object] = _keep_to_oneself
        self._free_denials = penalty.free_denials
        self._penalties = Penalties(penalty)
        self._penalises = penalty.step > 0
        self._by_account = Turns(max(1, penalty.free_failures))
        self._by_source = Turns(max(SOURCE_ABREAST, penalty.free_failures))
        self._familiar = Familiar(penalty.familiar_for)
        self._logins: Counter[str] = Counter()
        self._anonymous: Counter[str] = Counter()
        self._sessions: Counter[str] = Counter()
        self._held: dict[str, tuple[Counter[str], str]] = {}
        """The sessions that are counted, by their ids."""

    def __len__(self) -> int:
        """Return how much is counted: logins in progress, their turns, and sessions."""
        turns = len(self._by_account) + len(self._by_source)
        return turns + len(self._logins) + len(self._held)

    # -- on any thread ---------------------------------------------------------------------------

    def source_of(self, client: ClientInfo) -> str:
        """Return the source for which a client is counted; "" if it has none."""
        address = client.address
        if not address:
            return ""
        return source_of(address, loopback=self._admission.limit_loopback)

    def wait(self, source: str) -> float:
        """Return the seconds that a source must wait before its next login; 0 if none."""
        return self._penalties.wait("from " + source, self._clock()) if source else 0.0

    def shut_out(self, source: str) -> float:
        """Return the seconds for which a source is refused at all; 0 if it is not.

        That is so if it continued to try during its penalty.
        """
        if not source or not self._penalties.failures:
            return 0.0
        key, now = "from " + source, self._clock()
        if self._penalties.denials(key, now) <= self._free_denials:
            return 0.0
        return self._penalties.wait(key, now)

    def refusal(self, source: str) -> LoginDenied | None:
        """Return the error for a source that must wait; None if it may try now."""
        wait = self.wait(source)
        if not wait:
            return None
        denials = self._penalties.denials("from " + source, self._clock())
        denied = _must_wait(wait, close=denials >= self._free_denials)
        return denied.because(RefusalCause.PENALTY_SOURCE)

    @property
    def waiting(self) -> int:
        """How many logins wait for their turn."""
        return self._by_account.waiting + self._by_source.waiting

    def penalised(self) -> dict[str, int]:
        """Return how many sources and accounts must wait."""
        keys = self._penalties.penalised(self._clock()) if self._penalties else []
        sources = sum(key.startswith("from ") for key in keys)
        return {"source": sources, "account": len(keys) - sources}

    # -- one login, in the order of its steps ----------------------------------------------------

    def enter(self, attempt: Attempt, in_flight: int) -> LoginDenied | None:
        """Count a login in progress, or return why it is denied.

        `leave` must be called later.

        Args:
            attempt: the login.
            in_flight: the number of logins in progress.
        """
        # A name that is sent with a token is only a claim: the token identifies the user.
        if attempt.claimed and type(attempt.credentials) is not BearerToken:
            attempt.account = account_of(attempt.claimed)
        if attempt.client.address:
            attempt.source = self.source_of(attempt.client)
            if attempt.source:
                denied = self._enter_from_source(attempt)
                if denied is not None:
                    return denied
        # A flood must leave room for those who have logged in from the same source before.
        most = self._admission.logins * (1 + attempt.familiar)
        if in_flight >= most:
            return _too_many(f"{in_flight} logins in flight", RefusalCause.FULL)
        return None

    def _enter_from_source(self, attempt: Attempt) -> LoginDenied | None:
        source = attempt.source
        if attempt.account and not attempt.client.untrusted_front:
            spelling = spelling_of(attempt.claimed)
            attempt.familiar = self._familiar.knows(spelling, source, self._clock())
            if attempt.familiar:
                note_familiar(attempt.credentials)
        most = self._admission.logins_per_source
        if most is not None and self._logins[source] >= most:
            return _too_many(f"{self._logins[source]} logins in flight from this source")
        self._logins[source] += 1
        attempt.counted = True
        return None

    def is_calm(self) -> bool:
        """Return whether no login is being looked at, and none has failed lately.

        Then a login can be looked at without a turn, and no penalty denies it.
        """
        return not (self._by_account.busy or self._by_source.busy or self._penalties.failures)

    def nobody_has_a_turn(self) -> bool:
        """Return whether no login is being looked at."""
        return not self._by_account.busy and not self._by_source.busy

    def turn_at_once(self, attempt: Attempt) -> bool:
        """Take a login's turn if it is its turn now; if not, `await_turn` must be called.

        Without turns, many simultaneous guesses would be looked at before the first failure counts.
        `end_turn` or `leave` must be called later.
        """
        if not self._penalises:
            return True
        if attempt.source:
            if not self._by_source.enter(attempt.source):
                return False
            attempt.turns = ((self._by_source, attempt.source),)
        if attempt.account:
            line = self._line(attempt) if attempt.source else attempt.account
            if not self._by_account.enter(line):
                return False
            attempt.turns = (*attempt.turns, (self._by_account, line))
        return True

    def await_turn(self, attempt: Attempt, go: Callable[[], object]) -> None:
        """Have `go()` called when it is the login's turn, unless it is over by then."""
        lines = []
        if attempt.account:
            lines.append((self._by_account, self._line(attempt)))
        if attempt.source and not attempt.turns:
            lines.append((self._by_source, attempt.source))
        self._stand_in(lines, attempt, go)

    def _stand_in(
        self, lines: list[tuple[Turns, str]], attempt: Attempt, go: Callable[[], object]
    ) -> None:
        """Have a login take its turn in each of several lines, the last one first."""
        if not lines:
            go()
            return
        turns, line = lines.pop()
        ticket = turns.take(line, partial(self._step_up, (turns, line), lines, attempt, go))
        if ticket:
            attempt.waits = (turns, line, ticket)

    def _step_up(
        self,
        turn: tuple[Turns, str],
        others: list[tuple[Turns, str]],
        attempt: Attempt,
        go: Callable[[], object],
    ) -> bool:
        if attempt.state is not State.CHECKING:
            return False
        attempt.waits = None
        attempt.turns = (*attempt.turns, turn)
        self._stand_in(others, attempt, go)
        return True

    def _line(self, attempt: Attempt) -> str:
        """Return the line of an account. Who is familiar to it does not wait for others."""
        if attempt.source and self._passes_account(attempt):
            return f"{attempt.account}\0{attempt.source}"  # names contain no NUL
        return attempt.account

    def end_turn(self, attempt: Attempt) -> None:
        """Let the next logins of the account and the source have their turn."""
        waits, attempt.waits = attempt.waits, None
        if waits is not None:
            waits[0].give_up(waits[1], waits[2])
        turns, attempt.turns = attempt.turns, ()
        for line, key in turns:
            line.leave(key)

    def denial(self, attempt: Attempt) -> LoginDenied | None:
        """Return why a login is not looked at now; None if it is."""
        if not self._penalties.failures:  # by far the most frequent case
            return None
        now, wait = self._clock(), self.wait(attempt.source)
        cause = RefusalCause.PENALTY_SOURCE
        if not wait and attempt.account and not self._passes_account(attempt):
            wait = self._penalties.wait("as " + attempt.account, now)
            cause = RefusalCause.PENALTY_ACCOUNT
        if not wait:
            return None
        return self._denied(attempt.source, wait).because(cause)

    def _denied(self, source: str, wait: float) -> LoginDenied:
        close = False
        if source and self.wait(source):
            close = self._penalties.denied("from " + source) > self._free_denials
        return _must_wait(wait, close=close)

    def _passes_account(self, attempt: Attempt) -> bool:
        """Return whether failures of others must not keep a login from its account."""
        return attempt.familiar or not proofs_of(attempt.credentials) & _GUESSABLE

    def failed(self, attempt: Attempt, error: LoginFailed) -> None:
        """Count a login whose credentials were refused."""
        guessable = bool(proofs_of(attempt.credentials) & _GUESSABLE)
        self.count(error, attempt.source, attempt.claimed if guessable else "")

    def count(self, error: LoginFailed, source: str, claimed: str) -> None:
        """Count a refusal, unless it is not the client's fault.

        Unknown SSH keys are not guesses: an agent offers all keys that it has.
        """
        if not isinstance(error, UnauthorizedLogin) or isinstance(error, UnknownKey):
            return
        if source:
            self._count("from " + source, "", shared=not is_of_this_machine(source))
        if claimed:
            self._count("as " + account_of(claimed), spelling_of(claimed))

    def _count(self, key: str, spelling: str, *, shared: bool = True) -> None:
        self._penalties.failed(key, self._clock(), spelling)
        if shared:
            self.tell(Failures(key, 1, spelling))

    def count_denied(self, source: str) -> None:
        """Count an attempt of a source during its penalty that a protocol denied itself."""
        if self.wait(source):
            self._penalties.denied("from " + source)

    def proven(self, attempt: Attempt) -> None:
        """Forget the failures of an account whose user has logged in.

        Those of the source stay, since it might own one account and try others. So do those of an
        account that has a penalty, which this login has passed: the guesses are others'.

        Must be called only if the login has an account.
        """
        if self._penalties.failures:
            key = "as " + attempt.account
            if not self._penalties.wait(key, self._clock()):
                spelling = spelling_of(attempt.claimed)
                if self._penalties.succeeded(key, spelling):
                    self.tell(Failures(key, 0, spelling))
        if attempt.source and not attempt.client.untrusted_front:
            spelling, source = spelling_of(attempt.claimed), attempt.source
            is_news = self._familiar.note(spelling, source, self._clock())
            if is_news and not is_of_this_machine(source):
                self.tell(Familiarity(spelling, source))

    # -- other machines --------------------------------------------------------------------------

    def hear(self, told: Iterable[News]) -> None:
        """Count what failed at other machines, and forget what they have forgiven."""
        now = self._clock()
        for one in told:
            if isinstance(one, Familiarity):
                self._familiar.learn(one, now)
            elif one.times:
                self._penalties.failed(one.key, now, one.spelling, one.times)
            else:
                self._penalties.succeeded(one.key, one.spelling)

    def merge(self, told: Iterable[News]) -> None:
        """Take over what stands at another machine."""
        now = self._clock()
        for one in told:
            if isinstance(one, Familiarity):
                self._familiar.learn(one, now)
            else:
                self._penalties.merge(one, now)

    def standing(self, most: int) -> list[News]:
        """Return the latest failures that count, and the latest logins from familiar sources.

        Args:
            most: of how many keys and accounts.
        """
        now = self._clock()
        failures = self._penalties.standing(now, most)
        return [
            *(one for one in failures if not is_of_this_machine(one.key.removeprefix("from "))),
            *(
                one
                for one in self._familiar.latest(now, most)
                if not is_of_this_machine(one.source)
            ),
        ]

    # -- the end of a login ----------------------------------------------------------------------

    def leave(self, attempt: Attempt) -> None:
        """Stop counting a login, which has succeeded or failed."""
        if attempt.turns or attempt.waits:
            self.end_turn(attempt)
        if attempt.counted:
            attempt.counted = False
            decrease(self._logins, attempt.source)

    # -- sessions --------------------------------------------------------------------------------

    def open(self, attempt: Attempt) -> LoginDenied | None:
        """Count the session of a login by its source, until `closed`; or return why it is denied.

        Must be called only if the login has a source.
        """
        source = attempt.source
        anonymous = attempt.avatar_id is ANONYMOUS
        counter = self._anonymous if anonymous else self._sessions
        most = (
            self._admission.anonymous_per_source
            if anonymous
            else self._admission.sessions_per_source
        )
        if most is not None and counter[source] >= most:
            what = "anonymous sessions" if anonymous else "sessions"
            return _too_many(f"{counter[source]} {what} from this source")
        if anonymous or most is not None:
            counter[source] += 1
            self._held[attempt.session_id] = (counter, source)
        return None

    def arrived(self, session_id: str, client: ClientInfo, avatar_id: AvatarId) -> None:
        """Count a session that comes from another server; it is never denied."""
        source = self.source_of(client)
        if source:
            counter = self._anonymous if avatar_id is ANONYMOUS else self._sessions
            counter[source] += 1
            self._held[session_id] = (counter, source)

    def closed(self, session_id: str) -> None:
        """Stop counting a session, if it is counted."""
        held = self._held.pop(session_id, None)
        if held is not None:
            decrease(*held)


def _keep_to_oneself(_: News) -> None:
    """Tell no one: there is no other machine."""


def _must_wait(seconds: float, *, close: bool) -> LoginDenied:
    return LoginDenied(
        "too many failed logins", retry_after=round(seconds, 1) or 0.1, seen=False, close=close
    )


def _too_many(detail: str, cause: RefusalCause = RefusalCause.SOURCE_FULL) -> LoginDenied:
    return LoginDenied(detail, retry_after=RETRY_AFTER, seen=False).because(cause)


class Familiar:
    """Remembers from where each account has logged in. Pure: the time is passed in.

    Args:
        seconds: how long a source stays familiar after its last login.
        accounts: the number of accounts that are remembered.
        sources: the number of sources per account.
    """

    def __init__(self, seconds: float, accounts: int = 10_000, sources: int = 4) -> None:
        self._seconds = seconds
        self._accounts = accounts
        self._sources = sources
        self._known: OrderedDict[str, dict[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def knows(self, account: str, source: str, now: float) -> bool:
        """Return whether an account has logged in from a source recently."""
        last = self._known.get(account, _NEVER).get(source) if source else None
        return last is not None and now - last < self._seconds

    def note(self, account: str, source: str, now: float) -> bool:
        """Note a login of an account from a source; return whether it is the first one of a day."""
        sources = self._known.get(account)
        if sources is None:
            self._known[account] = {source: now}
            if len(self._known) > self._accounts:
                self._known.popitem(last=False)
            return True
        self._known.move_to_end(account)
        last = sources.pop(source, None)
        sources[source] = now
        if len(sources) > self._sources:
            del sources[next(iter(sources))]
        return last is None or last // DAY != now // DAY

    def learn(self, told: Familiarity, now: float) -> None:
        """Note a login at another machine, unless a later one is known."""
        at, sources = now - told.age, self._known.get(told.spelling, _NEVER)
        if sources.get(told.source, -math.inf) < at and told.age < self._seconds:
            self.note(told.spelling, told.source, at)

    def latest(self, now: float, most: int) -> list[Familiarity]:
        """Return the latest logins of the accounts that have logged in last.

        Args:
            now: the time in seconds.
            most: of how many accounts.
        """
        return [
            Familiarity(account, source, max(0.0, now - last))
            for account, sources in itertools.islice(reversed(self._known.items()), most)
            for source, last in sources.items()
        ]


DAY = 86400.0
"""Seconds after which other machines are told again that a source is familiar."""

_NEVER: dict[str, float] = {}
