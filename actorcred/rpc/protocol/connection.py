"""MessagePack-RPC without I/O and without a clock: bytes in, messages out; calls in, bytes out.

The protocol is the published one (`spec.md` of the project msgpack-rpc): requests, answers and
notifications, both ways, pipelined, answered in any order. All limits on what a peer may send are
enforced here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from actorcred.errors import CallCode, CallError, ProtocolError
from actorcred.rpc.protocol.codec import (
    LONG,
    MSGPACK,
    Codec,
    Message,
    Request,
    Response,
    WireLimits,
    check_maps,
)
from actorcred.rpc.protocol.faults import MAP, FaultForm, fault_of

__all__ = ["PREFIX", "Connection", "Excess"]


LIMITS = WireLimits()

MAX_ID = 2**32 - 1
"""Request ids are unsigned 32-bit integers."""

SCANNED = 2048
"""Bytes. Incomplete messages from this length on get a scanner, to parse each byte only once."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A request over the limit of pending ones; it must be answered with an error, not executed."""

    id: int


PREFIX = "cred."
"""Prefix of the methods that the server answers itself."""


class Connection:
    """One end of a connection.

    Args:
        codec: the encoding of messages.
        limits: the limits on what the peer may send.
        framed: whether data arrives in frames of one message each, as on WebSocket, instead of as
            a stream.

    Attributes:
        codec: the encoding of messages.
        limits: the limits on what the peer may send.
        errors: the form of errors sent to the peer.
        framed: whether data arrives in frames.
    """

    __slots__ = (
        "_closed",
        "_last_id",
        "_ours",
        "_scanner",
        "_tail",
        "_theirs",
        "codec",
        "errors",
        "framed",
        "limits",
    )

    def __init__(
        self, codec: Codec = MSGPACK, limits: WireLimits = LIMITS, *, framed: bool = False
    ) -> None:
        self.codec = codec
        self.limits = limits
        self.errors: FaultForm = MAP
        self.framed = framed
        self._closed = False
        self._last_id = 0
        # An idle connection holds none of these: a scanner alone takes 45 KB.
        self._tail: bytes | bytearray = b""
        self._scanner: msgpack.Unpacker | None = None
        self._theirs: set[int] | None = None
        self._ours: set[int] | None = None

    # -- bytes in ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> Sequence[Message | Excess]:
        """Process data from the peer.

        Args:
            data: some bytes of the stream; or one frame.

        Returns:
            The messages that are complete now.

        Raises:
            ProtocolError: if the peer violated the protocol. The connection is unusable then.
        """
        if self._closed:
            raise ProtocolError("the connection was closed after a protocol violation")
        try:
            if not self._tail and len(data) <= self.limits.frame:
                try:
                    if len(data) > LONG and self.codec.binary:
                        check_maps(data, self.limits.keys)
                    message = self.codec.decode(data)  # usually the data is exactly one message
                except (ValueError, RecursionError):
                    if self.framed:
                        raise
                else:
                    accepted = self._accept(message)
                    return [] if accepted is None else [accepted]
            return [
                accepted
                for message in self._cut(data)
                if (accepted := self._accept(message)) is not None
            ]
        except ProtocolError:
            self._closed = True
            raise
        except (ValueError, RecursionError) as error:
            self._closed = True
            # The decoder's text describes only the form of the data.
            raise ProtocolError(f"the data is not a message of the protocol: {error}") from None

    def rest(self) -> bytes:
        """Return the beginning of a message that is incomplete, and forget it."""
        rest, self._tail, self._scanner = bytes(self._tail), b"", None
        return rest

    def _decode(self, frame: memoryview) -> Message:
        self._check_size(len(frame))
        if len(frame) > LONG:
            check_maps(frame, self.limits.keys)
        return self.codec.decode(frame)

    def _check_size(self, size: int) -> None:
        if size > self.limits.frame:
            raise ProtocolError(f"a message is longer than {self.limits.frame} bytes")

    def _cut(self, data: bytes) -> list[Message]:
        """Cut a stream into messages, and keep the last one if it is incomplete."""
        if self.framed:
            self._check_size(len(data))
        tail = self._tail
        tail += data
        scanner = self._scanner
        if scanner is None:
            scanner = msgpack.Unpacker(max_buffer_size=0)
            scanner.feed(tail)
        else:
            scanner.feed(data)
        messages: list[Message] = []
        begin = 0
        view = memoryview(tail)
        try:
            while True:
                scanner.skip()
                end = scanner.tell()
                messages.append(self._decode(view[begin:end]))
                begin = end
        except msgpack.OutOfData:
            self._keep(view[begin:], bool(messages))
        return messages

    def _keep(self, rest: memoryview, new: bool) -> None:
        self._check_size(len(rest))
        if len(rest) < SCANNED:
            self._tail, self._scanner = bytes(rest), None
        elif new or self._scanner is None:
            self._tail = bytearray(rest)
            self._scanner = msgpack.Unpacker(max_buffer_size=0)
            self._scanner.feed(rest)
            with contextlib.suppress(msgpack.OutOfData):
                self._scanner.skip()

    def _accept(self, message: Message) -> Message | Excess | None:
        """Check a message against the limits; return None for an answer no longer waited for."""
        limits = self.limits
        if type(message) is Response:
            if not self._ours or message.id not in self._ours:
                return None
            self._ours.discard(message.id)
            limits.check((message.error, message.result))
            return message
        params = message.params  # type: ignore[union-attr]
        if params:
            if len(params) > limits.items:
                raise ProtocolError(f"an array has more than {limits.items} elements")
            limits.check(params)
        if type(message.method) is not str:  # type: ignore[union-attr]
            message.method = _method_name(message.method)  # type: ignore[union-attr]
        return self._admit(message) if type(message) is Request else message

    def _admit(self, request: Request) -> Request | Excess:
        number, theirs = request.id, self._theirs
        if theirs is None:
            theirs = self._theirs = set()
        elif number in theirs:
            raise ProtocolError("the id of a request is already used by an unanswered one")
        if not 0 <= number <= MAX_ID:
            raise ProtocolError("the id of a request is not an unsigned 32-bit integer")
        if len(theirs) >= self.limits.pending:
            return Excess(number)
        theirs.add(number)
        return request

    # -- calls out ---------------------------------------------------------------------------------

    def request(self, method: str, params: Sequence[Any]) -> tuple[int, bytes]:
        """Call a method of the peer.

        Returns:
            The id that the answer will have, and the bytes to send.

        Raises:
            TypeError: if the parameters cannot be encoded.
        """
        number = self._last_id = self._last_id % MAX_ID + 1
        data = self.codec.encode((0, number, method, params))
        if self._ours is None:
            self._ours = set()
        self._ours.add(number)
        return number, data

    def forget(self, request_id: int) -> None:
        """Stop waiting for the answer to one of our requests."""
        if self._ours is not None:
            self._ours.discard(request_id)

    def notify(self, method: str, params: Sequence[Any]) -> bytes:
        """Return the bytes of a notification.

        Raises:
            TypeError: if the parameters cannot be encoded.
        """
        return self.codec.encode_notification(method, params)

    def answer(self, request_id: int, result: Any) -> bytes:
        """Return the bytes of the answer to a request of the peer.

        Raises:
            TypeError: if the result cannot be encoded; the request is still unanswered then.
        """
        data = self.codec.encode((1, request_id, None, result))
        self._answered(request_id)
        return data

    def fail(self, request_id: int, error: CallError) -> bytes:
        """Return the bytes of an error as the answer to a request of the peer."""
        self._answered(request_id)
        return self.codec.encode((1, request_id, fault_of(error, self.errors), None))

    def _answered(self, request_id: int) -> None:
        theirs = self._theirs
        if theirs is not None:
            theirs.discard(request_id)
            if not theirs:
                self._theirs = None

    def refuse(self, excess: Excess) -> bytes:
        """Return the answer to a request over the limit of pending ones."""
        text = f"more than {self.limits.pending} requests are unanswered"
        fault = fault_of(CallError(text, CallCode.TOO_MANY_REQUESTS), self.errors)
        # Its id was not recorded, so there is nothing to discard.
        return self.codec.encode((1, excess.id, fault, None))


def _method_name(method: Any) -> str:
    if type(method) is bytes:  # some clients do not have strings
        with contextlib.suppress(UnicodeDecodeError):
            return method.decode()
    raise ProtocolError("the name of a method is not a string")
