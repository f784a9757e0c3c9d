"""One node of a cluster as a process of its own, for the chaos test, which kills and stops it.

It reads requests from its standard input and writes answers and records to its standard output,
one JSON object a line. A record is written before the program goes on, so that what was recorded
is not lost if it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import random
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pykka

from actorcred import (
    Avatar,
    Checker,
    Login,
    LoginFailed,
    LogoutReason,
    MoveFailed,
    Portal,
    PortalOptions,
    Realm,
    SnapshotDeclined,
    UsernamePassword,
)
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from actorcred.cluster import BusDown, BusError, Cluster
from actorcred.errors import CallCode, CallError
from tests.cluster.other_versions import dance, speak

logger = logging.getLogger("node_program")

NODE = ""
"""The name of the node."""

TICK = 0.02
CALLS = 0.03
"""Seconds between two calls of a client."""

STALL = 0.1
"""Seconds between two ticks that are recorded as a stall: the process was stopped or starved."""


def record(what: str, **fields: Any) -> None:
    """Write a line that is no answer."""
    write({"record": what, **fields})


def write(line: dict[str, Any]) -> None:
    data = json.dumps(line).encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


class Player(ABC):
    @abstractmethod
    def look(self) -> list[Any]: ...

    @abstractmethod
    def move(self, asked: float) -> None: ...


class Figure(Avatar, Player):
    """Records when it begins and ends, on this node.

    Tells its clients each time that one of them looks.
    """

    made = 0
    rnd = random.Random()
    looks = 0
    lease = 1.0

    def on_start(self) -> None:
        self.number = 0
        self.user = str(self.avatar_id)
        self.frozen = 0.0
        """When it took a snapshot, unless it has done anything since."""

    def on_login(self) -> None:
        self.begin()

    async def snapshot(self) -> Any:
        if Figure.rnd.random() > 0.9:
            raise SnapshotDeclined("as it pleases")
        await asyncio.sleep(Figure.rnd.choice([0.0, 0.0, 0.01]))
        self.frozen = time.monotonic()
        record("freeze", avatar=self.number, at=self.frozen)
        return [self.user, "x" * Figure.rnd.randrange(1000)]

    async def restore(self, snapshot: Any) -> None:
        if snapshot[0] != self.user:
            record("wrong", text=f"the snapshot of {snapshot[0]} for {self.user}")
        self.begin()
        self.send_after(Figure.rnd.uniform(0.2, 3.0) * self.lease, "enough")
        await asyncio.sleep(Figure.rnd.choice([0.0, 0.0, 0.02]))

    def on_receive(self, message: Any) -> None:
        self.act()
        if message == "enough" and self.session is not None:
            self.session.end()

    def begin(self) -> None:
        assert self.session is not None
        Figure.made += 1
        self.number = Figure.made
        self.send_every(TICK, "tick")
        record(
            "begin",
            avatar=self.number,
            user=str(self.avatar_id),
            session=self.session.id,
            fence=self.session.fence,
            at=time.monotonic(),
        )

    def on_stop(self) -> None:
        if self.frozen:
            record("end", avatar=self.number, why="moved", at=self.frozen)

    async def on_logout(self, reason: LogoutReason) -> None:
        self.act()
        await asyncio.sleep(Figure.rnd.choice([0.0, 0.005, 0.03]))
        record("end", avatar=self.number, why=str(reason.code), at=time.monotonic())

    def act(self) -> None:
        """Record that it goes on, if it has taken a snapshot."""
        if self.frozen:
            self.frozen = 0.0
            record("thaw", avatar=self.number)

    def look(self) -> list[Any]:
        self.act()
        self.looks += 1
        self.mind.notify("looked", self.looks)
        return [NODE, self.number]

    def move(self, asked: float) -> None:
        now = time.monotonic()
        if now - asked > STALL:  # it was starved between the look at the lease and here
            record("stall", begin=asked, end=now)
        record("answer", avatar=self.number, at=now)


class Client:
    """Records if it is not told of each look, in order, from the first of which it is told."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._last = 0

    def looked(self, number: int) -> None:
        if self._last and number != self._last + 1:
            record("gap", user=self._user, last=self._last, number=number)
        self._last = number


class Game(Realm):
    """Mostly answers at once, and seldom takes longer than a lease."""

    interfaces = (Player,)
    lease = 1.0

    async def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        chance = Figure.rnd.random()
        if chance > 0.9:
            await asyncio.sleep(Figure.rnd.uniform(0.5, 2.5) * self.lease)
        elif chance > 0.7:
            await asyncio.sleep(Figure.rnd.uniform(0.0, 0.3) * self.lease)
        avatar = Figure.start(avatar_id, mind)
        return Player, avatar, avatar.stop


class Everybody(Checker):
    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> str:
        return credentials.username


