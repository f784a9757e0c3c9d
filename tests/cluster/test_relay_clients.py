"""Our other clients at a cluster behind a load balancer, which sends them to any node."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorcred import Portal, PortalOptions, rpc
from actorcred.actors.event_loop import background_loop
from actorcred.checkers.memory import MemoryChecker
from actorcred.cluster import Cluster
from actorcred.errors import ActorcredError
from actorcred.rpc import ClientOptions, connect_blocking, serve_in_thread
from actorcred.rpc.client.blocking import BlockingClient
from actorcred.rpc.protocol.addresses import Address
from tests.cli.served import Served
from tests.cli.test_serve import House
from tests.cluster.conftest import PATIENCE, until
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.served import servers
from tests.cluster.tap import Tap, tapped
from tests.rpc.stage import WireStage, on_loop
from tests.rpc.test_other_languages import HERE, check, node, ruby, run

BROWSER = """
globalThis.location = {{ href: "http://127.0.0.1/" }};
const {{ connect }} = await import("{module}");
const say = (what) => console.log(JSON.stringify(what));
const client = await connect("{url}", {{
  username: "ann",
  password: "s3cret",
  listeners: {{ tick: (number) => say(["tick", number]) }},
}});
client.on("reconnected", async (complete) => {{
  await client.call("tell", 2);
  say(["reconnected", complete, client.session, await client.call("move", 1)]);
  if (complete === false) await client.close();
}});
say(["connected", client.session]);
"""


def url_of(game: WireStage) -> str:
    return f"ws://{game.address.host}:{game.address.port}{game.address.path}"


@on_loop
async def test_the_client_for_node_resumes_at_another_node(nats_server: NatsServer) -> None:
    async with servers(nats_server, ("websocket-json", "websocket-json")) as (a, b):
        words = [*node(), str(HERE / "drive.mjs"), url_of(a.game), url_of(b.game)]
        check(a.game, json.loads(await run(*words)))
        assert b.game.log == []


@on_loop
async def test_the_client_for_ruby_resumes_at_another_node(nats_server: NatsServer) -> None:
    async with servers(nats_server) as (a, b):
        places = [(one.game.address.host, str(one.game.address.port)) for one in (a, b)]
        words = [*ruby(), str(HERE / "drive.rb"), *places[0], *places[1]]
        check(a.game, json.loads(await run(*words)))
        assert b.game.log == []


@on_loop
async def test_the_client_for_browsers_comes_back_at_any_node(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    source = Path(rpc.__file__).parent / "browser" / "actorcred.js"
    module = shutil.copy(source, tmp_path / "actorcred.mjs")
    async with servers(nats_server, ("websocket-json",) * 3, lease=60.0) as nodes:
        ports = [one.game.address.port for one in nodes]
        async with tapped(ports[0]) as balancer:
            script = tmp_path / "script.mjs"
            script.write_text(BROWSER.format(module=module, url=f"ws://127.0.0.1:{balancer.port}"))
            process = await asyncio.create_subprocess_exec(
                *node(), str(script), stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            said = asyncio.create_task(_lines(process, balancer, nodes, ports))
            try:
                async with asyncio.timeout(40):
                    await said
            finally:
                if process.returncode is None:
                    process.kill()
                await process.communicate()


async def _lines(
    process: asyncio.subprocess.Process, balancer: Tap, nodes: list[Any], ports: list[int]
) -> None:
    async def line() -> Any:
        assert process.stdout is not None
        text = await process.stdout.readline()
        if not text and process.stderr is not None:
            pytest.fail((await process.stderr.read()).decode())
        return json.loads(text)

    what, session = await line()
    assert what == "connected"
    for number, port in enumerate((ports[1], ports[2], ports[0], ports[1])):
        await balancer.point(port)
        assert [await line(), await line()] == [["tick", 0], ["tick", 1]]
        assert await line() == ["reconnected", True, session, [number + 1.0, 0.0]]
    await nodes[0].die()
    nodes[1].node.members.hurry()
    ticks = [await line(), await line()]
    assert ticks == [["tick", 0], ["tick", 1]]
    what, complete, other, place = await line()
    assert (what, complete, place) == ("reconnected", False, [1.0, 0.0])
    assert other != session


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def nodes(nats_server: NatsServer, tmp_path: Path) -> Iterator[tuple[Served, Served]]:
    """Two servers as processes of their own; the policy lets a user have two sessions."""
    secret = tmp_path / "secret"
    secret.write_text(nats_server.password)
    words = ["--realm", "tests.cli.test_serve:House", "--auth", "memory:ann:s3cret"]
    words += ["--listen", "tcp:127.0.0.1:0", "--cluster", nats_server.url]
    words += ["--cluster-user", nats_server.user, "--cluster-password-file", str(secret)]
    words += ["--cluster-name", random_name(), "--cluster-lease", "60"]
    with Served(*words, "--cluster-node", "a") as a, Served(*words, "--cluster-node", "b") as b:
        a.wait_for(1)
        b.wait_for(1)
        yield a, b


def port_of(served: Served) -> int:
    return Address.parse(served.addresses[0]).port


def call(client: BlockingClient) -> Any:
    """Call until the client has come back."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return client.call("greet", timeout=PATIENCE)
        except ActorcredError:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_blocking_client_goes_on_at_another_process_and_outlives_that_of_its_session(
    nodes: tuple[Served, Served],
) -> None:
    a, b = nodes

    async def steps() -> None:
        async with tapped(port_of(a)) as balancer:
            client = await asyncio.to_thread(
                connect_blocking,
                f"tcp:127.0.0.1:{balancer.port}",
                "ann",
                "s3cret",
                options=ClientOptions(reconnect=True),
            )
            inner = client.client
            session = inner.session
            for served in (b, a, b):
                await balancer.point(port_of(served))
                assert await asyncio.to_thread(call, client) == "hello"
                assert inner.session == session
            a.end(signal.SIGKILL)
            assert await asyncio.to_thread(call, client) == "hello"
            await until(lambda: inner.session != session)
            await asyncio.to_thread(client.close)

    asyncio.run(steps())
    assert b.end() == 0


