"""The plugin of docs/how-to/write-a-checker-plugin as users get it.

It is built as a wheel, installed into a fresh environment, and served with.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcred import LoginFailed, rpc

ROOT = Path(__file__).parents[2]
BROKEN = (
    '[project]\nname = "broken"\nversion = "1"\n[project.entry-points."actorcred.checkers"]\n'
    'broken = "nowhere:plugin"\n[tool.setuptools]\npy-modules = []\n'
)


def pip(python: Path | str, *words: object) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, words)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def copy_project(folder: Path) -> None:
    """Copy the sources of a wheel, since a build leaves files behind."""
    for name in ("actorcred", "twisted"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache")
        )
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `bin` folder of an environment with actorcred, the plugin and a broken one."""
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(ROOT / "docs/how-to/plugin", folder / "ticket")
    (folder / "broken").mkdir()
    (folder / "broken/pyproject.toml").write_text(BROKEN)
    copy_project(folder / "actorcred")
    for project in ("ticket", "broken", "actorcred"):
        pip(sys.executable, "wheel", "--no-deps", "-w", folder / "wheels", folder / project)
    subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
    programs = folder / "environment" / "bin"
    wheels = {path.name.split("-")[0]: path for path in (folder / "wheels").glob("*.whl")}
    pip(
        programs / "python",
        "install",
        f"{wheels['actorcred']}[cli]",
        wheels["actorcred_ticket"],
        wheels["broken"],
        "pytest",
    )
    return programs


def actorcred(environment: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [environment / "actorcred", *words]
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env={**os.environ, "COLUMNS": "200"},
    )


@pytest.fixture
def address(environment: Path) -> Iterator[str]:
    realm = environment.parent / "hall.py"
    realm.write_text("from actorcred.testing import Hall\n")
    words = [
        "serve",
        "--realm",
        "hall:Hall",
        "--auth",
        "throttle:(ticket:4711)",
        "--listen",
        "tcp:127.0.0.1:0",
    ]
    process = subprocess.Popen(
        [environment / "actorcred", *words], stdout=subprocess.PIPE, text=True, cwd=realm.parent
    )
    assert process.stdout is not None
    said = ""
    while not (found := re.search(r"^listening on (\S+)", said, re.MULTILINE)):
        line = process.stdout.readline()
        assert line, said
        said += line
    yield found[1]
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()


@pytest.mark.slow
def test_it_is_listed_explained_and_served_with(environment: Path, address: str) -> None:
    listed = actorcred(environment, "serve", "--help-auth")
    assert listed.returncode == 0
    assert "ticket:NUMBER" in listed.stdout
    assert "broken cannot be used: nowhere:plugin of broken: ModuleNotFoundError" in listed.stdout
    assert "file:PATH" in listed.stdout
    assert (
        "that knows the number"
        in actorcred(environment, "serve", "--help-auth-type", "ticket").stdout
    )
    wrong = actorcred(
        environment, "serve", "--realm", "actorcred.testing:Hall", "--auth", "ticket:soon"
    )
    assert wrong.returncode == 2
    assert (
        "the ticket must be a number; the form is ticket:NUMBER\n  ticket:soon\n         ^"
        in wrong.stderr
    )
    with rpc.connect_blocking(address, "ann", "4711") as client:
        assert client.call("who_am_i") == "ann"
    with pytest.raises(LoginFailed):
        rpc.connect_blocking(address, "ann", "4712")


@pytest.mark.slow
def test_its_own_tests_pass(environment: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs/how-to/plugin/test_ticket.py", tmp_path)
    command = [
        environment / "python",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "test_ticket.py",
    ]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "10 passed" in done.stdout
