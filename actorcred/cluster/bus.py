"""NATS as a bus: tell, ask and gather. What is kept on NATS is in `store`.

All of it runs on one event loop. Names on NATS, for a cluster C:

- `ac.C.n.NODE`: what a node is told and asked; `ac.C.all`: all nodes; `ac.C.group.KEY`: what is
  said in a group, to nodes with a member;
- `_INBOX_ac.NODE.q.OTHER`: the answers of another node.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from nats.aio.msg import Msg

from actorcred.cluster._client import FAULTS, connect, reason_of
from actorcred.cluster.errors import BusDown, BusError, NodeGone
from actorcred.cluster.outgoing import OVERHEAD, Item, Outgoing, pack_items, unpack_items
from actorcred.cluster.settings import NatsOptions

__all__ = ["Bus", "Handler", "Reply"]

logger = logging.getLogger("actorcred.cluster")

OLDEST_REPLICATING = (2, 10)
"""Older servers can let two compare-and-sets win if they replicate (nats-server #4320)."""

Reply: TypeAlias = Callable[[bytes], object]
Handler: TypeAlias = Callable[[bytes, Reply | None], object]


class _Question:
    """A question to some nodes.

    Args:
        nodes: who is waited for.
    """

    __slots__ = ("answers", "done", "nodes")

    def __init__(self, nodes: set[str]) -> None:
        self.nodes = nodes
        self.answers: dict[str, bytes] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self, error: Exception | None = None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)


