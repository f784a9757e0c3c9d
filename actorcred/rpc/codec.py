"""Messages to bytes and back, as MessagePack or JSON, with limits on what is accepted. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar, Union

import msgspec

from actorcred.errors import ProtocolError

__all__ = ["JSON", "MSGPACK", "Answer", "Codec", "Message", "Notice", "Request", "WireLimits"]

T = TypeVar("T")


class Request(msgspec.Struct, array_like=True, tag=0, forbid_unknown_fields=True):
    """`[0, id, method, params]`: the peer calls a method and wants an answer."""

    id: int
    method: Any  # text; some clients send it as bytes
    params: list[Any]


class Answer(msgspec.Struct, array_like=True, tag=1, forbid_unknown_fields=True):
    """`[1, id, error, result]`: the peer answers a request."""

    id: int
    error: Any
    result: Any


class Notice(msgspec.Struct, array_like=True, tag=2, forbid_unknown_fields=True):
    """`[2, method, params]`: the peer says something and wants no answer."""

    method: Any
    params: list[Any]


Message = Union[Request, Answer, Notice]  # noqa: UP007  # the decoders take it as a value


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What is accepted from a peer. A message beyond them is a breach of the protocol and ends the connection.

    Args:
        frame: bytes of one message.
        nesting: arrays and maps within each other, the parameter list being the first.
        string: characters of a text, or bytes of a binary.
        items: elements of an array.
        keys: entries of a map.
        pending: requests that wait for their answer. One more is answered with the error "too-many-requests".
    """

    frame: int = 64 * 1024
    nesting: int = 16
    string: int = 32 * 1024
    items: int = 4096
    keys: int = 256
    pending: int = 128

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"the limit {name!r} must be at least 1, not {getattr(self, name)}")

    def check(self, params: Iterable[Any]) -> None:
        """Check what was decoded.

        Raises:
            ProtocolError: if it is beyond a limit.
        """
        self._check(params, self.nesting)

    def _check(self, values: Iterable[Any], depth: int) -> None:
        if not depth:
            raise ProtocolError(f"arrays and maps are nested deeper than {self.nesting}")
        for value in values:
            kind = type(value)
            if kind is str or kind is bytes:
                if len(value) > self.string:
                    raise ProtocolError(f"a text or binary is longer than {self.string}")
            elif kind is list or kind is tuple:
                if len(value) > self.items:
                    raise ProtocolError(f"an array has more than {self.items} elements")
                self._check(value, depth - 1)
            elif kind is dict:
                if len(value) > self.keys:
                    raise ProtocolError(f"a map has more than {self.keys} entries")
                self._check(value, depth - 1)
                self._check(value.values(), depth - 1)


class Codec(ABC):
    """One way to write messages."""

    name: ClassVar[str]
    binary: ClassVar[bool]
    """Whether it has bytes; without them they are base64 texts."""

    @abstractmethod
    def encode(self, message: Any) -> bytes:
        """Return the bytes of a message.

        Raises:
            TypeError: if something in it cannot be written.
        """

    @abstractmethod
    def decode(self, frame: bytes | memoryview) -> Message:
        """Return the message that a frame holds.

        Raises:
            ValueError: if it holds none.
            RecursionError: if it is nested beyond all measure.
        """

    @abstractmethod
    def convert(self, value: Any, kind: Any) -> Any:
        """Return a decoded value as a type.

        Raises:
            msgspec.ValidationError: if it does not fit.
        """

    def encode_notification(self, method: str, params: tuple[Any, ...]) -> bytes:
        """Return the bytes of a notification."""
        return self.encode((2, method, params))


class _MessagePack(Codec):
    name = "msgpack"
    binary = True

    def __init__(self) -> None:
        self.encode = msgspec.msgpack.Encoder().encode  # type: ignore[method-assign]
        self.decode = msgspec.msgpack.Decoder(Message).decode  # type: ignore[method-assign]

    def encode(self, message: Any) -> bytes: ...  # type: ignore[empty-body]  # replaced in __init__, to spare a call

    def decode(self, frame: bytes | memoryview) -> Message: ...  # type: ignore[empty-body]

    def convert(self, value: Any, kind: Any) -> Any:
        return msgspec.convert(value, kind, builtin_types=(bytes, bytearray))


class _Json(Codec):
    name = "json"
    binary = False

    def __init__(self) -> None:
        self.encode = msgspec.json.Encoder().encode  # type: ignore[method-assign]
        self.decode = msgspec.json.Decoder(Message).decode  # type: ignore[method-assign]

    def encode(self, message: Any) -> bytes: ...  # type: ignore[empty-body]

    def decode(self, frame: bytes | memoryview) -> Message: ...  # type: ignore[empty-body]

    def convert(self, value: Any, kind: Any) -> Any:
        return msgspec.convert(value, kind, builtin_types=())


MSGPACK: Final[Codec] = _MessagePack()
"""MessagePack, for all transports."""

JSON: Final[Codec] = _Json()
"""JSON, for WebSocket, where a frame holds one message. Bytes are base64 texts."""
