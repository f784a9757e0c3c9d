"""What the roster says of an avatar id."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta

import msgspec
import pytest

from actorcred.cluster import roster as roster_module
from actorcred.cluster.errors import BusDown, BusError, StoreLost
from actorcred.cluster.roster import VERSION, Entry, Roster, key_of, pack_entries, unpack_entries
from actorcred.cluster.store import Store
from tests.cluster.conftest import Clock, stored, stranger
from tests.cluster.nats_server import NatsServer


@pytest.mark.parametrize("avatar_id", ["", "ann", "a.b *>", "ü\n", "x" * 10_000])
def test_a_key_is_one_word_of_nats_which_tells_nobody_who_it_is(avatar_id: str) -> None:
    assert re.fullmatch("[0-9a-f]{40}", key_of(avatar_id))


def test_the_key_of_an_avatar_id_is_the_same_on_all_nodes_and_in_all_versions() -> None:
    assert key_of("ann") == "1555c614019c9b497d19ca501dae0eeef7543068"
    assert key_of("ann") != key_of("Ann")


def test_entries_survive_the_way() -> None:
    entries = [Entry("s1", "n1", 1.5), Entry("s2", "n2")]
    assert unpack_entries(pack_entries("ann", entries)) == ("ann", entries)
    assert unpack_entries(pack_entries("ann", [])) == ("ann", [])


def test_a_key_that_is_not_there_has_no_entries() -> None:
    assert unpack_entries(None) == ("", [])


def test_an_entry_of_a_newer_node_can_be_read() -> None:
    data = msgspec.msgpack.encode((VERSION + 1, "ann", [["s1", "n1", 1.5, "n2", "new"]], "new"))
    assert unpack_entries(data) == ("ann", [Entry("s1", "n1", 1.5, "n2")])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"\xc1",
        msgspec.msgpack.encode((VERSION, "ann")),
        msgspec.msgpack.encode((VERSION, "ann", [["s1"]])),
        msgspec.msgpack.encode((VERSION, b"ann", [])),
        b"\x93\x01\xa1\xff\x90",
    ],
)
def test_junk_in_the_roster_is_an_error_that_can_be_handled(data: bytes) -> None:
    with pytest.raises(BusError, match="not a value of the roster"):
        unpack_entries(data)


# -- as one node sees it -------------------------------------------------------------------------

HOLD = 1.25
ANN = [Entry("s1", "n1", 1.5)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(roster_module, "monotonic", made)
    return made


async def lose_roster(server: NatsServer, store: Store) -> None:
    async with stranger(server) as other:
        await other.jetstream().delete_stream(f"ACR_{store.bus.options.cluster}")


async def verified(store: Store) -> Roster:
    roster = Roster(store, HOLD)
    assert not await roster.verify()
    roster.complete()
    return roster


def usable(roster: Roster) -> bool:
    """Return whether it can be used; mypy does not take it for something that stays so."""
    return roster.usable


def test_a_roster_is_used_when_it_is_verified_and_complete(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            roster = Roster(store, HOLD)
            assert not usable(roster)
            assert not await roster.verify()
            assert not usable(roster), "the owners have not told what they have"
            roster.complete()
            assert usable(roster)
            roster.doubt()
            assert not usable(roster)

    asyncio.run(run())


def test_sessions_are_written_read_and_removed(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            roster = await verified(store)
            assert await roster.read("key") == (0, [])
            revision = await roster.write("key", 0, "ann", ANN)
            assert revision is not None
            assert await roster.write("key", 0, "ann", []) is None
            assert await roster.read("key") == (revision, ANN)
            assert [value async for value in roster.all()] == [(revision, "ann", ANN)]
            assert await roster.remove(revision)
            assert await roster.read("key") == (0, [])
            assert usable(roster)

    asyncio.run(run())


def test_a_damaged_key_is_not_taken_for_one_where_nobody_is_logged_in(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            roster = await verified(store)
            await store.write("key", 0, b"junk")
            await roster.write("other", 0, "ann", ANN)
            with pytest.raises(BusDown, match="damaged"):
                await roster.read("key")
            assert [value[1:] async for value in roster.all()] == [("ann", ANN)]

    asyncio.run(run())
    assert caplog.messages[0].startswith("The roster is damaged at key; remove that key: ")
    assert caplog.messages[1].startswith("The roster is damaged: ")


def test_a_lost_roster_is_not_used_until_the_owners_had_time_to_tell(
    nats_server: NatsServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            roster = await verified(store)
            await roster.write("key", 0, "ann", ANN)
            await lose_roster(nats_server, store)
            with pytest.raises(StoreLost):
                await roster.write("key", 1, "ann", [])
            assert not roster.verified
            assert await roster.verify()
            roster.complete()
            assert not usable(roster)
            clock.now += HOLD
            assert usable(roster)
            assert await roster.write("key", 0, "ann", ANN) == 1
            assert usable(roster), "that numbers begin anew is expected now"
            assert not await roster.verify()

    asyncio.run(run())
    assert caplog.messages == ["NATS has lost the roster; the nodes tell it again what they have"]


def test_a_roster_that_another_node_made_anew_is_noticed_by_its_numbers(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        options = nats_server.options()
        async with stored(options) as store, stored(options) as other:
            roster = await verified(store)
            await roster.write("key1", 0, "ann", ANN)
            await roster.write("key2", 0, "bob", ANN)
            assert usable(roster)
            await lose_roster(nats_server, store)
            await other.ensure_streams()
            assert await roster.write("key3", 0, "eve", ANN) == 1
            assert not usable(roster)
            assert await roster.verify()

    asyncio.run(run())


def test_a_roster_is_certain_when_it_is_the_same_or_has_been_told_all(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            roster = await verified(store)
            roster.doubt()
            assert not roster.certain
            assert not await roster.verify()
            assert roster.certain, "also while the places are looked at"
            await lose_roster(nats_server, store)
            roster.doubt()
            assert await roster.verify()
            assert not roster.certain
            assert not await roster.verify(), "as after a failure to tell it"
            assert not roster.certain
            roster.complete()
            assert roster.certain

    asyncio.run(run())


def test_a_fence_grows_with_the_revision_and_with_each_new_roster(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:
            unknown = Roster(store, HOLD)
            assert unknown.fence(7) == 7
            roster = await verified(store)
            old = roster.fence(2**30)
            assert unknown.fence(2**30) < roster.fence(1) < roster.fence(2) < old < 2**63

            async def made_a_minute_later() -> str:
                made = datetime.fromisoformat(await Store.ensure_streams(store))
                return str(made + timedelta(minutes=1))

            monkeypatch.setattr(store, "ensure_streams", made_a_minute_later)
            assert await roster.verify()
            assert roster.fence(1) > old

    asyncio.run(run())