class Bus:
    """The way of one node to the others.

    Args:
        options: where NATS is.
        node: the id of this node.
        receive: called with each message to this node or to all, and a function for the answer if
            one is wanted. It must not block.

    Attributes:
        client: nats-py's, once the bus is open.
        when_back: functions that are called after a reconnection.
        when_away: functions that are called after a disconnection.
        when_unheard: functions that are called with the id of a node if NATS says that it is not
            there, which can be so for a moment.
    """

    def __init__(self, options: NatsOptions, node: str, receive: Handler) -> None:
        self.options = options
        self.node = node
        self.client: Any = None
        self.when_back: list[Callable[[], object]] = []
        self.when_away: list[Callable[[], object]] = []
        self.when_unheard: list[Callable[[str], object]] = []
        self._receive = receive
        self._topic = f"ac.{options.cluster}"
        self._inbox = f"_INBOX_ac.{node}.q"
        self._outgoing = Outgoing(self._send, self._send_now)
        self._questions: dict[int, _Question] = {}
        self._numbers = itertools.count()

    # -- connection ------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, and listen.

        Raises:
            BusError: if NATS cannot be reached, or is too old for what is wanted.
        """
        options = self.options
        try:
            self.client = await connect(
                options,
                self.node,
                lambda: self._call(self.when_back),
                self._went_away,
            )
        except BusError:
            raise
        except Exception as error:  # a file with credentials can be wrong in many ways
            raise BusError(f"NATS cannot be reached: {reason_of(error)}") from None
        version = self.client.connected_server_version
        if options.replicas > 1 and (version.major, version.minor) < OLDEST_REPLICATING:
            await self.close()
            oldest = ".".join(map(str, OLDEST_REPLICATING))
            this = f"{version.major}.{version.minor}.{version.patch}"
            raise BusError(f"{options.replicas} replicas need NATS {oldest}; this is {this}")
        self._outgoing.largest = self.client.max_payload
        try:
            await self.listen(f"n.{self.node}", self._incoming)
            await self.listen("all", self._incoming)
            await self._subscribe(f"{self._inbox}.*", self._answered)
            await self.flush()
        except BusDown as error:
            await self.close()
            raise BusError(f"NATS does not answer: {error}") from None
        except BaseException:
            await self.close()
            raise

    async def change_server(self) -> None:
        """Leave this server of NATS for the next one, if there are others."""
        if self.connected and len(self.options.servers) > 1:
            await self.client.change_server()

    def _went_away(self) -> None:
        # What waits would be sent after the reconnection, when it is no longer true.
        self._outgoing.drop()
        for question in self._questions.values():
            question.end(BusDown("NATS was disconnected"))
        self._call(self.when_away)

    @staticmethod
    def _call(functions: list[Callable[..., object]], *args: object) -> None:
        """Call some functions. What they raise must not end the reconnection."""
        for function in functions:
            try:
                function(*args)
            except Exception:
                logger.exception("A change of the connection could not be followed:")

    @property
    def connected(self) -> bool:
        """Whether NATS can be reached, as far as is known."""
        return self.client is not None and bool(self.client.is_connected)

    async def listen(self, topic: str, handler: Callable[[Msg], object]) -> None:
        """Have a function called with each message of a topic; it must not block.

        Raises:
            BusDown: if the connection was closed meanwhile.
        """
        await self._subscribe(f"{self._topic}.{topic}", handler)

    async def subscribe(self, topic: str, receive: Callable[[bytes], object]) -> Any:
        """Have a function called with each message that is published to a topic.

        Returns:
            What `unsubscribe` takes.

        Raises:
            BusDown: if the connection was closed meanwhile.
        """

        def incoming(msg: Msg) -> None:
            for item in self._items(msg):
                if isinstance(item, bytes):
                    receive(item)

        return await self._subscribe(f"{self._topic}.{topic}", incoming)

    @staticmethod
    async def unsubscribe(subscription: Any) -> None:
        """End what `subscribe` began."""
        with contextlib.suppress(*FAULTS):
            await subscription.unsubscribe()

    async def _subscribe(self, subject: str, handler: Callable[[Msg], object]) -> Any:
        try:
            return await self.client.listen(subject, handler)
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None

    async def flush(self) -> None:
        """Wait until NATS has seen everything so far.

        Raises:
            BusDown: if it does not answer.
        """
        try:
            await self.client.flush(timeout=self.options.timeout)
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None

    async def close(self) -> None:
        """Send what waits, and disconnect."""
        if self.client is None:
            return
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._outgoing.sent(), self.options.timeout)
        await self._outgoing.stop()
        if self.connected:
            with contextlib.suppress(BusDown):
                await self.flush()
        with contextlib.suppress(*FAULTS):
            await asyncio.wait_for(self.client.close(), self.options.timeout)

    # -- messages --------------------------------------------------------------------------------

    @property
    def dropped(self) -> int:
        """How many messages could not be sent."""
        return self._outgoing.dropped

    @property
    def backlog(self) -> int:
        """How many messages wait to be sent. Thread-safe."""
        return self._outgoing.count

    async def sent(self) -> None:
        """Wait until what waits is sent, or dropped."""
        await self._outgoing.sent()

    def tell(self, node: str, data: bytes) -> bool:
        """Send a node a message; return whether it is on its way."""
        return self._put(f"{self._topic}.n.{node}", f"{self._inbox}.{node}", data)

    def tell_all(self, data: bytes) -> bool:
        """Send a message to all nodes, this one too; return whether it is on its way."""
        return self._put(f"{self._topic}.all", f"{self._inbox}.all", data)

    def publish(self, topic: str, data: bytes) -> bool:
        """Send a message to those who have subscribed to a topic; see `tell`."""
        return self._put(f"{self._topic}.{topic}", "", data)

    async def ask(self, node: str, data: bytes, timeout: float | None = None) -> bytes:
        """Send a node a message; return the answer.

        Args:
            node: the node's id.
            data: the message.
            timeout: seconds; that of the options by default.

        Raises:
            NodeGone: if there is no such node.
            BusDown: if there was no answer in time.
            BusError: if the message is too large.
        """
        answers = await self._ask(f"{self._topic}.n.{node}", node, data, {node}, timeout)
        if node not in answers:
            raise BusDown(f"{node} did not answer in time")
        return answers[node]

    async def gather(
        self, data: bytes, nodes: set[str], timeout: float | None = None
    ) -> dict[str, bytes]:
        """Ask all other nodes; return the answers of those that answer in time, by their ids.

        Args:
            data: the message.
            nodes: who is waited for.
            timeout: seconds; that of the options by default.

        Raises:
            BusError: if the message is too large.
        """
        if not nodes:
            return {}
        try:
            return await self._ask(f"{self._topic}.all", "all", data, set(nodes), timeout)
        except (BusDown, NodeGone):
            return {}

    async def _ask(  # where to, what, whom
        self, subject: str, whom: str, data: bytes, nodes: set[str], timeout: float | None
    ) -> dict[str, bytes]:
        number = next(self._numbers)
        question = self._questions[number] = _Question(nodes)
        seconds = timeout or self.options.timeout
        timer = asyncio.get_running_loop().call_later(seconds, question.end)
        try:
            if not self._put(subject, f"{self._inbox}.{whom}", (number, data)):
                raise BusDown("not connected to NATS, or too much waits")
            await question.done
        finally:
            timer.cancel()
            del self._questions[number]
        return question.answers

    def forget(self, node: str) -> None:
        """Wait no longer for answers of a node that has died."""
        for question in self._questions.values():
            question.nodes.discard(node)
            if not question.nodes:
                question.end(NodeGone(node))
            elif question.nodes <= question.answers.keys():
                question.end()

    def _answered(self, msg: Msg) -> None:
        node = msg.subject.rpartition(".")[2]
        if (msg.headers or {}).get("Status") == "503":  # nobody listens there
            self.forget(node)
            self._call(self.when_unheard, node)
            return
        for item in self._items(msg):
            if isinstance(item, tuple) and (question := self._questions.get(item[0])) is not None:
                question.answers[node] = item[1]
                if question.nodes <= question.answers.keys():
                    question.end()

    def _incoming(self, msg: Msg) -> None:
        own = msg.reply == f"{self._inbox}.all"
        reply = f"{msg.reply.rpartition('.')[0]}.{self.node}"
        for item in self._items(msg):
            try:
                if isinstance(item, bytes):
                    self._receive(item, None)
                elif not own:
                    self._receive(item[1], self._reply_to(reply, item[0]))
            except Exception:
                logger.exception("A message of another node could not be handled:")

    def _reply_to(self, subject: str, number: int) -> Reply:
        return lambda data: self._put(subject, "", (number, data))

    def _items(self, msg: Msg) -> list[Item]:
        try:
            return unpack_items(msg.data)
        except ValueError as error:
            text = f"A message on the bus was ignored: {error}"
            self.client.complaints.warn("not a message", text)
            return []

    def check_size(self, data: bytes, more: int = 0) -> None:
        """Check that NATS takes a message. Thread-safe.

        Args:
            data: the message, or a part of it.
            more: bytes of the rest.

        Raises:
            BusError: if it is too large.
        """
        size, allowed = len(data) + more, self._outgoing.largest - OVERHEAD
        if size > allowed:
            raise BusError(f"is too large for NATS: {size} bytes, {allowed} are allowed")

    def _put(self, subject: str, reply: str, item: Item) -> bool:
        data = item if isinstance(item, bytes) else item[1]
        if len(data) + OVERHEAD > self._outgoing.largest:
            self.check_size(data)
        # Not while disconnected: nats-py would keep it, and send it when it is no longer true.
        if not self.connected:
            self._outgoing.dropped += 1
            return False
        return self._outgoing.put(subject, reply, item)

    def _send_now(self, subject: str, item: Item, reply: str) -> bool:
        idle: bool = self.client.is_idle
        if idle:
            self.client.publish_now(subject, pack_items([item]), reply)
        return idle

    async def _send(self, subject: str, data: bytes, reply: str) -> bool:
        if not self.connected:  # nats-py would keep it
            return False
        try:
            await self.client.publish(subject, data, reply=reply)
        except FAULTS as error:
            logger.debug("A message was dropped: %s", reason_of(error))
            return False
        return True
