"""One node of the example: the chat with one port, in a process that may be killed.

`Node` starts it and reads what it prints; `main` is the process.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

from actorcred import Policy, Portal, PortalOptions, PortalRef, actors, rpc
from actorcred.actors import AsyncioDispatcher, ThreadDispatcher
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.cli.lifetime import Life, drained, run
from actorcred.cli.local_nats import LocalNats
from actorcred.cli.worker_process import Child
from actorcred.cluster import Cluster
from examples.chat.archive import Archive
from examples.chat.realm import Chat
from examples.common import end_without_parent
from examples.web import make_app

__all__ = ["CHAT", "LEASE", "NAME", "POLICY", "Node", "main"]

NAME, LEASE, POLICY = "chat", 3.0, Policy.REPLACE
CHAT = "chat.sqlite"
"""The chat's database in the folder of all nodes, which share it."""

PAGE = Path(__file__).parents[1] / "chat" / "page"


class Node(Child):
    """A node as the example sees it.

    Args:
        number: its number, from 1 on.
        port: where browsers find it; 0 for a free port, which it then keeps.
        data: the folder of all nodes.
        nats: what connects them.

    Attributes:
        id: its id in the cluster; "" while it does not serve.
        draining: whether it was told to end its sessions.
    """

    def __init__(self, number: int, port: int, data: Path, nats: LocalNats) -> None:
        super().__init__(f"node {number}")
        self.number, self.port = number, port
        self.id = ""
        self.draining = False
        self._data, self._nats = data, nats

    @property
    def state(self) -> str:
        """What it does: "starting", "serving", "draining", "killed" or "stopped"."""
        if self.code is not None:
            return "killed" if self.code == -signal.SIGKILL else "stopped"
        if self.draining:
            return "draining"
        return "serving" if self.id else "starting"

    async def start(self) -> None:
        """Start the process. The password of NATS goes to its standard input."""
        self.id, self.draining = "", False
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.cluster.node", "--number", str(self.number)),
            *("--port", str(self.port), "--data", str(self._data)),
            *("--nats", self._nats.url, "--user", self._nats.user),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(self._nats.password.encode() + b"\n")

    async def ready(self) -> bool:
        """Wait until it serves; return whether it does, or False if it has ended before."""
        assert self._process is not None
        assert self._process.stdout is not None
        words = (await self._process.stdout.readline()).decode().split()
        if len(words) == 2:
            self.id, self.port = words[0], int(words[1])
        return bool(self.id)

    def drain(self) -> None:
        """Have it end its sessions and then itself."""
        self.draining = True
        self.send(signal.SIGTERM)


def main(argv: list[str] | None = None) -> int:
    """Run the process; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.cluster.node", description=__doc__)
    for name, kind in (("number", int), ("port", int), ("data", Path), ("nats", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--user", default="")
    arguments = parser.parse_args(argv)
    logging.basicConfig(
        level=logging.WARNING, format=f"node {arguments.number}: %(name)s: %(message)s"
    )
    password = sys.stdin.readline().rstrip("\n")
    threading.Thread(target=end_without_parent, daemon=True).start()
    return run(partial(_serve, arguments, password))


async def _serve(arguments: Any, password: str, life: Life) -> int:
    actors.set_default_dispatcher(AsyncioDispatcher())
    cluster = await life.opened(_join(arguments, password))
    archive = Archive(arguments.data / CHAT)
    try:
        portal, server = await life.opened(_open(arguments, cluster, archive))
        print(cluster.node, server.addresses[0].port, flush=True)
        await life.until_asked()
        await life.wait_for(server.close(life.left()), drained(portal, life.left()))
    finally:
        await cluster.close(life.left())
        await life.stop_actors()
        archive.close()
    return 0


async def _join(arguments: Any, password: str) -> Cluster:
    return await Cluster.connect(
        arguments.nats,
        name=NAME,
        node=f"node-{arguments.number}",
        lease=LEASE,
        user=arguments.user,
        password=password,
    )


async def _open(arguments: Any, cluster: Cluster, archive: Archive) -> tuple[PortalRef, rpc.Server]:
    accounts = SQLiteChecker.start(
        arguments.data / "accounts.sqlite", dispatcher=ThreadDispatcher("checkers", 2)
    )
    chat = Chat.start(archive)
    portal = Portal.start(chat, [accounts], PortalOptions(policy=POLICY, registry=cluster))
    await chat.proxy().open_at(portal)
    server = await rpc.serve(portal)
    address = f"ws:127.0.0.1:{arguments.port}"
    try:
        await server.listen(address, app=make_app(server, PAGE))
    except BaseException:
        await server.close()
        raise
    return portal, server


if __name__ == "__main__":
    sys.exit(main())
