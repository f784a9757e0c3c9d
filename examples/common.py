"""Code shared by the examples: demo accounts, secret files, and running servers until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from actorcred import AccountError, ActorcredError, CheckerRef
from actorcred.actors import ThreadDispatcher
from actorcred.auth.options import add_auth_arguments
from actorcred.auth.registry import from_string
from actorcred.checkers.sqlite import SQLiteChecker, SQLiteCheckerRef
from actorcred.cli.lifetime import Life, run

__all__ = [
    "ADVICE",
    "Servers",
    "add_arguments",
    "demo_account",
    "end_without_parent",
    "port",
    "seconds",
    "serve",
    "start_checkers",
    "write_secret",
]

ADVICE = "Another port or folder may help; --help lists the options."
"""Advice for a failed start."""

Roles = Mapping[str, Iterable[str]]
NO_ROLES: Roles = {}


class Servers(Protocol):
    """The servers of an example."""

    def introduce(self) -> None:
        """Print how to connect."""

    async def close(self, life: Life) -> None:
        """Accept no more connections, and end all sessions."""


def serve(
    what: str,
    opening: Callable[[argparse.Namespace], Coroutine[Any, Any, Servers]],
    arguments: argparse.Namespace,
    *faults: type[Exception],
) -> int:
    """Start an example's servers, and stop them at a signal or the time limit; return an exit code.

    Args:
        what: the name of the example in messages.
        opening: starts the servers.
        arguments: those of the command, with what `add_arguments` adds.
        faults: what opening can raise, in addition to OSError, UnicodeError and ActorcredError.
    """
    expected: tuple[type[Exception], ...] = (OSError, UnicodeError, ActorcredError, *faults)

    async def main(life: Life) -> int:
        try:
            arguments.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            servers = await life.opened(opening(arguments))
        except expected as error:
            print(f"{what} cannot open: {error}\n{ADVICE}", file=sys.stderr)
            return 2
        servers.introduce()
        await life.until_asked(arguments.duration)
        print("Shutting down: ending all sessions.", flush=True)
        await servers.close(life)
        return 0

    return run(main)


def add_arguments(
    parser: argparse.ArgumentParser, ports: dict[str, int], supported: tuple[type, ...], folder: str
) -> None:
    """Add the options common to the servers: address, duration, checkers and data folder."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    for name, number in ports.items():
        parser.add_argument(
            f"--{name}",
            type=port,
            default=number,
            metavar="PORT",
            help="port; 0 picks a free one (%(default)s)",
        )
    parser.add_argument(
        "--duration", type=seconds, metavar="S", help="seconds to serve (until Ctrl-C)"
    )
    add_auth_arguments(parser, supported)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(folder),
        metavar="DIR",
        help="folder of accounts and all other data (%(default)s)",
    )


def seconds(text: str) -> float:
    """Read a number of seconds from the command line; for argparse."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be 0 seconds or more, not {text}")
    return value


def port(text: str) -> int:
    """Read the number of a port from the command line; for argparse."""
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, not {value}")
    return value


async def start_checkers(
    arguments: argparse.Namespace, names: Iterable[str], roles: Roles = NO_ROLES
) -> tuple[list[CheckerRef], dict[str, str]]:
    """Start the checkers that `--auth` describes, or one with demo accounts.

    Args:
        arguments: those of the command.
        names: the demo accounts.
        roles: their roles.

    Returns:
        The checkers, and the passwords by name of the accounts that were created.

    Raises:
        ActorcredError: if a checker cannot be started.
    """
    blocking = ThreadDispatcher("checkers", 2)
    if arguments.auth:
        started: list[CheckerRef] = []
        try:
            started.extend(from_string(text, dispatcher=blocking) for text in arguments.auth)
        except BaseException:
            for checker in started:
                checker.stop(block=False)
            raise
        return started, {}
    accounts = SQLiteChecker.start(arguments.data / "accounts.sqlite", dispatcher=blocking)
    return [accounts], {
        name: await demo_account(accounts, arguments.data, name, roles.get(name, ()))
        for name in names
    }


async def demo_account(
    accounts: SQLiteCheckerRef, folder: Path, name: str, roles: Iterable[str] = ()
) -> str:
    """Create a demo account, or load that of an earlier run; return its password."""
    kept = folder / f"{name}.txt"
    if not kept.exists():
        write_secret(kept, [secrets.token_urlsafe(9)])
    password = kept.read_text().strip()
    with contextlib.suppress(AccountError):  # the account exists
        await accounts.add_account(name, password)
    if roles:
        await accounts.set_roles(name, roles)
    return password


def end_without_parent() -> None:
    """Send this process a SIGTERM when its standard input ends; run it in a thread."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def write_secret(path: Path, lines: list[str]) -> None:
    """Replace a file by a new one, readable by its owner only."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
