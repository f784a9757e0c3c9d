"""`actorcred otp`: who has a second factor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import click

from actorcred import actors
from actorcred.checkers.otp import OTPChecker, OTPCheckerRef
from actorcred.cli.errors import fail
from actorcred.errors import ActorcredError

__all__ = ["otp"]

_PATH = click.argument("path", type=click.Path(dir_okay=False))
_NAME = click.argument("name")


@contextlib.contextmanager
def _open(path: str) -> Iterator[OTPCheckerRef]:
    try:
        yield OTPChecker.start(path)
    except (ActorcredError, ValueError) as error:
        fail(error)
    finally:
        actors.shutdown()


@click.group(short_help="Enrol users for one-time codes.")
def otp() -> None:
    """Enrol users for the codes of authenticator apps, a second factor.

    PATH is the database that `--auth 'all:(file:players)(otp:PATH)'` checks against; it is made with the first user.
    """


@otp.command()
@_PATH
@_NAME
@click.option("--issuer", default="actorcred", show_default=True, help="What the app shows beside the name.")
@click.option("--bring-secret", is_flag=True, help="Ask for a secret that the user has already, in base32, or read it from a pipe.")
def enrol(path: str, name: str, issuer: str, bring_secret: bool) -> None:
    """Give the user NAME a new secret, and print the address for the app; it holds the secret."""
    secret = click.prompt("Secret", hide_input=True, err=True) if bring_secret else None
    with _open(path) as checker:
        click.echo(checker.enrol(name, issuer, secret).get())


@otp.command()
@_PATH
@_NAME
def remove(path: str, name: str) -> None:
    """Take the secret of the user NAME away."""
    with _open(path) as checker:
        checker.remove(name).get()
    click.echo(f"removed {name}")


@otp.command(name="list")
@_PATH
def list_users(path: str) -> None:
    """List the users who have a secret."""
    with _open(path) as checker:
        names = checker.enrolled().get()
    for name in names:
        click.echo(name)
