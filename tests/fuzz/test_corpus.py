"""Inputs that fuzzing found useful, each tried again without a fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_only_documented_errors_come_of_any_input(name: str) -> None:
    target = TARGETS[name]
    kept = sorted((CORPUS / name).iterdir())
    assert kept, f"there is no corpus for {name}"
    for data in (b"", *target.seeds, *(path.read_bytes() for path in kept)):
        target.run(data)
