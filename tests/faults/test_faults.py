"""Every fault against a real server: resources are the same afterwards, and other clients unharmed.

`make faults` runs all of them on each loop and prints a table. Here are those that take less than
5 s; `-m long` selects the others.
"""

from __future__ import annotations

import pytest

from tests.faults import every
from tests.faults.fault import LOOPS, Fault, run


def _cases() -> list[object]:
    return [_case(tried, loop) for tried in every.FAULTS for loop in LOOPS]


def _case(tried: Fault, loop: str) -> object:
    marks = []
    if tried.slow or (loop != LOOPS[0] and not tried.both):
        marks.append(pytest.mark.long)
    if tried.backend is not None:
        marks.append(pytest.mark.foreign)
    return pytest.param(tried, loop, id=f"{tried.name}-{loop}", marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize(("tried", "loop"), _cases())
def test_nobody_else_is_harmed_and_nothing_is_left(tried: Fault, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", reason="uvloop is not installed: pip install uvloop")
    run(tried, loop)
