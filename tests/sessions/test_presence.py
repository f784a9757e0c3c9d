"""How what servers know of a user is merged, and the bounds of a status."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred.sessions.presence import (
    Contribution,
    PresenceLimits,
    UserPresence,
    changed_status,
    merged,
    merged_status,
)

KEYS = 16
LIMITS = PresenceLimits(status_keys=2, status_bytes=40)


def test_a_user_is_online_with_a_session_at_any_server() -> None:
    each = [Contribution(last_seen=5.0), Contribution(2), Contribution()]
    assert merged("ann", each, KEYS) == UserPresence("ann", online=True)
    assert merged("ann", each[::2], KEYS) == UserPresence("ann", last_seen=5.0)
    assert merged("ann", [], KEYS) == UserPresence("ann")


def test_a_user_was_seen_when_the_last_session_ended() -> None:
    each = [Contribution(last_seen=5.0), Contribution(last_seen=7.0), Contribution(last_seen=6.0)]
    assert merged("ann", each, KEYS).last_seen == 7.0


def test_the_latest_value_of_each_key_counts() -> None:
    phone = {"away": (2.0, True), "mood": (1.0, "sad")}
    desk = {"away": (1.0, False), "mood": (3.0, "glad"), "game": (0.0, "chess")}
    user = merged("ann", [Contribution(1, phone), Contribution(1, desk)], KEYS)
    assert user.status == {"away": True, "game": "chess", "mood": "glad"}


def test_the_status_of_a_server_without_a_session_does_not_count() -> None:
    each = [Contribution(0, {"away": (1.0, True)}, 1.0), Contribution(1)]
    assert merged("ann", each, KEYS).status == {}


def test_a_merged_status_has_the_latest_keys() -> None:
    status = {str(number): (float(number % 4), number) for number in range(6)}
    assert set(merged_status([status], 3)) == {"2", "3", "5"}


def test_of_values_of_one_moment_that_of_the_last_server_counts() -> None:
    assert merged_status([{"a": (1.0, 1)}, {"a": (1.0, 2)}], KEYS) == {"a": (1.0, 2)}


def test_a_status_changes_key_by_key() -> None:
    status = changed_status({}, {"away": True, "at": (1, 2)}, 5.0, LIMITS)
    assert status == {"away": (5.0, True), "at": (5.0, [1, 2])}
    assert changed_status(status, {"away": None, "no": None}, 6.0, LIMITS) == {"at": (5.0, [1, 2])}


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"a": object()}, TypeError, "cannot be a status"),
        ({"a": 1 << 70}, TypeError, "cannot be a status"),
        ({"a": 1, "b": 2, "c": 3}, ValueError, "at most 2 keys, not 3"),
        ({"a": "x" * 40}, ValueError, "at most 40 bytes, not 45"),
    ],
)
def test_a_status_is_bounded_and_plain(
    changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        changed_status({}, changes, 1.0, LIMITS)


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="watched must be more than 0"):
        PresenceLimits(watched=0)
