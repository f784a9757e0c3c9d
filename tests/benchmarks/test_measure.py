"""The helpers of the benchmarks whose results the figures depend on."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.benchmarks.measure import Spread, alternate, elsewhere, percentile, processor_seconds
from tests.benchmarks.report import Figure, Target, ratios, targets_table

BUSY = """
import sys, threading, time
def burn():
    until = time.thread_time() + 0.1
    while time.thread_time() < until:
        pass
threads = [threading.Thread(target=burn) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(time.process_time(), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_processor_time_of_another_process_counts_its_ended_threads() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        own = float(process.stdout.readline())
        seen = processor_seconds(process.pid)
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert own >= 0.2
    assert seen == pytest.approx(own, abs=0.02)
    assert seen == pytest.approx(ticks, abs=0.03)


def test_the_processor_time_of_no_process_is_an_error() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(OSError, match="such"):
        processor_seconds(process.pid)


def test_the_processor_time_of_this_process_is_that_of_its_clock() -> None:
    before, seen, after = time.process_time(), processor_seconds(os.getpid()), time.process_time()
    assert before <= seen <= after


def test_variants_alternate_after_a_round_that_warms_up() -> None:
    ran: list[str] = []

    def variant(name: str) -> str:
        ran.append(name)
        return f"{name}{len(ran)}"

    found = alternate(lambda: variant("a"), lambda: variant("b"), rounds=3)
    assert "".join(ran) == "ab" + "ab" + "ba" + "ab"
    assert found == [["a3", "b4"], ["a6", "b5"], ["a7", "b8"]]


def test_a_spread_is_the_median_with_the_least_and_the_most() -> None:
    assert Spread.of([3.0, 1.0, 9.0]) == Spread(3.0, 1.0, 9.0)
    assert str(Spread.of([3.0, 1.0, 9.0])) == "3.00 (1.00 to 9.00)"
    assert str(Spread.of([31.25])) == "31.2 (31.2 to 31.2)"
    assert str(Spread.of([12345.6])) == "12,346 (12,346 to 12,346)"


def test_a_percentile_is_a_value_that_occurred() -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], 0.99) == 100.0
    assert percentile([float(value) for value in range(1, 101)], 0.98) == 99.0
    assert percentile([5.0], 1.0) == 5.0


def test_ratios_are_those_of_each_round() -> None:
    found = ratios([[6.0, 3.0], [3.0, 6.0], [1.0, 0.0]])
    assert found[:2] == [2.0, 0.5]
    assert math.isnan(found[2])


async def numbers(first: int) -> AsyncIterator[int]:
    for number in itertools.count(first):
        yield number


def test_a_generator_elsewhere_is_asked_for_each_value_after_the_first() -> None:
    with elsewhere(numbers, 7) as following, elsewhere(numbers, 70) as other:
        assert [following(), other(), following()] == [8, 71, 9]
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (Target(1.0), True),
        (Target(0.9), False),
        (Target(1.0, least=True), True),
        (Target(1.1, least=True), False),
        (Target(10.0, ratio=False), True),
        (Target(9.0, ratio=False), False),
        (Target(99.0, ratio=False, always=True), False),
        (Target(100.0, ratio=False, always=True), True),
        (Target(0.02, least=True, always=True), False),
    ],
)
def test_a_target_is_a_limit_of_the_median(target: Target, kept: bool) -> None:
    assert target.kept([[10.0, 10.0], [1.0, 100.0], [100.0, 1.0]]) is kept


def test_the_table_shows_ratio_target_and_what_is_missing() -> None:
    figure = Figure("login", "us", "a floor", "", target=Target(1.5))
    rows = [(figure, [[6.0, 3.0]]), (figure, "erlang is not installed")]
    out = StringIO()
    Console(file=out, width=200).print(targets_table("machine", rows))
    lines = out.getvalue().splitlines()
    assert any("2.00 (2.00 to 2.00) x" in line and "MISSED" in line for line in lines)
    assert any("erlang is not installed" in line and "<= 1.5 x" in line for line in lines)
