"""The stages of a module's tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


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
