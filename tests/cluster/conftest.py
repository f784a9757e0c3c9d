"""What the tests of the cluster share: a real nats-server, and how to wait."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from actorcred.cluster.bus import Bus, Handler
from actorcred.cluster.settings import NatsOptions
from actorcred.cluster.store import Store
from tests.cluster.nats_server import NatsServer, random_name

PATIENCE = 20.0
"""Seconds until a test gives up."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.foreign)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One server for all tests, each with a cluster of its own; no test stops it."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of the test's own, which it may kill."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not become so"
        await asyncio.sleep(0.01)


def nothing(*_: object) -> None:
    """Receive a message, and do nothing."""


@contextlib.asynccontextmanager
async def opened(
    options: NatsOptions, receive: Handler = nothing, node: str = ""
) -> AsyncIterator[Bus]:
    """Open a bus."""
    bus = Bus(options, node or random_name(), receive)
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


@contextlib.asynccontextmanager
async def stored(options: NatsOptions) -> AsyncIterator[Store]:
    """Open a store, with a bus of its own."""
    async with opened(options) as bus:
        store = Store(bus)
        await store.open()
        yield store


@contextlib.asynccontextmanager
async def stranger(server: NatsServer) -> AsyncIterator[Client]:
    """Connect a client of NATS that is no node."""
    client = Client()
    await client.connect(server.url, user=server.user, password=server.password)
    try:
        yield client
    finally:
        await client.close()
