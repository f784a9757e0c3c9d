"""Log lines about faults that go on."""

from __future__ import annotations

import logging

import pytest

from actorcred.cluster import complaints
from actorcred.cluster.complaints import INTERVAL, KINDS, Complaints
from tests.cluster.conftest import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(complaints, "monotonic", made)
    return made


def test_a_fault_is_told_at_once_and_then_once_a_minute_with_a_count(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    made = Complaints()
    for _ in range(5):
        made.warn("disk", "the disk is full")
    clock.now += INTERVAL + 1
    made.warn("disk", "the disk is full")
    assert caplog.messages == ["the disk is full", "the disk is full (4 times in a minute)"]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_faults_of_other_kinds_are_told_apart_but_not_without_end(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    made = Complaints()
    for number in range(3 * KINDS):
        made.warn(f"kind {number}", f"fault %s {number}")
    assert caplog.messages[0] == "fault %s 0"
    assert len(caplog.messages) == KINDS + 1
