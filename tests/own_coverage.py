"""What the test files of each module cover of it, by themselves, in one run of all tests.

    coverage run -m pytest && python -m tests.own_coverage [actorcred/checkers ...]

The root's conftest.py makes each test file a context of the run. Of a module count the lines that
run when it is imported, or before the first test, and those that run in its own test files: for
`actorcred/a/b.py` these are `tests/a/test_b.py` and `tests/a/test_b_*.py`, and what `SUITES` says.
A module whose lines all run at import, as one of constants or a package's names, needs none.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coverage import Coverage

LEAST = 95.0
"""Percent of a module's lines."""

CHANCE = 3
"""Lines that a module of at least `LARGE` lines may miss beyond that.

Not every run reaches the lines of a race, such as between a client's end and its server's.
"""

LARGE = 60

SUITES: Mapping[str, Sequence[str]] = {
    # Both sides of each mechanism against each other.
    "actorcred/sasl/*.py": ["tests/sasl/test_mechanisms.py"],
    # One contract, and one table of outcomes, for all checkers.
    "actorcred/checkers/*.py": [
        "tests/checkers/test_contract.py",
        "tests/checkers/test_outcomes.py",
    ],
    "actorcred/checkers/ldap/*.py": ["tests/checkers/test_ldap.py"],  # a real server
    "actorcred/checkers/ldap/checker.py": ["tests/checkers/ldap/test_standing.py"],
    # What it tells of accounts stands in modules of their own.
    "actorcred/checkers/sql.py": [
        "tests/checkers/test_sql_standing.py",
        "tests/checkers/test_sql_notify.py",
    ],
    # What a base does shows in the checkers that stand on it.
    "actorcred/checkers/bases/*.py": [
        "tests/checkers/bases/test_*.py",
        "tests/checkers/test_sqlite.py",
        "tests/checkers/test_turns.py",
    ],
    "actorcred/checkers/bases/account_schema.py": ["tests/checkers/test_sqlite.py"],
    "actorcred/checkers/htpasswd.py": ["tests/checkers/test_file.py"],
    "actorcred/checkers/sshkey.py": ["tests/checkers/test_security_key.py"],
    "actorcred/sessions/*.py": ["tests/sessions/test_sessions.py"],
    "actorcred/sessions/guarded.py": ["tests/portal/test_*.py", "tests/sessions/test_session.py"],
    "actorcred/sessions/directory.py": ["tests/portal/test_*.py"],
    "actorcred/rpc/client/reconnecting.py": ["tests/rpc/client/test_*.py"],
    # What the portal does with a session, in the order of its life.
    "actorcred/sessions/session.py": ["tests/portal/test_*.py", "tests/rpc/server/test_*.py"],
    "actorcred/sessions/resting.py": ["tests/portal/test_sleeping.py"],
    "actorcred/dormant.py": ["tests/portal/test_sleeping.py"],
    # Of snapshots, it is what a session that sleeps or moves shows.
    "actorcred/avatar.py": ["tests/portal/test_sleeping.py", "tests/portal/test_moving.py"],
    "actorcred/realm.py": ["tests/portal/test_moving.py"],
    "actorcred/mind/call.py": ["tests/mind/test_mind.py"],
    "actorcred/mind/*.py": ["tests/portal/test_moving.py", "tests/cluster/test_moving_clients.py"],
    # Groups, watches and broadcasts are of many minds.
    "actorcred/mind/mind.py": [
        "tests/mind/test_broadcast.py",
        "tests/portal/test_presence.py",
        "tests/sessions/test_groups.py",
    ],
    # What it does as one of several processes.
    "actorcred/cli/serve.py": ["tests/cli/test_worker*.py", "tests/cli/test_clusters.py"],
    "actorcred/testing/*.py": ["tests/test_testing.py", "tests/checkers/test_contract.py"],
    # The parts of one actor, or of one server: their tests are by what a client sees.
    "actorcred/portal/*.py": ["tests/portal/test_*.py"],
    "actorcred/rpc/server/*.py": [
        "tests/rpc/server/test_*.py",
        "tests/rpc/test_*.py",
        "tests/cluster/test_moving_clients.py",
    ],
    "actorcred/rpc/server/options.py": ["tests/test_settings.py"],
    "actorcred/rpc/server/relay*.py": ["tests/cluster/test_relay.py"],
    "actorcred/rpc/client/*.py": [
        "tests/rpc/server/test_*.py",
        "tests/rpc/test_*.py",
        "tests/cluster/test_moving_clients.py",
    ],
    # The parts of one node: their tests are by what the users of several nodes see.
    "actorcred/cluster/*.py": ["tests/cluster/test_*.py"],
    # Penalties, turns and what checkers say show in what becomes of a login.
    "actorcred/throttle.py": ["tests/portal/test_protection.py"],
    "actorcred/credentials.py": ["tests/portal/test_protection.py"],
    "actorcred/checker.py": ["tests/checkers/test_contract.py"],
    "actorcred/checkers/bases/records.py": ["tests/checkers/test_sql_facts.py"],
    "actorcred/checkers/wrappers/wrapper.py": [
        "tests/checkers/wrappers/test_identities.py",
        "tests/checkers/wrappers/test_revocations.py",
    ],
    "actorcred/adapters/*.py": ["tests/adapters/test_every_adapter.py"],
    # It runs the ASGI adapter; their shared parts show in the tests of each.
    "actorcred/adapters/wsgi.py": ["tests/adapters/test_wsgi.py"],
    "actorcred/adapters/aiosmtpd.py": ["tests/adapters/test_fronts.py"],
    "actorcred/adapters/asyncssh.py": ["tests/adapters/test_fronts.py"],
    "actorcred/adapters/_*.py": ["tests/adapters/test_*.py"],
    "actorcred/adapters/_http_far.py": ["tests/cluster/test_cookies.py"],
    "actorcred/adapters/_http_sessions.py": ["tests/cluster/test_cookies.py"],
    "actorcred/adapters/twisted/*.py": ["tests/adapters/test_*.py", "tests/adapters/twisted/*.py"],
}
"""Modules -> the test files that cover several modules at once, and hence stand elsewhere."""

