"""Classes that an argument names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from actorcred.cli.classes import find_class


class Outer:
    class Inner:
        pass


def test_a_class_is_found_also_in_another_class_and_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_class("tests.cli.test_classes:Outer.Inner").__name__ == "Inner"
    (tmp_path / "own_game_of_a_test.py").write_text("class Player: ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert find_class("own_game_of_a_test:Player").__name__ == "Player"
    assert find_class("own_game_of_a_test:Player") is find_class("own_game_of_a_test:Player")
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("Player", "'Player' must have the form MODULE:CLASS"),
        (":Player", "must have the form"),
        ("json:", "must have the form"),
        ("no.such:Player", "'no.such:Player': No module named 'no'"),
        ("json:Player", "the module has no 'Player'"),
        ("json:dumps", "'json:dumps' is not a class"),
    ],
)
def test_what_is_wrong_with_a_path_is_said(path: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        find_class(path)
