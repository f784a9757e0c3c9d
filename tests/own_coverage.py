"""What the test files of each module cover of it, by themselves, from the coverage of one whole run.

    coverage run -m pytest && python -m tests.own_coverage [actorcred/checkers ...]

The root's conftest.py makes each test file a context of the run. Of a module count the lines that
run when it is imported, or before the first test, and those that run in its own test files: for
`actorcred/a/b.py` these are `tests/a/test_b.py` and `tests/a/test_b_*.py`. A module whose lines all
run at import needs none.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coverage import Coverage

LEAST = 95
"""Percent of a module's lines."""

ELSEWHERE: Mapping[str, Sequence[str]] = {}
"""Modules that test files at another place cover, and why these are there."""

FLOORS: Mapping[str, int] = {}
"""Modules that are not there yet, and the percents below which they must not fall."""


@dataclass
class Own:
    """What a module's own test files cover of it."""

    module: str
    tests: list[str]
    statements: set[int] = field(default_factory=set)
    covered: set[int] = field(default_factory=set)

    @property
    def percent(self) -> float:
        """Of its lines, those covered."""
        return 100 * len(self.covered) / len(self.statements) if self.statements else 100.0


def own_tests(module: Path, root: Path) -> list[Path]:
    """Return the test files of a module: a file belongs to the module with the longest fitting name."""
    listed = ELSEWHERE.get(module.as_posix())
    if listed is not None:
        return [root / name for name in listed]
    siblings = {path.stem.strip("_") for path in (root / module).parent.glob("*.py")}
    folder = root / "tests" / Path(*module.parts[1:]).parent
    return sorted(
        path
        for path in folder.glob("test_*.py")
        if module.stem.strip("_") == _module_of(path.stem.removeprefix("test_"), siblings)
    )


def _module_of(name: str, modules: set[str]) -> str | None:
    while name not in modules:
        name, underscore, _ = name.rpartition("_")
        if not underscore:
            return None
    return name


def lines_in_functions(source: str) -> set[int]:
    """Return the lines that do not run when the module is imported."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines.update(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
    return lines


def measure(coverage: Coverage, root: Path, under: Sequence[str]) -> Iterator[Own]:
    """Yield what is covered of each module with lines that an import does not run."""
    data = coverage.get_data()
    for path in sorted((root / "actorcred").rglob("*.py")):
        module = path.relative_to(root)
        if path.name == "__main__.py" or not module.as_posix().startswith(tuple(under)):
            continue
        tests = [test.relative_to(root).as_posix() for test in own_tests(module, root)]
        data.set_query_contexts(None)
        _, statements, _, missing, _ = coverage.analysis2(str(path))
        called = lines_in_functions(path.read_text(encoding="utf-8")) & set(statements)
        if not called:
            continue
        imported = set(statements) - set(missing) - called
        data.set_query_contexts(["^$", *(f"^{re.escape(test)}$" for test in tests)])
        missing = coverage.analysis2(str(path))[3]
        yield Own(
            module.as_posix(),
            tests,
            set(statements),
            imported | set(statements) - set(missing),
        )


def ranges(lines: set[int], among: set[int]) -> str:
    """Return `lines` as ranges without a gap `among` the lines that there are."""
    found: list[list[int]] = []
    previous = None
    for line in sorted(among):
        if line in lines:
            if previous in lines:
                found[-1][1] = line
            else:
                found.append([line, line])
        previous = line
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def complaints(own: Own) -> str | None:
    """Return what is wrong with the coverage of a module, if anything is."""
    least = FLOORS.get(own.module, LEAST)
    if not own.tests:
        return "has no test file" if own.module not in FLOORS else None
    if own.percent < least:
        lines = ranges(own.statements - own.covered, own.statements)
        return f"{own.percent:.1f} % of {least}; missing: {lines}"
    if own.module in FLOORS and own.percent >= LEAST:
        return f"{own.percent:.1f} %: it no longer needs its line in FLOORS"
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the modules that are covered too little; return how the process shall exit."""
    parser = argparse.ArgumentParser(description="What the own tests of each module cover of it.")
    parser.add_argument("under", nargs="*", default=["actorcred"], help="modules, or folders")
    coverage = Coverage()
    coverage.load()
    measured = list(measure(coverage, Path.cwd(), parser.parse_args(arguments).under))
    wrong = [(own.module, complaint) for own in measured if (complaint := complaints(own))]
    for module, complaint in wrong:
        print(f"{module}: {complaint}")
    print(f"{len(measured)} modules, {len(wrong)} of them not covered by their own tests")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
