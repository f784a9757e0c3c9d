"""A NATS that has no room, refuses this node, stops its streams, or is stopped itself.

In each case nobody is let in twice, sessions stay as long as the lease lasts, the log says once
why, and all goes on when NATS does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcred import Admission, Login, LoginDenied
from actorcred.cluster import Cluster
from actorcred.cluster.errors import BusError
from actorcred.errors import CheckerUnavailable
from actorcred.logout import LogoutCode
from tests.cluster.conftest import until
from tests.cluster.nats_server import JETSTREAM, LIMITS, NatsServer, random_name, version_of
from tests.cluster.team import SHORT, Figure, Member, team
from tests.cluster.test_outages import gets_in

PATIENT = 30.0
"""Seconds of a lease that does not end, even if NATS is restarted on a busy machine."""


@contextlib.contextmanager
def running(server: NatsServer) -> Iterator[NatsServer]:
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def soon(member: Member, name: str) -> object:
    """Log in, but give it up after a while."""
    try:
        return await asyncio.wait_for(member.outcome(name), 2.0)
    except TimeoutError:
        return None


async def in_trouble(*nodes: Member) -> None:
    """Wait until some nodes have noticed that NATS takes nothing."""
    while not all(one.node.members.trouble for one in nodes):
        for one in nodes:
            one.node.members.hurry()
        await asyncio.sleep(0.05)


def test_a_full_disk_lets_nobody_in_and_ends_nothing(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(server: NatsServer) -> None:
        async with team(server, lease=PATIENT, in_memory=False) as (a, b):
            first = await a.login()
            filler = small_disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            # NATS may confirm what it cannot write, and forget it when it is started again.
            inside = ["ann"]
            while isinstance(await soon(a, name := f"u{len(inside)}"), Login):
                inside.append(name)
            assert first.session.is_open
            filler.unlink()
            await asyncio.to_thread(server.restart)
            twice = await asyncio.gather(*(soon(b, name) for name in inside))
            assert not any(isinstance(one, Login) for one in twice)
            assert Figure.most == len(inside)
            assert (await gets_in(b, "ben")).session.is_open
            assert isinstance(await b.outcome(), LoginDenied)
            assert first.session.is_open

    with running(NatsServer(small_disk)) as server:
        asyncio.run(run(server))


def test_a_store_that_is_full_takes_no_more_users_until_one_leaves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(server: NatsServer) -> None:
        async with team(server, lease=PATIENT, in_memory=False) as (a, b):
            logins = []
            while isinstance(one := await soon(a, f"u{len(logins)}"), Login):
                logins.append(one)
            assert len(logins) > 10
            assert all(login.session.is_open for login in logins)
            assert isinstance(await b.outcome("u0"), LoginDenied)
            for login in logins:
                await login.logout()
            assert (await gets_in(b, "u0")).session.is_open

    limits = "max_memory_store: 64MB, max_file_store: 8KB"
    with running(NatsServer(tmp_path, limits=limits)) as server:
        asyncio.run(run(server))
    assert caplog.text.count("cannot write to NATS") == 1


def test_streams_that_are_switched_off_and_on_end_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(server: NatsServer) -> None:
        block = JETSTREAM.format(store=server._store, limits=LIMITS)
        async with team(server, lease=8.0, in_memory=False) as (a, b):
            first = await a.login()
            server.configure(block, "jetstream: false")
            await in_trouble(a, b)
            assert not isinstance(await soon(b, "ben"), Login)
            assert first.session.is_open
            server.configure("jetstream: false", block)
            await until(lambda: a.node.roster.verified and b.node.roster.verified)
            await b.has_roster(a.cluster.node)
            assert first.session.is_open
            assert Figure.most == 1

    with running(NatsServer(tmp_path)) as server:
        asyncio.run(run(server))


def test_a_nats_that_is_stopped_for_less_than_a_lease_ends_nothing(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, lease=PATIENT) as (a, b):
            first = await a.login()
            own_server.pause()
            waiting = asyncio.ensure_future(b.outcome("ben"))
            await in_trouble(a, b)
            own_server.resume()
            assert (await gets_in(b, "cat")).session.is_open
            await waiting
            assert isinstance(await b.outcome(), LoginDenied)
            assert first.session.is_open

    asyncio.run(run())


def test_a_nats_that_is_stopped_for_longer_ends_what_may_exist_once(own_server: NatsServer) -> None:
    async def run() -> None:
        async with team(own_server, lease=SHORT) as (a, b):
            ann, ben = await a.login(), await b.login("ben")
            own_server.pause()
            await until(lambda: not ann.session.is_open and not ben.session.is_open)
            assert ann.session.reason is not None
            assert ann.session.reason.code is LogoutCode.CUT_OFF
            own_server.resume()
            assert (await gets_in(b)).session.is_open
            assert Figure.most == 2

    asyncio.run(run())


def test_a_password_that_is_changed_while_nodes_are_connected_is_told(
    own_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with team(own_server, lease=PATIENT) as (a, b):
            first = await a.login()
            own_server.configure(own_server.password, "another")
            await until(lambda: not a.node.bus.connected and not b.node.bus.connected)
            await until(lambda: "Authorization Violation" in caplog.text)
            assert not isinstance(await soon(b, "ben"), Login)
            own_server.configure("another", own_server.password)
            assert (await gets_in(b, "cat")).session.is_open
            assert first.session.is_open

    asyncio.run(run())
    assert own_server.password not in caplog.text
    assert caplog.text.count("Authorization Violation") <= 2  # once for each node


def test_an_account_that_may_have_too_few_streams_is_named(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    text = server.config.read_text()
    accounts = "accounts {{ a {{ jetstream {{ max_streams: 2 }}, users: [{}] }} }}"
    who = f'{{ user: "{server.user}", password: "{server.password}" }}'
    server.config.write_text(text.replace(f"authorization {who}", accounts.format(who)))
    with running(server), pytest.raises(BusError, match="maximum number of streams reached"):
        asyncio.run(connected(server))


def test_a_server_that_takes_no_more_connections_is_named(tmp_path: Path) -> None:
    with (
        running(NatsServer(tmp_path, more="max_connections: 1\n")) as server,
        pytest.raises(BusError, match=r"maximum connections exceeded|has it too many"),
    ):
        asyncio.run(connected(server, 2))


@pytest.mark.parametrize(
    ("may", "why"),
    [
        ('publish: ["ac.>", "acl.>", "acr.>", "acv.>", "_INBOX_ac.>"]', "$JS.API.STREAM.INFO"),
        ('publish: [">"], subscribe: ["_INBOX_ac.>"]', "Subscription to"),
    ],
)
def test_a_permission_that_is_missing_is_named(tmp_path: Path, may: str, why: str) -> None:
    server = NatsServer(tmp_path)
    text = server.config.read_text()
    old = f'{{ user: "{server.user}", password: "{server.password}" }}'
    new = f"{{ users: [{old[:-2]}, permissions: {{ {may} }} }}] }}"
    server.config.write_text(text.replace(old, new))
    with running(server), pytest.raises(BusError) as caught:
        asyncio.run(connected(server))
    assert "permissions violation" in str(caught.value).lower()
    assert why.lower() in str(caught.value).lower()


async def connected(server: NatsServer, number: int = 1) -> None:
    """Have some nodes connect, and leave."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(number):
            cluster = await Cluster.connect(
                server.url,
                name="game",
                user=server.user,
                password=server.password,
                timeout=0.5,
                lease=2.0,
            )
            stack.push_async_callback(lambda one: one.close(0.1), cluster)


