"""Run the Python code blocks of README and docs as tests."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from coverage import Coverage
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from actorcred import actors

# The plugin of a how-to is tested where it is installed: tests/auth/test_third_party_plugin.py
_context = ""
collect_ignore_glob = ["docs/how-to/plugin/*"]


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
    excludes=["docs/_build/**"],
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
