"""One node of the arena, in a process that may be killed.

`Node` starts it and reads what it reports, line by line as JSON; `main` is the process.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import json
import logging
import pickle
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from actorcred import ActorcredError, ActorRef, PortalOptions, actors, rpc
from actorcred.actors import AsyncioDispatcher
from actorcred.cli.lifetime import Life, run
from actorcred.cli.worker_process import Child
from actorcred.cluster import Cluster
from actorcred.portal.events import Event, SessionMoved
from actorcred.sessions.session import Session
from examples.arena.accounts import make_accounts
from examples.arena.bots.bot import Account
from examples.arena.nodes.line import Line
from examples.arena.nodes.realm import NodeArena, name_of
from examples.arena.show import COLLECTIONS, DRAIN_TIMEOUT, Ledger, Pace, Show, Totals
from examples.arena.world.region import Seat
from examples.common import end_without_parent

__all__ = ["Node", "Task", "main"]

CLUSTER, LEASE = "arena", 3.0


@dataclass(frozen=True, slots=True)
class Task:
    """What a node is to do.

    Args:
        seat: its place.
        arguments: those of the command.
        nats: the address of NATS.
        user: the user's name there.
        password: the user's password there.
    """

    seat: Seat
    arguments: argparse.Namespace
    nats: str
    user: str
    password: str = field(repr=False)


class Node(Child):
    """A node as the command sees it.

    Args:
        task: what it is to do.

    Attributes:
        figures: what it has last reported.
        totals: what it has reported at its end.
        fault: why it could not open.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(f"node {task.seat.number}")
        self.figures: Mapping[str, float] = {}
        self.totals: Totals | None = None
        self.fault = ""
        self._task = task
        self._settled = asyncio.Event()
        self._is_open = False
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process. What it is to do goes to its standard input, with the password."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.arena.nodes.node"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(base64.b64encode(pickle.dumps(self._task)) + b"\n")
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def _read(self, reports: asyncio.StreamReader) -> None:
        async for line in reports:
            match json.loads(line):
                case {"open": _}:
                    self._is_open = True
                    self._settled.set()
                case {"fault": fault}:
                    self.fault = str(fault)
                case {"figures": figures}:
                    self.figures = figures
                case {"rows": rows, "top": top}:
                    self.totals = Totals(rows, [(name, points) for name, points in top])
        self._settled.set()

    async def ready(self) -> bool:
        """Wait until it serves; return whether it does, or False if it has ended before."""
        await self._settled.wait()
        return self._is_open

    async def ended(self) -> int:
        """Wait for its end and its last report; return `code`."""
        code = await super().ended()
        if self._reading is not None:
            await self._reading
        return code


class NodeLedger(Ledger):
    """Counts the sessions of a node, also those that have moved.

    Args:
        node: its id in the cluster.
    """

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node
        self._moved = 0

    def __call__(self, event: Event) -> None:
        """Count an event."""
        super().__call__(event)
        if isinstance(event, SessionMoved):
            self._moved += 1 if event.target == self._node else -1

    @property
    def present(self) -> int:
        """The sessions that are here."""
        return self.logins + self._moved - self.logouts.total()


class NodeShow(Show):
    """The server and the bots of a node; see `Show`.

    Args:
        task: what the node is to do.
        cluster: the way to the sessions of the others.
        line: the way to their worlds.
        htpasswd: the password file of the bots.
        accounts: those of all nodes.
    """

    def __init__(
        self, task: Task, cluster: Cluster, line: Line, htpasswd: Path, accounts: list[Account]
    ) -> None:
        self._seat = task.seat
        self._cluster = cluster
        self._line = line
        super().__init__(task.arguments, htpasswd, accounts)
        self._ledger = self._own_ledger = NodeLedger(cluster.node)
        self._accounts = accounts[task.seat.number - 1 :: task.seat.count]

    @classmethod
    async def open_node(cls, task: Task, cluster: Cluster, line: Line) -> NodeShow:
        """Start everything but the bots."""
        data, bots = task.arguments.data, task.arguments.avatars
        show = cls(task, cluster, line, *make_accounts(data, bots, threading.Event(), _nothing))
        await show._open()
        return show

    def _start_arena(self) -> ActorRef[Any]:
        return NodeArena.start(
            self._settings(),
            self._seat,
            self._line,
            _living(self._cluster, self._seat),
            self._sign_ups(),
            self._tick_times,
        )

    def _options(self) -> PortalOptions:
        return replace(super()._options(), registry=self._cluster)

    def _server_options(self) -> rpc.ServerOptions:
        return rpc.ServerOptions(reuse_port=True)

    async def _count(self) -> int:
        return self._own_ledger.present

    async def report(self, life: Life) -> None:
        """Report the figures once a second until a signal."""
        async for figures in self._each_second(life):
            _report(figures=figures)

    async def _figures(self, pace: Pace) -> dict[str, float]:
        return {"node": self._seat.number, **await super()._figures(pace)}

    async def _present(self) -> int:
        return sum(isinstance(one, Session) for one in await self._portal.sessions())


def _living(cluster: Cluster, seat: Seat) -> Callable[[], set[int]]:
    """Return what tells the numbers of the nodes that are not known to be dead.

    A node that has not come yet counts as alive.
    """
    seen: set[int] = set()
    everyone = set(range(1, seat.count + 1))

    def living() -> set[int]:
        ids = (re.fullmatch(r"node-(\d+)-\w+", node) for node in cluster.nodes())
        here = {int(match[1]) for match in ids if match}
        seen.update(here)
        return (everyone - seen) | here | {seat.number}

    return living


def main() -> int:
    """Run the process; return its exit code."""
    task: Task = pickle.loads(base64.b64decode(sys.stdin.readline()))
    threading.Thread(target=end_without_parent, daemon=True).start()
    return run(partial(_serve, task))


async def _serve(task: Task, life: Life) -> int:
    actors.set_default_dispatcher(AsyncioDispatcher())
    life.drain_timeout = DRAIN_TIMEOUT
    line = Line(task.seat.number)
    cluster: Cluster | None = None
    try:
        cluster = await life.opened(_join(task, line))
        show = await life.opened(NodeShow.open_node(task, cluster, line))
        show.start_bots()
        _report(open=True)
        await show.report(life)
        totals = await show.end(life)
        _report(rows=totals.rows, top=totals.top)
        return 0
    except (OSError, UnicodeError, ActorcredError) as error:
        _report(fault=str(error))
        return 2
    finally:
        await line.close()
        if cluster is not None:
            await cluster.close(life.left())


async def _join(task: Task, line: Line) -> Cluster:
    await line.open(task.nats, task.user, task.password)
    return await Cluster.connect(
        task.nats,
        name=CLUSTER,
        node=name_of(task.seat.number),
        lease=LEASE,
        user=task.user,
        password=task.password,
        is_new=True,
    )


def _report(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _nothing() -> None:
    """Take no note of an account."""


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    logging.getLogger("actorcred").setLevel(logging.CRITICAL)  # crashes are part of the demo
    gc.set_threshold(*COLLECTIONS)
    sys.exit(main())
