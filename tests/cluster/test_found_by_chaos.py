"""What the chaos test has found in the cluster, each as a small case of its own."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from actorcred import Login, LoginDenied
from actorcred.cluster import BusDown, BusError, Cluster, members
from actorcred.cluster._client import Client
from actorcred.cluster.bus import Bus
from actorcred.cluster.members import Life, Members
from actorcred.cluster.messages import Beat, pack
from actorcred.cluster.roster import Entry, key_of
from actorcred.cluster.store import Store
from actorcred.errors import CheckerUnavailable
from tests.cluster.conftest import Clock, nothing, opened, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.tap import tapped
from tests.cluster.team import SHORT, Figure, Game, Member, Player, _end, _join, team


async def gets_in(member: Member, name: str = "ann") -> Login:
    """Try again and again, as a client does."""
    while not isinstance(login := await member.outcome(name), Login):
        await asyncio.sleep(0.02)
    return login


@pytest.fixture
def answer_now(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Have the realm wait for an event before it answers."""
    event = asyncio.Event()

    async def request_avatar(self: Game, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        await event.wait()
        avatar = Figure.start(avatar_id, mind)
        return Player, avatar, avatar.stop

    monkeypatch.setattr(Game, "request_avatar", request_avatar)
    return event


@contextlib.asynccontextmanager
async def newcomer(server: NatsServer, member: Member) -> AsyncIterator[Member]:
    """Have a further node join the cluster of another one."""
    async with tapped(server.port) as tap:
        name = member.node.bus.options.cluster
        one = await _join(
            server, tap, name, "new", "reject", None, {"lease": member.node.members.lease}
        )
        try:
            yield one
        finally:
            await _end(one)


async def lose_all(server: NatsServer, member: Member) -> None:
    """Have NATS lose all, and wait until a node has told it again what it has."""
    roster = member.node.roster
    made = roster._made
    server.restart(wipe=True)
    await until(lambda: roster._made != made and roster.verified and not member.node._healing)


async def placed(member: Member) -> None:
    """Wait until a login has its place."""
    await until(lambda: any(holding.is_placed for holding in member.node.holdings))


def test_a_logout_does_not_take_another_user_out_of_a_roster_that_is_new(
    own_server: NatsServer,
) -> None:
    # The numbers begin anew, so the number of an old place is that of another one.
    async def run() -> None:
        async with team(own_server, lease=3.0) as (a, b):
            await (await a.login("cat")).logout()
            ann, _ = await a.login("ann"), await a.login("ben")
            await lose_all(own_server, a)
            await ann.logout()
            await until(lambda: not len(a.node.holdings) - 1)
            assert await a.roster("ben") == [a.cluster.node]
            assert await a.roster("ann") == []
            assert isinstance(await b.outcome("ben"), LoginDenied)

    asyncio.run(run())


def test_a_login_that_waits_for_the_realm_keeps_its_place_in_a_roster_that_is_new(
    own_server: NatsServer, answer_now: asyncio.Event
) -> None:
    async def run() -> None:
        async with team(own_server, lease=3.0) as (a, b):
            login = asyncio.create_task(a.login())
            await placed(a)
            await lose_all(own_server, a)
            assert await a.roster() == [a.cluster.node]
            answer_now.set()
            assert (await login).session.is_open
            assert isinstance(await b.outcome(), LoginDenied)

    asyncio.run(run())


def test_a_login_that_waits_for_the_realm_while_its_node_is_cut_off_gets_no_avatar(
    nats_server: NatsServer, answer_now: asyncio.Event
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, b):
            first = asyncio.create_task(a.outcome())
            await placed(a)
            a.tap.cut()
            await until(lambda: a.cluster.node not in b.cluster.nodes())
            second = asyncio.create_task(gets_in(b))
            await placed(b)
            a.tap.open()
            await until(lambda: a.node.members.holds)
            answer_now.set()
            assert (await second).session.is_open
            assert isinstance(await first, CheckerUnavailable)
            assert Figure.most == 1

    asyncio.run(run())


@pytest.mark.parametrize("lease", ["renewed in time", "had a gap"])
def test_a_session_that_ends_as_the_roster_is_told_of_it_leaves_nothing_there(
    own_server: NatsServer, monkeypatch: pytest.MonkeyPatch, lease: str
) -> None:
    async def run() -> None:
        async with team(own_server, lease=3.0) as (a, _):
            login = await a.login()
            if lease == "had a gap":  # then the place is confirmed and not just told again
                monkeypatch.setattr(a.node._upkeep, "_confirmed", 0)
            write, calls = a.node.roster.write, []

            async def late(*args: Any) -> int | None:
                calls.append(args)
                if len(calls) == 1:
                    await login.logout()
                    await until(lambda: not len(a.node.holdings))
                return await write(*args)

            monkeypatch.setattr(a.node.roster, "write", late)
            await lose_all(own_server, a)
            assert await a.roster() == []

    asyncio.run(run())


def test_a_roster_that_is_in_doubt_again_as_it_is_verified_stays_so(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, _):
            a.node.roster.doubt()
            await a.node.roster.verify()
            a.node.roster.doubt()
            a.node.roster.complete()
            assert not a.node.roster.usable
            await until(lambda: a.node.roster.usable)

    asyncio.run(run())


def test_a_node_that_comes_to_a_roster_that_is_new_waits_for_those_that_have_yet_to_tell_it(
    own_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(own_server, 1, lease=2.0) as (a,):
            await a.login()
            a.tap.cut()
            own_server.restart(wipe=True)
            async with newcomer(own_server, a) as c:
                assert Figure.alive == 1
                assert (await gets_in(c)).session.is_open
                assert Figure.most == 1

    asyncio.run(run())


def test_a_claim_whose_confirmation_was_lost_makes_those_fail_who_took_its_node_for_dead(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, b):
            write, revisions = a.node.roster.write, []

            async def unconfirmed(*args: Any) -> int | None:
                revisions.append(await write(*args))
                if len(revisions) == 1:
                    raise BusDown("the confirmation is lost")
                return revisions[-1]

            monkeypatch.setattr(a.node.roster, "write", unconfirmed)
            assert (await a.login()).session.is_open
            # What the other one writes was decided before the first node was back.
            theirs = Entry("theirs", b.cluster.node)
            late = await b.node.roster.write(key_of("ann"), revisions[0] or 0, "ann", [theirs])
            assert late is None

    asyncio.run(run())


def test_a_node_that_was_cut_off_and_keeps_its_sessions_makes_those_fail_who_took_it_for_dead(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="keep", lease=SHORT) as (a, b):
            login = await a.login()
            revision, entries = await b.node.roster.read(key_of("ann"))
            entries.append(Entry("other", b.cluster.node))  # as if two were allowed
            written = await b.node.roster.write(key_of("ann"), revision, "ann", entries)
            assert written is not None
            b.tap.cut()  # nobody sweeps
            a.tap.cut()
            await until(lambda: not a.node.members.holds)
            a.tap.open()
            await until(lambda: a.node.members.holds and a.node._upkeep.confirmed)
            b.tap.open()
            await until(lambda: b.node.members.holds and b.node.bus.connected)
            theirs = Entry("theirs", b.cluster.node)
            assert await b.node.roster.write(key_of("ann"), written, "ann", [theirs]) is None
            await login.logout()
            await until(lambda: not len(a.node.holdings))
            assert await b.roster() == [b.cluster.node]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("part", "what"),
    [(Bus, "listen"), (Bus, "flush"), (Store, "ensure_streams"), (Store, "time")],
)
def test_a_connection_that_is_lost_at_once_is_reported_and_leaves_nothing(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, part: type, what: str
) -> None:
    close = Client.close

    async def fails(*_: Any) -> None:
        raise BusDown("lost")

    async def reset(self: Client) -> None:
        await close(self)
        raise ConnectionResetError

    monkeypatch.setattr(part, what, fails)
    monkeypatch.setattr(Client, "close", reset)

    async def run() -> set[asyncio.Task[Any]]:
        user, password = nats_server.user, nats_server.password
        with pytest.raises(BusError):
            await Cluster.connect(nats_server.url, user=user, password=password, in_memory=True)
        await asyncio.sleep(0.05)  # tasks that were cancelled last
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert not asyncio.run(run())


@pytest.mark.parametrize("how", ["cut", "black_hole"])
def test_a_bus_that_is_closed_while_requests_wait_for_nats_leaves_no_task(
    nats_server: NatsServer, how: str
) -> None:
    async def run() -> set[asyncio.Task[Any]]:
        async with tapped(nats_server.port) as tap:
            bus = Bus(nats_server.options(servers=(tap.url,), timeout=0.2), "node", nothing)
            await bus.open()
            store = Store(bus)
            await store.open()
            getattr(tap, how)()
            await until(lambda: how != "cut" or not bus.connected)
            with pytest.raises(BusDown):
                await store.logged()
            # More than the buffers take, so that closing would wait for NATS.
            for _ in range(40):
                bus.tell("node", bytes(900_000))
            await bus.close()
        await asyncio.sleep(0.05)  # tasks that were cancelled last
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert not asyncio.run(run())


class Silence:
    """A bus on which nothing is heard."""

    node = "a"

    async def beat(self, data: bytes, timeout: float) -> None: ...

    async def listen(self, topic: str, handler: Any) -> None: ...

    async def flush(self) -> None: ...

    def tell_all(self, data: bytes) -> bool:
        return True

    async def change_server(self) -> None: ...


def hear(ours: Members, node: str, sent: float) -> None:
    ours._heard(Msg(NatsClient(), data=pack(Beat(node, sent))))


def test_a_node_whose_own_beats_come_back_late_does_not_take_others_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the other one wrote after this node's last beat can be on its way, too.
    clock = Clock()
    monkeypatch.setattr(members, "monotonic", clock)
    ours = Members(Silence(), Silence(), 1.0, lambda: (0, False))

    for clock.now, node, sent in ((10.0, "a", 10.0), (10.0, "b", 10.0), (10.9, "a", 10.9)):
        hear(ours, node, sent)
    clock.now = 11.4
    hear(ours, "a", 11.2)
    assert ours.life_of("b") is Life.UNSURE
    hear(ours, "a", 11.3)
    assert ours.life_of("b") is Life.DEAD


def test_a_node_that_was_disconnected_for_a_moment_does_not_take_others_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What the other one wrote in that moment was never heard, though the lease has no gap.
    clock = Clock()
    monkeypatch.setattr(members, "monotonic", clock)
    ours = Members(Silence(), Silence(), 1.0, lambda: (0, False))

    for clock.now, node in ((10.0, "a"), (10.0, "b"), (10.9, "a")):
        hear(ours, node, clock.now)
    clock.now = 11.2
    ours.interrupt()
    hear(ours, "a", 11.1)  # it had come before the connection was lost
    clock.now = 11.3
    assert ours.life_of("b") is Life.UNSURE
    hear(ours, "a", clock.now)
    assert ours.life_of("b") is Life.UNSURE
    for clock.now in (12.0, 12.5, 12.6):
        hear(ours, "a", clock.now)
    assert ours.life_of("b") is Life.DEAD


def test_a_question_that_nobody_waits_for_any_more_may_fail(nats_server: NatsServer) -> None:
    complaints: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        async with opened(nats_server.options()) as bus:
            asking = asyncio.create_task(bus.ask("nobody", b"?"))
            await asyncio.sleep(0)  # it asks
            asking.cancel()
            bus.forget("nobody")
            await asyncio.gather(asking, return_exceptions=True)
            await bus.flush()
            gc.collect()

    asyncio.run(run())
    assert not complaints
