"""The protocol without I/O: two ends over a link that a test cuts into pieces."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred.errors import CallError, ProtocolError
from actorcred.rpc.protocol.codec import (
    JSON,
    MSGPACK,
    NotificationMessage,
    Request,
    Response,
    WireLimits,
)
from actorcred.rpc.protocol.connection import Connection, Excess

SMALL = WireLimits(frame=2000, nesting=4, string=100, items=20, keys=5, pending=3)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_call_and_its_answer_cross_the_link() -> None:
    client, server = Connection(), Connection()
    number, data = client.request("move", (1, 2.5))
    (request,) = server.receive(data)
    assert request == Request(number, "move", [1, 2.5])
    (answer,) = client.receive(server.answer(number, {"x": b"\xff"}))
    assert answer == Response(number, None, {"x": b"\xff"})


def test_an_error_is_a_map_of_code_and_message() -> None:
    client, server = Connection(), Connection()
    number, data = client.request("move", ())
    server.receive(data)
    (answer,) = client.receive(
        server.fail(number, CallError("too fast", "slow-down", retry_after=2))
    )
    assert answer == Response(
        number, {"code": "slow-down", "message": "too fast", "retry_after": 2}, None
    )


def test_both_sides_call_and_notify() -> None:
    client, server = Connection(), Connection()
    number, data = server.request("ask", ("why",))
    assert client.receive(data) == [Request(number, "ask", ["why"])]
    assert client.receive(server.notify("moved", (1, 2))) == [NotificationMessage("moved", [1, 2])]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_messages_arrive_however_the_stream_is_cut(data: st.DataObject) -> None:
    client, server = Connection(), Connection()
    sizes = data.draw(st.lists(st.integers(0, 9000), min_size=1, max_size=8))
    stream = b"".join(client.notify("n", ("x" * size, size)) for size in sizes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    got: list[Any] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += server.receive(stream[begin:end])
    assert [message.params[1] for message in got] == sizes
    assert all(len(message.params[0]) == message.params[1] for message in got)
    assert server._tail == b""
    assert server._scanner is None


def test_a_long_message_byte_by_byte_is_not_looked_at_anew_each_time() -> None:
    connection = Connection()
    data = connection.notify("n", ("x" * 20_000,))
    got: list[Any] = []
    for index in range(len(data)):
        got += connection.receive(data[index : index + 1])
    assert len(got) == 1


def test_names_of_methods_may_be_bytes() -> None:
    (request,) = Connection().receive(msgpack.packb([0, 1, b"move", []]))
    assert request == Request(1, "move", [])


@pytest.mark.parametrize(
    "message",
    [
        [],
        [0],
        [3, 1, "m", []],
        [-1, 1, "m", []],
        [0, 1, "m"],
        [0, 1, "m", [], 5],
        [0, "1", "m", []],
        [0, -1, "m", []],
        [0, 2**32, "m", []],
        [0, 1, None, []],
        [0, 1, "m", {}],
        [0, 1, "m", None],
        [2, "m"],
        [2, 7, []],
        {},
        "text",
        None,
        7,
        [2, "m", [nested(5)]],
        [2, "m", [{"a": {"b": {"c": {"d": 1}}}}]],
        [2, "m", ["x" * 101]],
        [2, "m", [b"x" * 101]],
        [2, "m", [list(range(21))]],
        [2, "m", list(range(21))],
        [2, "m", [{str(key): 1 for key in range(6)}]],
        [2, "m", [{"x" * 101: 1}]],
        [2, "m", ["x" * 99] * 19 + [1] * 1 + [2]],
        [2, "m", ["x" * 99] * 20 + [[1] * 19]],
    ],
)
@pytest.mark.parametrize("codec", [MSGPACK, JSON], ids=["msgpack", "json"])
def test_what_is_no_message_or_beyond_a_limit_breaks_the_connection(
    message: Any, codec: Any
) -> None:
    connection = Connection(codec, SMALL, framed=codec is JSON)
    data = codec.encode(message)
    with pytest.raises(ProtocolError):
        connection.receive(data)
    with pytest.raises(ProtocolError):
        connection.receive(codec.encode([2, "m", []]))


@pytest.mark.parametrize(
    "data",
    [
        msgpack.packb([0, 1, b"\xff", []]),
        b"\xc1",
        b"\x93\x02\xa1\xff\x90",
        b"\x91" * 3000,
        b"\xdf\xff\xff\xff\xff" * 500,
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_rubbish_breaks_the_connection(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Connection(limits=SMALL).receive(data)


def test_an_endless_message_is_cut_off_at_the_limit_of_a_frame() -> None:
    connection = Connection(limits=SMALL)
    connection.receive(b"\x93\x02\xa1m\xdb\x7f\xff\xff\xff")  # a string of two gigabytes begins
    with pytest.raises(ProtocolError, match="longer than 2000"):
        for _ in range(100):
            connection.receive(b"x" * 100)


def test_one_request_too_many_is_refused_and_not_carried_out() -> None:
    connection = Connection(limits=SMALL)
    got = connection.receive(b"".join(msgpack.packb([0, number, "m", []]) for number in range(4)))
    assert got[3] == Excess(3)
    kind, number, error, _ = msgspec.msgpack.decode(connection.refuse(got[3]))
    assert (kind, number, error["code"]) == (1, 3, "too-many-requests")
    connection.answer(0, None)
    assert connection.receive(msgpack.packb([0, 9, "m", []])) == [Request(9, "m", [])]


def test_an_id_that_waits_for_its_answer_cannot_be_used_again() -> None:
    connection = Connection(limits=SMALL)
    connection.receive(msgpack.packb([0, 1, "m", []]))
    with pytest.raises(ProtocolError, match="unanswered"):
        connection.receive(msgpack.packb([0, 1, "m", []]))


def test_answers_that_nobody_waits_for_are_left_out() -> None:
    connection = Connection(limits=SMALL)
    assert connection.receive(msgpack.packb([1, 5, None, "x"])) == []
    number, _ = connection.request("m", ())
    connection.forget(number)
    assert connection.receive(msgpack.packb([1, number, None, "x"])) == []


def test_a_result_that_cannot_be_encoded_leaves_the_request_waiting_for_an_error() -> None:
    connection = Connection(limits=SMALL)
    connection.receive(msgpack.packb([0, 1, "m", []]))
    with pytest.raises(TypeError):
        connection.answer(1, object())
    assert connection.fail(1, CallError("no"))
    assert connection.receive(msgpack.packb([0, 1, "m", []]))


def test_an_idle_connection_takes_less_than_a_kilobyte() -> None:
    connections = [Connection() for _ in range(10)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        connections = [Connection() for _ in range(1000)]
        for connection in connections:
            connection.receive(msgpack.packb([0, 1, "m", []]))
            connection.answer(1, None)
        used = (tracemalloc.get_traced_memory()[0] - before) / 1000
    finally:
        tracemalloc.stop()
    assert used < 1024
    assert connections


# -- fuzzing: only documented errors, and bounded memory -----------------------------------------

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=200)
    | st.binary(max_size=200),
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=30,
)
streams = st.one_of(
    st.binary(max_size=3000),
    st.lists(values.map(msgpack.packb), max_size=5).map(b"".join),
    st.tuples(
        st.integers(-1, 3), st.integers(0, 5), st.text(max_size=5), st.lists(values, max_size=4)
    ).map(msgpack.packb),
)


@given(st.lists(streams, max_size=6), st.integers(1, 500))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_there_is_no_other_error_than_the_documented_one(
    pieces: list[bytes], step: int
) -> None:
    connection = Connection(limits=SMALL)
    stream = b"".join(pieces)
    try:
        for begin in range(0, len(stream), step):
            for message in connection.receive(stream[begin : begin + step]):
                if isinstance(message, Request):
                    connection.answer(message.id, None)
    except ProtocolError:
        pass
    assert len(connection._tail) <= SMALL.frame


@given(
    st.one_of(
        st.text(max_size=2000).map(str.encode),
        st.binary(max_size=500),
        values.map(repr).map(str.encode),
    )
)
@settings(max_examples=200, deadline=None)
def test_whatever_comes_as_json_there_is_no_other_error(frame: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        Connection(JSON, SMALL, framed=True).receive(frame)
