"""`actorcred stubs`: the types of an interface for its callers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actorcred.cli.stubs import stubs

PLAYER = "tests.typing.game:Player"


def run(*words: str) -> Result:
    return CliRunner().invoke(stubs, words)


def test_a_stub_is_printed_in_python_unless_another_language_is_named() -> None:
    assert "class PlayerProxy(Protocol):" in run(PLAYER).output
    assert "export interface Player {" in run(PLAYER, "--language", "ts").output
    assert run(PLAYER, "--language", "gd").exit_code == 2


def test_a_stub_is_written_to_a_file_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "player.ts"
    words = (PLAYER, "--language", "ts", "--output", str(path))
    missing = run(*words, "--check")
    assert missing.exit_code == 1
    assert f"actorcred stubs {PLAYER} --language ts -o {path}" in missing.output
    assert not path.exists()

    done = run(*words)
    assert (done.exit_code, done.output) == (0, "")
    assert path.read_text() == run(PLAYER, "--language", "ts").output
    assert run(*words, "--check").exit_code == 0

    path.write_text(path.read_text().replace("move", "go"))
    assert run(*words, "--check").exit_code == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("game",), "'game' must have the form MODULE:CLASS"),
        (("json:Player",), "the module has no 'Player'"),
        (("json:JSONDecodeError", "--language", "ts"), "has no public methods"),
        (("actorcred:Avatar",), "Avatar is an actor and not an interface"),
        ((PLAYER, "--check"), "--check needs --output"),
        ((PLAYER, "--output", "no/such/folder/player.py"), "cannot write no/such/folder"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], error: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert error in done.output
