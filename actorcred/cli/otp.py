"""`actorcred otp`: manage second factors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import click

from actorcred import actors
from actorcred.checkers.otp import OTPChecker, OTPCheckerRef
from actorcred.cli.errors import fail
from actorcred.errors import ActorcredError

__all__ = ["otp"]

_PATH = click.argument("path", type=click.Path(dir_okay=False))
_EXISTING_PATH = click.argument("path", type=click.Path(exists=True, dir_okay=False))
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

    PATH is the database that `--auth 'all:(file:players)(otp:PATH)'` checks against; it is created
    when the first user is enrolled.
    """


@otp.command()
@_PATH
@_NAME
@click.option(
    "--issuer", default="actorcred", show_default=True, help="What the app shows next to the name."
)
@click.option(
    "--bring-secret",
    is_flag=True,
    help="Prompt for the user's existing secret, in base32, or read it from a pipe.",
)
def enrol(path: str, name: str, issuer: str, bring_secret: bool) -> None:
    """Give the user NAME a new secret, and print the URL for the app, which contains it."""
    secret = click.prompt("Secret", hide_input=True, err=True) if bring_secret else None
    with _open(path) as checker:
        click.echo(checker.enrol(name, issuer, secret).get())


@otp.command()
@_EXISTING_PATH
@_NAME
def remove(path: str, name: str) -> None:
    """Remove the secret of the user NAME."""
    with _open(path) as checker:
        checker.remove(name).get()
    click.echo(f"removed {name}")


@otp.command(name="list")
@_EXISTING_PATH
@click.option("--json", "as_json", is_flag=True, help="Print an array of names.")
def list_users(path: str, as_json: bool) -> None:
    """List the users who have a secret, one per line."""
    with _open(path) as checker:
        names = checker.enrolled().get()
    if as_json:
        click.echo(json.dumps(names, indent=2))
        return
    for name in names:
        click.echo(name)
