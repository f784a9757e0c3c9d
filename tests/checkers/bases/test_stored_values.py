"""Values from databases and directories, as an identity holds them."""

from __future__ import annotations

import decimal
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from actorcred.checkers.bases.stored_values import (
    LONGEST_FACT,
    MOST_FACTS,
    fact_of,
    groups_of,
    time_of,
)

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
ID = uuid.uuid4()


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (None, None), (True, True), (7, 7), (0.5, 0.5), ("ann", "ann"),
        (decimal.Decimal("1.50"), "1.50"), (ID, str(ID)), (["a", 1], ("a", 1)),
        (date(2026, 1, 2), "2026-01-02"), (NOON, "2026-01-02T12:00:00+00:00"),
    ],
)  # fmt: skip
def test_a_fact_is_a_plain_value(value: Any, fact: Any) -> None:
    assert fact_of(value) == fact


@pytest.mark.parametrize(
    "value", [b"\x00", memoryview(b"x"), "x" * (LONGEST_FACT + 1), ["x"] * (MOST_FACTS + 1)]
)
def test_what_is_binary_or_too_much_is_no_fact(value: Any) -> None:
    with pytest.raises(ValueError, match=r"it is (binary|longer)|it has more than"):
        fact_of(value)


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        (None, set()), ("", set()), ("a b", {"a", "b"}), ("a, b,,c\n", {"a", "b", "c"}),
        ('["Game Masters", "b"]', {"Game Masters", "b"}),
        (["Game Masters", None], {"Game Masters"}), (("a",), {"a"}),
    ],
)  # fmt: skip
def test_groups_are_words_or_a_list(value: Any, groups: set[str]) -> None:
    assert groups_of(value) == groups


@pytest.mark.parametrize(
    "value", [7, b"a", {"a": 1}, "[1]", "[broken", [1], [f"g{n}" for n in range(MOST_FACTS + 1)]]
)
def test_what_is_no_list_of_groups_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of several kinds
        groups_of(value)


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (None, None), ("", None), (NOON, NOON), (NOON.replace(tzinfo=None), NOON),
        (NOON.timestamp(), NOON), ("2026-01-02 12:00:00", NOON), ("2026-01-02T12:00:00Z", NOON),
        ("2026-01-02T13:00:00+01:00", NOON.astimezone(timezone(timedelta(hours=1)))),
    ],
)  # fmt: skip
def test_a_time_has_a_zone(value: Any, time: datetime | None) -> None:
    made = time_of(value)
    assert made == time
    assert made is None or made.tzinfo is not None


@pytest.mark.parametrize("value", ["soon", b"x", 1e30, float("nan"), object()])
def test_what_is_no_time_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError, match="it is no time"):
        time_of(value)
