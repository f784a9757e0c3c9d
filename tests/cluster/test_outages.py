"""What happens when a node or NATS fails: the table of failures, row by row."""

from __future__ import annotations

import asyncio

import pytest

from actorcred import Admission, Login, LoginDenied
from actorcred.checker import Revocation
from actorcred.cluster.roster import key_of
from actorcred.cluster.store import Store
from actorcred.errors import CheckerUnavailable
from actorcred.logout import LogoutCode
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.tap import tapped
from tests.cluster.team import SHORT, Figure, Member, _end, _join, team


async def gets_in(member: Member, name: str = "ann") -> Login:
    """Try again and again, as a client does."""
    while not isinstance(login := await member.outcome(name), Login):
        await asyncio.sleep(0.02)
    return login


def test_the_user_of_a_node_that_was_killed_gets_in_after_its_lease(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, b):
            await a.login()
            await a.die()
            with pytest.raises(LoginDenied) as denied:
                await b.login()
            assert denied.value.retry_after
            assert (await gets_in(b)).session.is_open
            await until(lambda: b.cluster.nodes() == {b.cluster.node})

    asyncio.run(run())


def test_replace_waits_for_the_lease_of_a_node_that_was_killed(nats_server: NatsServer) -> None:
    # Pitfall 4: it does not answer any more, and NATS does not say that it is gone.
    async def run() -> None:
        async with team(nats_server, policy="replace", lease=SHORT) as (a, b):
            await a.login()
            await a.die()
            assert (await b.login()).session.is_open

    asyncio.run(run())


def test_what_a_dead_node_had_is_taken_out_of_the_roster(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow", lease=SHORT) as (a, b):
            for name in ("ann", "ben"):
                await a.login(name)
            await b.login()
            await b.has_roster(a.cluster.node, b.cluster.node)
            await a.die()
            await b.has_roster(b.cluster.node)
            assert await b.roster("ben") == []

    asyncio.run(run())


def test_what_a_dead_node_had_is_taken_out_also_if_another_node_is_started_in_its_place(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, b), tapped(nats_server.port) as tap:
            await a.login()
            await a.die()
            name = b.node.bus.options.cluster
            c = await _join(nats_server, tap, name, "a", "reject", None, {"lease": SHORT})
            await b.has_roster()
            await _end(c)

    asyncio.run(run())


@pytest.mark.parametrize("how", ["cut", "black_hole"])
def test_a_node_that_is_cut_off_ends_its_sessions_before_others_open_them(
    nats_server: NatsServer, how: str
) -> None:
    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, b):
            first = await a.login()
            getattr(a.tap, how)()
            second = await gets_in(b)
            assert Figure.most == 1
            assert first.session.reason is not None
            assert first.session.reason.code is LogoutCode.CUT_OFF
            a.tap.open()
            await until(lambda: a.node.members.holds and a.node.roster.usable)
            assert isinstance(await a.outcome(), LoginDenied)
            await second.logout()
            assert (await gets_in(a)).session.is_open

    asyncio.run(run())


