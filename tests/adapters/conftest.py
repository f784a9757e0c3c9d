"""What tests of adapters run on: stages, and Twisted's reactor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.adapters.loops import reactor


@pytest.fixture
def stages(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield what makes a `Stage` of the test's module; they are stopped when the test is over."""
    made: list[Any] = []

    def make(*arguments: Any, **settings: Any) -> Any:
        made.append(request.module.Stage(*arguments, **settings))
        return made[-1]

    yield make
    for stage in made:
        stage.stop()


@pytest.fixture
def real_reactor() -> None:
    """The reactor runs, in a thread of its own."""
    reactor()


@pytest.fixture
def on_this_thread(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's thread counts as the reactor's, unless the test wants it to run."""
    if "real_reactor" not in request.fixturenames:
        from twisted.python import threadable

        monkeypatch.setattr(threadable, "ioThread", threading.get_ident())


@pytest.fixture
def errors_of_twisted() -> Iterator[list[str]]:
    """Yield the errors that Twisted logs, as they arrive.

    Those of Deferreds without an errback are logged when they are garbage-collected.
    """
    from twisted.logger import LogLevel, formatEvent, globalLogPublisher

    found: list[str] = []

    def observe(event: Any) -> None:
        if event.get("isError") or event.get("log_level", LogLevel.info) >= LogLevel.error:
            found.append(f"{formatEvent(event)}\n{event.get('log_failure', '')}")

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def clock() -> Any:
    """A clock of Twisted's that the test moves."""
    from twisted.internet.task import Clock

    return Clock()


@pytest.fixture
def cred(clock: Any) -> Any:
    """Make portals with actors on the reactor, which does not run; the test moves the clock."""
    from actorcred.adapters.twisted import CredPortal, ReactorDispatcher

    dispatcher = ReactorDispatcher(clock=clock)

    class Made(CredPortal):
        @staticmethod
        def _dispatcher() -> Any:
            return dispatcher

    return Made
