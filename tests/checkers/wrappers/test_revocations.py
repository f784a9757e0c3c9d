"""Accounts that watched sources drop, under sessions that were opened through wrappers."""

from __future__ import annotations

import os

import pytest

from actorcred import UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.polling import POLL
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sqlite import SQLiteChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.checkers.wrappers.renaming import RenamingChecker
from actorcred.passwords.hashing import hash_password
from actorcred.portal.events import LoggedOut
from tests.helpers import Player, Stage, until

WRAPPERS = [
    "{}",
    "rename[add=corp.example]:({})",
    "cache:({})",
    "throttle:({})",
    "first:(memory:zoe:rightright)({})",
    "all:({})",
    "all:({})(memory:ann:rightright:bob:rightright)",
    "deny[names=zoe]:({})",
    "rename[names=ann>anna]:(cache:(first:(memory:zoe:rightright)(all:({}))))",
]
MADE = hash_password(password="rightright", rounds=4)


def rewrite(path, text):
    """Replace a file, with a time that is no longer fresh."""
    path.write_text(text)
    os.utime(path, (1_000_000_000 + len(text), 1_000_000_000 + len(text)))


class Users:
    """A file of users and hashes."""

    def __init__(self, folder):
        self.path = folder / "users"
        rewrite(self.path, f"ann:{MADE}\nbob:{MADE}\n")
        self.text = f"file:{self.path}"

    def drop(self):
        rewrite(self.path, f"bob:{MADE}\n")


class Allowed:
    """A list of who may log in."""

    def __init__(self, folder):
        self.path = folder / "list"
        rewrite(self.path, "ann\nbob\n")
        self.text = f"allow[file={self.path}]:(memory:ann:rightright:bob:rightright)"

    def drop(self):
        rewrite(self.path, "bob\n")


class Accounts:
    """An SQLite database, which another process changes."""

    def __init__(self, folder):
        self.path = folder / "accounts.db"
        self.text = f"sqlite:{self.path}"
        self.other = SQLiteChecker.start(self.path, rounds=4)
        for name in ("ann", "bob"):
            self.other.add_account(name, "rightright").get(timeout=30)

    def drop(self):
        self.other.delete_account("ann").get(timeout=30)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("source", [Users, Allowed, Accounts])
def test_a_watched_source_ends_sessions_through_every_wrapper(inline, tmp_path, source, wrapper):
    users = source(tmp_path)
    stage = Stage(checkers=0)
    stage.portal.register_checker(from_string(wrapper.format(users.text))).get(timeout=10)
    sessions = {}
    for name in ("ann", "bob"):
        given = UsernamePassword(name, "rightright")
        begun = stage.portal.login(given, None, Player)
        until(lambda begun=begun: inline.advance(0) or begun.done())
        sessions[name] = begun.get(timeout=10).session
    users.drop()
    for _ in range(3):
        inline.advance(POLL)
    assert not sessions["ann"].is_open
    assert sessions["bob"].is_open
    (ended,) = stage.named(LoggedOut, 1)
    assert ended.reason == "revoked"


def test_the_users_in_memory_too(inline):
    inner = MemoryChecker.start({"ann": "rightright"}, plaintext=True)
    outer = CachingChecker.start(RenamingChecker.start(AllOf.start(inner), str.upper))
    stage = Stage(checkers=0)
    stage.portal.register_checker(outer).get(timeout=10)
    session = stage.portal.login(UsernamePassword("ann", "rightright"), None, Player).get(
        timeout=10
    )
    inner.remove("ann")
    inline.advance(0)
    assert not session.session.is_open
