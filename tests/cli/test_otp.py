"""`actorcred otp`: who has a second factor."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actorcred.cli.otp import otp

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "codes.sqlite")


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(otp, words, input=typed)


def test_users_are_enrolled_listed_and_removed(path: str) -> None:
    enrolled = run("enrol", path, "ann", "--issuer", "Game")
    assert re.match(r"otpauth://totp/Game:ann\?secret=[A-Z2-7]+", enrolled.output)
    run("enrol", path, "bob")
    assert run("list", path).output == "ann\nbob\n"
    assert run("remove", path, "ann").output == "removed ann\n"
    assert json.loads(run("list", path, "--json").output) == ["bob"]


def test_a_secret_that_the_user_has_is_asked_for_and_not_an_argument(path: str) -> None:
    done = run("enrol", path, "ann", "--bring-secret", typed=f"{SECRET}\n")

    assert done.exit_code == 0
    assert f"secret={SECRET}" in done.output


@pytest.mark.parametrize(
    ("words", "why"),
    [(("remove", "nobody"), "nobody"), (("enrol", "ann", "--bring-secret"), "secret")],
)
def test_what_cannot_be_done_is_said(path: str, words: tuple[str, ...], why: str) -> None:
    run("enrol", path, "bob")
    done = run(words[0], path, *words[1:], typed="not base 32!\n")

    assert done.exit_code == 1
    assert "actorcred: " in done.output
    assert why in done.output


def test_a_database_that_is_not_there_is_not_made_by_looking(path: str) -> None:
    done = run("list", path)

    assert done.exit_code == 2
    assert "does not exist" in done.output
    assert not Path(path).exists()
