"""Exit codes and error messages of the command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NoReturn

import click

from actorcred.audit import printable
from actorcred.errors import ActorcredError

__all__ = ["ExitCode", "fail", "usage"]


class ExitCode(IntEnum):
    """Exit codes of the command; 2 is click's own, for an invalid command line."""

    FAILED = 1
    """The method failed, or an account could not be changed."""

    USAGE = 2
    REFUSED = 3
    """The login was refused or denied."""

    NO_CONNECTION = 4
    """The server cannot be reached, or the connection was lost."""

    CRASHED = 5
    """The portal of a server has crashed, so there was nothing left to serve."""


def fail(message: Any, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """End the command with an error."""
    # Not all errors are this program's: a server might have sent the text.
    lines = [printable(line, longest=None) for line in str(message).split("\n")]
    click.echo("actorcred: " + "\n".join(lines), err=True)
    raise click.exceptions.Exit(code)


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """End the command with a clear message if a request cannot be met."""
    try:
        yield
    except (ActorcredError, OSError, ValueError, TypeError) as error:
        fail(error, ExitCode.USAGE)
