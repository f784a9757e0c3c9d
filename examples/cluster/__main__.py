"""Serve the chat by three nodes with a nats-server, and show where each user is."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from actorcred import ActorcredError, Portal, PortalOptions, PortalRef, actors, rpc
from actorcred.actors import AsyncioDispatcher, ThreadDispatcher
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.cli.lifetime import Life, drained
from actorcred.cli.local_nats import LocalNats
from actorcred.cluster import Cluster
from examples.chat.archive import Archive
from examples.chat.interface import MODERATOR
from examples.cluster.node import CHAT, LEASE, NAME, POLICY, Node
from examples.cluster.overview import Observer, make_overview
from examples.common import demo_account, port, seconds, serve

NODES = 3
DEMO = {"ann": (MODERATOR,), "bob": (), "cleo": (), "dan": ()}
"""The demo accounts, with their roles."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    return serve("The cluster", Nodes.open, arguments)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.cluster", description=__doc__)
    parser.add_argument(
        "--web",
        type=port,
        default=8090,
        metavar="PORT",
        help="port of the page; the nodes have the next ones; 0 picks free ones (%(default)s)",
    )
    parser.add_argument(
        "--duration", type=seconds, metavar="S", help="seconds to serve (until Ctrl-C)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("cluster-data"),
        metavar="DIR",
        help="folder of accounts and all other data (%(default)s)",
    )
    return parser.parse_args(argv)


class Nodes:
    """nats-server, the nodes, and the page; created by `open`."""

    def __init__(self, nats: LocalNats, nodes: list[Node]) -> None:
        self._nats = nats
        self._nodes = nodes
        self._passwords: dict[str, str] = {}
        self._page: rpc.Server | None = None
        self._portal: PortalRef
        self._cluster: Cluster | None = None
        self._starting: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, arguments: argparse.Namespace) -> Nodes:
        """Start everything.

        Raises:
            OSError: if a port is taken.
            ActorcredError: if NATS or a node cannot be started.
        """
        nats = LocalNats()
        first: int = arguments.web
        ports = [first and first + number for number in range(1, NODES + 1)]
        nodes = [Node(n, at, arguments.data, nats) for n, at in enumerate(ports, 1)]
        made = cls(nats, nodes)
        try:
            await made._open(arguments.data, first)
        except BaseException:
            await made._end()
            raise
        return made

    async def _open(self, data: Path, page: int) -> None:
        actors.set_default_dispatcher(AsyncioDispatcher())
        await self._nats.open()
        accounts = SQLiteChecker.start(
            data / "accounts.sqlite", dispatcher=ThreadDispatcher("accounts", 1)
        )
        Archive(data / CHAT).close()  # created here, before the nodes use it at the same time
        self._passwords = {
            name: await demo_account(accounts, data, name, roles) for name, roles in DEMO.items()
        }
        self._cluster = await Cluster.connect(
            self._nats.url,
            name=NAME,
            node="page",
            lease=LEASE,
            user=self._nats.user,
            password=self._nats.password,
            is_new=True,
        )
        options = PortalOptions(policy=POLICY, registry=self._cluster)
        self._portal = Portal.start(Observer.start(), [], options)
        self._page = await rpc.serve(self._portal)
        app = make_overview(self._nodes, self._portal, self._start_again)
        await self._page.listen(f"ws:127.0.0.1:{page}", app=app)
        for node in self._nodes:
            await node.start()
        for node in self._nodes:
            if not await node.ready():
                await node.ended()
                raise ActorcredError(f"{node.name} has ended; see above")

    async def _start_again(self, node: Node) -> None:
        if node.code is None:
            return
        await node.start()
        task = asyncio.create_task(_until_ready(node))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def introduce(self) -> None:
        """Print how to connect."""
        for name, password in self._passwords.items():
            print(f"account: {name} with {password}")
        for node in self._nodes:
            print(f"{node.name}:  http://127.0.0.1:{node.port}/")
        assert self._page is not None
        where = self._page.addresses[0]
        print(f"page:    http://127.0.0.1:{where.port}/  (where each user is)", flush=True)

    async def close(self, life: Life) -> None:
        """End the nodes and their sessions, then the rest."""
        for node in self._nodes:
            node.drain()
        await life.wait_for(drained(self._portal, life.left()), self._ended())
        await self._end()

    async def _ended(self) -> None:
        await asyncio.gather(*(node.ended() for node in self._nodes))

    async def _end(self) -> None:
        """End what still runs, and NATS."""
        if self._page is not None:
            await self._page.close(1.0)
        for node in self._nodes:
            node.send(signal.SIGKILL)
        await self._ended()
        if self._cluster is not None:
            await self._cluster.close(1.0)
        await self._nats.close()
        self._nats.remove()


async def _until_ready(node: Node) -> None:
    await node.ready()


if __name__ == "__main__":
    sys.exit(main())
