"""Pytest fixtures, available wherever actorcred is installed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from actorcred import PortalOptions, PortalRef
    from actorcred.actors import ActorRef, InlineDispatcher
    from actorcred.testing.fakes import RecordingMind

__all__ = ["inline_dispatcher", "nothing_left_running", "recording_mind", "start_portal"]


@pytest.fixture
def nothing_left_running() -> Iterator[None]:
    """Stop everything after the test, and fail if anything does not stop.

    Use it for a whole suite with `autouse`.
    """
    from actorcred.actors import set_default_dispatcher
    from actorcred.testing.fakes import assert_nothing_left

    before = set(threading.enumerate())
    yield
    set_default_dispatcher(None)
    assert_nothing_left(before)


@pytest.fixture
def inline_dispatcher() -> Iterator[InlineDispatcher]:
    """Run all actors of the test on its own thread, with a clock that the test advances.

    It does so with `inline_dispatcher.advance(seconds)`.
    """
    from actorcred.actors import InlineDispatcher, set_default_dispatcher

    made = InlineDispatcher()
    set_default_dispatcher(made)
    yield made
    set_default_dispatcher(None)


@pytest.fixture
def recording_mind() -> RecordingMind:
    """Return a client that records what it is sent."""
    from actorcred.testing.fakes import RecordingMind

    return RecordingMind()


@pytest.fixture
def start_portal(nothing_left_running: None) -> Callable[..., PortalRef]:
    """Return a function that starts a portal: `start_portal(*checkers, realm=..., options=...)`.

    The default realm is a `Hall`. After the test everything is stopped, and the test fails if
    anything does not stop.
    """
    from actorcred import Portal
    from actorcred.testing.fakes import Hall

    def start(
        *checkers: ActorRef[Any],
        realm: ActorRef[Any] | None = None,
        options: PortalOptions | None = None,
    ) -> PortalRef:
        return Portal.start(Hall.start() if realm is None else realm, checkers, options)

    return start
