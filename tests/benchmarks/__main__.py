"""Print all figures, each measured in its own process next to its peer."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys

from rich.console import Console
from rich.table import Table

ROWS = [
    (
        "memory per actor, 200,000 alive",
        "KB",
        "runtime.memory",
        "pykka.ThreadingActor, 5,000 alive",
        "<= 1.5 KB",
    ),
    ("start an actor", "us", "runtime.starting", "pykka.ThreadingActor", "<= 12 us"),
    ("tell", "us", "runtime.telling", "pykka.ThreadingActor", "<= 0.7 us"),
    ("blocking ask of an idle actor", "us", "runtime.asking", "pykka.ThreadingActor", "<= 3 us"),
    (
        "memory per session, 100,000 logged in",
        "KB",
        "logins.memory",
        "two pykka.ThreadingActors",
        "<= 4 KB",
    ),
    (
        "login without hashing, on an event loop",
        "us",
        "logins.pipelined_on_loop",
        "twisted.cred's function calls",
        "<= 30 us",
    ),
    (
        "the same on a pool of two threads",
        "us",
        "logins.pipelined",
        "twisted.cred's function calls",
        "",
    ),
    (
        "login + logout among 100,000 sessions",
        "us",
        "logins.crowded",
        "the same among 1,000",
        "<= 1.2 x",
    ),
    (
        "login with metrics, processor time",
        "us",
        "observed.metrics",
        "the same without",
        "<= 1.05 x",
    ),
]
STORM = [
    ("bcrypt logins per second", "/s", "rate", "bare bcrypt.checkpw, as many threads", ">= 0.95 x"),
    ("ask of an avatar in a login storm, p50", "us", "p50", "the same, idle", ""),
    ("ask of an avatar in a login storm, p99", "us", "p99", "the same, idle", "< 3 x"),
]


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
    if arguments.one:
        module, function = arguments.one.split(".")
        measure = getattr(__import__(f"tests.benchmarks.{module}", fromlist=[function]), function)
        print(json.dumps(measure(arguments.scale)))
        return
    table = Table("figure", "ours", "peer", "ratio", "beside", "aim", title=machine())
    for name, unit, function, peer, aim in ROWS:
        if arguments.only in name:
            _add(table, name, unit, _run(function, arguments.scale), peer, aim)
    if any(arguments.only in row[0] for row in STORM):
        storm = _run("hashing.storm", arguments.scale)
        for name, unit, key, peer, aim in STORM:
            _add(table, name, unit, storm[key], peer, aim)
    Console(width=150).print(table)


def machine() -> str:
    """Return the date and a description of the machine."""
    return (
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )


def _run(function: str, scale: float) -> object:
    command = [sys.executable, "-m", "tests.benchmarks", "--one", function, "--scale", str(scale)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def _add(table: Table, name: str, unit: str, figures: object, peer: str, aim: str) -> None:
    ours, theirs = figures  # type: ignore[misc]
    table.add_row(
        name, f"{ours:.2f} {unit}", f"{theirs:.2f} {unit}", f"{ours / theirs:.2f} x", peer, aim
    )


if __name__ == "__main__":
    main()
