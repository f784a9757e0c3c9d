"""The accounts of the bots: an htpasswd file for the server, and a list of passwords for the clients."""

from __future__ import annotations

import os
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from actorcred.passwords.hashing import hash_password
from examples.common import write_secret

DEMO = "ann"
"""The account that is made for a person who wants to try the page."""

ROUNDS = 5
"""The cost of the bots' hashes: low, since thousands are to log in within seconds. People's need 12."""


def make_accounts(
    folder: Path, count: int, enough: threading.Event
) -> tuple[Path, list[tuple[str, str]]]:
    """Make accounts, or take those of an earlier run.

    Args:
        folder: where the files are, or will be.
        count: how many accounts.
        enough: set if nobody wants them any more; nothing is written then.

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
