"""Messages that wait to be sent, which go together where they go to the same node."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from actorcred.cluster import outgoing
from actorcred.cluster.outgoing import OVERHEAD, Item, Outgoing, unpack_items


class Line:
    """A way to NATS that notes what is sent, and waits while it is slow."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[Item]]] = []
        self.works = True
        self.free = asyncio.Event()
        self.free.set()

    async def __call__(self, subject: str, data: bytes, reply: str) -> bool:
        await self.free.wait()
        if self.works:
            self.sent.append((subject, unpack_items(data)))
        return self.works


def put(waiting: Outgoing, subject: str, *items: Item) -> None:
    for item in items:
        assert waiting.put(subject, "", item)


def test_messages_to_one_node_go_together_and_in_order() -> None:
    async def run() -> None:
        line = Line()
        waiting = Outgoing(line)
        put(waiting, "a", b"1", (7, b"2"))
        put(waiting, "b", b"3")
        put(waiting, "a", b"4")
        await waiting.sent()
        assert line.sent == [("a", [b"1", (7, b"2"), b"4"]), ("b", [b"3"])]
        put(waiting, "a", b"5")
        await waiting.sent()
        assert line.sent[-1] == ("a", [b"5"])
        await waiting.sent()

    asyncio.run(run())


def test_no_more_goes_together_than_nats_takes_and_others_have_their_turn() -> None:
    async def run() -> None:
        line = Line()
        waiting = Outgoing(line)
        waiting.largest = 2 * OVERHEAD + 20
        put(waiting, "a", bytes(10), bytes(10), bytes(11), bytes(10), bytes(500))
        put(waiting, "b", b"")
        await waiting.sent()
        sizes = [(subject, list(map(len, items))) for subject, items in line.sent]
        assert sizes == [("a", [10, 10]), ("b", [0]), ("a", [11]), ("a", [10]), ("a", [500])]

    asyncio.run(run())


def test_what_is_dropped_is_not_sent_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "BATCH", OVERHEAD)

    async def run() -> None:
        line = Line()
        waiting = Outgoing(line)
        line.free.clear()
        put(waiting, "a", b"1", b"2", b"3")
        await asyncio.sleep(0)  # the first is on its way
        waiting.drop()
        line.free.set()
        put(waiting, "a", b"4")
        await waiting.sent()
        assert line.sent == [("a", [b"1"]), ("a", [b"4"])]
        assert waiting.dropped == 2

    asyncio.run(run())


def test_what_could_not_be_sent_is_counted() -> None:
    async def run() -> None:
        line = Line()
        waiting = Outgoing(line)
        line.works = False
        put(waiting, "a", b"1", b"2")
        await waiting.sent()
        assert waiting.dropped == 2

    asyncio.run(run())


def test_no_more_waits_than_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "WAITING", 2)

    async def run() -> None:
        line = Line()
        waiting = Outgoing(line)
        put(waiting, "a", b"1", b"2")
        assert not waiting.put("b", "", b"3")
        assert waiting.dropped == 1
        await waiting.sent()
        put(waiting, "b", b"4")
        await waiting.sent()
        assert line.sent == [("a", [b"1", b"2"]), ("b", [b"4"])]

    asyncio.run(run())


@pytest.mark.parametrize(
    "data",
    [b"", b"junk", b"\xc1", *map(msgspec.msgpack.encode, (1, [1], [[1]], ["x"], {"a": b""}))],
)
def test_junk_is_no_message(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a message between nodes"):
        unpack_items(data)


def test_a_question_or_an_answer_goes_at_once_if_nothing_waits() -> None:
    async def run() -> None:
        line, now, idle = Line(), list[tuple[str, Item]](), True

        def send_now(subject: str, item: Item, reply: str) -> bool:
            if idle:
                now.append((subject, item))
            return idle

        waiting = Outgoing(line, send_now)
        put(waiting, "a", (1, b"asked"))
        assert now == [("a", (1, b"asked"))]
        put(waiting, "a", b"told", (2, b"asked after it"))
        assert len(now) == 1
        await waiting.sent()
        idle = False
        put(waiting, "a", (3, b"asked of a busy line"))
        await waiting.sent()
        assert line.sent == [
            ("a", [b"told", (2, b"asked after it")]),
            ("a", [(3, b"asked of a busy line")]),
        ]

    asyncio.run(run())
