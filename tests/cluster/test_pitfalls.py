"""The failures and pitfalls that the design names, and which test is which.

A node:

- it is killed: `test_the_user_of_a_node_that_was_killed_gets_in_after_its_lease`,
  `test_replace_waits_for_the_lease_of_a_node_that_was_killed`,
  `test_what_a_dead_node_had_is_taken_out_of_the_roster`
- it is drained: `test_a_portal_that_drains_frees_its_places_and_lets_nobody_in`
- it is cut off for less than its lease: `test_a_blip_ends_nothing`
- it is cut off, or its line swallows all, for longer:
  `test_a_node_that_is_cut_off_ends_its_sessions_before_others_open_them`,
  `test_a_node_that_is_cut_off_lets_nobody_in`
- the same, and it keeps its sessions: `test_keep_ends_only_the_session_that_was_taken_over`,
  `test_keep_tells_the_roster_again_what_was_swept_meanwhile`
- it is stopped (SIGSTOP) for longer than its lease:
  `test_colyseus_978_a_process_that_was_stopped_does_not_do_later_what_others_did_for_it`
- it speaks another version: `test_nodes_of_three_versions_share_their_sessions`
- it has other rules, or a wrong clock:
  `test_nodes_with_other_policies_or_limits_are_named_once`,
  `test_a_node_with_a_longer_lease_is_not_taken_for_dead_before_it_ends`,
  `test_a_clock_that_is_wrong_is_told`

NATS:

- it is killed, and back within the lease: `test_nats_killed_and_back_within_a_lease_ends_nothing`
- it is away for longer: `test_nats_away_for_long_ends_what_may_exist_once`,
  `test_nats_away_for_long_ends_nothing_of_those_who_keep_their_sessions`,
  `test_logins_that_need_no_permission_go_on_without_nats`
- it comes back with nothing: `test_an_empty_store_lets_nobody_in_twice`,
  `test_presence_is_told_again_after_a_loss`
- it is slow: `test_a_slow_nats_kills_nobody`
- it is stopped: `test_a_nats_that_is_stopped_for_less_than_a_lease_ends_nothing`,
  `test_a_nats_that_is_stopped_for_longer_ends_what_may_exist_once`
- it has no room, refuses, or keeps nothing: all of test_nats_refuses.py
- it is three servers, of which one fails: all of test_three_servers.py
- somebody else speaks there: `test_junk_on_the_bus_harms_nobody`,
  `test_junk_in_the_log_of_revocations_is_ignored`,
  `test_junk_on_the_subject_of_the_leases_is_ignored`

An account is disabled: `test_a_revocation_ends_the_sessions_on_all_nodes`,
`test_a_revocation_that_a_node_has_missed_reaches_it_later`.

Pitfalls:

1. beats that come late in a row:
   `test_late_beats_in_a_row_after_a_gap_do_not_make_others_dead`
2. an answer to what was asked before a gap: `test_what_is_claimed_across_a_gap_is_claimed_again`
3. a claim in a store that is new: `test_an_empty_store_lets_nobody_in_twice`
4. a node that has just died does not answer:
   `test_replace_waits_for_the_lease_of_a_node_that_was_killed`
5. a release that has failed: `test_a_release_while_nats_is_away_is_made_good`
6. a write that was given up and comes late: `test_a_session_that_nobody_has_keeps_nobody_out`
7. a logout that the roster does not know yet:
   `test_a_logout_that_the_roster_does_not_know_yet_keeps_nobody_out`
8. the other code of a lost compare-and-set: `test_each_code_of_a_lost_compare_and_set_is_one`
9. callbacks that wait, and clients that try for ever:
   `test_a_logout_that_takes_long_does_not_hold_up_other_messages`,
   `test_a_wrong_password_is_said_soon_and_is_not_repeated`
10. replicas that lag: `test_a_roster_on_several_servers_is_read_from_its_leader`
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import BadRequestError

from actorcred import Login, LoginDenied
from actorcred.cluster import store as store_module
from actorcred.logout import LogoutCode
from tests.cluster.conftest import stored, until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import SHORT, Figure, team
from tests.cluster.test_outages import gets_in


def test_each_test_that_is_named_here_exists() -> None:
    here = Path(__file__).parent
    there = {
        name
        for path in here.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", __doc__ or ""))
    assert len(named) > 30
    assert not named - there
    for name in re.findall(r"(test_\w+\.py)", __doc__ or ""):
        assert (here / name).exists()


def test_nats_killed_and_back_within_a_lease_ends_nothing(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, lease=20.0, in_memory=False) as (a, b):
            first = await a.login()
            own_server.kill()
            await until(lambda: not a.node.bus.connected and not b.node.bus.connected)
            waiting = asyncio.ensure_future(b.outcome("ben"))
            own_server.start()
            assert isinstance(await waiting, Login)
            assert first.session.is_open
            assert isinstance(await b.outcome(), LoginDenied)

    asyncio.run(run())


def test_nats_away_for_long_ends_nothing_of_those_who_keep_their_sessions(
    own_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(own_server, on_cut_off="keep", lease=SHORT, in_memory=False) as (a, b):
            ann, ben = await a.login(), await b.login("ben")
            own_server.kill()
            await until(lambda: not a.node.members.holds and not b.node.members.holds)
            own_server.start()
            assert (await gets_in(b, "cat")).session.is_open
            assert ann.session.is_open
            assert ben.session.is_open
            for member in (a, b):
                assert isinstance(await member.outcome(), LoginDenied)
                assert isinstance(await member.outcome("ben"), LoginDenied)

    asyncio.run(run())


def test_logins_that_need_no_permission_go_on_without_nats(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, policy="allow", lease=SHORT, in_memory=False) as (a, b):
            first = await a.login()
            own_server.kill()
            await until(lambda: not a.node.members.holds and not b.node.members.holds)
            assert first.session.is_open
            assert (await b.login()).session.is_open
            own_server.start()
            await a.has_roster(a.cluster.node, b.cluster.node)

    asyncio.run(run())


def test_a_logout_that_the_roster_does_not_know_yet_keeps_nobody_out(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            login, now = await a.login(), asyncio.Event()
            remove = a.node.roster.remove

            async def later(revision: int) -> bool:
                await now.wait()
                return await remove(revision)

            monkeypatch.setattr(a.node.roster, "remove", later)
            await login.logout()
            assert await a.roster() == [a.cluster.node]
            assert isinstance(await b.outcome(), Login)
            now.set()
            await until(lambda: not len(a.node.holdings))
            assert await a.roster() == [b.cluster.node]

    asyncio.run(run())


@pytest.mark.parametrize("code", [10071, 10164])
def test_each_code_of_a_lost_compare_and_set_is_one(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    async def run() -> None:
        async with stored(nats_server.options()) as store:

            async def lost(*_: Any, **__: Any) -> Any:
                raise BadRequestError(code=400, err_code=code, description="wrong last sequence")

            monkeypatch.setattr(store._jetstream, "publish", lost)
            assert await store.write("key", 0, b"1") is None

    asyncio.run(run())


def test_a_logout_that_takes_long_does_not_hold_up_other_messages(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            ann, ben = await a.login(), await a.login("ben")
            Figure.leaving = asyncio.Event()
            [found] = await b.portal.sessions("ann")
            ending = asyncio.ensure_future(found.end(LogoutCode.KICKED))
            await until(lambda: not ann.session.is_open)
            [other] = await b.portal.sessions("ben")
            assert await other.avatar.proxy().move(1.0) == 2.0
            assert not ending.done()
            Figure.leaving.set()
            await ending
            assert ben.session.is_open

    asyncio.run(run())


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_roster_on_several_servers_is_read_from_its_leader(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    # Also if this node was not told on how many servers it is kept.
    ensure, asked = store_module.ensure, []

    async def kept(jetstream: Any, config: Any) -> Any:
        info = await ensure(jetstream, config)
        info.config.num_replicas = replicas
        return info

    monkeypatch.setattr(store_module, "ensure", kept)

    async def run() -> None:
        async with stored(nats_server.options()) as store:
            read = store._jetstream.get_last_msg

            async def get(*args: Any, direct: bool) -> Any:
                asked.append(direct)
                return await read(*args, direct=direct)

            monkeypatch.setattr(store._jetstream, "get_last_msg", get)
            assert await store.read("key") == (0, None)

    asyncio.run(run())
    assert asked == [replicas == 1]