def test_an_old_nats_does_not_replicate(tmp_path: Path) -> None:
    old = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if old is None or version_of(old) >= (2, 10):
        pytest.skip("there is no nats-server before 2.10, such as Debian's 2.9")

    async def run(server: NatsServer) -> None:
        await Cluster.connect(
            server.url, user=server.user, password=server.password, replicas=3, name=random_name()
        )

    with (
        running(NatsServer(tmp_path, path=old)) as server,
        pytest.raises(BusError, match=r"3 replicas need NATS 2\.10; this is 2\.9"),
    ):
        asyncio.run(run(server))


def test_an_avatar_id_with_too_many_sessions_for_a_message_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(server: NatsServer) -> None:
        async with team(server, policy="allow") as (a, b):
            crowds = [f"crowd{number}" for number in range(20)]
            for name in crowds:
                await asyncio.gather(*(a.login(name) for _ in range(60)))
            await a.login()
            await b.has_roster(a.cluster.node)
            for name in crowds:
                assert await a.roster(name) == [a.cluster.node]

    with running(NatsServer(tmp_path, more="max_payload: 2KB\n")) as server:
        asyncio.run(run(server))


def test_a_limit_of_more_sessions_than_fit_into_a_message_denies_only_those(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(server: NatsServer) -> None:
        limits = Admission(sessions_per_avatar=1000)
        async with team(server, policy="allow", admission=limits) as (a, b):
            outcomes = [await a.outcome() for _ in range(40)]
            assert a.node.bus.connected
            logins = [one for one in outcomes if isinstance(one, Login)]
            assert 10 < len(logins) < 40
            assert isinstance(outcomes[-1], CheckerUnavailable)
            assert isinstance(await b.outcome("ben"), Login)
            await logins[0].logout()
            assert isinstance(await gets_in(b), Login)

    with running(NatsServer(tmp_path, more="max_payload: 2KB\n")) as server:
        asyncio.run(run(server))
    assert "too large" in caplog.text
