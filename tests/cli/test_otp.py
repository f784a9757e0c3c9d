"""`actorcred otp`: who has a second factor."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
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


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, encoding: str = "utf-8") -> None:
    """Have the command believe that its output, which is captured, is a terminal."""
    monkeypatch.setattr("actorcred.cli.otp._is_terminal", lambda: True)
    if encoding != "utf-8":
        monkeypatch.setattr("actorcred.cli.otp._has_blocks", lambda: False)


def test_a_terminal_shows_a_code_to_scan_and_a_key_to_type(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("segno", reason="segno is not installed: pip install 'actorcred[otp]'")
    at_a_terminal(monkeypatch)
    lines = run("enrol", path, "ann b", "--issuer", "Game").output.splitlines()
    code = [line for line in lines if "\u2588" in line]
    assert len(code) > 20
    text = "\n".join(line for line in lines if line not in code)
    assert "scan the code, or type the key" in text
    assert "Account: Game:ann b" in text
    key = re.search(r"Key: ([A-Z2-7 ]+) \(time-based", text)
    assert key is not None
    assert f"secret={key[1].replace(' ', '')}&" in lines[-1]
    assert len(key[1].split()) == 8


@pytest.mark.parametrize(("encoding", "blocks"), [("utf-8", True), ("ascii", False)])
def test_a_real_terminal_is_recognized(path: str, encoding: str, blocks: bool) -> None:
    pytest.importorskip("segno", reason="segno is not installed: pip install 'actorcred[otp]'")
    master, terminal = pty.openpty()
    try:
        command = [sys.executable, "-m", "actorcred.cli", "otp", "enrol", path, "ann"]
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        with subprocess.Popen(command, stdout=terminal, env=environment) as process:
            os.close(terminal)
            printed = b""
            with contextlib.suppress(OSError):  # at the end of a terminal
                while part := os.read(master, 65536):
                    printed += part
        assert process.returncode == 0
    finally:
        os.close(master)
    assert b"Account: actorcred:ann" in printed
    assert ("\u2588".encode() in printed) == blocks


def test_a_terminal_without_blocks_gets_a_key_to_type(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch, "ascii")
    output = run("enrol", path, "ann").output
    assert "add an account: type the key." in output
    assert "\u2588" not in output
    assert run("enrol", path, "bob", "--no-qr").output.isascii()


def test_without_segno_a_terminal_is_told_of_it_and_enrolled_all_the_same(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)
    at_a_terminal(monkeypatch)
    done = run("enrol", path, "ann")
    assert done.exit_code == 0
    assert "a QR code needs an optional package: pip install 'actorcred[otp]'" in done.output
    assert "otpauth://totp/" in done.output

    wanted = run("enrol", path, "bob", "--qr")
    assert wanted.exit_code == 2
    assert "actorcred[otp]" in wanted.output
    assert run("list", path).output == "ann\n"


def test_a_pipe_gets_the_url_alone_unless_a_code_is_asked_for(path: str) -> None:
    pytest.importorskip("segno", reason="segno is not installed: pip install 'actorcred[otp]'")
    assert len(run("enrol", path, "ann").output.splitlines()) == 1
    lines = run("enrol", path, "bob", "--qr").output.splitlines()
    assert "\u2588" in lines[0]
    assert lines[-1].startswith("otpauth://totp/")


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
