"""An error of the command is a text on stderr and a code, and moves no cursor."""

from __future__ import annotations

import click
import pytest

from actorcred.cli.errors import ExitCode, fail, usage


@pytest.mark.parametrize("code", ExitCode)
def test_a_failure_ends_the_command_with_its_code(
    code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(click.exceptions.Exit) as ended:
        fail("no such account", code)

    assert ended.value.exit_code == code
    assert capsys.readouterr() == ("", "actorcred: no such account\n")


def test_lines_stay_and_what_moves_a_cursor_is_shown_as_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(click.exceptions.Exit):
        fail("first\nse\x1b[2Jcond")

    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "actorcred: first"
    assert len(shown) == 2
    assert shown[1].isprintable()


def test_a_request_that_cannot_be_met_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(click.exceptions.Exit) as ended, usage():
        raise ValueError("no such scheme")

    assert ended.value.exit_code == ExitCode.USAGE
    assert capsys.readouterr().err == "actorcred: no such scheme\n"
