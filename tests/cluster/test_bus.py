"""The bus on a real NATS: messages between nodes, and values that are compared and set."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nats.aio.msg import Msg

from actorcred.cluster import bus as bus_module
from actorcred.cluster.bus import Bus, Reply
from actorcred.cluster.errors import BusDown, BusError, NodeGone, StoreLost
from actorcred.cluster.messages import unpack
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


async def all_of(messages: Any) -> list[tuple[int, bytes]]:
    return [message async for message in messages]


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

        async with opened(options, receive) as a, stranger(nats_server) as other:
            topic = f"ac.{options.cluster}"
            await other.publish(f"{topic}.n.{a.node}", b"junk")
            await other.publish(f"{topic}.all", b"junk", reply="anywhere")
            await other.publish(f"{topic}.g.{a.node}.0.x", b"junk")
            await other.publish(f"{topic}.g.{a.node}.x.x", b"junk")
            await other.flush()
            answer = await other.request(f"{topic}.n.{a.node}", b"still here", timeout=20)
            assert answer.data == b"a:still here"
            assert inbox == [b"still here"]

    asyncio.run(run())
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["A message of another node could not be handled:"] * 2


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
            await b.write("key", 0, b"1")
            await b.read("key")
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
    monkeypatch.setattr(bus_module, "OUTGOING", 3)

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


# -- compare and set -----------------------------------------------------------------------------


def test_a_value_is_set_only_by_who_knows_its_revision(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with opened(options) as a, opened(options) as b:
            assert await a.read("key") == (0, None)
            first = await a.write("key", 0, b"a")
            assert first is not None
            assert await b.write("key", 0, b"b") is None
            assert await b.read("key") == (first, b"a")
            second = await b.write("key", first, b"")
            assert second is not None
            assert second > first
            assert await a.write("key", first, b"a") is None
            assert await a.read("key") == (second, b"")
            assert await a.read("other") == (0, None)

    asyncio.run(run())


def test_of_many_that_write_at_once_one_wins(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with opened(options) as a, opened(options) as b:
            for round_ in range(10):
                key = f"key{round_}"
                tries = [(a, b)[number % 2].write(key, 0, b"%d" % number) for number in range(12)]
                revisions = await asyncio.gather(*tries)
                winners = [number for number, revision in enumerate(revisions) if revision]
                assert len(winners) == 1
                assert await a.read(key) == (revisions[winners[0]], b"%d" % winners[0])

    asyncio.run(run())


def test_a_removed_value_leaves_nothing_behind(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with opened(options) as a, stranger(nats_server) as other:
            revision = await a.write("key", 0, b"1")
            assert revision is not None
            assert await a.remove(revision)
            assert await a.read("key") == (0, None)
            info = await other.jetstream().stream_info(f"ACR_{options.cluster}")
            assert info.state.messages == 0
            assert not await a.remove(revision)
            assert await a.write("key", 0, b"2") is not None

    asyncio.run(run())


def test_a_value_that_has_changed_is_not_removed(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with opened(nats_server.options()) as a:
            old = await a.write("key", 0, b"old")
            assert old is not None
            new = await a.write("key", old, b"new")
            assert not await a.remove(old)
            assert await a.read("key") == (new, b"new")

    asyncio.run(run())


def test_the_whole_roster_can_be_read(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with opened(nats_server.options()) as a:
            assert await all_of(a.roster()) == []
            revisions = [await a.write(f"key{n}", 0, b"%d" % n) for n in range(5)]
            assert revisions[1] is not None
            await a.remove(revisions[1])
            assert [data for _, data in await all_of(a.roster())] == [b"0", b"2", b"3", b"4"]
            changed = await a.write("key0", revisions[0] or 0, b"new")
            assert (await all_of(a.roster()))[-1] == (changed, b"new")

    asyncio.run(run())


def test_the_log_can_be_read_from_a_number_on(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, heard = nats_server.options(in_memory=False), list[bytes]()

        async def note(msg: Msg) -> None:
            heard.append(msg.data)

        async with opened(options) as a, opened(options) as b:
            await b.listen("revoked.*", note)
            await b.flush()
            assert await a.logged() == 0
            await a.log("ann", b"1")
            seen = await b.logged()
            await a.log("bob", b"2")
            await a.log("ann", b"3")
            assert await all_of(b.log_after(seen)) == [(2, b"2"), (3, b"3")]
            assert await all_of(b.log_after(0)) == [(2, b"2"), (3, b"3")], "the last of each key"
            assert await all_of(b.log_after(await b.logged())) == []
            await until(lambda: heard == [b"1", b"2", b"3"])

    asyncio.run(run())


def test_a_beat_comes_to_all_that_listen_the_sender_too(nats_server: NatsServer) -> None:
    async def run() -> None:
        options, heard = nats_server.options(), list[tuple[str, bytes]]()

        async def note(msg: Msg) -> None:
            heard.append((msg.subject, msg.data))

        async with opened(options) as a, opened(options) as b:
            await a.listen("lease.*", note)
            await b.listen("lease.*", note)
            await asyncio.gather(a.flush(), b.flush())
            await a.beat(b"I live", 20)
            await until(lambda: len(heard) == 2)
            assert heard == [(f"ac.{options.cluster}.lease.{a.node}", b"I live")] * 2

    asyncio.run(run())


def test_what_nats_refuses_to_keep_is_an_error_that_can_be_handled(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with opened(options) as a, stranger(nats_server) as other:
            for name in ("ACR", "ACL", "ACV"):
                stream = f"{name}_{options.cluster}"
                info = await other.jetstream().stream_info(stream)
                await other.jetstream().update_stream(info.config, max_msg_size=1)
            writes: list[Callable[[], Awaitable[object]]] = [
                lambda: a.beat(b"long", 20),
                lambda: a.log("key", b"long"),
                lambda: a.write("key", 0, b"long"),
            ]
            for write in writes:
                with pytest.raises(BusDown, match="exceeds maximum"):
                    await write()

    asyncio.run(run())


def test_streams_that_were_lost_are_noticed_and_made_anew(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options(timeout=0.5)
        async with opened(options) as a, stranger(nats_server) as other:
            before = await a.ensure_streams()
            assert await a.ensure_streams() == before
            for name in ("ACR", "ACL", "ACV"):
                await other.jetstream().delete_stream(f"{name}_{options.cluster}")
            with pytest.raises(StoreLost):
                await a.beat(b"1", 20)
            with pytest.raises(StoreLost):
                await a.write("key", 0, b"1")
            with pytest.raises(BusDown):
                await a.read("key")
            with pytest.raises(BusDown):
                await all_of(a.roster())
            assert await a.ensure_streams() not in {before, ""}
            await a.beat(b"1", 20)
            assert await a.write("key", 0, b"1") == 1

    asyncio.run(run())


def test_nodes_that_come_at_once_agree_on_the_streams(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        options = nats_server.options()
        other = nats_server.options(cluster=options.cluster, in_memory=False)
        nodes = [Bus((options, other)[n % 2], f"node{n}", nothing) for n in range(6)]
        await asyncio.gather(*[node.open() for node in nodes])
        epochs = await asyncio.gather(*[node.ensure_streams() for node in nodes])
        assert len(set(epochs)) == 1
        await asyncio.gather(*[node.close() for node in nodes])

    asyncio.run(run())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_streams_are_not_trimmed_and_keep_one_value_a_key(nats_server: NatsServer) -> None:
    async def run() -> None:
        options = nats_server.options(in_memory=False)
        async with opened(options), stranger(nats_server) as other:
            kept = {}
            for name in ("ACR", "ACL", "ACV"):
                answer = await other.request(f"$JS.API.STREAM.INFO.{name}_{options.cluster}")
                config = json.loads(answer.data)["config"]
                assert config["max_msgs_per_subject"] == 1
                kept[name] = (config["storage"], config["max_age"] // 10**9)
            assert kept == {"ACR": ("file", 0), "ACL": ("memory", 120), "ACV": ("file", 86400)}

    asyncio.run(run())
