"""Only the log says whether an account exists whose login a checker refuses."""

from __future__ import annotations

import hashlib
import queue
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actorcred import Portal, UnauthorizedLogin, UsernamePassword
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.file import FileChecker
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.otp import OTPChecker
from actorcred.checkers.sql import SQLChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.checkers.wrappers.listing import DenyingChecker
from actorcred.credentials import OneTimePassword
from actorcred.passwords.hashing import hash_password
from tests.helpers import Arena, Player, open_sqlite

HASH = hash_password(password="s3cret s3cret", rounds=4)


def _file(folder: Path) -> Any:
    (folder / "users").write_text(f"ann:{HASH}\n")
    return FileChecker.start(folder / "users")


def _htdigest(folder: Path) -> Any:
    digest = hashlib.md5(b"ann:here:s3cret s3cret").hexdigest()
    (folder / "users").write_text(f"ann:here:{digest}\n")
    return HtdigestChecker.start(folder / "users")


def _sql(folder: Path) -> Any:
    with open_sqlite(folder / "users.db") as database:
        database.execute("CREATE TABLE users (username TEXT, password TEXT)")
        database.execute("INSERT INTO users VALUES ('ann', ?)", (HASH,))
    database.close()
    return SQLChecker.start(f"sqlite:///{folder}/users.db")


def _sqlite(folder: Path) -> Any:
    checker = SQLiteChecker.start(folder / "accounts.db", rounds=4)
    checker.add_account("ann", "s3cret s3cret").get(timeout=10)
    return checker


def _disabled(folder: Path) -> Any:
    checker = _sqlite(folder)
    checker.disable_account("ann").get(timeout=10)
    return checker


def _otp(folder: Path) -> Any:
    checker = OTPChecker.start(folder / "codes.db")
    checker.enrol("ann").get(timeout=10)
    return checker


def _plaintext(folder: Path) -> Any:
    return MemoryChecker.start({"ann": "s3cret s3cret"}, plaintext=True)


def _denied(folder: Path) -> Any:
    return DenyingChecker.start(
        MemoryChecker.start({"ann": "wrong", "bob": "x"}, plaintext=True), ["ann"]
    )


@pytest.mark.parametrize(
    "make", [_file, _htdigest, _sql, _sqlite, _disabled, _otp, _plaintext, _denied]
)
def test_a_refusal_is_marked_in_the_log_and_nowhere_else(
    tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    portal = Portal.start(Arena.start([], []), [make(tmp_path), AnonymousChecker.start()])
    portal.subscribe(told.put).get(timeout=10)
    kind: Any = OneTimePassword if make is _otp else UsernamePassword
    errors = []
    for name in ("ann", "hunter2"):
        with pytest.raises(UnauthorizedLogin) as refused:
            portal.login(kind(name, "wrong"), None, Player).get(timeout=10)
        errors.append((str(refused.value), repr(refused.value), refused.value.known))
    assert errors[0] == errors[1]
    ann, unknown = told.get(timeout=10), told.get(timeout=10)
    assert (ann.claimed, ann.known) == ("ann", True)
    assert (unknown.claimed[:5], unknown.known) == ("hash:", False)
