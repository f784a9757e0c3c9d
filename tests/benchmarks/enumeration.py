"""Whether the time of a refusal reveals if a user exists.

It compares unknown users with wrong passwords, for each checker with hashes.
"""

from __future__ import annotations

import argparse
import functools
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import argon2
import passlib.hash
import sqlalchemy
from rich.console import Console
from rich.table import Table

from actorcred import (
    Penalty,
    Portal,
    PortalOptions,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.actors import InlineDispatcher
from actorcred.checkers.file import FileChecker
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sql import SQLChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.passwords.hashing import hash_password
from actorcred.passwords.policy import PasswordPolicy
from actorcred.sasl.http_digest import digest_of
from actorcred.sasl.scram import ScramSHA256
from actorcred.testing import Hall
from tests.benchmarks.measure import machine

PASSWORD = "correct horse battery"
ROUNDS = 6
WARM_UP = 5


def memory(folder: Path) -> Any:
    return MemoryChecker.start({"ann": PASSWORD}, rounds=ROUNDS)


def plaintext(folder: Path) -> Any:
    return MemoryChecker.start({"ann": PASSWORD}, plaintext=True)


def file_of(make: Callable[[str], str]) -> Callable[[Path], Any]:
    def start(folder: Path) -> Any:
        path = folder / "users.htpasswd"
        path.write_text(f"ann:{make(PASSWORD)}\n")
        return FileChecker.start(path)

    return start


def sqlite(folder: Path, *, scram: bool = False) -> Any:
    checker = SQLiteChecker.start(
        folder / "accounts.db", ROUNDS, PasswordPolicy(common=()), scram=scram
    )
    checker.add_account("ann", PASSWORD).get()
    return checker


def htdigest(folder: Path) -> Any:
    path = folder / "users.htdigest"
    path.write_text(f"ann:game:{digest_of('MD5', 'ann', 'game', PASSWORD)}\n")
    return HtdigestChecker.start(path)


def sql_of(make: Callable[[str], str]) -> Callable[[Path], Any]:
    def start(folder: Path) -> Any:
        url = f"sqlite:///{folder}/users.db"
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE users (username TEXT, password TEXT)"))
            row = {"hash": make(PASSWORD)}
            connection.execute(sqlalchemy.text("INSERT INTO users VALUES ('ann', :hash)"), row)
        engine.dispose()
        return SQLChecker.start(url)

    return start


def bcrypt(password: str) -> str:
    return hash_password(password=password, rounds=ROUNDS)


CHECKERS: dict[str, Callable[[Path], Any]] = {
    "MemoryChecker": memory,
    "MemoryChecker, plaintext": plaintext,
    "MemoryChecker, SCRAM": plaintext,
    "FileChecker, bcrypt": file_of(bcrypt),
    "FileChecker, apr1": file_of(passlib.hash.apr_md5_crypt.hash),
    "FileChecker, SHA-512": file_of(passlib.hash.sha512_crypt.using(rounds=5000).hash),
    "SQLiteChecker": sqlite,
    "SQLiteChecker, SCRAM": functools.partial(sqlite, scram=True),
    "HtdigestChecker": htdigest,
    "SQLChecker, bcrypt": sql_of(bcrypt),
    "SQLChecker, Argon2": sql_of(argon2.PasswordHasher(1, 8192, 1).hash),
}


def by_password(portal: Any, name: str, number: int) -> Any:
    return portal.verify(UsernamePassword(name, f"wrong {number}"))


def by_scram(portal: Any, name: str, number: int) -> Any:
    """Answer with a wrong proof, which costs the client nothing."""
    nonce = f"{number:024}"
    exchange = ScramSHA256(f"n,,n={name},r={nonce}")
    challenges: list[bytes] = []
    exchange.on_challenge = challenges.append
    refused = portal.verify(exchange)
    whole_nonce = challenges[0].decode().split(",")[0].removeprefix("r=")
    exchange.respond(f"c=biws,r={whole_nonce},p={'A' * 43}=".encode())
    return refused


def measure(
    start: Callable[[Path], Any], tries: int, refuse: Callable[[Any, str, int], Any]
) -> tuple[float, float]:
    """Return the median time of both refusals in microseconds.

    They are measured in turns, since the machine's speed drifts.
    """
    actors.set_default_dispatcher(InlineDispatcher())
    times: dict[str, list[float]] = {"ann": [], "eve": []}
    texts = set()
    with tempfile.TemporaryDirectory() as folder:
        options = PortalOptions(penalty=Penalty(step=0))  # or few would be looked at
        portal = Portal.start(Hall.start(), [start(Path(folder))], options)
        assert portal.verify(UsernamePassword("ann", PASSWORD)).get(timeout=30) == "ann"
        for number in range(tries + WARM_UP):
            for name, taken in times.items():
                started = time.perf_counter()
                try:
                    refuse(portal, name, number).get(timeout=30)
                except UnauthorizedLogin as error:
                    texts.add(str(error))
                taken.append((time.perf_counter() - started) * 1e6)
        actors.shutdown()
    assert texts == {"login refused"}, texts
    return statistics.median(times["ann"][WARM_UP:]), statistics.median(times["eve"][WARM_UP:])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.enumeration", description=__doc__
    )
    parser.add_argument("--tries", type=int, default=200, help="of each kind")
    tries = parser.parse_args().tries
    logging.disable()
    table = Table(
        "checker", "unknown user, us", "wrong password, us", "ratio", "aim", title=machine()
    )
    for name, start in CHECKERS.items():
        wrong, unknown = measure(start, tries, by_scram if "SCRAM" in name else by_password)
        table.add_row(
            name, f"{unknown:.0f}", f"{wrong:.0f}", f"{unknown / wrong:.2f}", "0.9 to 1.1"
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
