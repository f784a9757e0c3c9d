"""Pykka's own test suite, from its source distribution, passes on our runtime."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

RUNTIME = """
import threading, time
import pytest
from actorcred.actors import Actor, Future
from tests.types import Runtime
RUNTIMES.clear()
RUNTIMES["actorcred"] = pytest.param(
    Runtime("actorcred", Actor, threading.Event, Future, time.sleep), id="actorcred")
"""


def test_pykkas_own_tests_pass_on_our_runtime(tmp_path: Path) -> None:
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    got = subprocess.run(
        [*download, "-d", tmp_path, f"pykka=={version('pykka')}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    sources = list(tmp_path.glob("pykka-*.tar.gz"))
    if not sources:
        pytest.skip(f"Pykka's source distribution cannot be downloaded: {got.stderr[-300:]}")
    with tarfile.open(sources[0]) as archive:
        archive.extractall(
            tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {})
        )
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    conftest = folder / "tests/conftest.py"
    text = conftest.read_text()
    marker = '@pytest.fixture(scope="session", params=RUNTIMES.values())'
    assert marker in text
    conftest.write_text(text.replace(marker, RUNTIME + marker))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "tests",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 140