FLOORS: Mapping[str, float] = {}
"""Modules that are not at `LEAST` yet, and the percents below which they must not fall."""


@dataclass(frozen=True)
class Own:
    """What a module's own test files cover of it."""

    module: str
    tests: Sequence[str]
    lines: frozenset[int]
    missing: frozenset[int]

    @property
    def percent(self) -> float:
        """Of its lines, those covered."""
        return 100 * (1 - len(self.missing) / len(self.lines))


def own_tests(module: Path, root: Path) -> list[str]:
    """Return the test files of a module; each is of the module with the longest fitting name."""
    siblings = {path.stem.strip("_") for path in (root / module).parent.glob("*.py")}
    folder = root / "tests" / Path(*module.parts[1:]).parent
    found = {
        path
        for path in folder.glob("test_*.py")
        if module.stem.strip("_") == _module_of(path.stem.removeprefix("test_"), siblings)
    }
    for modules, tests in SUITES.items():
        if module.match(modules):
            found.update(path for test in tests for path in root.glob(test))
    return sorted(path.relative_to(root).as_posix() for path in found)


def _module_of(name: str, modules: set[str]) -> str | None:
    while name and name not in modules:
        name = name.rpartition("_")[0]
    return name or None


def lines_in_functions(source: str) -> set[int]:
    """Return the lines that do not run when the module is imported."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__getattr__":
            lines.update(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
    return lines


def measure(coverage: Coverage, root: Path, under: Sequence[str]) -> Iterator[Own]:
    """Yield what is covered of each module with lines that an import does not run."""
    data = coverage.get_data()
    for path in sorted((root / "actorcred").rglob("*.py")):
        module = path.relative_to(root)
        if path.name == "__main__.py" or not module.as_posix().startswith(tuple(under)):
            continue
        data.set_query_contexts(None)
        _, lines, _, never, _ = coverage.analysis2(str(path))
        called = lines_in_functions(path.read_text(encoding="utf-8")) & set(lines)
        if not called:
            continue
        tests = own_tests(module, root)
        data.set_query_contexts(["^$", *(f"^{re.escape(test)}$" for test in tests)])
        missing = set(coverage.analysis2(str(path))[3])
        # What an import runs counts also if a test of another module was the first to import it.
        missing &= called | set(never)
        yield Own(module.as_posix(), tests, frozenset(lines), frozenset(missing))


def complaint_about(own: Own) -> str | None:
    """Return what is wrong with the coverage of a module, if anything is."""
    least = FLOORS.get(own.module, LEAST)
    chance = CHANCE if len(own.lines) >= LARGE else 0
    if not own.tests and least:
        return f"it has no tests; write {_place_of(own.module)}"
    if len(own.missing) > len(own.lines) * (1 - least / 100) + chance + 1e-9:
        return f"{own.percent:.1f} % instead of {least:g}; no line of its tests runs {_ranges(own)}"
    if own.module in FLOORS and own.percent >= LEAST:
        return f"it has {own.percent:.1f} %, so take it out of FLOORS in tests/own_coverage.py"
    return None


def _place_of(module: str) -> str:
    folder, _, name = module.removeprefix("actorcred/").rpartition("/")
    return "/".join(filter(None, ("tests", folder, f"test_{name.strip('_')}")))


def _ranges(own: Own) -> str:
    """Return the missing lines, as ranges without a covered line."""
    found: list[list[int]] = []
    previous = None
    for line in sorted(own.lines):
        if line in own.missing:
            if previous in own.missing:
                found[-1][1:] = [line]
            else:
                found.append([line])
        previous = line
    return ", ".join("-".join(map(str, ends)) for ends in found)


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Print the modules that are covered too little; return how the process shall exit."""
    parser = argparse.ArgumentParser(description="What the own tests of each module cover of it.")
    parser.add_argument("under", nargs="*", default=["actorcred"], help="modules, or folders")
    under = parser.parse_args(arguments).under
    coverage = Coverage()
    coverage.load()
    measured = list(measure(coverage, root or Path.cwd(), under))
    wrong = {own.module: text for own in measured if (text := complaint_about(own)) is not None}
    known = {own.module for own in measured}
    wrong |= {
        module: "it is gone, so take it out of FLOORS in tests/own_coverage.py"
        for module in FLOORS
        if module.startswith(tuple(under)) and module not in known
    }
    for module, text in sorted(wrong.items()):
        print(f"{module}: {text}")
    count = f"{len(measured)} module{'' if len(measured) == 1 else 's'}"
    print(
        f"{count}, {len(wrong)} of which their own tests cover too little: add tests of what"
        " somebody who uses them would notice"
        if wrong
        else f"{count}, each covered by its own tests"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
