"""Which tests are a module's own, and what is said of one that they cover too little."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from coverage import CoverageData

from tests import own_coverage
from tests.own_coverage import lines_in_functions, main, own_tests

ROOT = Path(__file__).parents[1]
SOURCE = """
LIMIT = 5


def first():
    return LIMIT


def second(value):
    if value:
        return LIMIT
    return None
"""
IMPORTED, FIRST, SECOND = {2, 5, 9}, {6}, {10, 11, 12}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with modules, and tests of some of them; the working directory."""
    for folder in ("actorcred/sub", "tests/sub"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("actorcred/_plain.py", "actorcred/sub/plain.py", "actorcred/sub/plain_more.py"):
        (tmp_path / name).write_text(SOURCE)
    (tmp_path / "actorcred/sub/__init__.py").write_text("NAMES = []\n")
    (tmp_path / "actorcred/__main__.py").write_text(SOURCE)
    for name in ("plain", "plain_files", "plain_more", "other"):
        (tmp_path / f"tests/sub/test_{name}.py").touch()
    (tmp_path / "tests/test_plain.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVERAGE_FILE", raising=False)
    monkeypatch.setattr(own_coverage, "SUITES", {})
    monkeypatch.setattr(own_coverage, "FLOORS", {})
    return tmp_path


@pytest.fixture
def ran(project: Path) -> Callable[..., None]:
    """Return what notes the lines of a module that ran in a test file."""
    data = CoverageData(str(project / ".coverage"))

    def note(module: str, lines: set[int], test: str = "") -> None:
        data.set_context(test)
        data.add_lines({str(project / "actorcred" / module): lines})
        data.write()

    for module in ("_plain.py", "sub/plain.py", "sub/plain_more.py"):
        note(module, IMPORTED)
    return note


def test_a_test_file_is_of_the_module_with_the_longest_fitting_name(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tests_of(module: str) -> list[str]:
        return own_tests(Path("actorcred", module), project)

    assert tests_of("_plain.py") == ["tests/test_plain.py"]
    assert tests_of("sub/plain.py") == ["tests/sub/test_plain.py", "tests/sub/test_plain_files.py"]
    assert tests_of("sub/plain_more.py") == ["tests/sub/test_plain_more.py"]
    assert tests_of("__main__.py") == []
    monkeypatch.setattr(own_coverage, "SUITES", {"actorcred/sub/*.py": ["tests/sub/test_o*.py"]})
    assert "tests/sub/test_other.py" in tests_of("sub/plain.py")


def test_an_import_runs_all_but_the_bodies_of_functions() -> None:
    assert lines_in_functions(SOURCE) == FIRST | SECOND
    assert lines_in_functions("def __getattr__(name):\n    return name\n") == set()


def test_only_the_lines_of_its_own_tests_count(
    project: Path, ran: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    ran("_plain.py", FIRST | SECOND, "tests/test_plain.py")
    ran("sub/plain.py", FIRST, "tests/sub/test_plain.py")
    ran("sub/plain.py", SECOND, "tests/sub/test_plain_files.py")
    ran("sub/plain_more.py", FIRST, "tests/sub/test_plain_more.py")
    ran("sub/plain_more.py", SECOND, "tests/sub/test_other.py")

    assert main([]) == 1
    wrong, summary = capsys.readouterr().out.splitlines()
    assert wrong == (
        "actorcred/sub/plain_more.py: 57.1 % instead of 95; no line of its tests runs 10-12"
    )
    assert summary.startswith("3 modules, 1 of which")
    assert main(["actorcred/sub/plain.py", "actorcred/_plain.py"]) == 0
    assert capsys.readouterr().out == "2 modules, each covered by its own tests\n"


def test_what_another_test_was_the_first_to_import_counts(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = CoverageData(str(project / ".coverage"))
    for test, lines in (("tests/sub/test_other.py", IMPORTED), ("tests/test_plain.py", FIRST)):
        data.set_context(test)
        data.add_lines({str(project / "actorcred/_plain.py"): lines})
    data.write()

    assert main(["actorcred/_plain.py"]) == 1
    assert "57.1 %" in capsys.readouterr().out


def test_a_module_without_tests_is_told_where_they_belong(
    project: Path, ran: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "tests/test_plain.py").unlink()

    assert main(["actorcred/_plain.py"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("actorcred/_plain.py: it has no tests; write tests/test_plain.py")


@pytest.mark.parametrize(
    ("floors", "said"),
    [
        ({"actorcred/_plain.py": 57.0}, "1 module, each covered by its own tests"),
        ({"actorcred/_plain.py": 58.0}, "57.1 % instead of 58"),
        ({"actorcred/_gone.py": 58.0}, "actorcred/_gone.py: it is gone, so take it out of FLOORS"),
    ],
)
def test_an_exception_is_a_floor_and_goes_when_it_is_not_needed(
    project: Path,
    ran: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    floors: dict[str, float],
    said: str,
) -> None:
    monkeypatch.setattr(own_coverage, "FLOORS", floors)
    ran("_plain.py", FIRST, "tests/test_plain.py")
    main(["actorcred/_"])
    assert said in capsys.readouterr().out
    ran("_plain.py", SECOND, "tests/test_plain.py")
    main(["actorcred/_"])
    assert "take it out of FLOORS" in capsys.readouterr().out


def test_the_suites_and_floors_are_of_files_that_are_there() -> None:
    for modules, tests in own_coverage.SUITES.items():
        assert list(ROOT.glob(modules)), modules
        assert all(list(ROOT.glob(test)) for test in tests), tests


def test_a_run_of_the_tests_books_lines_by_test_file(tmp_path: Path) -> None:
    environment = {**os.environ, "COVERAGE_FILE": str(tmp_path / "data")}

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", *words],
            check=True,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        ).stdout

    test = "tests/actors/test_supervision.py"
    run("coverage", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", test)
    said = run("tests.own_coverage", "actorcred/actors/supervision.py")

    assert said == "1 module, each covered by its own tests\n"
    assert test in contexts_in(tmp_path / "data")


def contexts_in(path: Path) -> set[str]:
    data = CoverageData(str(path))
    data.read()
    return data.measured_contexts()
