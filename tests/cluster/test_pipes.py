"""Pipes between nodes: all arrives whole, once and in order, or both ends learn of the loss."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorcred.actors import Future
from actorcred.cluster import pipe as one
from actorcred.cluster import pipes as module
from actorcred.cluster.errors import RemoteError
from actorcred.cluster.messages import Count, pack, unpack
from actorcred.cluster.pipe import CHUNK, CONFIRMED, SLOW, WINDOW
from actorcred.cluster.pipe_messages import ClosePipe, LosePipes, OpenPipe, PipeData, PipeTaken
from actorcred.sessions.routing import Accepted, NoRoute, Opened, Pipe
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import SHORT, Member, team


class End:
    """One end of a pipe, which remembers what it is told, and takes it unless it is lazy."""

    def __init__(self, pipe: Pipe | None = None, *, lazy: bool = False) -> None:
        self.pipe = pipe
        self.lazy = lazy
        self.got: list[bytes] = []
        self.drains = 0
        self.why: list[str] = []

    def received(self, messages: list[bytes]) -> None:
        self.got += messages
        if self.pipe is not None and not self.lazy:
            self.pipe.taken(sum(map(len, messages)))

    def drained(self) -> None:
        self.drains += 1

    def closed(self, why: str) -> None:
        self.why.append(why)

    @property
    def size(self) -> int:
        return sum(map(len, self.got))


class Service:
    """Accepts pipes at a node, but for what it does not know."""

    def __init__(self, member: Member, *, lazy: bool = False) -> None:
        self.ends: list[End] = []
        self.greetings: list[bytes] = []
        self._lazy = lazy
        self.stop = member.node.pipes.serve("test", self._accept)

    def _accept(self, greeting: bytes, pipe: Pipe) -> Future[Accepted | None]:
        self.greetings.append(greeting)
        answer: Future[Accepted | None] = Future()
        match greeting:
            case b"unknown":
                answer.settle(None)
            case b"wrong":
                answer.settle_error(ZeroDivisionError())
            case b"late":
                pass
            case _:
                end = End(pipe, lazy=self._lazy)
                self.ends.append(end)
                answer.settle(Accepted(end, b"welcome"))
        return answer


async def opened(a: Member, b: Member, end: End, greeting: bytes = b"hello") -> Pipe:
    outcome = await a.node.pipes.open(b.cluster.node, "test", greeting, end)
    assert isinstance(outcome, Opened)
    assert (outcome.answer, outcome.session) == (b"welcome", None)
    end.pipe = outcome.pipe
    return outcome.pipe


async def nothing_left(*members: Member) -> None:
    await until(lambda: not any(len(member.node.pipes) for member in members))


def test_messages_of_any_size_arrive_in_order_in_both_directions(nats_server: NatsServer) -> None:
    sent = [bytes([n % 256]) * size for n, size in enumerate([1, 0, 100, CHUNK, CHUNK + 1] * 20)]
    sent += [b"x" * (5 * WINDOW), b"y" * 2_000_000, b"end"]

    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, end = Service(b), End()
            pipe = await opened(a, b, end)
            for message in sent:
                pipe.send([message])
            (other,) = service.ends
            assert other.pipe is not None
            other.pipe.send(sent)
            await until(lambda: other.got == sent and end.got == sent)
            await until(lambda: pipe.waiting == other.pipe.waiting == 0)
            assert service.greetings == [b"hello"]
            assert end.drains > 1
            pipe.send([b"last"])
            pipe.close()
            await until(lambda: other.why == end.why == [""])
            assert other.got[-1] == b"last"
            pipe.send([b"too late"])
            pipe.close()
            pipe.abort()
            pipe.taken(WINDOW)
            assert end.why == [""]
            await nothing_left(a, b)

    asyncio.run(run())


def test_no_more_is_under_way_than_the_other_end_takes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, end = Service(b, lazy=True), End()
            pipe = await opened(a, b, end)
            for _ in range(100):
                pipe.send([b"x" * 10_000])
            (other,) = service.ends
            await until(lambda: other.size >= WINDOW)
            await b.node.ask(a.cluster.node, unpack(pack(OpenPipe("p", "n", "nothing", b""))))
            assert other.size < WINDOW + CHUNK + 10_000
            assert pipe.waiting == 1_000_000 - CONFIRMED
            assert other.pipe is not None
            while other.size < 1_000_000:
                other.lazy = False
                other.pipe.taken(other.size)
                await until(lambda: other.size == 1_000_000 or pipe.waiting == 0)
            await until(lambda: pipe.waiting == 0)

    asyncio.run(run())


def test_an_end_that_does_not_take_is_not_waited_for_without_bound(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one, "BACKLOG", 10 * WINDOW)

    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, end = Service(b, lazy=True), End()
            pipe = await opened(a, b, end)
            for _ in range(12):
                pipe.send([b"x" * WINDOW])
            await until(lambda: end.why)
            assert "waited for the other node" in end.why[0]
            await until(lambda: service.ends[0].why == [""])
            empty = End()
            pipe = await opened(a, b, empty)
            pipe.send([b"x" * (2 * WINDOW)])
            pipe.send([b""] * (10 * WINDOW // 64))
            await until(lambda: empty.why)
            await nothing_left(a, b)

    asyncio.run(run())


def test_what_is_closed_arrives_before_the_end_also_if_it_was_not_taken(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, end = Service(b, lazy=True), End()
            pipe = await opened(a, b, end)
            pipe.send([b"x" * 10_000] * 20)
            pipe.close()
            await until(lambda: service.ends[0].why == [""])
            assert service.ends[0].size == 200_000
            await nothing_left(a, b)

    asyncio.run(run())


@pytest.mark.parametrize("greeting", [b"unknown", b"wrong"])
def test_what_no_service_knows_is_unknown(nats_server: NatsServer, greeting: bytes) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            first, second, end = Service(b), Service(b), End()
            outcome = await a.node.pipes.open(b.cluster.node, "test", greeting, end)
            assert outcome is NoRoute.UNKNOWN
            assert first.greetings == second.greetings == [greeting]
            first.stop()
            await opened(a, b, end)
            assert [len(service.ends) for service in (first, second)] == [0, 1]
            other = await a.node.pipes.open(b.cluster.node, "another", greeting, End())
            assert other is NoRoute.UNKNOWN
            assert end.why == []

    asyncio.run(run())


def test_a_service_that_does_not_answer_is_given_up(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACCEPTED", 0.1)

    async def run() -> None:
        async with team(nats_server) as (a, b):
            Service(b)
            outcome = await a.node.pipes.open(b.cluster.node, "test", b"late", End())
            assert outcome is NoRoute.UNKNOWN
            await nothing_left(a, b)

    asyncio.run(run())


@pytest.mark.parametrize("node", ["", "nobody-0123456789ab", "*", ">", "a b", "x" * 10_000])
def test_a_node_that_does_not_exist_is_gone_without_a_message(
    nats_server: NatsServer, node: str
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            asked: list[Any] = []
            a.node.peers.ask = asked.append  # type: ignore[method-assign, assignment]
            assert await a.node.pipes.open(node, "test", b"", End()) is NoRoute.GONE
            assert asked == []

    asyncio.run(run())


def test_a_node_that_is_not_heard_any_more_is_gone(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETURN", 0.2)

    async def run() -> None:
        async with team(nats_server, lease=60.0) as (a, b):
            Service(b)
            await b.die()
            outcome = NoRoute.AWAY
            while outcome is NoRoute.AWAY:  # NATS itself may learn of it a moment later
                outcome = await a.node.pipes.open(b.cluster.node, "test", b"", End())
            assert outcome is NoRoute.SILENT
            monkeypatch.setattr(module, "RETURN", 1000.0)  # it is not waited for again
            outcome = await a.node.pipes.open(b.cluster.node, "test", b"", End())
            assert outcome is NoRoute.SILENT
            await nothing_left(a)

    asyncio.run(run())


def test_a_node_that_does_not_answer_is_away_and_gone_when_its_lease_is_over(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=2 * SHORT) as (a, b):
            service, end = Service(b), End()
            await opened(a, b, end)
            b.tap.black_hole()
            outcome = await a.node.pipes.open(b.cluster.node, "test", b"", End())
            assert outcome in {NoRoute.AWAY, NoRoute.GONE}  # a busy machine can be that late
            await until(lambda: end.why)
            assert await a.node.pipes.open(b.cluster.node, "test", b"", End()) is NoRoute.GONE
            b.tap.open()
            await until(lambda: service.ends[0].why)
            await nothing_left(a, b)

    asyncio.run(run())


def test_ends_learn_that_a_node_has_died_without_its_lease_being_over(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=60.0) as (a, b):
            Service(b)
            end, other = End(), End()
            pipe = await opened(a, b, end)
            await opened(a, b, other)
            await b.die()

            def is_told() -> bool:
                pipe.send([b"are you there"])  # NATS itself may learn of it a moment later
                return end.why == other.why == ["the other node is gone"]

            await until(is_told)
            await nothing_left(a)

    asyncio.run(run())


def test_silent_pipes_are_tried_at_each_beat(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, lease=60.0) as (a, b):
            Service(b)
            end = End()
            await opened(a, b, end)
            await b.die()

            def is_told() -> bool:
                a.node.members.hurry()
                return end.why == ["the other node is gone"]

            await until(is_told)

    asyncio.run(run())


def test_a_node_that_is_disconnected_for_a_moment_loses_its_pipes_at_both_ends(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, end = Service(b), End()
            await opened(a, b, end)
            a.tap.cut()
            await until(lambda: end.why == ["this node was disconnected from NATS"])
            a.tap.open()
            await until(lambda: service.ends[0].why)
            await nothing_left(a, b)
            await until(lambda: a.node.bus.connected)
            again = End()
            await opened(a, b, again)
            b.tap.cut()
            await until(lambda: service.ends[1].why)
            b.tap.open()
            # NATS tells that b is not there, or b itself does when it is back.
            await until(lambda: again.why)

    asyncio.run(run())


def test_without_nats_other_nodes_are_away(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, policy="allow", lease=60.0) as (a, b):
            own_server.kill()
            await until(lambda: not a.node.bus.connected)
            assert await a.node.pipes.open(b.cluster.node, "test", b"", End()) is NoRoute.AWAY
            await nothing_left(a)

    asyncio.run(run())


def test_a_node_has_only_so_many_pipes(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server, count=3) as (a, b, c):
            Service(b)
            b.node.pipes._most = 2
            for _ in range(2):
                await opened(a, b, End())
            outcome = await c.node.pipes.open(b.cluster.node, "test", b"", End())
            assert outcome is NoRoute.AWAY
            outcome = await b.node.pipes.open(a.cluster.node, "test", b"", End())
            assert outcome is NoRoute.AWAY
            assert "opens no more" in caplog.text

    asyncio.run(run())


@pytest.mark.parametrize("opener", [True, False], ids=["opener", "other"])
def test_an_end_whose_other_end_is_gone_unheard_learns_of_it(
    nats_server: NatsServer, opener: bool
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=60.0) as (a, b):
            service, end = Service(b), End()
            await opened(a, b, end)
            other = service.ends[0]
            gone, left, alone = (a, b, other) if opener else (b, a, end)
            gone.node.pipes._pipes.clear()

            def is_told() -> bool:
                left.node.members.hurry()
                return alone.why == ["the other node does not have it any more"]

            await until(is_told)
            await nothing_left(a, b)

    asyncio.run(run())


def test_silent_pipes_live_on_if_both_ends_have_them(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKED", 2)

    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, ends = Service(b), [End() for _ in range(5)]
            pipes = [await opened(a, b, end) for end in ends]
            for _ in range(6):
                a.node.pipes._beat()
                b.node.pipes._beat()
                await a.node.ask(b.cluster.node, Count())
                await b.node.ask(a.cluster.node, Count())
            for pipe in pipes:
                pipe.send([b"still"])
            await until(lambda: all(end.got == [b"still"] for end in service.ends))
            assert [end.why for end in ends] == [[]] * 5

    asyncio.run(run())


def test_a_lost_message_ends_a_pipe(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, end = Service(b), End()
            pipe: Any = await opened(a, b, end)
            pipe._sent += 1
            pipe.send([b"the second"])
            await until(lambda: end.why == [""])
            assert service.ends[0].why == ["a message between the nodes was lost"]
            assert service.ends[0].got == []

    asyncio.run(run())


def test_a_message_that_is_too_long_in_parts_ends_a_pipe(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            service, end = Service(b), End()
            pipe = await opened(a, b, end)
            pipe.send([b"x" * (2 * CHUNK)])
            monkeypatch.setattr(one, "BACKLOG", CHUNK - 1)
            await until(lambda: service.ends[0].why)
            assert "is longer than" in service.ends[0].why[0]

    asyncio.run(run())


def test_messages_that_cannot_be_sent_end_a_pipe(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            Service(b)
            ends = End(), End()
            first, second = [await opened(a, b, end) for end in ends]
            with monkeypatch.context() as patched:
                patched.setattr(a.node.bus, "tell", lambda *_: False)
                first.send([b"x"])
                second.taken(CONFIRMED)
                assert ends[0].why == ends[1].why == [SLOW]
            assert len(b.node.pipes) == 2
            b.node.members.hurry()  # what was heard before that does not count
            await until(lambda: not any(pipe.heard for pipe in b.node.pipes._pipes.values()))
            b.node.members.hurry()
            await nothing_left(a, b)

    asyncio.run(run())


def test_a_pipe_is_closed_when_whoever_asked_has_given_up(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            service = Service(b)
            opening = a.node.pipes.open(b.cluster.node, "test", b"late", End())
            await until(lambda: service.greetings)
            opening.cancel()
            await nothing_left(a, b)

    asyncio.run(run())


def test_a_node_that_leaves_closes_its_pipes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            Service(b)
            end = End()
            await opened(a, b, end)
            await b.cluster.close(0.1)
            await until(lambda: end.why == [""])

    asyncio.run(run())


def test_wrong_answers_and_messages_of_unknown_pipes_do_nothing(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            Service(b)
            end = End()
            await opened(a, b, end)
            for message in (
                PipeData("no", 1, [b"x"]),
                PipeTaken("no", 1),
                ClosePipe("no"),
                LosePipes(["no"]),
            ):
                a.node.tell(b.cluster.node, message)
            (known,) = b.node.pipes._pipes
            with pytest.raises(RemoteError, match="no more pipes"):
                await a.node.ask(b.cluster.node, OpenPipe(known, "no", "test", b""))
            b.node.pipes._told = lambda accepted: ("x", 1)  # type: ignore[method-assign, assignment, return-value]
            assert await a.node.pipes.open(b.cluster.node, "test", b"", End()) is NoRoute.AWAY
            assert "answered wrongly" in caplog.text
            assert end.why == []

    asyncio.run(run())
