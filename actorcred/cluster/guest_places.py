"""The place of a guest, its calls, and the way to its client; see `guests`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import msgspec
import pykka

from actorcred.actors import Future
from actorcred.actors.future import error_of
from actorcred.cluster import messages as m
from actorcred.cluster.errors import BusDown, NodeGone
from actorcred.cluster.far import Way
from actorcred.cluster.holdings import Holding, Holdings
from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.members import Members
from actorcred.cluster.replies import AnswerTo, on_loop, settle
from actorcred.errors import ClientGone
from actorcred.logout import LogoutReason
from actorcred.mind.channel import Channel
from actorcred.mind.outbox import Notification

__all__ = ["GuestChannel", "GuestNode", "GuestPlace"]

CALL_LIMIT = 600.0
"""Seconds after which a call of a client of another node is given up, if not before."""

RESULTS = 64
"""Results of a guest's calls that are kept, of methods that return futures."""

HEADER = 200
"""Bytes of a notification beside what it says, at most."""

CROWDED = 2000
"""Messages that wait for NATS beyond which notifications wait for them in their outboxes."""


class GuestNode(Way, Protocol):
    """What guests and visits need of their node.

    Attributes:
        id: the node's id.
        holdings: its places.
        members: which nodes live.
        interfaces: the interfaces that it knows.
    """

    id: str
    holdings: Holdings
    members: Members
    interfaces: Interfaces

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the event loop. Thread-safe."""

    def publish(self, node: str, data: bytes) -> bool:
        """Send a node a message; on the event loop. Return whether it is on its way."""

    def check_size(self, data: bytes, more: int = 0) -> None:
        """Check that NATS takes a message; see `Bus.check_size`. Thread-safe."""

    @property
    def backlog(self) -> int:
        """The number of messages that wait for NATS. Thread-safe."""

    async def sent(self) -> None:
        """Wait until what waits for NATS is sent, or dropped."""

    def check(self) -> None:
        """Compare shared avatars with the other nodes; on the event loop."""

    def forget_guest(self, guest: Holding) -> None:
        """Record that nothing is left of a guest; on the event loop."""

    def suspension(self, session_id: str) -> Callable[[], float] | None:
        """Return what decides about the calls of a session."""

    def may_decide(self) -> bool:
        """Return whether this node may let a client share an avatar."""


class GuestPlace(Holding):
    """The place of a guest.

    Attributes:
        node: the node of the client.
        visit: the number of the client's attempt.
        sent: the number of the last notification to the client.
        asking: the calls of the client that have no answer yet.
    """

    __slots__ = ("_answer", "_call", "_number", "_results", "asking", "node", "sent", "visit")

    is_guest = True

    def __init__(self, message: m.Attach) -> None:
        super().__init__(message.avatar_id, message.session_id, exclusive=True)
        self.node = message.node
        self.visit = message.visit
        self.since = message.since
        self.known = True  # its own node has told the roster
        self.claiming = True
        self.sent = 0
        self.asking: set[asyncio.Future[Any]] = set()
        self._number = 0
        self._call: Future[Any] | None = None
        self._answer: AnswerTo | None = None
        self._results: dict[int, Future[Any]] = {}

    def follow(self, number: int, answer: AnswerTo, call: Callable[[], Future[Any]]) -> None:
        """Carry out a call of the client once, however often it is sent."""
        if number < self._number:
            return
        self._answer = answer
        if number > self._number:
            self._number = number
            made = self._call = call()
            loop = asyncio.get_running_loop()
            made.add_done_callback(lambda _: on_loop(loop, self._respond, made))
        elif self._call is not None and self._call.done():
            self._respond(self._call)

    def _respond(self, call: Future[Any]) -> None:
        if call is not self._call or self._answer is None:
            return
        answer, self._answer = self._answer, None
        error = error_of(call)
        if isinstance(error, pykka.ActorDeadError) and self.is_open:
            answer("failed", "ActorDeadError")  # of another actor, which the avatar has asked
        elif error is None and isinstance(result := call.get(), pykka.Future):
            self._results[self._number] = Future.adopt(result)
            answer("pending")
        else:
            settle(call, answer)

    @property
    def is_busy(self) -> bool:
        """Whether too many results of its calls come later."""
        if len(self._results) >= RESULTS:
            done = next((number for number, one in self._results.items() if one.done()), None)
            if done is None:
                return True
            del self._results[done]
        return False

    def tell_result(self, number: int, answer: AnswerTo) -> None:
        """Answer with the result of a call whose method has returned a future."""
        result = self._results.get(number)
        if result is None:
            answer("failed", "the result was dropped")
        else:
            loop = asyncio.get_running_loop()
            result.add_done_callback(lambda _: on_loop(loop, settle, result, answer))

    @property
    def is_open(self) -> bool:
        """Whether the client shares the avatar."""
        return self.session is not None and self.session.is_open


class GuestChannel(Channel):
    """The way to a client of another node."""

    __slots__ = ("_guest", "_node", "takes_notifications")

    def __init__(self, guest: GuestPlace, node: GuestNode, *, takes_notifications: bool) -> None:
        self._guest = guest
        self._node = node
        self.takes_notifications = takes_notifications

    def ready(self) -> bool:
        """Return whether the bus keeps up; if not, notifications wait in the outbox."""
        return self._node.backlog < CROWDED

    def notify(self, notification: Notification) -> Future[None] | None:
        """Send a notification to the client's node.

        Returns:
            A future that is done when the bus has sent it; None if the bus keeps up.

        Raises:
            BusError: if it cannot cross to another node.
        """
        body = notification.encoded("cluster", _encode_body)
        key = _encode_key(notification.key)
        self._node.check_size(body, len(key) + HEADER)
        self._node.post(self._deliver, key, body)
        return None if self.ready() else self._node.run(self._node.sent())

    def _deliver(self, key: bytes, body: bytes) -> None:
        guest = self._guest
        guest.sent += 1  # also if it cannot be sent: the gap is seen there
        raw = msgspec.Raw
        message = m.Deliver(guest.session_id, guest.visit, guest.sent, raw(key), raw(body))
        self._node.publish(guest.node, m.pack(message))

    def call(self, name: str, args: tuple[Any, ...]) -> Future[Any]:
        """Call the client."""
        return self._node.run(self._ask(name, list(args)))

    async def _ask(self, name: str, args: list[Any]) -> Any:
        guest = self._guest
        question = m.CallMind(guest.session_id, name, args, CALL_LIMIT)
        asking = asyncio.ensure_future(self._node.ask(guest.node, question, CALL_LIMIT + 1.0))
        guest.asking.add(asking)
        try:
            return await asking
        except (NodeGone, BusDown, pykka.ActorDeadError):
            raise ClientGone("the client's server does not answer") from None
        except asyncio.CancelledError:
            here = asyncio.current_task()
            if here is not None and here.cancelling():
                raise
            raise ClientGone("the connection to the client's server was lost") from None
        finally:
            asking.cancel()
            guest.asking.discard(asking)

    def close(self, reason: LogoutReason) -> None:
        """Tell the client's node that the session is over."""
        guest = self._guest
        over = m.Over(guest.session_id, guest.visit, str(reason.code), reason.detail)
        self._node.tell(guest.node, over)


def _encode_body(name: str, args: tuple[Any, ...]) -> bytes:
    return m.encode_value((name, args))


def _encode_key(key: Hashable) -> bytes:
    return m.encode_value(key)
