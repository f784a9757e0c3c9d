"""NATS as a bus: tell, ask, gather, and compare-and-set. Only this module calls nats-py's client.

All of it runs on one event loop. Names on NATS, for a cluster C:

- `ac.C.n.NODE`: what a node is told and asked; `ac.C.all`: all nodes; `ac.C.g.NODE.N`: answers of
  all nodes;
- stream `ACR_C`, subjects `acr.C.KEY`: the roster, one message per avatar id;
- stream `ACL_C`, subjects `acl.C.NODE`: leases; each write is published again as `ac.C.lease.NODE`;
- stream `ACV_C`, subjects `acv.C.KEY`: revocations of a day, published again as `ac.C.revoked.KEY`.

There are no consumers and no key-value watchers: these do not survive a restart of NATS.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias

import nats.errors
from nats.aio.msg import Msg
from nats.js import api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from actorcred.cluster._client import connect
from actorcred.cluster.errors import BusDown, BusError, NodeGone, StoreLost
from actorcred.cluster.settings import NatsOptions
from actorcred.cluster.streams import LEASES, REVOCATIONS, ROSTER, configurations

__all__ = ["Bus", "Handler", "Reply"]

logger = logging.getLogger("actorcred.cluster")

LAST_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
CONFLICTS = frozenset({10071, 10164})
"""Codes of NATS for a lost compare-and-set; the second one comes from servers in a cluster."""

OUTGOING = 20_000
"""Messages that may wait for a slow NATS; more are dropped."""

OLDEST_REPLICATING = (2, 10)
"""Older servers can let two compare-and-sets win if they replicate (nats-server #4320)."""

Reply: TypeAlias = Callable[[bytes], object]
Handler: TypeAlias = Callable[[bytes, Reply | None], object]

_FAULTS = (nats.errors.Error, asyncio.TimeoutError, ConnectionError)


class Bus:
    """The way of one node to the others.

    Args:
        options: where NATS is.
        node: the id of this node.
        receive: called with each message to this node or to all, and a function for the answer if
            one is wanted. It must not block.

    Attributes:
        dropped: how many messages could not be sent.
        when_back: functions that are called after a reconnection.
        when_away: functions that are called after a disconnection.
    """

    def __init__(self, options: NatsOptions, node: str, receive: Handler) -> None:
        self.options = options
        self.node = node
        self.dropped = 0
        self.when_back: list[Callable[[], object]] = []
        self.when_away: list[Callable[[], object]] = []
        self._receive = receive
        self._topic = f"ac.{options.cluster}"
        self._roster = f"{ROSTER}_{options.cluster}"
        self._leases = f"{LEASES}_{options.cluster}"
        self._revocations = f"{REVOCATIONS}_{options.cluster}"
        self._outgoing: deque[tuple[str, bytes, str] | asyncio.Future[None]] = deque()
        """Messages, and futures of those who wait until the messages before are sent."""
        self._writer: asyncio.Task[None] | None = None
        self._gathers: dict[str, tuple[set[str], dict[str, bytes], asyncio.Future[None]]] = {}
        self._numbers = itertools.count()
        self._nats: Any = None
        self._streams: Any = None

    # -- connection ------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, make the streams and listen.

        Raises:
            BusError: if NATS cannot be reached, or is too old for what is wanted.
        """
        options = self.options
        try:
            self._nats = await connect(
                options,
                self.node,
                lambda: self._call(self.when_back),
                self._went_away,
            )
        except BusError:
            raise
        except Exception as error:  # a file with credentials can be wrong in many ways
            raise BusError(f"NATS cannot be reached: {_why(error)}") from None
        version = self._nats.connected_server_version
        if options.replicas > 1 and (version.major, version.minor) < OLDEST_REPLICATING:
            await self.close()
            oldest = ".".join(map(str, OLDEST_REPLICATING))
            raise BusError(f"{options.replicas} replicas need NATS {oldest}; this is {version}")
        self._streams = self._nats.jetstream(timeout=options.timeout)
        try:
            await self.ensure_streams()
            await self.listen(f"n.{self.node}", self._incoming)
            await self.listen("all", self._incoming)
            await self.listen(f"g.{self.node}.*.*", self._gathered)
            await self.flush()
        except BusDown as error:
            await self.close()
            raise BusError(f"NATS must run with JetStream (nats-server -js): {error}") from None
        except BaseException:
            await self.close()
            raise

    def _went_away(self) -> None:
        # What waits would be sent after the reconnection, when it is no longer true.
        self.dropped += len(self._outgoing)
        for item in self._outgoing:
            if isinstance(item, asyncio.Future) and not item.done():
                item.set_exception(BusDown("NATS was disconnected"))
        self._outgoing.clear()
        self._call(self.when_away)

    @staticmethod
    def _call(functions: list[Callable[[], object]]) -> None:
        """Call some functions. What they raise must not end the reconnection."""
        for function in functions:
            try:
                function()
            except Exception:
                logger.exception("A change of the connection could not be followed:")

    @property
    def connected(self) -> bool:
        """Whether NATS can be reached, as far as is known."""
        return self._nats is not None and bool(self._nats.is_connected)

    async def listen(self, topic: str, handler: Callable[[Msg], Awaitable[None]]) -> None:
        """Have a function called with the messages of a topic, one at a time.

        Raises:
            BusDown: if the connection was closed meanwhile.
        """
        try:
            await self._nats.subscribe(
                f"{self._topic}.{topic}",
                cb=handler,
                pending_msgs_limit=1 << 20,
                pending_bytes_limit=256 << 20,
            )
        except _FAULTS as error:
            raise BusDown(_why(error)) from None

    async def flush(self) -> None:
        """Wait until NATS has seen everything so far.

        Raises:
            BusDown: if it does not answer.
        """
        try:
            await self._nats.flush(timeout=self.options.timeout)
        except _FAULTS as error:
            raise BusDown(_why(error)) from None

    async def close(self) -> None:
        """Send what waits, and disconnect."""
        if self._nats is None:
            return
        if self._writer is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._writer), self.options.timeout)
        if self.connected:
            with contextlib.suppress(BusDown):
                await self.flush()
        with contextlib.suppress(*_FAULTS):
            await asyncio.wait_for(self._nats.close(), self.options.timeout)

    # -- messages --------------------------------------------------------------------------------

    def tell(self, node: str, data: bytes) -> bool:
        """Send a node a message; return whether it is on its way."""
        return self._publish(f"{self._topic}.n.{node}", data)

    def tell_all(self, data: bytes) -> bool:
        """Send a message to all nodes, this one too; return whether it is on its way."""
        return self._publish(f"{self._topic}.all", data)

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
        self.check_size(data)
        if not self.connected:
            raise BusDown("not connected to NATS")
        timeout = timeout or self.options.timeout
        try:
            if self._writer is not None:  # a question must not overtake what was told before
                sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._outgoing.append(sent)
                await asyncio.wait_for(sent, timeout)
            answer: Msg = await self._nats.request(f"{self._topic}.n.{node}", data, timeout=timeout)
        except nats.errors.NoRespondersError:
            raise NodeGone(node) from None
        except _FAULTS as error:
            raise BusDown(f"{node} did not answer: {_why(error)}") from None
        return answer.data

    def check_size(self, data: bytes) -> None:
        """Check that NATS takes a message. Thread-safe.

        Raises:
            BusError: if it is too large.
        """
        if self._nats is not None and len(data) > self._nats.max_payload:
            raise BusError(
                f"is too large for NATS: {len(data)} bytes, {self._nats.max_payload} are allowed"
            )

    async def gather(
        self, data: bytes, nodes: set[str], timeout: float | None = None
    ) -> dict[str, bytes]:
        """Ask all other nodes; return the answers of those that answer in time, by their ids.

        Args:
            data: the message.
            nodes: who is waited for.
            timeout: seconds; that of the options by default.
        """
        if not nodes:
            return {}
        number = str(next(self._numbers))
        answers: dict[str, bytes] = {}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathers[number] = (nodes, answers, done)
        try:
            reply = f"{self._topic}.g.{self.node}.{number}"
            if self._publish(f"{self._topic}.all", data, reply):
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(done, timeout or self.options.timeout)
        finally:
            del self._gathers[number]
        return answers

    async def _gathered(self, msg: Msg) -> None:
        number, node = msg.subject.rsplit(".", 2)[1:]
        entry = self._gathers.get(number)
        if entry is not None:
            nodes, answers, done = entry
            answers[node] = msg.data
            if nodes <= answers.keys() and not done.done():
                done.set_result(None)

    async def _incoming(self, msg: Msg) -> None:
        reply = msg.reply
        if reply.startswith(f"{self._topic}.g."):
            if reply.startswith(f"{self._topic}.g.{self.node}."):
                return  # a question of our own to all others
            reply = f"{reply}.{self.node}"
        try:
            self._receive(msg.data, (lambda data: self._publish(reply, data)) if reply else None)
        except Exception:
            logger.exception("A message of another node could not be handled:")

    def _publish(self, subject: str, data: bytes, reply: str = "") -> bool:
        self.check_size(data)
        # Not while disconnected: nats-py would keep it, and send it when it is no longer true.
        if not self.connected or len(self._outgoing) >= OUTGOING:
            self.dropped += 1
            return False
        self._outgoing.append((subject, data, reply))
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())
        return True

    async def _write(self) -> None:
        try:
            while self._outgoing:
                item = self._outgoing.popleft()
                if isinstance(item, asyncio.Future):
                    if not item.done():
                        item.set_result(None)
                    continue
                subject, data, reply = item
                try:
                    await self._nats.publish(subject, data, reply=reply)
                except _FAULTS as error:
                    self.dropped += 1
                    logger.debug("A message was dropped: %s", _why(error))
        finally:
            self._writer = None

    # -- streams ---------------------------------------------------------------------------------

    async def ensure_streams(self) -> str:
        """Make the streams that are not there; return when the roster was made.

        Another time than before means that NATS has lost it.

        Raises:
            BusDown: if NATS does not answer.
        """
        created = ""
        for config in configurations(self.options, self._topic):
            try:
                info = await self._streams.stream_info(config.name)
            except NotFoundError:
                info = await self._add_stream(config)
            except _FAULTS as error:
                raise BusDown(_why(error)) from None
            if config.name == self._roster:
                created = str(info.created)
        return created

    async def _add_stream(self, config: api.StreamConfig) -> api.StreamInfo:
        try:
            try:
                info: api.StreamInfo = await self._streams.add_stream(config)
            except APIError as error:
                try:
                    info = await self._streams.stream_info(config.name)
                except NotFoundError:
                    raise error from None
                # Another node was faster.
        except _FAULTS as error:
            raise BusDown(_why(error)) from None
        return info

    async def _store(
        self, subject: str, data: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> int:
        """Write a message into its stream; return its number there."""
        if not self.connected:
            raise BusDown("not connected to NATS")
        try:
            ack = await self._streams.publish(subject, data, timeout=timeout, headers=headers)
        except NoStreamResponseError:
            raise StoreLost("NATS has lost a stream") from None
        except APIError:
            raise
        except _FAULTS as error:
            raise BusDown(_why(error)) from None
        return int(ack.seq)

    async def beat(self, data: bytes, timeout: float) -> None:
        """Write this node's lease.

        Raises:
            BusDown: if NATS did not confirm it in time; `StoreLost` if it has lost the leases.
        """
        try:
            await self._store(f"acl.{self.options.cluster}.{self.node}", data, timeout)
        except APIError as error:
            raise BusDown(_why(error)) from None

    async def log(self, key: str, data: bytes) -> None:
        """Add a revocation to the log; the latest one of a key is kept.

        Raises:
            BusDown: if NATS did not confirm it in time.
        """
        try:
            await self._store(f"acv.{self.options.cluster}.{key}", data, self.options.timeout)
        except APIError as error:
            raise BusDown(_why(error)) from None

    async def logged(self) -> int:
        """Return the number of the last revocation in the log.

        Raises:
            BusDown: if NATS does not answer.
        """
        try:
            info = await self._streams.stream_info(self._revocations)
        except _FAULTS as error:
            raise BusDown(_why(error)) from None
        return int(info.state.last_seq)

    def log_after(self, number: int) -> AsyncIterator[tuple[int, bytes]]:
        """Return the revocations after a number, with their numbers."""
        return self._messages(self._revocations, f"acv.{self.options.cluster}.*", number)

    def roster(self) -> AsyncIterator[tuple[int, bytes]]:
        """Return all values of the roster, with their revisions."""
        return self._messages(self._roster, f"acr.{self.options.cluster}.*", 0)

    async def _messages(
        self, stream: str, subjects: str, number: int
    ) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            try:
                raw = await self._streams.get_msg(
                    stream, seq=number + 1, subject=subjects, next=True, direct=True
                )
            except NotFoundError:
                return
            except _FAULTS as error:
                raise BusDown(_why(error)) from None
            number = raw.seq
            yield number, raw.data or b""

    async def time(self) -> datetime:
        """Return when NATS took this node's last lease, on its own clock.

        Raises:
            BusDown: if NATS does not answer.
        """
        try:
            beat = await self._streams.get_last_msg(
                self._leases, f"acl.{self.options.cluster}.{self.node}"
            )
        except _FAULTS as error:
            raise BusDown(_why(error)) from None
        taken: datetime = beat.time
        return taken

    # -- compare and set -------------------------------------------------------------------------

    async def read(self, key: str) -> tuple[int, bytes | None]:
        """Return the revision and the value of a key; (0, None) if there is none.

        Raises:
            BusDown: if NATS does not answer.
        """
        if not self.connected:
            raise BusDown("not connected to NATS")
        try:
            # A replica may lag, so with several the leader is asked.
            raw = await self._streams.get_last_msg(
                self._roster, f"acr.{self.options.cluster}.{key}", direct=self.options.replicas == 1
            )
        except NotFoundError:
            return 0, None
        except _FAULTS as error:
            raise BusDown(_why(error)) from None
        return raw.seq, raw.data or b""

    async def write(self, key: str, revision: int, data: bytes) -> int | None:
        """Set a key if it still has a revision; return the new one, or None if it has not.

        Raises:
            BusDown: if NATS did not confirm it in time; `StoreLost` if it has lost the roster.
        """
        try:
            return await self._store(
                f"acr.{self.options.cluster}.{key}",
                data,
                self.options.timeout,
                {LAST_SEQUENCE: str(revision)},
            )
        except APIError as error:
            if error.err_code in CONFLICTS:
                return None
            raise BusDown(_why(error)) from None

    async def remove(self, revision: int) -> bool:
        """Remove the value with a revision, and leave no tombstone; return whether it was there.

        Raises:
            BusDown: if NATS did not confirm it in time.
        """
        if not self.connected:
            raise BusDown("not connected to NATS")
        request = json.dumps({"seq": revision, "no_erase": True}).encode()
        try:
            answer = await self._nats.request(
                f"$JS.API.STREAM.MSG.DELETE.{self._roster}", request, timeout=self.options.timeout
            )
        except _FAULTS as error:
            raise BusDown(_why(error)) from None
        return bool(json.loads(answer.data).get("success"))


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
