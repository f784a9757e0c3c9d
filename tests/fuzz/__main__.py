"""Fuzz all targets, for so many seconds together: `make fuzz FUZZ=600`. Findings are kept."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FOUND = HERE / "found"
"""Inputs that broke something; not part of the project."""

SLOW = 10
"""Seconds after which an input counts as too slow."""

START = 10
"""Seconds that a process may take to start and to end, in addition to its share."""


def main() -> int:
    """Fuzz; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "seconds", type=float, nargs="?", default=60.0, help="for all targets together"
    )
    parser.add_argument("--only", default="", help="a part of the names of the targets")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="add what is new to the kept corpus, and leave out what is not needed",
    )
    words = parser.parse_args()
    logging.disable(logging.CRITICAL)
    names = [name for name in TARGETS if words.only in name]
    bad = 0
    for name in names:
        bad += not _fuzz(name, max(1, round(words.seconds / len(names))), words.keep)
    if FOUND.is_dir() and not any(FOUND.iterdir()):
        FOUND.rmdir()
    print(f"{bad} of {len(names)} targets found something; see {FOUND}" if bad else "nothing found")
    return 1 if bad else 0


def _fuzz(name: str, seconds: int, keep: bool) -> bool:
    """Fuzz one target; return whether nothing was found."""
    kept, found = CORPUS / name, FOUND / name
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        seeds, new = Path(folder, "seeds"), Path(folder, "new")
        for made in (seeds, new):
            made.mkdir()
        for number, seed in enumerate(TARGETS[name].seeds):
            (seeds / str(number)).write_bytes(seed)
        found.mkdir(parents=True, exist_ok=True)
        options = [
            f"-max_total_time={seconds}",
            f"-timeout={SLOW}",
            "-rss_limit_mb=1024",
            f"-artifact_prefix={found}/",
        ]
        begin = time.monotonic()
        done = _atheris(name, *options, str(new), str(kept), str(seeds))
        runs = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
        what = "good" if done.returncode == 0 else f"BAD: exit code {done.returncode}"
        print(
            f"{name:12} {time.monotonic() - begin:5.0f} s "
            f"{int(runs[-1]) if runs else 0:10} inputs  {what}",
            flush=True,
        )
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-1000:], flush=True)
        elif keep:
            _keep(name, kept, new)
    if not any(found.iterdir()):
        found.rmdir()
    return done.returncode == 0


def _keep(name: str, kept: Path, new: Path) -> None:
    """Minimize the corpus: keep few inputs that reach everything, short ones before long ones."""
    inputs = sorted(
        (path.read_bytes() for folder in (kept, new) for path in folder.iterdir()), key=len
    )
    reached: set[object] = set()
    for path in kept.iterdir():
        path.unlink()
    for data in inputs:
        steps = _steps(name, data)
        if not steps <= reached:
            reached |= steps
            (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def _steps(name: str, data: bytes) -> set[object]:
    """Return the line-to-line steps in the package that an input makes."""
    steps: set[object] = set()

    def enter(frame: FrameType, event: str, argument: object) -> Any:
        if f"{os.sep}actorcred{os.sep}" not in frame.f_code.co_filename:
            return None
        before = 0

        def step(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal before
            steps.add((frame.f_code, before, frame.f_lineno))
            before = frame.f_lineno
            return step

        return step

    sys.settrace(enter)
    try:
        TARGETS[name].run(data)
    finally:
        sys.settrace(None)
    return steps


def _atheris(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.one", name, *words]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)


if __name__ == "__main__":
    sys.exit(main())
