"""Every test may use any dispatcher, and must leave nothing running."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from actorcred import actors
from actorcred.actors import AsyncioDispatcher, Dispatcher, InlineDispatcher, ThreadDispatcher


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Stop everything after each test; a test that hangs an actor fails."""
    before = set(threading.enumerate())
    yield
    actors.set_default_dispatcher(None)
    assert actors.shutdown(timeout=10) == []
    assert actors.statistics().actors == 0
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("actorcred")]
    assert left == []


@pytest.fixture
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test-loop")
    thread.start()
    yield loop
    actors.shutdown(timeout=10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(params=["threads", "asyncio", "inline"])
def dispatcher(request: pytest.FixtureRequest) -> Dispatcher:
    """Each kind of dispatcher, as the default of the test."""
    made: Dispatcher
    if request.param == "threads":
        made = ThreadDispatcher("actorcred-test", 2)
    elif request.param == "asyncio":
        made = AsyncioDispatcher(request.getfixturevalue("event_loop"))
    else:
        made = InlineDispatcher()
    actors.set_default_dispatcher(made)
    return made


@pytest.fixture
def inline() -> InlineDispatcher:
    """The inline dispatcher, whose clock the test moves, as the default of the test."""
    made = InlineDispatcher()
    actors.set_default_dispatcher(made)
    return made
