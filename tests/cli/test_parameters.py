"""A password comes from a file, the environment or a prompt; a wrong address is refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click
import msgpack
import pytest
from click.testing import CliRunner

from actorcred.cli.commands import command
from actorcred.cli.errors import ExitCode
from actorcred.cli.parameters import ADDRESS, PASSWORD_FILE, as_utf8, read_password
from actorcred.rpc.protocol.addresses import Address
from tests.cli.served import Served


@click.command()
@PASSWORD_FILE
@click.option("--confirm", is_flag=True)
def show(password_file: str | None, confirm: bool) -> None:
    click.echo(read_password(password_file, confirm=confirm))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the input of a command look as if somebody typed it."""
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda self: True)


def test_the_first_line_of_a_file_is_the_password(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes("\ufeffsn\u00f6\r\nnext".encode())

    assert CliRunner().invoke(show, ["--password-file", str(secret)]).output == "sn\u00f6\n"
    done = CliRunner().invoke(show, ["--password-file", "-"], input="from a pipe\nnext")
    assert done.output == "from a pipe\n"


@pytest.mark.parametrize(
    ("content", "why"), [(None, "No such file"), (b"caf\xe9", "it is not UTF-8")]
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    done = CliRunner().invoke(show, ["--password-file", str(secret)])

    assert done.exit_code == ExitCode.USAGE
    assert f"cannot read {str(secret)!r}: {why}" in done.output


def test_the_environment_may_hold_the_password() -> None:
    done = CliRunner().invoke(show, env={"ACTORCRED_PASSWORD": "s3cret"})

    assert done.output == "s3cret\n"


def test_without_a_terminal_it_says_where_the_password_may_come_from() -> None:
    done = CliRunner().invoke(show, env={"ACTORCRED_PASSWORD": None})

    assert done.exit_code == ExitCode.USAGE
    assert "use --password-file or ACTORCRED_PASSWORD" in done.output


def test_a_new_password_is_typed_twice(terminal: None) -> None:
    typed = "right\nwrong\nright\nright\n"
    done = CliRunner().invoke(show, ["--confirm"], input=typed, env={"ACTORCRED_PASSWORD": None})

    assert "do not match" in done.output
    assert done.output.splitlines()[-1] == "right"


def test_a_text_from_outside_is_utf_8_in_any_locale() -> None:
    assert as_utf8("plain") == "plain"
    assert as_utf8("sn\u00f6") == "sn\u00f6"
    assert as_utf8(os.fsdecode(b"\xff")) == os.fsdecode(b"\xff")


def test_an_address_is_understood_or_refused_with_the_reason() -> None:
    parsed = ADDRESS.convert("tcp:127.0.0.1:1", None, None)

    assert parsed == Address.parse("tcp:127.0.0.1:1")
    assert ADDRESS.convert(parsed, None, None) is parsed
    with pytest.raises(click.BadParameter, match="nonsense"):
        ADDRESS.convert("nonsense:1", None, None)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--trusted-proxy", "10.0.0.1/8"], "host bits set; write 127.0.0.1, 10.0.0.0/24 or unix"),
        (["--drain-timeout", "nan"], "not a number of seconds"),
        (["--grace", "inf"], "not a number of seconds"),
        (["--identity-header", "X-User"], "--identity-header needs --trusted-proxy"),
        (["--realm", ":Game"], "must have the form MODULE:CLASS"),
    ],
)
def test_an_option_of_serve_that_makes_no_sense_is_named(options: list[str], error: str) -> None:
    realm = [] if "--realm" in options else ["--realm", "examples.arena.realm:Arena"]
    words = ["serve", *realm, "--auth", "anonymous", "--listen", "tcp:127.0.0.1:0", *options]
    result = CliRunner().invoke(command, words)

    assert result.exit_code == 2
    assert error in " ".join(result.output.split())


def test_serve_listens_behind_proxies_that_are_trusted() -> None:
    address = "tcp:127.0.0.1:0?proxy=v1"
    with Served(
        "--realm", "examples.arena.realm:Arena", "--auth", "anonymous",
        "--trusted-proxy", "127.0.0.1", "--trusted-proxy", "unix",
        "--forwarding-header", "forwarded", "--listen", address,
    ) as served:  # fmt: skip
        served.wait_for(1)
        port = int(served.addresses[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"PROXY TCP4 198.51.100.7 192.0.2.1 5000 25\r\n")
            client.sendall(msgpack.packb([0, 1, "cred.login", ["ANONYMOUS", b""]]))
            served.wait_until_said("address=198.51.100.7")
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"hello")
            served.wait_until_said("does not begin with a PROXY header")
        assert served.end() == 0