def test_a_node_that_is_cut_off_lets_nobody_in(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actorcred.cluster.claims.PATIENCE", 0.2)

    async def run() -> None:
        async with team(nats_server, lease=SHORT) as (a, _):
            a.tap.cut()
            await until(lambda: not a.node.members.holds)
            assert isinstance(await a.outcome(), CheckerUnavailable)

    asyncio.run(run())


def test_a_blip_ends_nothing(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, lease=4.0) as (a, b):
            login = await a.login()
            renewed: list[None] = []
            a.node.members.when_renewed.append(lambda: renewed.append(None))
            a.tap.cut()
            await until(lambda: not a.node.bus.connected)
            a.tap.open()
            await until(lambda: len(renewed) > 2)
            assert login.session.is_open
            assert isinstance(await b.outcome(), LoginDenied)

    asyncio.run(run())


def test_keep_ends_only_the_session_that_was_taken_over(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="keep", lease=SHORT) as (a, b):
            ann, ben = await a.login(), await a.login("ben")
            a.tap.cut()
            await gets_in(b)
            assert ann.session.is_open
            a.tap.open()
            await until(lambda: not ann.session.is_open)
            assert ann.session.reason is not None
            assert ann.session.reason.code is LogoutCode.REPLACED
            await until(lambda: a.node.roster.usable)
            assert ben.session.is_open
            assert isinstance(await b.outcome("ben"), LoginDenied)

    asyncio.run(run())


def test_sessions_of_a_user_who_may_have_any_number_are_all_kept(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(
            own_server,
            policy="allow",
            admission=Admission(sessions=100),
            on_cut_off="keep",
            lease=SHORT,
        ) as (a, b):
            logins = [await a.login(), await a.login(), await b.login()]
            own_server.stop()
            await until(lambda: not a.node.members.holds and not b.node.members.holds)
            own_server.restart(wipe=True)
            await until(lambda: a.node._upkeep.confirmed and b.node._upkeep.confirmed)
            await b.has_roster(a.cluster.node, a.cluster.node, b.cluster.node)
            assert all(login.session.is_open for login in logins)

    asyncio.run(run())


def test_keep_tells_the_roster_again_what_was_swept_meanwhile(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, on_cut_off="keep", lease=SHORT) as (a, b):
            login = await a.login()
            a.tap.cut()
            await b.has_roster()
            a.tap.open()
            await b.has_roster(a.cluster.node)
            assert login.session.is_open

    asyncio.run(run())


def test_a_release_while_nats_is_away_is_made_good(own_server: NatsServer) -> None:
    # Pitfall 5: a release that failed must be tried until it succeeds.
    async def run() -> None:
        async with team(own_server, lease=20.0, in_memory=False) as (a, b):
            login = await a.login()
            own_server.kill()
            await until(lambda: not a.node.bus.connected)
            await login.logout()
            await until(lambda: a.node._upkeep.backlog == 1)
            own_server.start()
            await until(lambda: not a.node._upkeep.backlog)
            assert isinstance(await gets_in(b), Login)

    asyncio.run(run())


def test_an_empty_store_lets_nobody_in_twice(own_server: NatsServer) -> None:
    # Pitfall 3: who reconnects later must not claim in the new store before its owners are heard.
    async def run() -> None:
        async with team(own_server, lease=3.0) as (a, b):
            first = await a.login()
            fence = (await a.login("cat")).session.fence
            own_server.restart(wipe=True)
            outcomes = [await b.outcome() for _ in range(3)]
            assert not any(isinstance(one, Login) for one in outcomes)
            assert Figure.most == 2
            assert first.session.is_open
            await b.has_roster(a.cluster.node)
            assert isinstance(await b.outcome(), LoginDenied)
            later = (await gets_in(b, "dan")).session.fence
            assert later is not None
            assert fence is not None

    asyncio.run(run())


def test_who_waits_for_all_owners_to_tell_what_they_have_renews_its_lease_no_faster(
    own_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat, beats = Store.beat, list[str]()

    async def note(self: Store, data: bytes, timeout: float) -> None:
        beats.append(self.bus.node)
        await beat(self, data, timeout)

    monkeypatch.setattr(Store, "beat", note)

    async def run() -> None:
        async with team(own_server, lease=SHORT) as (a, b):
            own_server.stop()
            await until(lambda: not a.node.members.holds and not b.node.members.holds)
            own_server.restart(wipe=True)
            await until(lambda: a.node.members.holds)
            beats.clear()
            await until(lambda: a.node._upkeep.confirmed and not a.node.roster.is_new)
            # Four a lease, and a few at once as the others come back.
            assert beats.count(a.cluster.node) < 20

    asyncio.run(run())


def test_presence_is_told_again_after_a_loss(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, policy="allow") as (a, b):
            await a.login()
            await b.has_roster(a.cluster.node)
            own_server.restart(wipe=True)
            assert (await a.login("ben")).session.is_open
            await b.has_roster(a.cluster.node)

    asyncio.run(run())


def test_nats_away_for_long_ends_what_may_exist_once(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, lease=SHORT) as (a, b):
            ann, ben = await a.login(), await b.login("ben")
            own_server.kill()
            await until(lambda: not ann.session.is_open and not ben.session.is_open)
            own_server.start()
            assert (await gets_in(b)).session.is_open
            assert Figure.most == 2

    asyncio.run(run())


def test_a_slow_nats_kills_nobody(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="replace", lease=4.0) as (a, b):
            for member in (a, b):
                member.tap.slow(0.1)
            first, second = await a.login(), await b.login()
            assert not first.session.is_open
            assert second.session.is_open
            assert a.cluster.nodes() == b.cluster.nodes()
            assert Figure.most == 1

    asyncio.run(run())


def test_a_revocation_ends_the_sessions_on_all_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow") as (a, b):
            logins = [await a.login(), await b.login()]
            other = await b.login("ben")
            a.revoke("ann")
            await until(lambda: not any(login.session.is_open for login in logins))
            assert other.session.is_open

    asyncio.run(run())


def test_a_revocation_that_a_node_has_missed_reaches_it_later(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow") as (a, b):
            logins = {name: await b.login(name) for name in ("ann", "ben", "cat")}
            b.tap.cut()
            await until(lambda: not b.node.bus.connected)
            a.revoke("ann")
            a.revoke("ben", Revocation.DELETED)
            await until(lambda: not a.node._tasks)
            assert all(login.session.is_open for login in logins.values())
            b.tap.open()
            await until(lambda: not logins["ann"].session.is_open)
            await until(lambda: not logins["ben"].session.is_open)
            assert logins["cat"].session.is_open

    asyncio.run(run())


def test_a_revocation_that_nats_did_not_take_is_told_again(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, policy="allow") as (a, b):
            login = await b.login()
            own_server.kill()
            await until(lambda: not a.node.bus.connected)
            a.revoke("ann")
            own_server.start()
            await until(lambda: not login.session.is_open)

    asyncio.run(run())


def test_junk_in_the_log_of_revocations_is_ignored(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow") as (a, b):
            login = await b.login()
            await a.node.store.log(key_of("x"), b"junk")
            a.revoke("ann")
            await until(lambda: not login.session.is_open)

    asyncio.run(run())
    assert "A revocation was ignored" in caplog.text
