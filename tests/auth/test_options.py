"""Command-line options for checkers, in each of the three libraries."""

from __future__ import annotations

import argparse

import click
import click.testing
import pytest

from actorcred.auth.options import add_auth_arguments, auth_options, describe_type, list_types
from actorcred.credentials import UsernamePassword

ONLY_PASSWORDS = (UsernamePassword,)


def with_argparse(words, capsys):
    parser = argparse.ArgumentParser()
    add_auth_arguments(parser, ONLY_PASSWORDS)
    parser.add_argument("--port", type=int, default=1)
    try:
        made = parser.parse_args(words)
        return 0, f"{made.auth} {made.port}"
    except SystemExit as end:
        captured = capsys.readouterr()
        return end.code or 0, captured.out + captured.err


def with_click(words, capsys):
    @click.command()
    @auth_options(ONLY_PASSWORDS)
    @click.option("--port", type=int, default=1)
    def main(auth: tuple[str, ...], port: int) -> None:
        click.echo(f"{list(auth)} {port}")

    done = click.testing.CliRunner().invoke(main, words)
    return done.exit_code, done.output.strip()


@pytest.fixture(params=[with_argparse, with_click])
def program(request, capsys):
    return lambda *words: request.param(list(words), capsys)


def test_checkers_are_collected_in_order(program):
    assert program("--auth", "file:a", "--port", "2", "--auth", "anonymous") == (
        0,
        "['file:a', 'anonymous'] 2",
    )
    assert program() == (0, "[] 1")


def test_the_types_that_can_be_used_are_listed(program):
    code, text = program("--help-auth")
    assert code == 0
    for name in ("file:PATH", "sqlite:PATH", "sql:URL", "cache:(TYPE:...)", "all:(TYPE:...)"):
        assert name in text
    for name in ("sshkey:", "certificate:", "anonymous"):  # no protocol here can use these
        assert name not in text


def test_one_type_is_explained_and_a_useless_one_with_a_warning(program):
    code, text = program("--help-auth-type", "file")
    assert code == 0
    assert "htpasswd" in text
    assert "WARNING" not in text
    code, text = program("--help-auth-type", "sshkey")
    assert code == 0
    assert "WARNING: no protocol" in text
    code, text = program("--help-auth-type", "nonsense")
    assert code == 2
    assert "unknown type" in text


def test_the_help_shows_them(program):
    code, text = program("--help")
    assert code == 0
    for name in ("--auth", "--help-auth", "--help-auth-type"):
        assert name in text


def test_the_texts():
    assert "external" in list_types()
    assert "It takes: UsernamePassword" in describe_type("sql")
