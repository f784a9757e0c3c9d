"""One attack for all doors: sixty wrong passwords from one address."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

from actorcred import BearerToken, Checker, Portal, PortalOptions, PortalRef, UnauthorizedLogin
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sshkey import SSHKeyChecker
from actorcred.credentials import SSHKey
from actorcred.portal.events import Event, LoginRefused
from actorcred.throttle import Admission, Penalty
from tests.adapters.doors.asyncio_doors import listed_keys, without_seconds
from tests.adapters.doors.door import HOUSEHOLD, Closed, Door
from tests.adapters.front import House

TRIES = 60
ATTACKER = "127.0.0.2"
OWNER = "127.0.0.3"
LONG = Penalty(step=600.0, longest=600.0)
"""The defaults, but for a penalty that does not end during a test."""

SHUT_OUT = "connection refused"


class Store(MemoryChecker):
    """Keeps the passwords of the household, and notes where logins come from."""

    sources: set[str]

    def request_avatar_id(self, credentials: Any) -> Any:
        self.sources.add(credentials.source)
        return super().request_avatar_id(credentials)


class Keys(SSHKeyChecker):
    """Knows the keys of the household."""

    sources: set[str]

    def check(self, credentials: SSHKey) -> str:
        self.sources.add(credentials.source)
        return super().check(credentials)


class Tokens(Checker):
    """Takes one token."""

    credential_interfaces = (BearerToken,)
    sources: set[str]

    def request_avatar_id(self, credentials: BearerToken) -> str:
        self.sources.add(credentials.source)
        if credentials.token != "s3cret":
            raise UnauthorizedLogin("no such token")
        return "ann"


@dataclass(frozen=True, slots=True)
class Mark(Event):
    """Says that all earlier events have arrived."""

    number: int = 0


class Besieged:
    """A portal whose sources are the addresses of this machine, and what it has told of.

    Attributes:
        sources: what the checkers were told of where logins come from.

    Args:
        penalty: how long sources and accounts wait.
        rounds: of bcrypt, if passwords are hashed, so that several are looked at at a time.
    """

    def __init__(self, penalty: Penalty = LONG, *, rounds: int | None = None) -> None:
        self._arrived = threading.Condition()
        self._events: list[Event] = []
        self._numbers = itertools.count(1)
        self.sources: set[str] = set()
        Store.sources = Keys.sources = Tokens.sources = self.sources
        self.portal: PortalRef = Portal.start(
            House.start([]),
            [
                Store.start(HOUSEHOLD, plaintext=True)
                if rounds is None
                else Store.start(HOUSEHOLD, rounds=rounds),
                Keys.start(listed_keys),
                Tokens.start(),
            ],
            PortalOptions(admission=Admission(limit_loopback=True), penalty=penalty),
        )
        self.portal.subscribe(self._book).get(timeout=10)

    def _book(self, event: Event) -> None:
        with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()

    def events(self) -> list[Event]:
        """Return all events up to now."""
        mark = Mark(next(self._numbers))
        self.portal.publish(mark)
        with self._arrived:
            assert self._arrived.wait_for(lambda: mark in self._events, timeout=10)
            return list(self._events)

    def looked_at(self) -> int:
        """Return how many credentials were examined and refused."""
        return sum(
            isinstance(event, LoginRefused) and event.seen and event.code == "refused"
            for event in self.events()
        )


@dataclass
class Outcome:
    """What comes of an attack.

    Attributes:
        looked_at: how many passwords were looked at.
        answers: the answers in order, without seconds.
        ends: what the client was told when the server closed a connection.
    """

    looked_at: int = 0
    answers: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> str:
        """The answer to a wrong password that was looked at."""
        return self.answers[0]

    @property
    def others(self) -> list[str]:
        """The answers to all other ones, each once."""
        found = dict.fromkeys(one for one in self.answers if one not in (self.wrong, SHUT_OUT))
        return list(found)

    @property
    def shut_out(self) -> int:
        """The number of attempts for which no connection was to be had."""
        return self.answers.count(SHUT_OUT)


def attack(house: Besieged, door: Door, names: list[str], source: str = ATTACKER) -> Outcome:
    """Try a wrong password for each of the names, over as few connections as possible."""
    outcome = Outcome()
    knocking = Knocking(door, source, outcome.ends)
    for number, name in enumerate(names):
        outcome.answers.append(knocking.guess(name, f"wrong{number}"))
    knocking.hang_up()
    outcome.looked_at = house.looked_at()
    return outcome


class Knocking:
    """Tries passwords at a door, and connects anew when a connection is closed.

    Args:
        door: the door.
        source: the address to come from.
        ends: where the last words of the server are kept.
    """

    def __init__(self, door: Door, source: str, ends: list[str]) -> None:
        self._door = door
        self._source = source
        self._ends = ends
        self._connected = False

    def guess(self, name: str, password: str) -> str:
        """Try a password; return the answer without seconds, or `SHUT_OUT`."""
        for _ in range(2):
            fresh = not self._connected
            try:
                if fresh:
                    self._door.connect(self._source)
                    self._connected = True
                return without_seconds(self._door.guess(name, password))
            except Closed as closed:
                self.hang_up()
                if fresh:
                    return SHUT_OUT
                self._ends.append(without_seconds(str(closed)))
        raise AssertionError("the server closes connections before they are used")

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        if self._connected:
            self._connected = False
            self._door.hang_up()
