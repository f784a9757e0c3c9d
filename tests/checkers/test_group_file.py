"""Files of groups as Apache's: each line counts by itself, and changes are seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from actorcred import AccountError, CheckerUnavailable
from actorcred.checkers.bases.facts import LONGEST_GROUP, MOST_GROUPS
from actorcred.checkers.group_file import GroupFile


def write(path: Path, content: str | bytes) -> None:
    """Write a file as it was a while ago, so that it does not count as being written."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (1, 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "groups"


def open_file(path: Path, content: str | bytes, **options: Any) -> GroupFile:
    write(path, content)
    return GroupFile(path, options.get("encoding", "utf-8"), options.get("key", str))


def test_a_user_is_in_the_groups_whose_lines_have_the_name(path: Path) -> None:
    groups = open_file(
        path,
        "# the groups\n\nstaff: ann bob\n  admin :ann\nstaff: cleo\nempty:\n"
        'guests: "ann lee" \'o\\\'neill\' "say \\"hi\\""\n',
    )

    assert groups.groups_of("ann") == {"staff", "admin"}
    assert groups.groups_of("bob") == groups.groups_of("cleo") == {"staff"}
    assert groups.groups_of("ann lee") == groups.groups_of("o'neill") == {"guests"}
    assert groups.groups_of('say "hi"') == {"guests"}
    assert groups.groups_of("eve") == frozenset()


def test_names_are_compared_as_at_a_login(path: Path) -> None:
    assert open_file(path, "staff: andre\u0301\n").groups_of("andr\u00e9") == {"staff"}
    assert open_file(path, "staff: ANN\n", key=str.casefold).groups_of("Ann") == {"staff"}
    latin = open_file(path, "staff: j\u00f6rg\n".encode("latin-1"), encoding="latin-1")
    assert latin.groups_of("j\u00f6rg") == {"staff"}


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (b"no colon", "not of the form GROUP: USER USER"),
        (b": ann", "not of the form GROUP: USER USER"),
        (b"j\xf6rg: ann", "it is not UTF-8"),
        (b"admin\x00x: a\x07b", "user name"),
        (b"x" * (LONGEST_GROUP + 1) + b": ann", "a group must be a string of 1 to 256 characters"),
    ],
)
def test_a_line_that_is_damaged_is_named_and_affects_no_other(
    path: Path, caplog: Any, bad: bytes, what: str
) -> None:
    groups = open_file(path, b"staff: ann\n" + bad + b"\nadmin: ann\n")

    assert groups.groups_of("ann") == {"staff", "admin"}
    assert f"{path}, line 2: " in caplog.text
    assert what in caplog.text


def test_a_name_that_is_damaged_affects_no_other_of_its_line(path: Path, caplog: Any) -> None:
    groups = open_file(path, "staff: ann a\x07b bob\n")

    assert groups.groups_of("ann") == groups.groups_of("bob") == {"staff"}
    assert f"{path}, line 1: " in caplog.text


def test_who_is_in_too_many_groups_is_in_none(path: Path, caplog: Any) -> None:
    lines = [f"group{number}: ann" for number in range(MOST_GROUPS + 1)]
    groups = open_file(path, "\n".join([*lines, "staff: bob", ""]))

    assert groups.groups_of("ann") == frozenset()
    assert groups.groups_of("bob") == {"staff"}
    assert "'ann' has no groups: there are more than 1000 groups" in caplog.text


def test_a_change_is_seen_by_the_next_login_and_names_whom_it_concerns(path: Path) -> None:
    groups = open_file(path, "staff: ann bob\nadmin: cleo\n")
    write(path, "staff: ann\nadmin: bob cleo\n")

    assert groups.groups_of("bob") == {"admin"}
    assert groups.groups_of("ann") == {"staff"}
    changed = groups.poll() | groups.poll()  # a change counts once it was seen twice
    assert changed == {"bob"}
    assert groups.poll() == frozenset()


def test_a_file_that_cannot_be_read_is_unavailable(path: Path) -> None:
    with pytest.raises(AccountError, match="No such file or directory; its lines are GROUP: USER"):
        GroupFile(path, "utf-8", str)
    with pytest.raises(AccountError, match="not UTF-8"):
        open_file(path, b"j\xf6rg: ann\n")
    groups = open_file(path, "staff: ann\n")
    path.unlink()
    with pytest.raises(CheckerUnavailable) as failed:
        groups.groups_of("ann")
    assert failed.value.detail == f"{path} cannot be used: No such file or directory"
