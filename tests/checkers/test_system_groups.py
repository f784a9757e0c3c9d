"""What the system says of its accounts, against the programs id and getent."""

from __future__ import annotations

import grp
import pwd
import shutil
import subprocess
from typing import Any

import pytest

from actorcred.checkers import system_groups
from actorcred.checkers.bases.facts import MOST_GROUPS
from actorcred.checkers.system_groups import full_name_of, groups_of


@pytest.mark.parametrize("name", sorted(account.pw_name for account in pwd.getpwall())[:20])
def test_groups_are_those_that_id_shows(name: str) -> None:
    program = shutil.which("id")
    assert program is not None
    listed = subprocess.run([program, "-Gn", name], capture_output=True, text=True, check=True)

    assert groups_of(name) == set(listed.stdout.split())


@pytest.mark.parametrize("name", ["no-such-user", "", "a\0b", "x" * 5000, "\udcff"])
def test_who_is_unknown_to_the_system_is_in_no_group(name: str) -> None:
    assert groups_of(name) == frozenset()
    assert full_name_of(name) == ""


def put(monkeypatch: Any, numbers: list[int], gecos: str = "") -> None:
    """Have the system know an account ann with groups of these numbers."""
    account = pwd.struct_passwd(("ann", "x", 2000, 2000, gecos, "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: account)
    monkeypatch.setattr(system_groups, "_numbers_of", lambda name, main: numbers)


def test_a_group_without_a_name_is_left_out(monkeypatch: Any) -> None:
    put(monkeypatch, [0, 4_000_000_000])

    assert groups_of("ann") == {grp.getgrgid(0).gr_name}


@pytest.mark.parametrize(
    ("gecos", "name"),
    [("Ann Lee,Room 5,123", "Ann Lee"), ("", ""), ("Ann\x1b[2J", "Ann\ufffd[2J")],
)
def test_the_name_is_the_first_part_of_the_gecos_field(
    monkeypatch: Any, gecos: str, name: str
) -> None:
    put(monkeypatch, [], gecos)

    assert full_name_of("ann") == name


def test_there_is_room_for_many_groups_and_a_bound(monkeypatch: Any) -> None:
    rooms: list[int] = []

    class Library:
        """Knows more groups of a user than anybody has room for."""

        def __init__(self, *_: Any, **__: Any) -> None:
            self.getgrouplist = self

        def __call__(self, name: bytes, main: int, numbers: Any, count: Any) -> int:
            rooms.append(len(numbers))
            return -1

    monkeypatch.setattr(system_groups.ctypes, "CDLL", Library)
    with pytest.raises(ValueError, match="more than 1000 groups"):
        groups_of("root")
    assert rooms == [system_groups.FIRST_TRY, MOST_GROUPS]
