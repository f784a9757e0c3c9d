"""Messages to bytes and back, as MessagePack or JSON, with limits on what is accepted. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Union

import msgpack
import msgspec

from actorcred.errors import ProtocolError
from actorcred.methods import as_sendable
from actorcred.settings import check_settings

__all__ = [
    "JSON",
    "LONG",
    "MSGPACK",
    "SUBPROTOCOLS",
    "Codec",
    "Message",
    "NotificationMessage",
    "Request",
    "Response",
    "WireLimits",
    "check_maps",
    "weigh",
]


class Request(msgspec.Struct, array_like=True, tag=0, forbid_unknown_fields=True):
    """`[0, id, method, params]`: the peer calls a method and expects an answer."""

    id: int
    method: Any  # a string; some clients send it as bytes
    params: list[Any]


class Response(msgspec.Struct, array_like=True, tag=1, forbid_unknown_fields=True):
    """`[1, id, error, result]`: the peer answers a request."""

    id: int
    error: Any
    result: Any


class NotificationMessage(msgspec.Struct, array_like=True, tag=2, forbid_unknown_fields=True):
    """`[2, method, params]`: the peer sends a notification, which has no answer."""

    method: Any
    params: list[Any]


Message = Union[Request, Response, NotificationMessage]  # noqa: UP007  # a value, for the decoders

_SMALL = frozenset({float, int, bool, type(None)})


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Limits on what a peer may send.

    A message that exceeds one is a protocol violation and ends the connection.

    Args:
        frame: bytes of one message.
        nesting: depth of nested arrays and maps, the parameter list being the first.
        string: characters of a string, or bytes of a binary.
        items: elements of an array.
        keys: entries of a map.
        pending: unanswered requests. Further ones get the error "too-many-requests".
    """

    frame: int = 64 * 1024
    nesting: int = 16
    string: int = 32 * 1024
    items: int = 4096
    keys: int = 256
    pending: int = 128

    def __post_init__(self) -> None:
        check_settings(self)

    def check(self, params: Iterable[Any]) -> None:
        """Check decoded values.

        Raises:
            ProtocolError: if they exceed a limit.
        """
        for value in params:
            kind = type(value)
            if kind is str:
                if len(value) > self.string:
                    raise ProtocolError(f"a string or binary is longer than {self.string}")
            elif kind not in _SMALL:
                self._check(params, self.nesting)
                return

    def _check(self, values: Iterable[Any], depth: int) -> None:
        if not depth:
            raise ProtocolError(f"arrays and maps are nested deeper than {self.nesting}")
        for value in values:
            kind = type(value)
            if kind is str or kind is bytes:
                if len(value) > self.string:
                    raise ProtocolError(f"a string or binary is longer than {self.string}")
            elif kind is list or kind is tuple:
                if len(value) > self.items:
                    raise ProtocolError(f"an array has more than {self.items} elements")
                self._check(value, depth - 1)
            elif kind is dict:
                if len(value) > self.keys:
                    raise ProtocolError(f"a map has more than {self.keys} entries")
                check_keys(value, self.string)
                self._check(value.values(), depth - 1)


_KEYS = frozenset({str, bytes, int, float, bool, type(None)})

LONG = 256
"""Bytes. The maps of longer MessagePack messages are checked before the message is decoded."""


def check_keys(keys: Iterable[Any], longest: float = math.inf) -> None:
    """Check the types of a map's keys, against keys made to collide, and their lengths.

    A client cannot predict the hashes of strings and bytes, and few numbers share one.

    Args:
        keys: the keys.
        longest: the largest length of strings and bytes.

    Raises:
        ProtocolError: if one of them is an array or another compound value, or too long.
    """
    for key in keys:
        kind = type(key)
        if kind not in _KEYS:
            raise ProtocolError("the key of a map is neither a string nor bytes nor a number")
        if (kind is str or kind is bytes) and len(key) > longest:
            raise ProtocolError(f"a string or binary is longer than {longest}")


def check_maps(data: bytes | memoryview, most: int) -> None:
    """Check the maps in a MessagePack message before they are built.

    Building a map takes long if its keys collide.

    Args:
        data: the message.
        most: the largest number of entries of a map.

    Raises:
        ProtocolError: if a map has more entries, or keys of a kind that could be made to collide.
        ValueError: if the data is not a message.
    """
    try:
        # The keys of nearly all maps are strings.
        msgpack.unpackb(data, max_map_len=most, strict_map_key=True, raw=True)
    except ValueError:
        msgpack.unpackb(
            data, max_map_len=most, strict_map_key=False, raw=True, object_pairs_hook=_check_pairs
        )


def _check_pairs(pairs: list[tuple[Any, Any]]) -> None:
    check_keys([key for key, _ in pairs])


def weigh(values: Iterable[Any]) -> int:
    """Return roughly how many bytes of memory decoded values take."""
    size, waiting = 0, [*values]
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind is list or kind is tuple:
            size += 56 + 8 * len(value)
            waiting.extend(value)
        elif kind is dict:
            size += 64 + 100 * len(value)
            waiting.extend(value)
            waiting.extend(value.values())
        elif kind is str or kind is bytes:
            size += 50 + len(value)
        else:
            size += 32
    return size


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoding of messages.

    Args:
        name: its name.
        binary: whether it has a type for bytes; otherwise they are base64 strings.
        encode: returns the bytes of a message; raises TypeError if a value cannot be encoded.
        decode: returns the message in a frame; raises ValueError if it is not one, RecursionError
            if it is nested too deeply.
    """

    name: str
    binary: bool
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes | memoryview], Message]

    def convert(self, value: Any, kind: Any) -> Any:
        """Convert a decoded value to a type.

        Raises:
            msgspec.ValidationError: if it does not match.
        """
        return msgspec.convert(value, kind, builtin_types=_BYTES if self.binary else ())

    def encode_notification(self, method: str, params: Sequence[Any]) -> bytes:
        """Return the bytes of a notification."""
        return self.encode((2, method, params))


_BYTES = (bytes, bytearray)

MSGPACK: Final = Codec(
    "msgpack",
    True,
    msgspec.msgpack.Encoder(enc_hook=as_sendable).encode,
    msgspec.msgpack.Decoder(Message).decode,
)
"""MessagePack, for all transports."""

JSON: Final = Codec(
    "json",
    False,
    msgspec.json.Encoder(enc_hook=as_sendable).encode,
    msgspec.json.Decoder(Message).decode,
)
"""JSON, for WebSocket, whose frames hold one message each."""

SUBPROTOCOLS = {"actorcred.msgpack": MSGPACK, "actorcred.json": JSON}
"""The codecs by WebSocket subprotocol."""
