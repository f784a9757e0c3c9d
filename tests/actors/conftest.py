"""What tests of the runtime share."""

from __future__ import annotations

import pytest

from actorcred.actors import ActorRef, Dispatcher
from tests.actors.helpers import Recorder


@pytest.fixture
def log() -> list[object]:
    return []


@pytest.fixture
def recorder(dispatcher: Dispatcher, log: list[object]) -> ActorRef[Recorder]:
    return Recorder.start(log)
