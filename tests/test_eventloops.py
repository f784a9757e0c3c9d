"""The loops of programs of actorcred's own: uvloop's where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import pytest

from actorcred.errors import MissingExtra
from actorcred.eventloops import describe, loop_factory


def name_of(uvloop: bool | None) -> str:
    with contextlib.closing(loop_factory(uvloop)()) as loop:
        return describe(loop)


def test_it_is_uvloops_where_that_is_installed() -> None:
    pytest.importorskip("uvloop", reason="uvloop is not installed: pip install uvloop")
    assert name_of(None) == name_of(True) == "uvloop"
    assert name_of(False) == "asyncio"


def test_it_is_asyncios_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert name_of(None) == name_of(False) == "asyncio"
    with pytest.raises(MissingExtra, match=r"pip install 'actorcred\[uvloop\]'"):
        loop_factory(True)


def test_a_loop_of_another_package_has_the_name_of_its_class() -> None:
    class OwnLoop(asyncio.SelectorEventLoop):
        pass

    with contextlib.closing(OwnLoop()) as loop:
        assert describe(loop).endswith("OwnLoop")
