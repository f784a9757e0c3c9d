"""Parameters shared by several subcommands."""

from __future__ import annotations

import ipaddress
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from actorcred.cli.errors import ExitCode, fail
from actorcred.fronts.trusted import UNIX
from actorcred.rpc.protocol.addresses import Address

__all__ = ["ADDRESS", "METRICS", "NETWORK", "PASSWORD_FILE", "Seconds", "as_utf8", "read_password"]

PASSWORD_VARIABLE = "ACTORCRED_PASSWORD"


if TYPE_CHECKING:
    _Type: TypeAlias = click.ParamType[Address]
else:
    _Type = click.ParamType  # before 8.5 it is not generic


class _AddressType(_Type):
    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        try:
            return value if isinstance(value, Address) else Address.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


ADDRESS = _AddressType()
"""The type of an address."""


class _NetworkType(click.ParamType):  # type: ignore[type-arg]
    name = "network"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value == UNIX:
            return UNIX
        try:
            return str(ipaddress.ip_network(value))
        except ValueError as error:
            self.fail(f"{error}; write 127.0.0.1, 10.0.0.0/24 or unix", param, ctx)


NETWORK = _NetworkType()
"""The type of an IP address or network, or "unix"."""


class _MetricsType(click.ParamType):  # type: ignore[type-arg]
    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        host, _, port = str(value).rpartition(":")
        if not port.isdecimal() or not port.isascii() or int(port) > 65535:
            self.fail(f"{value!r} is not [HOST:]PORT, such as 127.0.0.1:9464", param, ctx)
        return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


METRICS = _MetricsType()
"""The type of the host and the port of metrics."""


class Seconds(click.FloatRange):
    """A number of seconds, which is finite."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with a message."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


PASSWORD_FILE = click.option(
    "--password-file",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="The file whose first line is the password; - for standard input.",
)
"""The option for `read_password`."""


def read_password(file: str | None, *, confirm: bool = False) -> str:
    """Return the password from a file, the environment, or a prompt.

    Args:
        file: the file whose first line is the password; "-" for standard input.
        confirm: whether it must be typed twice.
    """
    if file is not None:
        try:
            raw = sys.stdin.buffer.readline() if file == "-" else Path(file).read_bytes()
            return raw.split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            fail(f"cannot read {file!r}: {why}", ExitCode.USAGE)
    if (password := os.environ.get(PASSWORD_VARIABLE)) is not None:
        return as_utf8(password)
    if not sys.stdin.isatty():
        fail(
            "there is no terminal to prompt for the password; "
            f"use --password-file or {PASSWORD_VARIABLE}",
            ExitCode.USAGE,
        )
    return as_utf8(click.prompt("Password", hide_input=True, confirmation_prompt=confirm, err=True))


def as_utf8(text: str) -> str:
    """Return a string from outside decoded as UTF-8, even if the locale lacks its characters."""
    try:
        return text if text.isascii() else os.fsencode(text).decode()
    except UnicodeError:
        return text  # in the locale's own encoding
