"""Every test may use any dispatcher, and must leave nothing running."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from actorcred import actors
from actorcred.actors import AsyncioDispatcher, Dispatcher, InlineDispatcher, ThreadDispatcher


@pytest.fixture(autouse=True)
def nothing_is_left(nothing_left_running: None) -> None:
    """Stop everything after each test; a test that hangs an actor fails."""


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
def inline(inline_dispatcher: InlineDispatcher) -> InlineDispatcher:
    """The inline dispatcher, whose clock the test moves, as the default of the test."""
    return inline_dispatcher
