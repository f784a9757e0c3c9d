"""`actorcred init`: what it writes, and which names it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actorcred.cli import project
from actorcred.cli.commands import command
from actorcred.cli.project import KINDS

ROOT = Path(__file__).parents[2]


def init(*words: str) -> Result:
    return CliRunner().invoke(command, ["init", *words])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_new_project_pass(kind: str, folder: Path) -> None:
    assert init("my_project", "--kind", kind).exit_code == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder / "my_project",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), "."])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_has_its_name_everywhere_and_nothing_of_the_template(
    kind: str, folder: Path
) -> None:
    said = init("my_project", "--kind", kind).output
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert f"my_project is {KINDS[kind].what} in {len(files)} files." in said
    for path in files:
        assert "projectname" not in str(path)
        assert "tpl" not in path.suffix
        text = path.read_text(encoding="utf-8")
        assert "projectname" not in text, path
        assert "actorcredversion" not in text, path
    names = {str(path.relative_to(folder / "my_project")) for path in files}
    assert {
        ".gitignore", "README.md", "config.toml", "pyproject.toml", "my_project/__main__.py",
        "my_project/realm.py", "my_project/page/index.html", "my_project/page/style.css",
    } <= names  # fmt: skip
    text = (folder / "my_project" / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"actorcred[accounts,cli]>={version("actorcred")}"' in text


def test_the_how_to_shows_what_is_printed() -> None:
    page = (ROOT / "docs/how-to/start-a-project.md").read_text(encoding="utf-8")
    assert f"$ actorcred init my_game\n{init('my_game').output}" in page


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_has_the_style_of_this_one(kind: str, folder: Path) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed: pip install -r requirements/lint.txt")
    init("my_project", "--kind", kind)
    ignored = "--extend-ignore=D103,INP,RUF012,T20"
    for words in (
        ["check", "--config", str(ROOT / "ruff.toml"), ignored],
        ["format", "--check", "--config", str(ROOT / "ruff.toml")],
    ):
        done = subprocess.run(
            [ruff, *words, "--no-cache", "."],
            cwd=folder / "my_project",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_mypy_finds_no_mistake_in_a_new_project(kind: str, folder: Path) -> None:
    pytest.importorskip(
        "mypy", reason="mypy is not installed: pip install -r requirements/lint.txt"
    )
    init("my_project", "--kind", kind)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            ROOT / "setup.cfg",
            "--no-incremental",
            ".",
        ],
        cwd=folder / "my_project",
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "name", ["", "My", "my-game", "1game", "a b", "class", "_game", "../x", "spiel\u00e9", "x" * 41]
)
def test_what_cannot_name_a_package_is_refused(name: str, folder: Path) -> None:
    done = init("--", name)
    assert done.exit_code == 2
    assert "use lower case letters, digits and underscores, such as my_game" in done.output
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["random", "actorcred", "tests", "projectname"])
def test_the_name_of_another_package_is_refused(name: str, folder: Path) -> None:
    done = init(name)
    assert done.exit_code == 2
    assert f"'{name}' is the name of another package; choose another name" in done.output
    assert list(folder.iterdir()) == []


def test_nothing_that_exists_is_overwritten(folder: Path) -> None:
    (folder / "my_project").mkdir()
    done = init("my_project")
    assert done.exit_code == 2
    assert "my_project exists already" in done.output
    assert list((folder / "my_project").iterdir()) == []


def test_a_project_that_cannot_be_written_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, templates: tuple[str, ...]) -> int:
        path.mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(project, "_write", write)
    done = init("my_project")
    assert done.exit_code == 2
    assert "my_project cannot be written: No space left on device" in done.output
    assert list(folder.iterdir()) == []
