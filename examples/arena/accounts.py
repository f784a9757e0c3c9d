"""The bots' accounts: an htpasswd file for the server and a list of passwords for the clients."""

from __future__ import annotations

import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from actorcred.passwords.hashing import hash_password
from examples.common import write_secret

DEMO = "ann"
"""The account made for a person who tries the page."""

ROUNDS = 5
"""The bcrypt cost of the bots' hashes.

It is low, since thousands log in within seconds. Hashes for people need 12.
"""


def make_accounts(
    folder: Path, count: int, enough: threading.Event
) -> tuple[Path, list[tuple[str, str]]]:
    """Create accounts, or load those of an earlier run.

    Args:
        folder: where the files are stored.
        count: how many accounts.
        enough: set when the accounts are no longer needed; then nothing is written.

    Returns:
        The htpasswd file, and the names and passwords.
    """
    htpasswd, passwords = folder / "players.htpasswd", folder / "bots.txt"
    known = (
        [tuple(line.split(":", 1)) for line in passwords.read_text().splitlines()]
        if passwords.exists()
        else []
    )
    if len(known) < count or not htpasswd.exists():
        known = [(f"bot{number:05}", secrets.token_urlsafe(9)) for number in range(count)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            hashes = list(
                pool.map(
                    lambda bot: (
                        "" if enough.is_set() else hash_password(password=bot[1], rounds=ROUNDS)
                    ),
                    known,
                )
            )
        if enough.is_set():
            return htpasswd, []
        write_secret(
            htpasswd, [f"{bot[0]}:{text}" for bot, text in zip(known, hashes, strict=True)]
        )
        write_secret(passwords, [":".join(bot) for bot in known])
    return htpasswd, [(name, password) for name, password in known[:count]]