def test_servers_in_threads_of_their_own_pass_clients_on(nats_server: NatsServer) -> None:
    """The server's loop is then another one than that of the cluster."""
    name, user, password = random_name(), nats_server.user, nats_server.password
    clusters, portals, made = [], [], []
    checker = MemoryChecker.start({"ann": "s3cret"}, plaintext=True)
    realms = [House.start() for _ in range(2)]
    for realm in realms:
        joining = Cluster.connect(nats_server.url, name=name, user=user, password=password)
        clusters.append(joining.get(timeout=PATIENCE))
        portal = Portal.start(realm, [checker], PortalOptions(registry=clusters[-1]))
        portals.append(portal)
        made.append(serve_in_thread(portal, "tcp:127.0.0.1:0"))
    try:
        there = Address.parse(str(made[1].addresses[0]))
        options = ClientOptions(reconnect=True)
        with connect_blocking(made[0].addresses[0], "ann", "s3cret", options=options) as client:
            session = client.client.session
            for address in (there, made[0].addresses[0], there):
                client.client.address = address
                assert client.client._line is not None
                client._loop.call_soon_threadsafe(client.client._line._wire.abort)
                assert call(client) == "hello"
                client.call("cred.ping")
            assert client.client.session == session
            assert [len(cluster._node.pipes) for cluster in clusters] == [1, 1]
            assert [portal.count().get(timeout=PATIENCE) for portal in portals] == [1, 1]
    finally:
        for server, portal, cluster in zip(made, portals, clusters, strict=True):
            server.close()
            portal.drain().get(timeout=PATIENCE)
            cluster.close().get(timeout=PATIENCE)
        for ref in (*portals, *realms, checker):
            ref.stop()
        background_loop().close(PATIENCE)
