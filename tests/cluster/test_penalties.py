"""Penalties for failed logins, which hold on all nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actorcred import ClientInfo, Login, LoginDenied, LoginFailed, Penalty, UsernamePassword
from actorcred.actors import Future
from actorcred.cluster.errors import NodeGone
from actorcred.cluster.messages import Answer, Counted, Failed, Familiar, Message, pack, unpack
from actorcred.cluster.penalties import LETTERS, PENDING, Penalties, fitting, is_good
from actorcred.errors import RefusalCause
from actorcred.throttle import LONGEST_NAME, Failures, Familiarity, News
from tests.cluster.conftest import stranger, until
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.team import Member, Player, team
from tests.cluster.test_bus import packed
from tests.cluster.test_messages import wire

SOURCE = "198.51.100.7"
FREE = Penalty().free_failures
LONG = Penalty(step=60.0)
"""A penalty that does not end during a test."""


class Host:
    """A portal that notes what it is told."""

    def __init__(self, *standing: News) -> None:
        self.heard: list[tuple[list[News], bool]] = []
        self._standing = list(standing)

    def hear_news(self, told: list[News], *, standing: bool) -> None:
        self.heard.append((told, standing))

    def news(self, most: int) -> Future[list[News]]:
        future: Future[list[News]] = Future()
        future.settle(self._standing[:most])
        return future


class Line:
    """The way to other nodes, of which nothing is real."""

    node = "a"

    def __init__(self) -> None:
        self.connected = True
        self.told: list[list[News]] = []
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []

    def tell_all(self, data: bytes) -> bool:
        message = unpack(data)
        assert isinstance(message, Failed)
        assert message.node == self.node
        failures = [Failures(*one) for one in map(tuple_of, message.failures)]
        familiar = [Familiarity(one.spelling, one.source, one.age) for one in message.familiar]
        self.told.append([*failures, *familiar])
        return True

    async def ask(self, node: str, _: Message) -> Any:
        self.asked.append(node)
        answer = self.answers[node]
        if isinstance(answer, Exception):
            raise answer
        return answer


def tuple_of(one: Counted) -> tuple[str, int, str | None, float]:
    return one.key, one.times, one.spelling, one.age


def made(line: Line, host: Any = None) -> Penalties:
    def spawn(coroutine: Any) -> None:
        asyncio.get_running_loop().create_task(coroutine)

    penalties = Penalties(line, spawn, lambda: set(line.answers), line.ask)
    penalties.host = host
    return penalties


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Future[None]]:
    """The windows between two messages, each of which ends when its future is settled."""
    begun: list[asyncio.Future[None]] = []

    async def sleep(_: float) -> None:
        begun.append(asyncio.get_running_loop().create_future())
        await begun[-1]

    monkeypatch.setattr("actorcred.cluster.penalties.pause", sleep)
    return begun


async def turns() -> None:
    """Let all tasks run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


# -- batches -------------------------------------------------------------------------------------


def test_the_first_failure_is_told_at_once_and_further_ones_together(windows: Any) -> None:
    async def run() -> None:
        line = Line()
        penalties = made(line)
        penalties.tell(Failures("as ann", 1, "ann"))
        await turns()
        assert line.told == [[Failures("as ann", 1, "ann")]]
        for name in ("Ann", "Ann"):
            penalties.tell(Failures("as ann", 1, name))
        for name in ("bob", "BOB"):
            penalties.tell(Failures("as bob", 1, name))
        await turns()
        assert len(line.told) == 1
        windows[0].set_result(None)
        await turns()
        assert line.told[1:] == [[Failures("as ann", 2, "Ann"), Failures("as bob", 2, None)]]
        windows[1].set_result(None)
        await turns()
        assert len(windows) == 2
        penalties.tell(Failures("as ann", 1, "ann"))
        await turns()
        assert len(line.told) == 3

    asyncio.run(run())


def test_a_familiar_source_is_told_once_in_a_message(windows: Any) -> None:
    async def run() -> None:
        line = Line()
        penalties = made(line)
        for source in (SOURCE, SOURCE, "192.0.2.1"):
            penalties.tell(Familiarity("ann", source))
        await turns()
        assert line.told == [[Familiarity("ann", SOURCE), Familiarity("ann", "192.0.2.1")]]

    asyncio.run(run())


