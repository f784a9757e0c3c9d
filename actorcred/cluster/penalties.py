"""Penalties for failed logins, which hold on all nodes, and the familiar sources that they spare.

They are soft: a node tells of a failure at once, but not more often than each `WINDOW`, so another
one can still look at what was tried there in the meantime. What is lost is not told again, except
what failed while this node was cut off.
"""

from __future__ import annotations

import logging
import math
import random
from asyncio import sleep as pause
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Protocol

import msgspec
import pykka

from actorcred.actors import Future
from actorcred.cluster.errors import BusDown, BusError, NodeGone, RemoteError
from actorcred.cluster.messages import Counted, Failed, Familiar, ListFailures, Message, pack
from actorcred.sessions.registry import SessionHost
from actorcred.throttle import LONGEST_NAME, Failures, Familiarity, News

__all__ = ["Penalties", "PenaltyBus"]

logger = logging.getLogger("actorcred.cluster")

WINDOW = 0.1
"""Seconds from one message about failures to the next."""

PENDING = 1000
"""Changes that wait to be told, and keys of which a node tells another one what stands."""

LETTERS = 64 * 1024
"""Characters of names in one message, so that NATS takes it."""

ASKED = 3
"""Nodes that are asked for what stands; all of them should know the same."""

LONGEST_KEY = 4 * LONGEST_NAME
"""Characters of a key: letters can become several when their case is folded."""

LONGEST_SOURCE = 256

MOST_FAILURES = 10_000
"""Of a key. There are never that many, since the penalties for them last for longer and longer."""


class PenaltyBus(Protocol):
    """What penalties need of the bus."""

    node: str

    @property
    def connected(self) -> bool:
        """Whether NATS can be reached."""

    def tell_all(self, data: bytes) -> bool:
        """Send a message to all nodes, this one too."""


