"""The options about proxies become one value."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from actorcred.cli.proxies import proxy_options
from actorcred.fronts.trusted import TrustedProxy


@click.command()
@proxy_options
@click.option("--more", default="")
def show(proxy: TrustedProxy | None, more: str) -> None:
    click.echo(f"{proxy} {more}")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "None"),
        (["--trusted-proxy", "10.0.0.7", "--more", "x"], "identity_header=''"),
        (["--trusted-proxy", "unix", "--identity-header", "X-User"], "('unix',)"),
        (["--trusted-proxy", "10.0.0.7", "--forwarding-header", "forwarded"], "FORWARDED"),
    ],
)
def test_proxies_are_taken(words: list[str], text: str) -> None:
    result = CliRunner().invoke(show, words)
    assert result.exit_code == 0
    assert text in result.output


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--identity-header", "X-User"], "--identity-header needs --trusted-proxy"),
        (["--trusted-proxy", "10.0.0.7", "--identity-header", "a b"], "not the name of a header"),
        (["--trusted-proxy", "nonsense"], "127.0.0.1, 10.0.0.0/24 or unix"),
        (["--forwarding-header", "via"], "'via' is not one of"),
    ],
)
def test_proxies_that_make_no_sense_are_named(words: list[str], error: str) -> None:
    result = CliRunner().invoke(show, words)
    assert result.exit_code == 2
    assert error in result.output
