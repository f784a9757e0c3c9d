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
def running(
    command: list[str], folder: Path, port: int, *, log: Path | None = None, **variables: str
) -> Iterator[None]:
    """Run a program that listens, until the end.

    Args:
        command: the program.
        folder: where it runs.
        port: where it listens.
        log: the folder for what it prints, if not where it runs.
        variables: of its environment.
    """
    with ((log or folder) / f"{port}.log").open("w+") as said:
        program = subprocess.Popen(
            command, cwd=folder, env=environment(**variables), stdout=said, stderr=said
        )
        with program:
            try:
                until = time.monotonic() + PATIENCE
                while not listens(port):
                    said.seek(0)
                    assert program.poll() is None, said.read()
                    assert time.monotonic() < until, said.read()
                yield
            finally:
                program.terminate()
                program.wait(30)
        said.seek(0)
        assert program.returncode in (0, -15), said.read()


def listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
    except httpx.TransportError:
        time.sleep(0.05)  # between two tries
        return False
    return True
