"""One cluster of a portal on an asyncio loop, one on threads and one on Twisted's reactor."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from actorcred import Login, LoginDenied, Portal, PortalOptions, PortalRef, UsernamePassword
from actorcred.actors import AsyncioDispatcher, Dispatcher, ThreadDispatcher
from actorcred.cluster import Cluster
from actorcred.logout import LogoutCode
from tests.adapters.loops import in_loop, in_reactor, loop
from tests.cluster.nats_server import NatsServer, random_name
from tests.cluster.team import LEASE, Client, Everybody, Figure, Game, Player

KINDS = ("asyncio", "threads", "twisted")

WAIT = 20.0


@dataclass
class Served:
    """A node whose portal runs on a dispatcher of its own."""

    cluster: Cluster
    portal: PortalRef
    others: list[Any]

    def login(self, name: str = "ann", mind: Any = None) -> Login:
        """Log in from this thread, which is none of the portal's."""
        asked = self.portal.login(UsernamePassword(name, "right"), mind, Player)
        return asked.get(timeout=WAIT)

    def close(self) -> None:
        self.portal.drain(5).get(timeout=WAIT)
        self.cluster.close(1.0).get(timeout=WAIT)
        for ref in (self.portal, *self.others):
            ref.stop(timeout=WAIT)


def started(cluster: Cluster, dispatcher: Dispatcher) -> Served:
    realm = Game.start(dispatcher=dispatcher)
    checker = Everybody.start(dispatcher=dispatcher)
    options = PortalOptions(policy="reject", registry=cluster)  # type: ignore[arg-type]
    portal = Portal.start(realm, [checker], options, dispatcher=dispatcher)
    return Served(cluster, portal, [realm, checker])


def on_asyncio(connect: Callable[[], Any]) -> Served:
    """Join as a program does that runs on asyncio."""

    async def start() -> Served:
        return started(await connect(), AsyncioDispatcher(loop(), "asyncio"))

    return in_loop(start())


def on_threads(connect: Callable[[], Any]) -> Served:
    """Join as a program does that has no loop."""
    return started(connect().get(timeout=WAIT), ThreadDispatcher("cluster-test"))


def on_twisted(connect: Callable[[], Any]) -> Served:
    """Join as a program of Twisted's does."""
    pytest.importorskip("twisted")
    from actorcred.adapters.twisted import deferred_of, reactor_dispatcher

    def start() -> Any:
        joined = deferred_of(connect())
        return joined.addCallback(lambda cluster: started(cluster, reactor_dispatcher()))

    made: Served = in_reactor(start)
    return made


@pytest.fixture
def portals(nats_server: NatsServer) -> Iterator[dict[str, Served]]:
    """The three portals, which know each other."""
    Figure.leaving = None
    name = random_name()

    def connect(node: str) -> Any:
        return Cluster.connect(
            nats_server.url,
            name=name,
            node=node,
            lease=LEASE,
            user=nats_server.user,
            password=nats_server.password,
            in_memory=True,
        )

    with contextlib.ExitStack() as stack:
        made = {}
        for kind, join in zip(KINDS, (on_asyncio, on_threads, on_twisted), strict=True):
            made[kind] = join(lambda: connect(kind))  # noqa: B023
            stack.callback(made[kind].close)
        for one in made.values():
            one.cluster._node.roster._hold_until = 0.0  # no other roster was lost
            until(lambda: len(one.cluster.nodes()) == len(KINDS))  # noqa: B023
        yield made


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, "it did not become so"
        time.sleep(0.01)


@pytest.mark.parametrize(("here", "there"), list(itertools.permutations(KINDS, 2)))
def test_a_session_of_one_kind_is_seen_called_notified_and_ended_from_each_other(
    portals: dict[str, Served], here: str, there: str
) -> None:
    one, other = portals[here], portals[there]
    client = Client()
    login = one.login(mind=client)
    with pytest.raises(LoginDenied):
        other.login()
    [found] = other.portal.sessions("ann").get(timeout=WAIT)
    assert found.avatar.proxy().move(1.5).get(timeout=WAIT) == 3.0
    found.mind.notify("hello", "you")
    until(lambda: ("you",) in client.heard)
    assert found.mind.call("hello", 1).get(timeout=WAIT) == [1]
    assert other.portal.count().get(timeout=WAIT) == 1
    found.end(LogoutCode.KICKED, "from afar").get(timeout=WAIT)
    until(lambda: not login.session.is_open)
    again = other.login()
    assert again.logout().get(timeout=WAIT) is None


def test_of_logins_on_all_kinds_at_once_one_gets_in(portals: dict[str, Served]) -> None:
    asked = [
        one.portal.login(UsernamePassword("ben", "right"), None, Player) for one in portals.values()
    ]
    logins = []
    for future in asked:
        with contextlib.suppress(LoginDenied):
            logins.append(future.get(timeout=WAIT))
    assert len(logins) == 1
    logins[0].logout().get(timeout=WAIT)


def test_an_asyncio_portal_awaits_what_the_others_answer(portals: dict[str, Served]) -> None:
    login = portals["twisted"].login("cat")

    async def ask() -> Any:
        [found] = await portals["asyncio"].portal.sessions("cat")
        return await found.avatar.proxy().move(2.0)

    assert in_loop(ask()) == 4.0
    login.logout().get(timeout=WAIT)


def test_a_twisted_portal_gets_what_the_others_answer_as_deferreds(
    portals: dict[str, Served],
) -> None:
    from actorcred.adapters.twisted import deferred_of

    login = portals["asyncio"].login("dan")

    def ask() -> Any:
        found = deferred_of(portals["twisted"].portal.sessions("dan"))
        return found.addCallback(lambda all_: deferred_of(all_[0].avatar.proxy().move(2.5)))

    assert in_reactor(ask) == 5.0
    login.logout().get(timeout=WAIT)
