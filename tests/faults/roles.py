"""Roles of the application and their backends.

Hooks raise, checkers hang, backends die or freeze.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from actorcred.passwords.hashing import hash_password
from tests.backends.directory import PEOPLE, running_directory
from tests.backends.servers import Backend, mariadb, postgresql, running
from tests.backends.tables import fill
from tests.faults.clients import HONEST, Closed, Raw, connect
from tests.faults.fault import Ground, fault
from tests.faults.floods import attacking
from tests.faults.lines import QUICK
from tests.faults.realm import BROKEN
from tests.faults.served import poll

HOOKS = (
    "realm",
    "answer",
    "logout",
    "on-start",
    "on-login",
    "on-logout",
    "on-stop",
    "on-failure",
    "on-attach",
    "on-detach",
    "method",
)
"""The hooks that raise; each is a suffix of a user's name."""

CHECKERS = ("raises", "base", "number", "odd", "denies")
"""The checker's faults; each is a suffix of a user's name."""

SECRET = "not-for-the-log"


@fault(
    "exceptions in every hook of realm, avatar and checker",
    both=True,
    options=QUICK,
    tracebacks=True,
)
def hooks(ground: Ground) -> None:
    """Six of each, which is more than the crashes that take a role down."""
    answers: Counter[str] = Counter()
    for name in [BROKEN + hook for hook in HOOKS] + ["checker-" + kind for kind in CHECKERS]:
        for number in range(6):
            with connect(ground.server.address, source=f"127.0.1.{number + 1}") as client:
                answers[_live(client, name)] += 1
    with connect(ground.server.address, source=HONEST) as client:
        client.login("afterwards", resume=False)
    ground.note(", ".join(f"{count} {what}" for what, count in answers.items()))
    assert SECRET not in ground.server.said(), "a password stands in the log"


def _live(client: Raw, name: str) -> str:
    """Log in, call and log out; return the result."""
    password = SECRET if name.startswith("checker-") else "right"
    try:
        error, _ = client.try_login(name, password, resume=False)
        if error is not None:
            return str(error["code"])
        client.answer(client.begin_call("echo", 1))
        client.answer(client.begin_call("crash"))
        client.begin_call("cred.logout")
        client.until_closed()
    except Closed:
        return "closed"
    return "in"


# Coroutines of a checker on threads get their own loop, with its descriptors, at the first use.
@fault("a checker that hangs", options=QUICK, slow=True, patience=60.0, allowed={"descriptors": 3})
def hanging(ground: Ground) -> None:
    """300 logins that the checker never answers; others succeed, and the deadline frees them."""
    clients = []
    for number in range(300):
        client = connect(ground.server.address, source=f"127.0.2.{number % 250 + 1}")
        client.begin_call("cred.login", "PLAIN", b"\0checker-hangs\0right", {})
        clients.append(client)
    for _ in poll(10):
        held = ground.server.count()
        if held.connections >= len(clients):
            break
    ground.note(f"{held.connections} connections wait, {held.memory // 1024} MB")
    begin = time.monotonic()
    with connect(ground.server.address, source=HONEST) as client:
        client.login("other", resume=False)
    ground.note(f"another login took {(time.monotonic() - begin) * 1000:.0f} ms")
    begin = time.monotonic()
    for client in clients:
        client.socket.settimeout(60)
        with contextlib.suppress(Closed):
            client.message()
        client.close()
    ground.note(f"answered after {time.monotonic() - begin:.0f} s")


@contextlib.contextmanager
def postgresql_with_users(folder: Path) -> Iterator[Backend]:
    with running(postgresql) as backend:
        fill(backend.url)
        yield backend


@contextlib.contextmanager
def mariadb_with_users(folder: Path) -> Iterator[Backend]:
    with running(mariadb) as backend:
        fill(backend.url)
        yield backend


@contextlib.contextmanager
def directory_with_users(folder: Path) -> Iterator[Backend]:
    pytest.importorskip(
        "ldap", reason="python-ldap is not installed: pip install 'actorcred[ldap]'"
    )
    (folder / "ldap").mkdir()
    with running_directory(folder / "ldap") as backend:
        yield backend


def _killed_and_frozen(ground: Ground) -> None:
    """Log in from the store while it is killed, started again, frozen and thawed."""
    backend = ground.backend
    assert backend is not None
    answers: Counter[str] = Counter()

    def attack(number: int) -> None:
        with connect(ground.server.address, source=f"127.0.3.{number + 1}", timeout=60) as client:
            error, _ = client.try_login("ann", "right", resume=False)
            answers[error["code"] if error else "in"] += 1

    with attacking(attack, 8):
        for _ in poll(1):
            pass
        for harm in (backend.down, backend.frozen):
            with harm():
                for _ in poll(6, 1.0):
                    with connect(ground.server.address, source=HONEST) as client:
                        client.login("other", resume=False)  # by the checker before it
    _in_again(ground)
    ground.note(", ".join(f"{count} {what}" for what, count in answers.items()))
    assert answers["in"], answers
    assert set(answers) <= {"in", "unavailable", "denied"}, answers


