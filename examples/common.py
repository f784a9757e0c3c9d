"""What the examples have in common: accounts to try them with, secrets in files, and servers until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Coroutine
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
    "serve",
    "start_checkers",
    "write_secret",
]

ADVICE = "Another port or folder may help; --help lists the options."
"""What to do if something cannot be opened."""


class Servers(Protocol):
    """What an example has opened."""

    def introduce(self) -> None:
        """Say how to come in."""

    async def close(self, life: Life) -> None:
        """Take no more connections, and log everybody out."""


def serve(
    what: str,
    opening: Callable[[argparse.Namespace], Coroutine[Any, Any, Servers]],
    arguments: argparse.Namespace,
    *faults: type[Exception],
) -> int:
    """Open an example's servers, and close them at a signal or when their time is over; return an exit code.

    Args:
        what: what is opened, for people.
        opening: opens it.
        arguments: those of the command, with what `add_arguments` adds.
        faults: what opening may raise, besides OSError, UnicodeError and ActorcredError.
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
        print("Going down: logging everybody out.", flush=True)
        await servers.close(life)
        return 0

    return run(main)


def add_arguments(
    parser: argparse.ArgumentParser, ports: dict[str, int], supported: tuple[type, ...], folder: str
) -> None:
    """Add the options of an example that serves: where and for how long, who may log in, and where its files are."""
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    for name, port in ports.items():
        parser.add_argument(
            f"--{name}",
            type=_port,
            default=port,
            metavar="PORT",
            help="the port, or 0 (%(default)s)",
        )
    parser.add_argument(
        "--duration", type=float, metavar="S", help="seconds to serve (until Ctrl-C)"
    )
    add_auth_arguments(parser, supported)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(folder),
        metavar="DIR",
        help="accounts and all else (%(default)s)",
    )


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, not {value}")
    return value


async def start_checkers(
    arguments: argparse.Namespace, names: tuple[str, ...]
) -> tuple[list[CheckerRef], dict[str, str]]:
    """Start the checkers that `--auth` describes, or one with accounts to try it with.

    Returns:
        The checkers, and the passwords by name of the accounts that were made.

    Raises:
        ActorcredError: if one cannot be started.
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
    return [accounts], {name: await demo_account(accounts, arguments.data, name) for name in names}


async def demo_account(accounts: SQLiteCheckerRef, folder: Path, name: str) -> str:
    """Make an account for a person, or take that of an earlier run; return its password."""
    kept = folder / f"{name}.txt"
    if not kept.exists():
        write_secret(kept, [secrets.token_urlsafe(9)])
    password = kept.read_text().strip()
    with contextlib.suppress(AccountError):  # it is there
        await accounts.add_account(name, password)
    return password


def write_secret(path: Path, lines: list[str]) -> None:
    """Replace a file as a whole, readable by its owner only."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
