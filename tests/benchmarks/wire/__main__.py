"""Measure our wire and its peers, and print the figures side by side."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent

FIGURES = [
    ("logins", "connect + login per second, 50 in flight", "/s", ">= 2 x"),
    ("calls", "calls per second, 1,000 sessions, 64 in flight", "/s", ">= 4 x"),
    ("sequential", "sequential call, p50", "us", "<= 0.45 x"),
    ("fan-out", "notifications to 1,000 sessions, per second", "/s", ">= 6 x"),
    ("memory", "server memory per idle session, 5,000", "KB", "<= 7 KB"),
]
COLYSEUS = [
    "@colyseus/core@0.17",
    "@colyseus/ws-transport@0.17",
    "@colyseus/schema@4",
    "@colyseus/sdk@0.17",
    "express@5",
]
"""The package `colyseus` itself would download a transport from outside npm."""


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.wire", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of all numbers of sessions and calls"
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=3,
        help="runs of each system, in turn; the median counts (%(default)s)",
    )
    parser.add_argument("--only", default="", help="some of the systems, with commas between")
    arguments = parser.parse_args()
    console = Console(width=170)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    systems = [
        name
        for name in _systems(console)
        if not arguments.only or name in arguments.only.split(",")
    ]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in systems}
    for turn in range(arguments.repeat):
        for name in systems:
            console.print(f"run {turn + 1} of {name} ...")
            runs[name].append(_measure(name, arguments.scale))
    console.print(_table({name: _median(measured) for name, measured in runs.items()}))


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}


def _systems(console: Console) -> list[str]:
    """Return the systems that can be measured here, and print those that cannot."""
    found = ["actorcred"]
    for name, module in (
        ("actorcred uvloop", "uvloop"),
        ("pb", "twisted"),
        ("pb CredPortal", "twisted"),
        ("socketio", "socketio"),
    ):
        if importlib.util.find_spec(module) is None:
            console.print(f"{name} is left out: {module} is not installed")
        else:
            found.append(name)
    if not (shutil.which("node") and shutil.which("npm")):
        console.print("colyseus is left out: there is no node and npm")
        return found
    try:
        _install_colyseus()
    except subprocess.CalledProcessError as error:
        console.print(f"colyseus is left out: npm cannot install it ({error})")
    else:
        found.append("colyseus")
    return found


def _measure(name: str, scale: float) -> dict[str, float]:
    kind, _, loop = name.partition(" ")
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    if kind == "colyseus":
        folder = _install_colyseus()
        server_words, client_words = (
            ["node", str(folder / "server.mjs")],
            ["node", str(folder / "client.mjs")],
        )
    else:
        server_words = [
            sys.executable,
            "-m",
            f"tests.benchmarks.wire.server_{kind}",
            *([loop] if loop else []),
        ]
        client_words = [sys.executable, "-m", f"tests.benchmarks.wire.client_{kind}"]
    with subprocess.Popen(
        server_words, stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            port, pid = server.stdout.readline().split()
            words = [*client_words, port, pid, str(scale), *([loop] if loop else [])]
            done = subprocess.run(
                words, check=True, stdout=subprocess.PIPE, text=True, env=environment, timeout=600
            )
        finally:
            server.kill()
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _install_colyseus() -> Path:
    """Install Colyseus for this user, once; return the folder."""
    folder = Path(tempfile.gettempdir()) / f"actorcred-colyseus-{os.getuid()}"
    if not (folder / "installed").exists():
        folder.mkdir(exist_ok=True, mode=0o700)
        (folder / "package.json").write_text('{"private": true, "type": "module"}')
        subprocess.run(
            [
                "npm",
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "--omit=optional",
                "--legacy-peer-deps",
                *COLYSEUS,
            ],
            cwd=folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        (folder / "installed").touch()
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder / script.name)
    return folder


def _table(medians: dict[str, dict[str, float]]) -> Table:
    machine = (
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}"
    )
    table = Table("figure", *medians, "aim of actorcred, beside pb", title=machine)
    peer = medians.get("pb")
    for key, name, unit, aim in FIGURES:
        cells = [_cell(run[key], unit, None if not peer else peer[key]) for run in medians.values()]
        table.add_row(name, *cells, aim)
    return table


def _cell(value: float, unit: str, peer: float | None) -> str:
    return f"{value:,.1f} {unit}" if not peer else f"{value:,.1f} {unit}\n{value / peer:.2f} x"


if __name__ == "__main__":
    main()