def test_what_is_forgiven_stays_in_its_order_and_is_only_told_once(windows: Any) -> None:
    async def run() -> None:
        line = Line()
        penalties = made(line)
        changes = [(1, "ann"), (0, "ann"), (0, "ann"), (0, "Ann"), (1, "ann")]
        for times, name in changes:
            penalties.tell(Failures("as ann", times, name))
        await turns()
        told = [one[1:3] for one in line.told[0]]
        assert told == [(1, "ann"), (0, "ann"), (0, "Ann"), (1, "ann")]

    asyncio.run(run())


def test_what_waits_is_bounded_and_what_is_too_much_is_counted(windows: Any) -> None:
    async def run() -> None:
        line = Line()
        penalties = made(line)
        for number in range(PENDING + 5):
            penalties.tell(Failures(f"as user{number}", 1))
        assert penalties.dropped == 5
        penalties.tell(Failures("as user0", 1))
        await turns()
        assert sum(len(told) for told in line.told) == PENDING
        assert line.told[0][0] == Failures("as user0", 2)

    asyncio.run(run())


def test_long_names_are_told_in_several_messages_of_which_each_fits(windows: Any) -> None:
    async def run() -> None:
        line = Line()
        penalties = made(line)
        names = [f"{number:03}" + "ß" * (LONGEST_NAME - 3) for number in range(500)]
        for name in names:
            penalties.tell(Failures("as " + name, 1, name))
        await turns()
        assert len(line.told) > 1
        assert [one.spelling for told in line.told for one in told] == names
        for told in line.told:
            assert len(pack(penalties._message(told))) < 1 << 20

    asyncio.run(run())


def test_one_that_does_not_fit_is_told_alone() -> None:
    long = Failures("as " + "x" * 2 * LETTERS, 1)
    assert fitting([long, long]) == [long]


def test_what_fails_while_cut_off_is_told_when_the_node_is_back(windows: Any) -> None:
    async def run() -> None:
        line = Line()
        line.connected = False
        penalties = made(line, Host())
        penalties.tell(Failures("as ann", 1, "ann"))
        penalties.tell(Failures("as ann", 1, "ann"))
        await turns()
        assert line.told == []
        line.connected = True
        await penalties.catch_up()
        await turns()
        assert line.told == [[Failures("as ann", 2, "ann")]]

    asyncio.run(run())


# -- what others say -----------------------------------------------------------------------------

GOOD = Counted("as ann", 1, "ann")

JUNK = [
    Counted("ann", 1, "ann"),
    Counted("", 1),
    Counted("as " + "x" * 5 * LONGEST_NAME, 1),
    Counted("as ann", 1, "x" * (LONGEST_NAME + 1)),
    Counted("as ann", -1, "ann"),
    Counted("as ann", 1 << 40, "ann"),
    Counted("as ann", 0, None),
    Counted("as ann", 1, "ann", -1.0),
    Counted("as ann", 1, "ann", float("nan")),
    Counted("as ann", 1, "ann", float("inf")),
]


