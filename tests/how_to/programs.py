"""Programs of the how-tos, run as a reader runs them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PATIENCE = 60.0
"""Seconds for a program to start, on a slow machine."""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a program, which finds actorcred."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **variables}


@contextmanager
def running(command: list[str], folder: Path, port: int, **variables: str) -> Iterator[None]:
    """Run a program that listens, until the end."""
    with (folder / f"{port}.log").open("w+") as log:
        program = subprocess.Popen(
            command, cwd=folder, env=environment(**variables), stdout=log, stderr=log
        )
        with program:
            try:
                until = time.monotonic() + PATIENCE
                while not listens(port):
                    log.seek(0)
                    assert program.poll() is None, log.read()
                    assert time.monotonic() < until, log.read()
                yield
            finally:
                program.terminate()
                program.wait(30)
    assert program.returncode in (0, -15), (folder / f"{port}.log").read_text()


def listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
    except httpx.TransportError:
        time.sleep(0.05)  # between two tries
        return False
    return True