class Penalties:
    """Tells the other nodes what has failed here, and the portal what has failed there.

    Args:
        bus: the way to the others.
        spawn: runs a coroutine in the background.
        others: returns the ids of the other nodes that live.
        ask: asks a node; see `Peers.ask`.

    Attributes:
        host: the portal, once there is one.
        dropped: how many changes were not told, since there were too many.
    """

    def __init__(
        self,
        bus: PenaltyBus,
        spawn: Callable[[Any], object],
        others: Callable[[], set[str]],
        ask: Callable[[str, Message], Awaitable[Any]],
    ) -> None:
        self._bus = bus
        self._spawn = spawn
        self._others = others
        self._ask = ask
        self.host: SessionHost | None = None
        self.dropped = 0
        self._pending: list[News] = []
        self._last: dict[Hashable, int] = {}
        """Where in the list the last change of a key is."""
        self._waiting = False
        self._asking = 0
        self._asked: set[str] = set()
        """Nodes that were asked what stands since this node was cut off, or has come."""
        self._forgiven: set[str] = set()
        """Keys that were forgiven while others are asked what stands: their answers are older."""

    # -- telling ---------------------------------------------------------------------------------

    def tell(self, news: News) -> None:
        """Tell all nodes of failures, that they are forgiven, or of a familiar source."""
        self._note_forgiven(news)
        key = news[:2] if isinstance(news, Familiarity) else news.key
        place = self._last.get(key)
        joined = None if place is None else _joined(self._pending[place], news)
        if joined is not None and place is not None:
            self._pending[place] = joined
        elif len(self._pending) < PENDING:
            self._last[key] = len(self._pending)
            self._pending.append(news)
        else:
            self.dropped += 1
        self._send_soon()

    def _send_soon(self) -> None:
        if not self._waiting and self._bus.connected:
            self._waiting = True
            self._spawn(self._send())

    async def _send(self) -> None:
        try:
            while self._pending and self._bus.connected:
                self._flush()
                await pause(WINDOW)
        finally:
            self._waiting = False

    def _flush(self) -> None:
        pending = self._pending
        self._pending, self._last = [], {}
        while pending:
            part = fitting(pending)
            del pending[: len(part)]
            self._bus.tell_all(pack(self._message(part)))

    def _message(self, told: Sequence[News]) -> Failed:
        return Failed(
            self._bus.node,
            [Counted(*one) for one in told if isinstance(one, Failures)],
            [Familiar(*one) for one in told if isinstance(one, Familiarity)],
        )

    # -- hearing ---------------------------------------------------------------------------------

    def hear(self, message: Failed) -> None:
        """Count what has failed at another node."""
        if message.node != self._bus.node and self.host is not None:
            self._pass_on(self.host, message, standing=False)

    def _pass_on(self, host: SessionHost, message: Failed, *, standing: bool) -> None:
        told: list[News] = [
            *(Failures(one.key, one.times, one.spelling, one.age) for one in message.failures),
            *(Familiarity(one.spelling, one.source, one.age) for one in message.familiar),
        ]
        if len(told) > PENDING or not all(map(is_good, told)):
            logger.warning("Node %s told wrongly what has failed; it is ignored", message.node)
            return
        if standing:
            told = [one for one in told if getattr(one, "key", None) not in self._forgiven]
        for one in told:
            self._note_forgiven(one)
        host.hear_news(told, standing=standing)

    def _note_forgiven(self, news: News) -> None:
        if not self._asking or len(self._forgiven) >= PENDING:
            return
        if isinstance(news, Failures) and not news.times:
            self._forgiven.add(news.key)

    # -- what stands -----------------------------------------------------------------------------

    def standing(self) -> Future[Failed]:
        """Return what stands at this node, as far as it fits into one message."""
        found: Future[Failed] = Future()
        self._flush()  # what is told later would count twice at who asks
        if self.host is None:
            found.settle(self._message([]))
        else:
            news = self.host.news(PENDING // 2)
            found.follow(news, lambda told: self._message(fitting(told)))
        return found

    async def catch_up(self) -> None:
        """Tell what has failed here while this node was cut off, and ask others what stands."""
        if self.host is None:
            return
        self._send_soon()
        others = sorted(self._others())
        self._asked = set(random.sample(others, min(ASKED, len(others))))
        await self._learn_from(self.host, *self._asked)

    def meet(self, node: str) -> None:
        """Ask a node that was not known when others were asked, if they were few."""
        if self.host is not None and len(self._asked) < ASKED and node not in self._asked:
            self._asked.add(node)
            self._spawn(self._learn_from(self.host, node))

    async def _learn_from(self, host: SessionHost, *nodes: str) -> None:
        self._asking += 1
        try:
            for node in nodes:
                await self._learn(host, node)
        finally:
            self._asking -= 1
            if not self._asking:
                self._forgiven.clear()

    async def _learn(self, host: SessionHost, node: str) -> None:
        try:
            standing = msgspec.convert(await self._ask(node, ListFailures()), Failed)
        except (NodeGone, BusDown, BusError, RemoteError, pykka.ActorDeadError) as error:
            logger.debug("Node %s does not say what stands: %s", node, error)
        except msgspec.ValidationError as error:
            logger.warning("Node %s told wrongly what stands: %s", node, error)
        else:
            self._pass_on(host, standing, standing=True)


def _joined(earlier: News, later: News) -> News | None:
    """Return one change that stands for two of a key in a row, if there is one."""
    if not isinstance(earlier, Failures) or not isinstance(later, Failures):
        return later
    if earlier.times and later.times:
        spelling = earlier.spelling if earlier.spelling == later.spelling else None
        return Failures(later.key, earlier.times + later.times, spelling)
    return later if earlier == later else None


def fitting(told: Sequence[News]) -> list[News]:
    """Return as many of the first news as fit into one message; at least one."""
    letters = 0
    found: list[News] = []
    for one in told:
        letters += sum(len(text) for text in one if isinstance(text, str))
        if found and (letters > LETTERS or len(found) >= PENDING):
            break
        found.append(one)
    return found


def is_good(news: News) -> bool:
    """Return whether another node may say so."""
    if not (math.isfinite(news.age) and news.age >= 0 and len(news.spelling or "") <= LONGEST_NAME):
        return False
    if isinstance(news, Familiarity):
        return 0 < len(news.source) <= LONGEST_SOURCE
    return (
        news.key.startswith(("from ", "as "))
        and len(news.key) <= LONGEST_KEY
        and 0 <= news.times <= MOST_FAILURES
        and (news.times > 0 or news.spelling is not None)
    )
