"""The interfaces that a node remembers."""

from __future__ import annotations

import pytest

from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.portable import name_of
from tests.cluster.boards import Board, Nothing, SharedBoard, Viewer


def test_an_interface_is_known_once_it_was_seen() -> None:
    interfaces = Interfaces()
    assert interfaces.get(name_of(Board)) is None
    interfaces.add((Board,))
    interfaces.add((Board, Viewer))
    assert interfaces.get(name_of(Board)) is Board
    assert interfaces.get(name_of(Viewer)) is Viewer


def test_those_of_an_avatar_are_known_without() -> None:
    interfaces = Interfaces()
    names = ["elsewhere:Unknown", name_of(Nothing), name_of(Viewer), name_of(Board)]
    assert interfaces.choose(names, SharedBoard) is Viewer
    assert interfaces.choose(names[:2], SharedBoard) is None


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorcred.cluster.interfaces.BOUND", 1)
    interfaces = Interfaces()
    interfaces.add((Board, Viewer))
    assert interfaces.get(name_of(Viewer)) is None
