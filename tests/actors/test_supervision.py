"""Restarts are counted against an intensity, and pauses grow."""

from __future__ import annotations

import pytest

from actorcred.actors import RestartIntensity, Restarts


def test_restarts_are_counted_within_their_time():
    restarts = Restarts(RestartIntensity(2, within=5.0))

    assert restarts.pause(0.0) == 0
    assert restarts.pause(1.0) == 0
    assert restarts.pause(2.0) > 0
    assert restarts.pause(60.0) == 0


def test_pauses_grow_to_a_minute_and_are_forgotten_once_it_works():
    restarts, now, pauses = Restarts(RestartIntensity(1, within=5.0)), 0.0, []
    for _ in range(10):
        pauses.append(restarts.pause(now))
        now += pauses[-1] + 0.1  # it crashes again as soon as it is tried

    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert restarts.pause(now + 10) == 0


def test_an_intensity_of_no_time_is_refused():
    with pytest.raises(ValueError, match="within > 0"):
        RestartIntensity(1, 0)
