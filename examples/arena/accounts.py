"""The bots' accounts: an htpasswd file for the server and a list of passwords for the clients."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from actorcred.passwords.hashing import hash_password
from examples.arena.bots.bot import Account
from examples.arena.bots.names import name_of
from examples.common import write_secret

DEMO = "ann"
"""The account made for a person who tries the page."""

ROUNDS = 5
"""The bcrypt cost of the bots' hashes.

It is low, since thousands log in within seconds. Hashes for people need 12.
"""


async def prepare(arguments: argparse.Namespace, console: Console) -> tuple[Path, list[Account]]:
    """Create the accounts of the bots with a progress bar; see `make_accounts`.

    Args:
        arguments: those of the command.
        console: where the bar is shown.
    """
    arguments.data.mkdir(parents=True, exist_ok=True)
    console.print(f"Accounts of {arguments.avatars} bots in {arguments.data} ...")
    enough = threading.Event()
    columns = (TextColumn("making accounts"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("accounts", total=arguments.avatars, visible=False)

        def made() -> None:
            bar.update(task, advance=1, visible=True)

        try:
            return await asyncio.to_thread(
                make_accounts, arguments.data, arguments.avatars, enough, made
            )
        except asyncio.CancelledError:
            enough.set()
            raise


def make_accounts(
    folder: Path, count: int, enough: threading.Event, made: Callable[[], object]
) -> tuple[Path, list[Account]]:
    """Create accounts, or load those of an earlier run.

    Args:
        folder: where the files are stored.
        count: how many accounts.
        enough: set when the accounts are no longer needed; then nothing is written.
        made: called on any thread after each account that is created.

    Returns:
        The htpasswd file, and the accounts.
    """
    htpasswd, passwords = folder / "players.htpasswd", folder / "bots.txt"
    known = _load(passwords) if htpasswd.exists() else []
    if len(known) >= count:
        return htpasswd, known[:count]
    accounts = [Account(name_of(number), secrets.token_urlsafe(9)) for number in range(count)]

    def line_of(account: Account) -> str:
        if enough.is_set():
            return ""
        text = hash_password(password=account.password, rounds=ROUNDS)
        made()
        return f"{account.name}:{text}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lines = list(pool.map(line_of, accounts))
    if enough.is_set():
        return htpasswd, []
    write_secret(htpasswd, lines)
    write_secret(passwords, [f"{one.name}:{one.password}" for one in accounts])
    return htpasswd, accounts


def _load(passwords: Path) -> list[Account]:
    if not passwords.exists():
        return []
    lines = passwords.read_text(encoding="utf-8").splitlines()
    return [
        Account(name, password) for name, _, password in (line.partition(":") for line in lines)
    ]
