"""`actorcred otp`: manage second factors."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import click

from actorcred import actors
from actorcred.checkers.otp import OTPChecker, OTPCheckerRef
from actorcred.cli.errors import ExitCode, fail
from actorcred.cli.qr import qr_code
from actorcred.errors import ActorcredError, MissingExtra

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
@click.option(
    "--qr/--no-qr",
    default=None,
    help="Draw a QR code for the app.  [default: on a terminal, if segno is installed]",
)
def enrol(path: str, name: str, issuer: str, bring_secret: bool, qr: bool | None) -> None:
    """Give the user NAME a new secret, and print what the user's authenticator app needs.

    That is a URL which contains the secret; on a terminal, also a QR code of it, and the key for
    users who must type it.
    """
    drawn = _drawing(qr)
    secret = click.prompt("Secret", hide_input=True, err=True) if bring_secret else None
    with _open(path) as checker:
        url = checker.enrol(name, issuer, secret).get()
    if drawn is not None:
        click.echo(f"{drawn(url)}\n")
    if _is_terminal():
        click.echo(_explained(url, drawn is not None))
    click.echo(url)


def _drawing(wanted: bool | None) -> Callable[[str], str] | None:
    """Return the function that draws a QR code, if one is to be drawn and can be.

    It is found before a user is enrolled, so that a code that cannot be drawn changes nothing.
    """
    if wanted is False or (wanted is None and not (_is_terminal() and _has_blocks())):
        return None
    try:
        qr_code("")
    except MissingExtra as error:
        if wanted:
            fail(error, ExitCode.USAGE)
        click.echo(f"actorcred: {error}", err=True)
        return None
    return qr_code


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _has_blocks() -> bool:
    """Return whether the terminal's encoding has the characters of a QR code."""
    try:
        "\u2580\u2584\u2588".encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _explained(url: str, has_code: bool) -> str:
    query = parse_qs(urlsplit(url).query)
    key = query["secret"][0]
    blocks = " ".join(key[start : start + 4] for start in range(0, len(key), 4))
    way = "scan the code, or type the key" if has_code else "type the key"
    return (
        f"In the authenticator app, add an account: {way}.\n"
        f"Account: {unquote(urlsplit(url).path.lstrip('/'))}\n"
        f"Key: {blocks} (time-based, 6 digits, every 30 seconds)\n"
        "Keep all of this secret: it is enough to make the user's codes. The URL is:"
    )


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