class Program:
    """Does what it is asked.

    Args:
        config: the name of the node, where NATS is, the policy, the lease, the seed, and whether
            clients call their avatars.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._logins: dict[str, Login] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> list[str]:
        """Serve until the end of the input or the request to quit; return the tasks left."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        ticking = loop.create_task(self._tick())
        await self._open()
        record("ready", node=self._cluster.node)
        while line := await reader.readline():
            request = json.loads(line)
            if request["do"] == "quit":
                break
            task = loop.create_task(self._answer(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            os._exit(3)  # the test has ended
        self._logins.clear()
        await asyncio.gather(*self._tasks)
        ticking.cancel()
        transport.close()
        await self._close()
        await asyncio.sleep(0.05)  # tasks that were cancelled last
        here = asyncio.current_task()
        return [repr(task) for task in asyncio.all_tasks() if task is not here]

    async def _open(self) -> None:
        config = self._config
        if (speaks := config.get("speaks", "today")) != "today":
            speak(speaks)
        set_default_dispatcher(AsyncioDispatcher())
        Figure.rnd = random.Random(config["seed"])
        Figure.lease = Game.lease = config["lease"]
        while True:
            try:
                self._cluster = await Cluster.connect(config["url"], **config["cluster"])
                break
            except BusError as error:
                logger.warning("tries again: %s", error)
                await asyncio.sleep(0.1)
        self._realm, self._checker = Game.start(), Everybody.start()
        options = PortalOptions(
            policy=config["policy"], registry=self._cluster, login_timeout=6 * config["lease"]
        )
        self._portal = Portal.start(self._realm, [self._checker], options)
        self._node = self._cluster._node
        if speaks == "newer":
            self._node._spawn(dance(self._node.bus))
        if config.get("first"):  # the roster is new, and no other one was lost
            self._node.roster._hold_until = 0.0

    async def _close(self) -> None:
        self._logins.clear()
        await self._portal.drain(5)
        await self._cluster.close(5)
        for ref in (self._portal, self._realm, self._checker):
            await ref.stop(block=False)

    async def _tick(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            if now - last > STALL:
                record("stall", begin=last, end=now)
            last = now

    async def _answer(self, request: dict[str, Any]) -> None:
        try:
            answer = {"ok": await getattr(self, "do_" + request["do"])(*request["args"])}
        except (LoginFailed, BusDown, MoveFailed) as error:
            cause = getattr(error, "cause", None)
            answer = {"error": type(error).__name__, "cause": str(cause or ""), "text": str(error)}
        write({"id": request["id"], **answer})

    async def do_login(self, name: str) -> str:
        # Without a client, a session can move; avatars that are shared do not.
        client = Client(name) if self._config["policy"] == "share" else None
        login = await self._portal.login(UsernamePassword(name, ""), client, Player)
        self._logins[login.session.id] = login
        if self._config.get("calls"):
            task = asyncio.get_running_loop().create_task(self._call(login))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return login.session.id

    async def _call(self, login: Login) -> None:
        """Call the avatar again and again, as a client that knows nothing of a cut."""
        while login.session.id in self._logins:
            with contextlib.suppress(CallError):
                try:
                    await login.avatar.proxy().move(time.monotonic())
                except pykka.ActorDeadError:
                    return
            await asyncio.sleep(CALLS)

    async def do_logout(self, session_id: str) -> None:
        self._logins.pop(session_id, None)
        holding = self._node.holdings.get(session_id)
        session = None if holding is None else holding.session
        if session is not None:
            await session.end()

    async def do_move(self, session_id: str) -> str:
        """Move a session, if it is here; return the node that has it."""
        login = self._logins.get(session_id)
        if login is None:
            raise MoveFailed("it is not here")
        return await login.session.move()

    async def do_look(self, session_id: str) -> list[Any] | None:
        """Return the node and the number of the avatar of a session; None if it is over or held."""
        login, holding = self._logins.get(session_id), self._node.holdings.get(session_id)
        try:
            if login is not None and login.session.is_open:
                return list(await login.avatar.proxy().look())
            if holding is None or holding.session is None:
                return None
            return list(await holding.session.avatar.proxy().look())  # it has moved here
        except (pykka.ActorDeadError, pykka.Timeout):
            return None
        except CallError as error:
            if error.code != CallCode.SUSPENDED:
                raise
            return None

    def _line(self) -> int:
        """Return by which of its addresses of NATS it is connected."""
        connected = self._node.bus.client.connected_url
        urls = self._node.bus.options.servers
        return next(n for n, url in enumerate(urls) if url.endswith(f":{connected.port}"))

    async def do_report(self) -> dict[str, Any]:
        """Return what this node knows of itself and of the others."""
        node = self._node
        sessions = {one.session_id: one.session for one in node.holdings}
        guests = node.holdings.guests
        count: Any = await self._portal.count()
        roster = [
            [entry.id, entry.node] async for _, _, entries in node.roster.all() for entry in entries
        ]
        return {
            "node": node.id,
            "policy": self._config["policy"],
            "line": self._line(),
            "nodes": sorted(self._cluster.nodes()),
            "sessions": {
                key: [str(one.avatar_id), one.fence] for key, one in sessions.items() if one
            },
            "places": len(sessions),
            "guests": sorted([guest.session_id, guest.node] for guest in guests.values()),
            "visits": sorted(
                [one.session_id, one.avatar_at] for one in node.holdings if one.avatar_at
            ),
            "open": sorted(key for key, one in sessions.items() if one is not None and one.is_open),
            "owed": node._upkeep.backlog,
            "usable": node.members.holds and node.roster.usable,
            "count": count,
            "missing": sorted(count.missing),
            "roster": sorted(roster),
        }


def sockets() -> list[str]:
    """Return the sockets that are open in this process."""
    found = []
    for path in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(path))
    return [name for name in found if name.startswith("socket:")]


def main() -> None:
    global NODE
    config = json.loads(sys.argv[1])
    NODE = config["cluster"]["node"]
    logging.basicConfig(
        level=config.get("log", "WARNING"),
        format=config["cluster"]["node"]
        + " %(levelname)s %(asctime)s.%(msecs)03d %(name)s: %(message)s",
        datefmt="%M:%S",
    )
    logging.getLogger("actorcred.audit").setLevel(logging.ERROR)
    tasks = asyncio.run(Program(config).run())
    gc.collect()
    record("gone", tasks=tasks, sockets=sockets())


if __name__ == "__main__":
    main()
