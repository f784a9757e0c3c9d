"""Small helpers of the benchmarks."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bytes_per(count: int, make: Callable[[], object]) -> tuple[float, object]:
    """Return the memory in bytes per item, and the result of `make`, which must be kept."""
    gc.collect()
    before = resident()
    made = make()
    gc.collect()
    return (resident() - before) / count, made


def microseconds(count: int, run: Callable[[], object], repeat: int = 3) -> float:
    """Return the median time per item of several runs, each of `count` items."""
    times = []
    for _ in range(repeat):
        gc.collect()
        started = time.perf_counter()
        run()
        times.append((time.perf_counter() - started) / count * 1e6)
    return statistics.median(times)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
