"""Run the Python code blocks of README and docs as tests."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from typing import Any

import pytest
from coverage import Coverage
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from actorcred import actors

# The plugin of a how-to is tested where it is installed: tests/auth/test_third_party_plugin.py
_context = ""
collect_ignore_glob = ["docs/how-to/plugin/*"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let several runs share the tests."""
    parser.addoption("--part", default="1/1", help="run part K of N of the test files, as K/N")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select one part of the test files; all parts have about as many tests."""
    part, parts = map(int, config.getoption("--part").split("/"))
    if not 1 <= part <= parts:
        raise pytest.UsageError("--part must be K/N, with K from 1 to N")
    if parts == 1:
        return
    sizes = Counter(item.path for item in items)
    loads = [0] * parts
    chosen = set()
    for path, size in sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0])):
        lightest = loads.index(min(loads))
        loads[lightest] += size
        if lightest == part - 1:
            chosen.add(path)
    config.hook.pytest_deselected(items=[item for item in items if item.path not in chosen])
    items[:] = [item for item in items if item.path in chosen]


def _is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _setup(namespace: dict[str, Any]) -> None:
    namespace["folder_before"] = os.getcwd()
    namespace["is_installed"] = _is_installed


def _teardown(namespace: dict[str, Any]) -> None:
    os.chdir(namespace["folder_before"])
    actors.set_default_dispatcher(None)
    assert actors.shutdown(timeout=10) == []


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["*.md"],
    # Of the tutorial, tests/test_tutorial.py runs the files.
    excludes=["docs/_build/**", "docs/tutorial.md"],
    setup=_setup,
    teardown=_teardown,
).pytest()


def pytest_runtest_logstart(nodeid: str) -> None:
    """Book what is run by the file of the test, for tests/own_coverage.py."""
    global _context
    context = nodeid.partition("::")[0]
    coverage = Coverage.current()
    if coverage is not None and context != _context:
        coverage.switch_context(context)
        _context = context
