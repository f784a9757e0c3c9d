"""Who lives, as the nodes see each other, on a bus and a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from actorcred.cluster import members as members_module
from actorcred.cluster.errors import BusDown, BusError, StoreLost
from actorcred.cluster.members import Life, Members
from actorcred.cluster.messages import Beat, Hello, Message, pack
from tests.cluster.conftest import Clock, until

LEASE = 1.0
QUARTER = LEASE / 4


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(members_module, "monotonic", made)
    return made


class OneNode:
    """The bus of a node, with members on it; what others say is said by the test."""

    node = "me"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.fault: BusDown | None = None
        self.silent = False
        self.beats = self.changes = 0
        self.told: list[bytes] = []
        self.log: list[str] = []
        self._handler: Callable[[Msg], object] | None = None
        self.members = Members(self, self, LEASE, lambda: (2, False))
        self.members.when_cut_off.append(lambda: self.log.append("cut off"))
        self.members.when_back.append(lambda: self.log.append("back"))
        self.members.when_dead.append(lambda node: self.log.append(f"{node} is dead"))

    async def beat(self, data: bytes, timeout: float) -> None:
        self.beats += 1
        if self.fault is not None:
            raise self.fault
        if not self.silent:
            await self.hear(data)

    async def listen(self, topic: str, handler: Callable[[Msg], object]) -> None:
        assert topic == "lease.*"
        self._handler = handler

    async def flush(self) -> None:
        pass

    def tell_all(self, data: bytes) -> bool:
        self.told.append(data)
        return True

    async def change_server(self) -> None:
        self.changes += 1

    async def hear(self, message: Message | bytes) -> None:
        """Hear a message on the subject of the leases."""
        assert self._handler is not None
        data = message if isinstance(message, bytes) else pack(message)
        self._handler(Msg(_client=cast(Any, None), data=data))

    async def renew(self) -> None:
        """Have the lease renewed now."""
        beats = self.beats
        self.members.hurry()
        await until(lambda: self.beats > beats)

    async def live(self, quarters: int) -> None:
        """Let a time pass, in which the lease is renewed as it should."""
        for _ in range(quarters):
            self.clock.now += QUARTER
            await self.renew()

    async def lose_lease(self, leases: float) -> None:
        """Let a time pass in which NATS cannot be reached."""
        self.fault = BusDown("away")
        self.clock.now += leases * LEASE
        count = self.log.count("cut off")
        await until(lambda: self.log.count("cut off") > count)


@contextlib.asynccontextmanager
async def living(clock: Clock) -> AsyncIterator[OneNode]:
    node = OneNode(clock)
    await node.members.open()
    try:
        yield node
    finally:
        node.fault = None
        await node.members.leave()


def on_one_node(clock: Clock, test: Callable[[OneNode], Awaitable[None]]) -> None:
    async def run() -> None:
        async with living(clock) as node:
            await test(node)

    asyncio.run(run())


def test_a_lease_is_held_from_the_echo_until_its_time_is_over(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        assert node.members.holds
        assert node.log == ["back"]
        assert node.members.life_of("me") is Life.ALIVE
        node.silent = True
        clock.now += 3 * QUARTER
        await node.renew()  # it is written, but does not come back
        assert node.members.holds
        clock.now += QUARTER
        await until(lambda: node.log == ["back", "cut off"])
        assert not node.members.holds

    on_one_node(clock, test)


def test_a_lease_that_comes_back_counts_for_nothing_while_the_roster_might_be_lost(
    clock: Clock,
) -> None:
    async def test(node: OneNode) -> None:
        node.members.certain = lambda: False
        await node.live(3)
        assert node.members.holds
        clock.now += QUARTER
        await until(lambda: node.log == ["back", "cut off"])
        await node.live(3)
        assert not node.members.holds
        node.members.certain = lambda: True
        await node.renew()
        assert node.members.holds
        assert node.members.gaps == 1
        assert node.log == ["back", "cut off", "back"]

    on_one_node(clock, test)


def test_a_server_of_nats_that_returns_the_lease_is_not_left_while_the_roster_might_be_lost(
    clock: Clock,
) -> None:
    # To leave it would begin anew what is told to the roster.
    async def test(node: OneNode) -> None:
        node.members.certain = lambda: False
        await node.live(8)
        await until(lambda: node.log == ["back", "cut off"])
        assert not node.changes

    on_one_node(clock, test)


def test_an_unexpected_error_does_not_end_the_renewing(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(node: OneNode) -> None:
        beat, failed = node.beat, []

        async def fail(data: bytes, timeout: float) -> None:
            failed.append(data)
            raise RuntimeError("unforeseen")

        node.beat = fail  # type: ignore[method-assign]
        node.members.hurry()
        await until(lambda: failed)
        node.beat = beat  # type: ignore[method-assign]
        await node.live(5)
        assert node.members.holds

    on_one_node(clock, test)
    assert "unforeseen" in caplog.text


def test_a_node_joins_with_its_first_beat_and_with_the_first_after_its_death(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        joined: list[str] = []
        node.members.when_joined.append(joined.append)
        for beat in (Beat("you", 1.0), Beat("you", 2.0), Beat("gone", 1.0, left=True)):
            await node.hear(beat)
        assert joined == ["you"]
        await node.live(6)
        await until(lambda: "you is dead" in node.log)
        await node.hear(Beat("you", 3.0))
        assert joined == ["you", "you"]

    on_one_node(clock, test)


def test_nats_that_does_not_return_the_lease_is_refused(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = asyncio.wait_for

    async def impatient(task: Any, timeout: float) -> Any:
        return await patient(task, timeout / 20)

    async def run() -> None:
        node = OneNode(clock)
        node.silent = True
        with pytest.raises(BusError, match="does not return the lease"):
            await node.members.open()
        beats = node.beats
        assert beats
        await asyncio.sleep(2 * QUARTER / 20)
        assert node.beats == beats, "it still writes"

    monkeypatch.setattr("asyncio.wait_for", impatient)
    asyncio.run(run())


def test_a_newcomer_says_hello_once(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        assert node.told == [pack(Hello("me"))]

    on_one_node(clock, test)


def test_a_beat_says_how_many_sessions_there_are(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(Beat("a", 0.0, 3))
        await node.hear(Beat("b", 0.0, 4))
        assert node.members.others() == {"a", "b"}
        assert node.members.sessions_elsewhere() == 7
        await node.hear(Beat("a", 1.0, 1))
        assert node.members.sessions_elsewhere() == 5
        await node.hear(Beat("b", 1.0, 0, left=True))
        assert node.members.others() == {"a"}
        assert node.members.sessions_elsewhere() == 1

    on_one_node(clock, test)


def test_a_silent_node_is_dead_after_a_quarter_more_than_a_lease_and_once(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(Beat("a", 7.0))
        assert node.members.life_of("a") is Life.ALIVE
        await node.live(2)
        assert node.members.life_of("a") is Life.ALIVE
        await node.live(2)
        assert node.members.life_of("a") is Life.UNSURE
        assert node.members.others() == {"a"}
        await node.live(1)
        assert node.members.life_of("a") is Life.DEAD
        assert node.members.others() == set()
        await until(lambda: "a is dead" in node.log)
        await node.live(8)
        assert node.log == ["back", "a is dead"]

    on_one_node(clock, test)


def test_a_node_that_was_never_heard_is_dead_when_it_had_time_to_speak(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        assert node.members.life_of("a") is Life.UNSURE
        await node.live(4)
        assert node.members.life_of("a") is Life.UNSURE
        await node.live(1)
        assert node.members.life_of("a") is Life.DEAD
        assert node.log == ["back"], "nobody knew it"

    on_one_node(clock, test)


def test_silence_counts_only_up_to_the_last_own_echo(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(Beat("a", 7.0))
        await node.live(3)
        node.silent = True
        clock.now += 3 * QUARTER  # what "a" said may be on its way, as the own echo is
        assert node.members.holds
        assert node.members.life_of("a") is Life.UNSURE

    on_one_node(clock, test)


def test_a_dead_node_that_speaks_again_lives_and_can_die_again(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        for times in (1, 2):
            await node.hear(Beat("a", 7.0))
            assert node.members.life_of("a") is Life.ALIVE
            await node.live(5)
            await until(lambda: node.log.count("a is dead") == times)  # noqa: B023

    on_one_node(clock, test)


def test_a_node_that_has_left_is_dead_at_once_whatever_is_known_of_others(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(Beat("a", 7.0))
        await node.hear(Beat("b", 7.0))
        await node.lose_lease(1)
        await node.hear(Beat("a", 7.0, left=True))
        assert node.members.life_of("a") is Life.DEAD
        assert node.members.life_of("b") is Life.UNSURE
        await until(lambda: "a is dead" in node.log)
        assert "b is dead" not in node.log

    on_one_node(clock, test)


def test_who_holds_no_lease_has_no_opinion(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(Beat("a", 7.0))
        await node.lose_lease(50)
        await node.hear(Beat("b", 7.0))
        assert node.members.life_of("a") is Life.UNSURE
        assert node.members.life_of("b") is Life.UNSURE
        assert node.members.others() == {"a", "b"}
        assert node.log == ["back", "cut off"]

    on_one_node(clock, test)


def test_late_beats_in_a_row_after_a_gap_do_not_make_others_dead(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(Beat("a", 7.0))
        generation = node.members.generation
        await node.lose_lease(10)
        # A lease apart or less, as if it had been held all the time.
        for number in range(1, 14):
            assert not node.members.holds
            await node.hear(Beat("me", 100.0 + 0.75 * number))
        node.fault = None
        await node.renew()
        assert node.members.holds
        assert node.members.life_of("a") is Life.UNSURE
        await node.live(4)
        assert node.members.life_of("a") is Life.UNSURE, "it has had one lease to come back"
        assert "a is dead" not in node.log
        assert node.members.generation > generation
        await node.live(1)
        assert node.members.life_of("a") is Life.DEAD

    on_one_node(clock, test)


def test_an_old_echo_does_not_shorten_a_lease(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.live(2)
        await node.hear(Beat("me", 99.0))
        clock.now += 3 * QUARTER
        assert node.members.holds

    on_one_node(clock, test)


def test_the_generation_grows_with_each_gap_and_only_then(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        generation = node.members.generation
        await node.live(12)
        assert node.members.generation == generation
        for gap in range(1, 4):
            await node.lose_lease(1)
            lost = node.members.generation
            assert lost > generation
            node.fault = None
            await node.renew()
            await until(lambda: node.log == ["back", *["cut off", "back"] * gap])  # noqa: B023
            generation = node.members.generation
            assert generation > lost

    on_one_node(clock, test)


def test_a_gap_that_was_over_before_anybody_looked_counts(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        generation = node.members.generation
        clock.now += LEASE
        await node.hear(Beat("me", clock.now))
        assert node.members.holds
        assert node.members.generation > generation

    on_one_node(clock, test)


def test_a_failed_beat_is_tried_again_soon(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        beats = node.beats
        node.fault = BusDown("away")
        await until(lambda: node.beats > beats + 1)
        assert node.log == ["back"]
        node.fault = None
        clock.now += QUARTER
        renewed: list[None] = []
        node.members.when_renewed.append(lambda: renewed.append(None))
        await until(lambda: renewed)

    on_one_node(clock, test)


def test_a_lost_store_is_told(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        lost: list[None] = []
        node.members.when_store_lost.append(lambda: lost.append(None))
        node.fault = BusDown("slow")
        await node.renew()
        await node.renew()
        assert not lost
        node.fault = StoreLost("gone")
        await until(lambda: lost)

    on_one_node(clock, test)


def test_a_node_goes_to_another_server_when_half_its_lease_is_over_and_once(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.live(2)
        assert node.changes == 0
        node.fault = BusDown("the server is cut off from the others")
        await node.renew()
        assert node.members.trouble == "the server is cut off from the others"
        clock.now += LEASE * 0.6
        await until(lambda: node.changes)
        clock.now += LEASE * 0.3
        await asyncio.sleep(LEASE / 10)
        assert node.changes == 1
        node.fault = None
        await node.renew()
        assert node.members.trouble == ""
        assert node.log == ["back"]

    on_one_node(clock, test)


def test_a_function_that_fails_does_not_keep_others_from_being_called(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(node: OneNode) -> None:
        def fail() -> None:
            raise ValueError("of the test")

        node.members.when_renewed += [fail, lambda: node.log.append("renewed")]
        await node.renew()
        await until(lambda: "renewed" in node.log)

    on_one_node(clock, test)
    assert "A change of the cluster could not be followed:" in caplog.messages


@pytest.mark.parametrize("junk", [b"", b"junk", pack(Hello("a")), pack(Beat("a", 1.0))[:-1]])
def test_what_is_no_lease_is_logged_and_ignored(
    clock: Clock, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(junk)
        assert node.members.others() == set()
        await node.hear(Beat("a", 1.0))
        assert node.members.others() == {"a"}

    on_one_node(clock, test)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("Not a lease: ")


def test_dead_nodes_are_forgotten_after_a_while(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        await node.hear(Beat("a", 7.0, left=True))
        await until(lambda: "a is dead" in node.log)
        await node.live(32)
        await node.lose_lease(1)
        assert node.members.life_of("a") is Life.DEAD, "it is still known that it has left"
        node.fault = None
        await node.renew()
        await node.live(8)
        await node.lose_lease(1)
        await until(lambda: node.members.life_of("a") is Life.UNSURE)
        assert node.members.others() == set()
        assert node.log.count("a is dead") == 1

    on_one_node(clock, test)


def test_who_comes_after_the_last_beat_of_a_node_is_no_witness_of_its_death(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        for name in ("a", "b"):
            await node.hear(Beat(name, clock.now))
        for quarter in range(8):
            await node.live(1)
            await node.hear(Beat("b", clock.now))
            if quarter:
                await node.hear(Beat("new", clock.now))
        await until(lambda: "a is dead" in node.log)
        assert node.members.others() == {"b", "new"}
        assert node.members.witnesses("a") == {"b"}

    on_one_node(clock, test)


def test_who_leaves_says_so_and_holds_no_lease_any_more(clock: Clock) -> None:
    async def run() -> None:
        async with living(clock) as node:
            heard: list[bytes] = []
            beat = node.beat

            async def note(data: bytes, timeout: float) -> None:
                heard.append(data)
                await beat(data, timeout)

            node.beat = note  # type: ignore[method-assign]
            await node.members.leave()
            assert heard[-1] == pack(Beat("me", clock.now, left=True))
            assert not node.members.holds
            await node.hear(Beat("me", clock.now, left=True))
            assert not node.members.holds
            node.fault = BusDown("away")
            await node.members.leave()  # nobody can hear it, and that is no error

    asyncio.run(run())


def test_a_node_can_leave_while_it_renews_its_lease(clock: Clock) -> None:
    async def test(node: OneNode) -> None:
        # Before Python 3.12, asyncio.wait_for can lose a cancellation that comes just then.
        node.members.hurry()
        await asyncio.wait_for(node.members.leave(), 10)
        beats = node.beats
        node.members.hurry()
        await asyncio.sleep(0.05)
        assert node.beats == beats

    on_one_node(clock, test)
