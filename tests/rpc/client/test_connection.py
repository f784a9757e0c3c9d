"""The client's end of a connection: answers reach their calls, and faults end it clearly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorcred import CallError, ConnectionLost
from actorcred.rpc.client.connection import ClientConnection, make_handle
from actorcred.rpc.client.transports import Receiver
from actorcred.rpc.protocol.codec import MSGPACK, Request
from tests.rpc.stage import on_loop


class Wire:
    """A transport whose other end is the test."""

    codec, framed = MSGPACK, False

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.aborted = False
        self.receiver: Receiver

    def start(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def write(self, message: bytes) -> None:
        self.written.append(MSGPACK.decode(message))

    def writelines(self, messages: list[bytes]) -> None:
        for message in messages:
            self.write(message)

    def abort(self) -> None:
        self.aborted = True

    def server_certificate(self) -> None:
        return None

    def say(self, *message: Any) -> None:
        self.receiver.received(MSGPACK.encode(message))


class Line:
    """A connection, and what became of it."""

    def __init__(self, handler: Any = None) -> None:
        self.wire, self.notifications, self.ends = Wire(), 0, list[ConnectionLost]()
        self.connection = ClientConnection(
            self.wire, make_handle(handler), self, lambda _, why: self.ends.append(why)
        )


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@on_loop
async def test_each_answer_goes_to_its_call_and_one_too_many_to_nobody() -> None:
    line = Line()
    first, second = (line.connection.request("move", (n,)) for n in range(2))
    await turns()
    numbers = [request.id for request in line.wire.written]
    line.wire.say(1, numbers[1], None, "second")
    line.wire.say(1, numbers[0], {"code": "poor", "message": "no gold"}, None)
    line.wire.say(1, numbers[0], None, "again")

    assert await second == "second"
    with pytest.raises(CallError, match="no gold") as failed:
        await first
    assert failed.value.code == "poor"


@on_loop
async def test_what_was_asked_when_the_connection_is_lost_fails_and_so_does_what_comes_later() -> (
    None
):
    line = Line()
    call = line.connection.request("move", ())
    line.wire.receiver.lost("reset by peer")
    line.wire.receiver.lost("and once more")

    for future in (call, line.connection.request("move", ())):
        with pytest.raises(ConnectionLost, match="reset by peer"):
            await future
    assert [str(end) for end in line.ends] == ["reset by peer"]
    assert not line.connection.open


@pytest.mark.parametrize(
    ("params", "text", "code", "retry_after"),
    [
        ([{"code": "drained", "message": "going down"}, 5.0], "going down", "drained", 5.0),
        ([], "the server said goodbye", "", None),
        (["odd"], "the server said goodbye", "", None),
    ],
)
@on_loop
async def test_a_goodbye_is_the_reason_of_the_end(
    params: list[Any], text: str, code: str, retry_after: float | None
) -> None:
    line = Line()
    line.wire.say(2, "cred.goodbye", params)
    line.wire.receiver.lost("closed")

    (end,) = line.ends
    assert (str(end), end.code, end.retry_after) == (text, code, retry_after)
    assert line.notifications == 0


@on_loop
async def test_a_server_that_breaks_the_protocol_is_left() -> None:
    line = Line()
    line.wire.receiver.received(b"\xc1")

    assert line.wire.aborted
    assert line.ends[0].code == "protocol-error"
    assert "the server broke the protocol" in str(line.ends[0])


class Handler:
    """Fails in all ways."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def moved(self, *args: Any) -> None:
        self.got.append(args)

    async def later(self, error: str) -> None:
        self.refuse(error)

    def refuse(self, error: str) -> None:
        raise {"call": CallError("no"), "bug": LookupError("a bug")}[error]

    async def name(self) -> str:
        return "ann"

    def _secret(self) -> None:
        raise AssertionError("private")


@on_loop
async def test_a_handler_that_fails_harms_nothing_and_a_bug_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handler = Handler()
    line = Line(handler)
    for how in ("call", "bug"):
        line.wire.say(2, "refuse", [how])
        line.wire.say(2, "later", [how])
    line.wire.say(2, "nobody knows this", [])
    line.wire.say(2, "moved", [1, 2])
    await turns()

    assert handler.got == [(1, 2)]
    assert line.notifications == 6
    assert caplog.text.count("The handler of 'refuse' failed:") == 1
    assert caplog.text.count("The handler of 'later' failed:") == 1


@on_loop
async def test_the_server_gets_an_answer_to_each_question(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line = Line(Handler())
    for number, (name, *params) in enumerate(
        [("name",), ("refuse", "call"), ("refuse", "bug"), ("_secret",), ("unknown",)]
    ):
        line.wire.say(0, number, name, params)
    await turns()
    answers = {answer.id: answer for answer in line.wire.written}

    assert (answers[0].result, answers[0].error) == ("ann", None)
    assert [answers[number].error["code"] for number in range(1, 5)] == [
        "failed", "internal", "unknown-method", "unknown-method"
    ]  # fmt: skip
    assert "a bug" not in str(answers[2].error)
    assert "The handler of 'refuse' failed:" in caplog.text


@on_loop
async def test_a_function_may_be_the_handler_and_nobody_knows_nothing() -> None:
    got: list[Any] = []
    line, silent = Line(lambda *what: got.append(what)), Line()
    line.wire.say(2, "moved", [1])
    silent.wire.say(0, 1, "name", [])
    await turns()

    assert got == [("moved", 1)]
    assert silent.wire.written[0].error["code"] == "unknown-method"


@on_loop
async def test_a_server_that_is_silent_for_too_long_is_left() -> None:
    line = Line()
    line.notifications = 7
    line.connection.start_heartbeat(0.02)
    async with asyncio.timeout(10):
        while not line.ends:
            await asyncio.sleep(0.01)

    pings = [request for request in line.wire.written if isinstance(request, Request)]
    assert (pings[0].method, pings[0].params) == ("cred.ping", [7])
    assert str(line.ends[0]) == "the server was silent for 0.04 s"
    assert line.wire.aborted


@on_loop
async def test_without_tls_there_is_nothing_to_bind_to_and_what_was_given_up_is_not_sent() -> None:
    line = Line()
    assert line.connection.channel_binding() is None
    line.connection.send(MSGPACK.encode((2, "late", [])))
    line.connection.abort()
    await turns()

    assert line.wire.written == []
    assert str(line.ends[0]) == "the connection was abandoned"
