"""Messages in both codecs, and what is refused before it costs memory or time."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest

from actorcred import ProtocolError
from actorcred.rpc.protocol.codec import (
    JSON,
    MSGPACK,
    Codec,
    NotificationMessage,
    Request,
    Response,
    WireLimits,
    check_maps,
    weigh,
)

CODECS = pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=lambda codec: codec.name)


@CODECS
def test_each_kind_of_message_comes_back_as_it_was(codec: Codec) -> None:
    for message in (
        Request(1, "move", [1.5, None]),
        Response(1, None, {"x": 1}),
        NotificationMessage("moved", ["ann", True]),
    ):
        assert codec.decode(codec.encode(message)) == message
    assert codec.decode(codec.encode_notification("bye", ("x",))) == NotificationMessage(
        "bye", ["x"]
    )


@CODECS
def test_what_is_no_message_is_an_error_of_the_peer(codec: Codec) -> None:
    for wrong in ([], [3, 1, "x", []], [0, "x", "m", []], [0, 1, "m", [], "more"], {"a": 1}):
        with pytest.raises(ValueError, match=r"\S"):
            codec.decode(codec.encode(wrong))


def test_a_number_of_a_class_of_its_own_is_sent_as_a_number() -> None:
    class Count(int):
        pass

    for codec in (MSGPACK, JSON):
        assert codec.decode(codec.encode((1, 5, None, Count(3)))) == codec.decode(
            codec.encode((1, 5, None, 3))
        )
        with pytest.raises(TypeError, match="type object is unsupported"):
            codec.encode((1, 5, None, object()))


def test_bytes_are_bytes_or_base64() -> None:
    assert MSGPACK.convert(b"\xff", bytes) == b"\xff"
    assert JSON.convert("/w==", bytes) == b"\xff"
    with pytest.raises(msgspec.ValidationError):
        MSGPACK.convert("text", bytes)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


LIMITS = WireLimits(nesting=3, string=4, items=2, keys=1)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (nested(3), "nested deeper than 3"),
        ({"a": {"b": {"c": 1}}}, "nested deeper than 3"),
        ("five!", "longer than 4"),
        (b"five!", "longer than 4"),
        ({"five!": 1}, "longer than 4"),
        ([1, 2, 3], "more than 2 elements"),
        ((1, 2, 3), "more than 2 elements"),
        ({"a": 1, "b": 2}, "more than 1 entries"),
        ({(1,): 2}, "neither a string nor bytes nor a number"),
    ],
)
def test_what_is_beyond_a_limit_is_a_breach_of_the_protocol(value: Any, error: str) -> None:
    with pytest.raises(ProtocolError, match=error):
        LIMITS.check([1, value])


def test_what_is_within_the_limits_is_accepted() -> None:
    LIMITS.check([1, 2.5, True, None])
    LIMITS.check([["four"], {"a": b"four"}, 7])


@pytest.mark.parametrize("name", ["frame", "nesting", "string", "items", "keys", "pending"])
def test_a_limit_of_nothing_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be more than 0, not 0"):
        WireLimits(**{name: 0})


def test_maps_are_checked_before_they_are_built() -> None:
    check_maps(msgpack.packb({"a": {1: 2}}), 2)
    with pytest.raises(ValueError, match="max_map_len"):
        check_maps(msgpack.packb({str(number): 0 for number in range(3)}), 2)
    with pytest.raises(ProtocolError, match="neither a string"):
        check_maps(msgpack.packb([{(1, 2): 0}]), 2)
    with pytest.raises(msgpack.FormatError):
        check_maps(b"\xc1", 2)


def test_values_weigh_about_what_they_take() -> None:
    assert weigh([1, None, 2.5]) == 3 * 32
    assert weigh(["x" * 1000]) > 1000
    assert weigh([[b"x" * 1000], ("y",)]) > 1000
    assert weigh([{"key": "x" * 1000}]) > 1000
