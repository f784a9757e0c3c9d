"""Print all figures of one process, each beside its peer in alternating rounds.

Each source of figures runs in a process of its own. A figure is the median of at least five rounds,
with the least and the most; what counts is the ratio in one round. "us CPU" is processor time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys

from rich.console import Console

from tests.benchmarks.measure import ROUNDS, Missing, end_on_sigterm, loop_name, machine
from tests.benchmarks.report import Figure, Pairs, Target, targets_table

THREADS = "pykka.ThreadingActor"
TWISTED = "twisted.cred's function calls"

FIGURES = [
    Figure("memory per actor, 200,000 alive", "KB", f"{THREADS}, 5,000 alive", "runtime.memory",
           target=Target(1.5, ratio=False)),
    Figure("start an actor", "us", THREADS, "runtime.beside_pykka", "start"),
    Figure("start an actor", "us", "Erlang: spawn", "runtime.beside_erlang", "start", Target(1.5)),
    Figure("tell", "us", THREADS, "runtime.beside_pykka", "tell"),
    Figure("tell", "us", "Erlang: a message", "runtime.beside_erlang", "tell",
           Target(0.3, ratio=False)),
    Figure("blocking ask of an idle actor", "us", THREADS, "runtime.beside_pykka", "ask"),
    Figure("blocking ask of an idle actor", "us", "Erlang: a message and its answer",
           "runtime.beside_erlang", "ask", Target(1.3)),
    Figure("awaited ask on an event loop", "us CPU", "a bare future, set by call_soon",
           "runtime.on_loop", target=Target(2.5, ratio=False)),
    Figure("memory per session, 100,000 logged in", "KB", f"two {THREADS}", "logins.memory",
           target=Target(2.0, ratio=False)),
    Figure("login, 20,000 at a time, on an event loop", "us CPU", TWISTED, "logins.on_loop",
           "login", Target(16, ratio=False)),
    Figure("logout, 20,000 at a time", "us CPU", "stop of a bare actor", "logins.on_loop",
           "logout", Target(8, ratio=False)),
    Figure("login and logout, one by one", "us CPU", TWISTED, "logins.on_loop", "one by one",
           Target(40, ratio=False)),
    Figure("login, 20,000 at a time, on two threads", "us CPU", TWISTED, "logins.on_pool"),
    Figure("login and logout among 100,000 sessions", "us CPU", "the same among 1,000",
           "logins.crowded", target=Target(1.1)),
    Figure("login with metrics", "us CPU", "the same without", "observed.metrics",
           target=Target(1.05)),
    Figure("longest stop by the garbage collector, 100,000 sessions", "ms CPU",
           "with Python's own thresholds", "collector.stops",
           target=Target(50, ratio=False, always=True)),
    Figure("a full collection, 100,000 sessions", "ms CPU", "the same without sessions",
           "collector.full"),
    Figure("longest stop of the loop by Group.notify to 100,000", "ms",
           "until all are notified", "broadcast.pauses", target=Target(20, ratio=False)),
    Figure("bcrypt logins per second", "/s", "bare bcrypt.checkpw, as many threads",
           "hashing.storm", "rate", Target(0.95, least=True)),
    Figure("ask of an avatar in a login storm, p50", "us", "the same, idle", "hashing.storm",
           "p50"),
    Figure("ask of an avatar in a login storm, p99", "us", "the same, idle", "hashing.storm",
           "p99", Target(3)),
]  # fmt: skip

ONE_ROUND = ("runtime.memory", "logins.memory")
"""Sources that give one round in each process."""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of all numbers of actors, sessions and messages"
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="only the figures whose name has this text"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    end_on_sigterm()
    if arguments.one:
        print(json.dumps(_measure(arguments.one, arguments.scale)), flush=True)
        os._exit(0)  # to end thousands of threads and actors one by one takes longer than a figure
    figures = [figure for figure in FIGURES if arguments.only in figure.name]
    found: dict[str, dict[str, Pairs] | str] = {}
    for source in dict.fromkeys(figure.source for figure in figures):
        print(f"{source} ...", file=sys.stderr, flush=True)
        found[source] = _run(source, arguments.scale)
    rows = [(figure, _values(found[figure.source], figure.key)) for figure in figures]
    title = f"{machine()}, {loop_name()}"
    Console(width=190).print(targets_table(title, rows))


def _values(found: dict[str, Pairs] | str, key: str) -> Pairs | str:
    return found if isinstance(found, str) else found[key]


def _measure(source: str, scale: float) -> dict[str, Pairs] | str:
    module, _, function = source.partition(".")
    try:
        found: dict[str, Pairs] = getattr(
            importlib.import_module(f"tests.benchmarks.{module}"), function
        )(scale)
    except Missing as missing:
        return str(missing)
    return found


def _run(source: str, scale: float) -> dict[str, Pairs] | str:
    """Measure in a process of its own; in several, one after the other, if each is one round."""
    command = [sys.executable, "-m", "tests.benchmarks", "--one", source, "--scale", str(scale)]
    results = []
    for _ in range(ROUNDS if source in ONE_ROUND else 1):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results.append(json.loads(done.stdout))
    if isinstance(results[0], str):
        return results[0]
    return {key: [pair for one in results for pair in one[key]] for key in results[0]}


if __name__ == "__main__":
    main()