@pytest.mark.parametrize("bad", JUNK)
def test_what_no_node_can_say_is_ignored_with_all_that_came_with_it(
    bad: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host()
    penalties = made(Line(), host)
    penalties.hear(Failed("b", [GOOD, bad]))
    assert host.heard == []
    assert "Node b told wrongly what has failed" in caplog.text
    assert not is_good(Failures(*tuple_of(bad)))
    penalties.hear(Failed("b", [GOOD]))
    assert host.heard == [([Failures("as ann", 1, "ann")], False)]


@pytest.mark.parametrize(
    "bad",
    [
        Familiar("ann", ""),
        Familiar("ann", "x" * 1000),
        Familiar("x" * (LONGEST_NAME + 1), SOURCE),
        Familiar("ann", SOURCE, -1.0),
        Familiar("ann", SOURCE, float("nan")),
    ],
)
def test_a_familiar_source_that_no_node_can_have_is_ignored(bad: Familiar) -> None:
    host = Host()
    penalties = made(Line(), host)
    penalties.hear(Failed("b", [], [bad]))
    assert host.heard == []
    penalties.hear(Failed("b", [], [Familiar("ann", SOURCE)]))
    assert host.heard == [([Familiarity("ann", SOURCE)], False)]


def test_too_much_is_ignored() -> None:
    host = Host()
    made(Line(), host).hear(Failed("b", [GOOD] * (PENDING + 1)))
    assert host.heard == []


def test_a_node_does_not_hear_itself_and_needs_a_portal_to_hear_others() -> None:
    host = Host()
    made(Line(), host).hear(Failed("a", [GOOD]))
    made(Line()).hear(Failed("b", [GOOD]))
    assert host.heard == []


def test_a_node_that_comes_asks_some_others_and_none_of_them_can_harm_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        line, host = Line(), Host()
        penalties = made(line, host)
        standing = ["failed", "d", [["as ann", 3, "ann", 1.5]], [["ben", SOURCE, 2.5]]]
        line.answers = {"b": NodeGone("b"), "c": "junk", "d": standing}
        await penalties.catch_up()
        assert sorted(line.asked) == ["b", "c", "d"]
        told = [Failures("as ann", 3, "ann", 1.5), Familiarity("ben", SOURCE, 2.5)]
        assert host.heard == [(told, True)]
        assert "Node c told wrongly what stands" in caplog.text
        line.asked.clear()
        line.answers = {f"n{number}": ["failed", "x", []] for number in range(50)}
        await penalties.catch_up()
        assert len(set(line.asked)) == 3

    asyncio.run(run())


def test_what_is_forgiven_while_others_are_asked_is_not_taken_over_from_their_answers() -> None:
    async def run() -> None:
        line, host = Line(), Host()
        penalties = made(line, host)
        names = ("ann", "ben", "cat")
        standing = ["failed", "b", [[f"as {name}", 3, name, 1.5] for name in names]]

        class Slow(Line):
            async def ask(self, node: str, _: Message) -> Any:
                penalties.hear(Failed("c", [Counted("as ann", 0, "ann")]))
                penalties.tell(Failures("as ben", 0, "ben"))
                return standing

        penalties._ask = Slow().ask
        line.answers = {"b": standing}
        await penalties.catch_up()
        assert host.heard[-1] == ([Failures("as cat", 3, "cat", 1.5)], True)
        penalties._ask = line.ask
        await penalties.catch_up()
        assert len(host.heard[-1][0]) == 3

    asyncio.run(run())


def test_without_a_portal_nothing_stands_and_nothing_is_asked() -> None:
    async def run() -> None:
        line = Line()
        line.answers = {"b": []}
        penalties = made(line)
        await penalties.catch_up()
        assert line.asked == []
        assert penalties.standing().get(timeout=0) == Failed("a", [], [])

    asyncio.run(run())


def test_what_stands_is_told_as_far_as_it_fits() -> None:
    long = [Failures(f"as {number} " + "x" * LONGEST_NAME, 1, None, 2.0) for number in range(500)]
    told = made(Line(), Host(*long)).standing().get(timeout=0).failures
    assert 0 < len(told) < len(long)
    assert tuple_of(told[0]) == long[0]


def test_what_stands_has_familiar_sources_too() -> None:
    standing = made(Line(), Host(Failures("as ann", 1), Familiarity("ben", SOURCE, 3.0))).standing()
    told = standing.get(timeout=0)
    assert told == Failed("a", [Counted("as ann", 1)], [Familiar("ben", SOURCE, 3.0)])


# -- on NATS -------------------------------------------------------------------------------------


async def quiet(nodes: list[Member]) -> None:
    """Wait until no node asks others any more, whose answers could have what it is told, too."""
    await asyncio.sleep(0)
    await until(lambda: not any(one.node.penalties._asking or one.node._healing for one in nodes))


async def guess(member: Member, name: str = "ann", password: str = "wrong") -> str:
    """Try a password from the attacker's address; return why it was refused."""
    client = ClientInfo(address=SOURCE, protocol="test")
    try:
        await member.portal.login(UsernamePassword(name, password), None, Player, client=client)
    except LoginDenied as error:
        return str(error.cause)
    except LoginFailed:
        return "looked at"
    return "in"


def failures(member: Member, key: str = "as ann") -> int:
    return int(member.portal.protection._penalties.failures.get(key, (0,))[0])


async def all_have(nodes: list[Member], times: int) -> None:
    await until(lambda: all(failures(node) == times for node in nodes))


async def guesses_until_denied(nodes: list[Member], *, in_step: bool) -> int:
    """Guess on one node after the other until all deny; return how many guesses were looked at."""
    count, denied, number = 0, 0, 0
    while denied < len(nodes):
        answer = await guess(nodes[number % len(nodes)])
        number += 1
        if answer == "looked at":
            count, denied = count + 1, 0
            if in_step:
                await all_have(nodes, count)
        else:
            assert answer in set(RefusalCause)
            denied += 1
    return count


@pytest.mark.parametrize("count", [1, 3])
def test_an_attacker_who_goes_from_node_to_node_has_no_more_guesses_than_at_one(
    nats_server: NatsServer, count: int
) -> None:
    async def run() -> None:
        async with team(nats_server, count, "allow", penalty=LONG) as nodes:
            await quiet(nodes)
            assert await guesses_until_denied(nodes, in_step=True) == FREE + 1
            for node in nodes:
                assert node.portal.protection.wait(SOURCE) > 55.0
                assert node.portal.protection.penalised() == {"source": 1, "account": 1}

    asyncio.run(run())


def test_an_attacker_who_is_faster_than_the_news_has_no_more_than_the_guesses_of_each_node(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow", penalty=LONG) as nodes:
            await quiet(nodes)
            count = await guesses_until_denied(nodes, in_step=False)
            assert FREE + 1 <= count <= 3 * (FREE + 1)
            await all_have(nodes, count)
            assert await guesses_until_denied(nodes, in_step=False) == 0

    asyncio.run(run())


def test_a_login_clears_the_failures_of_its_account_on_all_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow", penalty=LONG) as nodes:
            await quiet(nodes)
            await guess(nodes[0])
            await all_have(nodes, 1)
            assert await guess(nodes[1], password="right") == "in"
            await all_have(nodes, 0)
            assert all(failures(node, "from " + SOURCE) == 1 for node in nodes)

    asyncio.run(run())


def test_who_is_familiar_at_one_node_passes_the_penalty_of_the_account_at_all(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, 3, "allow", penalty=LONG) as nodes:
            await quiet(nodes)
            await nodes[0].login()  # from its own address
            for _ in range(FREE + 1):
                await guess(nodes[1])
            await all_have(nodes, FREE + 1)
            assert await guess(nodes[2], password="right") == RefusalCause.PENALTY_SOURCE
            assert (await nodes[2].login()).session.is_open
            assert isinstance(await nodes[2].outcome("ben"), Login)

    asyncio.run(run())


def test_a_node_that_comes_later_knows_who_is_penalised(nats_server: NatsServer) -> None:
    async def run() -> None:
        name = random_name()
        async with team(nats_server, 1, "allow", name=name, penalty=LONG) as (a,):
            await guesses_until_denied([a], in_step=False)
            async with team(nats_server, 1, "allow", name=name, penalty=LONG) as (b,):
                await all_have([a, b], FREE + 1)
                assert await guess(b) == RefusalCause.PENALTY_SOURCE

    asyncio.run(run())


def test_after_a_cut_both_sides_know_what_failed_at_the_other(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", penalty=LONG) as (a, b):
            await quiet([a, b])
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            for node, times in ((a, 2), (b, 3)):
                for _ in range(times):
                    assert await guess(node) == "looked at"
            a.tap.open()
            # A failure that is told and is in the answer, too, counts once.
            await until(lambda: failures(b) == 5 and failures(a) >= 3)

    asyncio.run(run())


def test_junk_on_the_bus_changes_nothing(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server, 2, "allow", penalty=LONG) as (a, b):
            await quiet([a, b])
            subject = f"ac.{a.node.bus.options.cluster}.all"
            async with stranger(nats_server) as client:
                for junk in JUNK:
                    await client.publish(subject, packed(pack(Failed("evil", [junk]))))
                answer = pack(Answer("failed", [["as ann", 9, "ann"]]))
                await client.publish(
                    subject, packed(answer, wire("failed", "x", [["as ann", "x"]]))
                )
                await client.flush()
            await guess(a)
            await all_have([a, b], 1)
            assert len(b.portal.protection._penalties) == 2
            assert caplog.text.count("Node evil told wrongly") == 2 * len(JUNK)

    asyncio.run(run())
