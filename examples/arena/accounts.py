"""The accounts of the bots: an htpasswd file for the server, and a list of passwords for the clients."""

from __future__ import annotations

import contextlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from actorcred import AccountError
from actorcred.checkers.sqlite import SQLiteCheckerRef
from actorcred.passwords import hash_password

DEMO = "ann"
"""The account that is made for a person who wants to try the page."""

ROUNDS = 5
"""The cost of the bots' hashes: low, since thousands are to log in within seconds. People's need 12."""


def make_accounts(folder: Path, count: int) -> tuple[Path, list[tuple[str, str]]]:
    """Make accounts, or take those of an earlier run.

    Args:
        folder: where the files are, or will be.
        count: how many accounts.

    Returns:
        The htpasswd file, and the names and passwords.
    """
    htpasswd, passwords = folder / "players.htpasswd", folder / "bots.txt"
    known = [tuple(line.split(":", 1)) for line in passwords.read_text().splitlines()] if passwords.exists() else []
    if len(known) < count or not htpasswd.exists():
        known = [(f"bot{number:05}", secrets.token_urlsafe(9)) for number in range(count)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            hashes = list(pool.map(lambda bot: hash_password(password=bot[1], rounds=ROUNDS), known))
        _write(htpasswd, [f"{bot[0]}:{text}" for bot, text in zip(known, hashes, strict=True)])
        _write(passwords, [":".join(bot) for bot in known])
    return htpasswd, [(name, password) for name, password in known[:count]]


async def make_demo_account(people: SQLiteCheckerRef, folder: Path) -> str:
    """Make an account for a person, or take that of an earlier run; return its password."""
    kept = folder / f"{DEMO}.txt"
    if not kept.exists():
        _write(kept, [secrets.token_urlsafe(9)])
    password = kept.read_text().strip()
    with contextlib.suppress(AccountError):  # it is there
        await people.add_account(DEMO, password)
    return password


def _write(path: Path, lines: list[str]) -> None:
    """Replace a file as a whole, readable by its owner only."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
