"""Run all faults on each event loop and print a table.

Example: `make faults FAULTS="--only slowloris --loop uvloop"`.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback

import pytest

from tests.faults import every
from tests.faults.fault import LOOPS, Fault, Outcome, run

HEAD = (
    "fault | loop | before: sessions/connections/actors/tasks/threads/descriptors, "
    "memory | after | "
    "worst answer to an honest client | seconds | verdict"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names of the faults to run")
    parser.add_argument("--loop", choices=LOOPS, help="the loop to run them on; by default each")
    parser.add_argument(
        "--fast", action="store_true", help="leave those out that take more than 5 s"
    )
    words = parser.parse_args()
    wanted = [
        one for one in every.FAULTS if words.only in one.name and not (words.fast and one.slow)
    ]
    print(HEAD, flush=True)
    bad = 0
    for tried in wanted:
        for loop in (words.loop,) if words.loop else LOOPS:
            bad += not _row(tried, loop)
    print(f"{bad} bad" if bad else "all good")
    return 1 if bad else 0


def _row(tried: Fault, loop: str) -> bool:
    """Run a fault and print its row; return whether it passed."""
    begin = time.monotonic()
    outcome: Outcome | None = None
    try:
        outcome = run(tried, loop)
        verdict = "; ".join(("good", *outcome.notes))
    except pytest.skip.Exception as skipped:
        verdict = f"skipped: {skipped.msg}"
    except AssertionError as error:
        verdict = "BAD: " + str(error).split("\n")[0]
    except Exception:
        verdict = "BAD: " + traceback.format_exc().strip().split("\n")[-1]
    figures = ["", "", ""]
    if outcome is not None:
        figures = [
            str(outcome.before),
            str(outcome.after or "ended"),
            f"{outcome.worst * 1000:.0f} ms of {outcome.calls}",
        ]
    print(
        " | ".join([tried.name, loop, *figures, f"{time.monotonic() - begin:.1f}", verdict]),
        flush=True,
    )
    return not verdict.startswith("BAD")


if __name__ == "__main__":
    sys.exit(main())