def _in_again(ground: Ground) -> None:
    """Wait until the user of the store can log in, without a restart of the server."""
    begin = time.monotonic()
    for _ in poll(75, 0.5):
        with connect(ground.server.address, source=HONEST, timeout=60) as client:
            error, _ = client.try_login("ann", "right", resume=False)
        if error is None:
            ground.note(f"in again after {time.monotonic() - begin:.1f} s")
            return
    raise AssertionError(f"the user of the store does not get in any more: {error}")


for name, backend, text in (
    ("PostgreSQL", postgresql_with_users, "sql:{url}"),
    ("MariaDB", mariadb_with_users, "sql:{url}"),
    ("LDAP", directory_with_users, f"ldap:{{url}}/{PEOPLE}"),
):
    fault(
        f"{name} is killed and frozen", slow=True, auth=(text,), backend=backend, options=QUICK,
        patience=60.0, allowed={"descriptors": 16, "threads": 24, "memory": 48 * 1024},
    )(_killed_and_frozen)  # fmt: skip

USERS = 20


def _write(path: Path, hashes: list[str], turn: int) -> None:
    """Replace a password file, sometimes by half of it."""
    text = "".join(f"user{number}:{made}\n" for number, made in enumerate(hashes))
    other = path.with_suffix(".new")
    other.write_text(text[: len(text) // 2] if turn % 7 == 6 else text)
    os.replace(other, path)


def password_file(folder: Path) -> None:
    """Make a password file."""
    _write(folder / "users", [hash_password(password="secret", rounds=4)] * USERS, 0)


DAMAGED = (
    "$2b$00$" + "." * 53, "$2b$03$" + "." * 53, "$2b$99$" + "." * 53,
    "$bcrypt-sha256$v=2,t=2b,r=0$" + "." * 22 + "$" + "." * 31,
    "$bcrypt-sha256$v=2,t=2b,r=99$" + "." * 22 + "$" + "." * 31, "pbkdf2_sha256$0$salt$AAAA",
    "pbkdf2_sha256$99999999$salt$AAAA", "scrypt$0$salt$8$1$AAAA", "scrypt$3$salt$8$1$AAAA",
    "scrypt$16384$salt$0$1$AAAA", "scrypt$16777216$salt$8$1$AAAA", "$apr1$y",
    "$scrypt$ln=1,r,p=1$aa$bb", "$scrypt$ln=99,r=8,p=1$YWJj$YWJj", "$6$rounds=999999999$a$b",
    "$argon2id$v=19$m=99999999,t=1,p=1$a$b", "{SHA}x", "$2y$", "", "\udcff",
)  # fmt: skip
"""Hashes that cannot be verified, or not in bounded time; each is the record of one user."""


def damaged_file(folder: Path) -> None:
    """Create a password file in which only one user's hash is valid."""
    lines = [f"odd{number}:{made}" for number, made in enumerate(DAMAGED)]
    lines.append("whole:" + hash_password(password="secret", rounds=4))
    (folder / "users").write_text("\n".join(lines), "utf-8", "surrogateescape")


@fault(
    "records of users that cannot be used",
    prepare=damaged_file,
    auth=("file:{folder}/users",),
    options=QUICK,
)
def damaged_records(ground: Ground) -> None:
    """Logins under these names are refused like unknown users; the one good record is accepted."""
    answers: Counter[str] = Counter()
    for turn in range(6):
        for number in range(len(DAMAGED)):
            with connect(ground.server.address, source=f"127.0.10.{number + 1}") as client:
                error, _ = client.try_login(f"odd{number}", f"secret{turn}", resume=False)
                answers[error["code"] if error else "in"] += 1
    with connect(ground.server.address, source=HONEST) as client:
        client.login("whole", "secret", resume=False)
    ground.note(", ".join(f"{count} {what}" for what, count in answers.items()))
    assert set(answers) <= {"refused", "denied"}, answers


@fault(
    "a password file is replaced 50 times a second",
    prepare=password_file,
    auth=("file:{folder}/users",),
    options=QUICK,
)
def replaced_file(ground: Ground) -> None:
    """Users of the file log in all the time; once the file is whole again, all logins succeed."""
    hashes = [hash_password(password="secret", rounds=4) for _ in range(USERS)]
    answers: Counter[str] = Counter()
    over = threading.Event()

    def log_in(number: int) -> None:
        with connect(ground.server.address, source=f"127.0.4.{number + 1}") as client:
            error, _ = client.try_login(f"user{number}", "secret", resume=False)
            answers[error["code"] if error else "in"] += 1

    def replace() -> None:
        turn = 0
        while not over.wait(0.02):
            turn += 1
            _write(ground.folder / "users", hashes, turn)

    writer = threading.Thread(target=replace, daemon=True)
    writer.start()
    with attacking(log_in, 4):
        for _ in poll(3):
            pass
    over.set()
    writer.join()
    _write(ground.folder / "users", hashes, 0)
    for _ in poll(10, 0.2):
        with connect(ground.server.address, source="127.0.4.200") as client:
            error, _ = client.try_login("user19", "secret", resume=False)
        if error is None:
            break
    ground.note(", ".join(f"{count} {what}" for what, count in answers.items()))
    assert error is None, f"after the file was mended: {error}"
    assert answers["in"], answers
