"""Places: one user on several nodes, under each policy."""

from __future__ import annotations

import asyncio

import pytest

from actorcred import Admission, Login, LoginDenied
from actorcred.cluster.holdings import Holding
from actorcred.cluster.roster import Entry, key_of
from actorcred.errors import CheckerUnavailable
from actorcred.logout import LogoutCode
from tests.cluster.conftest import until
from tests.cluster.nats_server import NatsServer
from tests.cluster.team import Client, Figure, team


def test_reject_denies_a_second_login_on_another_node(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            first = await a.login()
            with pytest.raises(LoginDenied) as denied:
                await b.login()
            assert denied.value.retry_after
            assert first.session.is_open
            assert isinstance(await b.login("ben"), Login)

    asyncio.run(run())


def test_a_place_is_free_everywhere_once_the_logout_is_over(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            for _ in range(5):
                for here in (a, b):
                    await (await here.login()).logout()
            await a.has_roster()
            assert Figure.most == 1

    asyncio.run(run())


def test_replace_ends_the_first_session_before_the_second_begins(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="replace") as (a, b):
            client = Client()
            first = await a.login(mind=client)
            Figure.leaving = asyncio.Event()
            second = asyncio.ensure_future(b.login())
            await until(lambda: not first.session.is_open)
            assert not second.done()
            Figure.leaving.set()
            login = await second
            assert login.session.is_open
            assert Figure.most == 1
            await until(lambda: client.heard == ["replaced"])
            assert await a.roster() == [b.cluster.node]

    asyncio.run(run())


@pytest.mark.parametrize("policy", ["reject", "replace"])
def test_of_many_logins_at_once_one_has_the_place(nats_server: NatsServer, policy: str) -> None:
    async def run() -> None:
        async with team(nats_server, 3, policy) as nodes:
            tries = [node.outcome() for node in nodes for _ in range(4)]
            outcomes = await asyncio.gather(*tries)
            logins = [one for one in outcomes if isinstance(one, Login)]
            assert Figure.most == 1
            assert sum(login.session.is_open for login in logins) == 1
            assert policy == "replace" or len(logins) == 1
            await until(lambda: sum(node.node.holdings.sessions for node in nodes) == 1)

    asyncio.run(run())


def test_allow_needs_no_permission_and_is_known_to_all(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="allow") as (a, b):
            first, second = await a.login(), await b.login()
            assert first.session.fence is None
            await a.has_roster(a.cluster.node, b.cluster.node)
            await first.logout()
            await second.logout()
            await a.has_roster()

    asyncio.run(run())


def test_a_limit_per_user_counts_all_nodes(nats_server: NatsServer) -> None:
    async def run() -> None:
        limits = Admission(sessions_per_avatar=2)
        async with team(nats_server, policy="allow", admission=limits) as (a, b):
            await a.login()
            await b.login()
            with pytest.raises(LoginDenied):
                await a.login()

    asyncio.run(run())


def test_each_place_has_a_larger_fence_than_the_one_before(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server, policy="replace") as (a, b):
            fences = [(await here.login()).session.fence for here in (a, b, a)]
            assert all(isinstance(fence, int) for fence in fences)
            assert fences == sorted(set(fences))  # type: ignore[type-var]

    asyncio.run(run())


def test_a_session_that_nobody_has_keeps_nobody_out(nats_server: NatsServer) -> None:
    # Pitfall 6: a write that was given up can land later.
    async def run() -> None:
        async with team(nats_server) as (a, b):
            ghosts = [Entry("x", a.cluster.node), Entry("y", b.cluster.node)]
            await a.node.roster.write(key_of("ann"), 0, "ann", ghosts)
            assert isinstance(await b.login(), Login)
            assert await a.roster() == [b.cluster.node]

    asyncio.run(run())


def test_a_place_whose_confirmation_was_lost_is_written_again(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            holding = Holding("ann", "mine", exclusive=True)
            written = await a.node.roster.write(
                holding.key, 0, "ann", [a.node.holdings.entry(holding)]
            )
            a.node.hold(holding)
            await a.node.claim(holding, 5.0)
            assert written is not None
            assert holding.revision > written
            assert await a.roster() == [a.cluster.node]
            a.node.release("mine")
            await until(lambda: len(a.node.holdings) == 0)

    asyncio.run(run())


def test_what_is_claimed_across_a_gap_is_claimed_again(nats_server: NatsServer) -> None:
    # Pitfall 2: an answer to what was sent before a gap says nothing.
    async def run() -> None:
        async with team(nats_server) as (a, _):
            write, tries = a.node.roster.write, []

            async def with_a_gap(*args: object) -> int | None:
                tries.append(await write(*args))  # type: ignore[arg-type]
                if len(tries) == 1:
                    a.node.members.generation += 1
                return tries[-1]

            a.node.roster.write = with_a_gap  # type: ignore[method-assign, assignment]
            login = await a.login()
            assert len(tries) == 2
            assert login.session.is_open
            assert await a.roster() == [a.cluster.node]

    asyncio.run(run())


def test_a_damaged_value_lets_nobody_in_twice(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, _):
            await a.node.store.write(key_of("ann"), 0, b"junk")
            holding = Holding("ann", "mine", exclusive=True)
            a.node.hold(holding)
            with pytest.raises(CheckerUnavailable):
                await a.node.claim(holding, 0.2)

    asyncio.run(run())
    assert "The roster is damaged" in caplog.text


def test_a_login_that_fails_gives_its_place_back(nats_server: NatsServer) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            waiting = a.portal.login(*_credentials("ann"))
            waiting.cancel()
            await until(lambda: not len(a.node.holdings))
            assert isinstance(await b.login(), Login)

    asyncio.run(run())


def _credentials(name: str) -> tuple[object, ...]:
    from actorcred import UsernamePassword
    from tests.cluster.team import Player

    return UsernamePassword(name, "right"), None, Player


def test_an_end_that_is_asked_for_before_the_session_opens_ends_it(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server, policy="replace") as (a, b):
            logins = await asyncio.gather(a.login(), b.login())
            await until(lambda: sum(one.session.is_open for one in logins) == 1)
            ended = next(one for one in logins if not one.session.is_open)
            assert ended.session.reason is not None
            assert ended.session.reason.code is LogoutCode.REPLACED

    asyncio.run(run())


def test_a_portal_that_drains_frees_its_places_and_lets_nobody_in(
    nats_server: NatsServer,
) -> None:
    async def run() -> None:
        async with team(nats_server) as (a, b):
            await a.login()
            assert await a.portal.drain(5) == 1
            await a.cluster.close()
            assert isinstance(await b.login(), Login)
            await until(lambda: b.cluster.nodes() == {b.cluster.node})
            assert not isinstance(await a.outcome("ben"), Login)

    asyncio.run(run())


def test_after_an_eviction_a_claim_goes_on_without_a_pause(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Chance:
        @staticmethod
        def uniform(*_: float) -> float:
            pauses.append(None)
            return 1.0

    pauses: list[None] = []
    monkeypatch.setattr("actorcred.cluster.claims.random", Chance)

    async def run() -> None:
        async with team(nats_server, policy="replace") as (a, b):
            await a.login()
            assert not pauses
            assert (await b.login()).session.is_open
            assert (await b.login()).session.is_open
            assert not pauses

    asyncio.run(run())
