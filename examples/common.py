"""What the examples have in common: accounts to try them with, secrets in files, and an end by Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
from pathlib import Path

from actorcred import AccountError, CheckerRef, actors
from actorcred.actors import ThreadDispatcher
from actorcred.auth_options import add_auth_arguments
from actorcred.checkers.sqlite import SQLiteChecker, SQLiteCheckerRef
from actorcred.plugins import from_string

__all__ = ["add_arguments", "check_folder", "demo_account", "start_checkers", "stop_everything", "until_signalled", "write_secret"]


def add_arguments(parser: argparse.ArgumentParser, supported: tuple[type, ...], folder: str) -> None:
    """Add the options that every example has: who may log in, and where its files are."""
    add_auth_arguments(parser, supported)
    parser.add_argument("--data", type=Path, default=Path(folder), metavar="DIR", help="accounts and all else (%(default)s)")


async def start_checkers(arguments: argparse.Namespace, names: tuple[str, ...]) -> tuple[list[CheckerRef], dict[str, str]]:
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


def check_folder(folder: Path) -> None:
    """Make the folder of an example, if there is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


async def until_signalled(seconds: float | None = None) -> None:
    """Wait for Ctrl-C or SIGTERM, or until a time is over. A second Ctrl-C ends the process at once."""
    loop = asyncio.get_running_loop()
    wanted = asyncio.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, wanted.set)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(wanted.wait(), seconds)
    for number in numbers:
        loop.remove_signal_handler(number)


async def stop_everything(timeout: float = 10.0) -> int:
    """Stop all actors while the loop runs; return an exit code, 1 if one did not stop."""
    return 1 if await asyncio.to_thread(actors.shutdown, timeout) else 0
