"""The bus on a real NATS: messages between nodes, and values that are compared and set."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from nats.aio.msg import Msg

from actorcred.cluster import outgoing
from actorcred.cluster.bus import Bus, Reply
from actorcred.cluster.errors import BusDown, BusError, NodeGone
from actorcred.cluster.messages import unpack
from actorcred.cluster.outgoing import Item
from actorcred.cluster.store import Store
from tests.cluster.conftest import nothing, opened, stranger, until
from tests.cluster.nats_server import NatsServer

LARGE = bytes(2 << 20)
"""More than NATS takes in one message."""


class Inbox(list[bytes]):
    """What a node was sent; it answers with its name."""

    def __init__(self, name: bytes = b"") -> None:
        super().__init__()
        self.name = name

    def __call__(self, data: bytes, reply: Reply | None) -> None:
        self.append(data)
        if reply is not None:
            reply(self.name + data)


def packed(*items: Item) -> bytes:
    """Return messages as a node sends them."""
    return msgspec.msgpack.encode(items)


# -- messages ------------------------------------------------------------------------------------


def test_what_a_node_is_told_comes_to_it_alone_and_in_order(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, to_a, to_b = nats_server.options(), Inbox(), Inbox()
        async with opened(options, to_a) as a, opened(options, to_b) as b:
            sent = [str(number).encode() for number in range(100)]
            assert all(b.tell(a.node, data) for data in sent)
            await until(lambda: len(to_a) == 100)
            assert to_a == sent
            assert to_b == []

    asyncio.run(run())


def test_what_is_told_to_all_comes_to_all_of_the_cluster(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, inboxes = nats_server.options(), [Inbox(), Inbox(), Inbox(), Inbox()]
        async with (
            opened(options, inboxes[0]) as a,
            opened(options, inboxes[1]),
            opened(options, inboxes[2]),
            opened(nats_server.options(), inboxes[3]) as other_cluster,
        ):
            assert a.tell_all(b"hello")
            await until(lambda: inboxes[1] and inboxes[2])
            await other_cluster.flush()
            assert inboxes == [[b"hello"], [b"hello"], [b"hello"], []]

    asyncio.run(run())


def test_a_question_is_answered(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with opened(options, Inbox(b"a:")) as a, opened(options) as b:
            assert await b.ask(a.node, b"who") == b"a:who"
            both = await asyncio.gather(*[b.ask(a.node, data) for data in (b"1", b"2")])
            assert both == [b"a:1", b"a:2"]

    asyncio.run(run())


def test_a_node_that_is_not_there_is_known_to_be_gone_at_once(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with opened(nats_server.options(timeout=600.0)) as a:
            with pytest.raises(NodeGone, match="nobody"):
                await a.ask("nobody", b"")

    asyncio.run(run())


def test_a_node_that_does_not_answer_is_not_known_to_be_gone(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with opened(options) as a, opened(options) as b:
            with pytest.raises(BusDown, match=f"{a.node} did not answer"):
                await b.ask(a.node, b"", timeout=0.05)

    asyncio.run(run())


def test_a_gather_returns_the_answers_of_the_others(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, own = nats_server.options(timeout=600.0), Inbox(b"own")
        async with (
            opened(options, own) as a,
            opened(options, Inbox(b"b:")) as b,
            opened(options, Inbox(b"c:")) as c,
        ):
            answers = {b.node: b"b:?", c.node: b"c:?"}
            assert await a.gather(b"?", {b.node, c.node}) == answers
            assert await a.gather(b"?", set()) == {}
            assert own == []

    asyncio.run(run())


def test_a_gather_returns_what_came_in_time(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with opened(options) as a, opened(options, Inbox(b"b:")) as b, opened(options) as c:
            answers: dict[str, bytes] = {}
            while not answers:  # a busy machine may need longer
                answers = await a.gather(b"?", {b.node, c.node}, timeout=0.2)
            assert answers == {b.node: b"b:?"}

    asyncio.run(run())


def test_a_late_answer_to_all_is_ignored(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        options, replies = nats_server.options(), list[Reply]()

        def keep(data: bytes, reply: Reply | None) -> None:
            assert reply is not None
            replies.append(reply)

        inbox = Inbox()
        async with opened(options, inbox) as a, opened(options, keep) as b:
            while not replies:
                assert await a.gather(b"?", {b.node}, timeout=0.01) == {}
            replies[0](b"late")
            b.tell(a.node, b"after it")
            await until(lambda: inbox)
            assert inbox == [b"after it"]

    asyncio.run(run())
    assert not caplog.records


def test_junk_of_a_stranger_is_logged_and_ignored(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        options, inbox = nats_server.options(), Inbox(b"a:")

        def receive(data: bytes, reply: Reply | None) -> None:
            if data.startswith(b"junk"):
                unpack(data)
            inbox(data, reply)

        async with (
            opened(options, receive) as a,
            opened(options) as b,
            stranger(nats_server) as other,
        ):
            topic = f"ac.{options.cluster}"
            await other.publish(f"{topic}.n.{a.node}", b"junk")
            await other.publish(f"{topic}.n.{a.node}", packed(b"junk"))
            await other.publish(f"{topic}.all", packed((1, b"junk")), reply="anywhere")
            for node in ("x", a.node):
                await other.publish(f"_INBOX_ac.{a.node}.q.{node}", b"junk")
                await other.publish(f"_INBOX_ac.{a.node}.q.{node}", packed((0, b"junk"), b"junk"))
            await other.flush()
            assert await b.ask(a.node, b"still here") == b"a:still here"
            assert inbox == [b"still here"]

    asyncio.run(run())
    messages = [record.getMessage() for record in caplog.records]
    ignored = "A message on the bus was ignored: not a message between nodes"
    assert sum(message.startswith(ignored) for message in messages) == 1
    assert messages.count("A message of another node could not be handled:") == 2
    assert len(messages) == 3


def test_answers_come_to_an_inbox_that_can_be_closed_to_others(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, subjects = nats_server.options(), set[str]()

        async def note(msg: Msg) -> None:
            if msg.subject.startswith("_INBOX"):
                subjects.add(msg.subject)

        async with (
            stranger(nats_server) as other,
            opened(options, Inbox(b"a:")) as a,
            opened(options) as b,
        ):
            await other.subscribe(">", cb=note)
            await other.flush()
            await b.ask(a.node, b"?")
            await b.gather(b"?", {a.node})
            store = Store(b)
            await store.open()
            await store.write("key", 0, b"1")
            await until(lambda: len(subjects) >= 3)
            assert all(subject.startswith(f"_INBOX_ac.{b.node}.") for subject in subjects)

    asyncio.run(run())


def test_a_message_that_is_too_large_is_refused_and_others_pass(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        options, inbox = nats_server.options(), Inbox()
        async with opened(options, inbox) as a, opened(options) as b:
            with pytest.raises(BusError, match=f"too large for NATS: {len(LARGE)} bytes"):
                await b.ask(a.node, LARGE)
            with pytest.raises(BusError, match="too large"):
                b.tell(a.node, LARGE)
            b.tell(a.node, b"small")
            await until(lambda: inbox)
            assert inbox == [b"small"]

    asyncio.run(run())


def test_messages_do_not_pile_up_without_bounds(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "WAITING", 3)

    async def run() -> None:
        options, inbox = nats_server.options(), Inbox()
        async with opened(options, inbox) as a, opened(options) as b:
            taken = [b.tell(a.node, data) for data in (b"1", b"2", b"3", b"4", b"5")]
            assert taken == [True, True, True, False, False]
            assert b.dropped == 2
            await until(lambda: len(inbox) == 3)
            assert b.tell(a.node, b"6")
            await until(lambda: len(inbox) == 4)
            assert inbox == [b"1", b"2", b"3", b"6"]

    asyncio.run(run())


def test_what_waits_is_sent_before_a_bus_closes(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, inbox = nats_server.options(), Inbox()
        async with opened(options, inbox) as a:
            async with opened(options) as b:
                assert b.tell(a.node, b"bye")
            await until(lambda: inbox == [b"bye"])
            assert not b.connected
            await b.close()

    asyncio.run(run())


def test_a_bus_that_was_never_opened_can_be_closed_and_sends_nothing(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        bus = Bus(nats_server.options(), "node", nothing)
        assert not bus.connected
        assert not bus.tell("node", b"")
        with pytest.raises(BusDown):
            await bus.ask("node", b"")
        await bus.close()

    asyncio.run(run())
