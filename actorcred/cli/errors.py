"""Exit codes, and errors as a user of the command sees them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NoReturn

import click

from actorcred.audit import printable

__all__ = ["ExitCode", "fail"]


class ExitCode(IntEnum):
    """What the command's exit code says; 2 is click's own, for a wrong command line."""

    FAILED = 1
    """The method failed, or an account could not be changed."""

    USAGE = 2
    REFUSED = 3
    """The login was refused or denied."""

    NO_CONNECTION = 4
    """There is no server, or the connection was lost."""

    CRASHED = 5
    """The portal of a server has crashed, so that there was nothing left to serve."""


def fail(message: Any, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """End the command with an error."""
    lines = [
        printable(line, longest=None) for line in str(message).split("\n")
    ]  # a server may have chosen the words
    click.echo("actorcred: " + "\n".join(lines), err=True)
    raise click.exceptions.Exit(code)
