"""Files of keys: which are there, and which only seem to be missing."""

from __future__ import annotations

import os

import pytest

from actorcred import CheckerUnavailable
from actorcred.checkers.key_files import LARGEST_FILE, FilePattern


@pytest.fixture
def users(tmp_path):
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "ann").write_text("a key\n")
    return FilePattern(f"{tmp_path}/users/%u")


def test_a_file_is_read_and_names_that_lead_elsewhere_are_not(users, tmp_path):
    assert users("ann") == b"a key\n"
    (tmp_path / "secret").write_text("x")
    for name in ("../secret", ".ann", "a\\b", "bob", "x" * 300):
        assert users(name) is None


def test_a_percent_sign_is_written_twice(tmp_path):
    (tmp_path / "100%-ann").write_text("x")
    assert FilePattern(f"{tmp_path}/100%%-%u")("ann") == b"x"


def test_what_is_no_file_or_too_large_is_that_users_fault(users, tmp_path, caplog):
    (tmp_path / "users" / "bob").mkdir()
    (tmp_path / "users" / "carl").write_bytes(b"#" * (LARGEST_FILE + 1))
    os.mkfifo(tmp_path / "users" / "dora")
    assert [users(name) for name in ("bob", "carl", "dora")] == [None] * 3
    assert caplog.text.count("cannot be read") == 3
    assert not any(users.lacks(name) for name in ("bob", "carl", "dora"))


def test_a_folder_that_cannot_be_read_is_everybodys(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckerUnavailable):
        FilePattern(f"{tmp_path}/file/%u")("ann")
    assert not FilePattern(f"{tmp_path}/file/%u").lacks("ann")


def test_a_file_is_lacking_where_files_were_found_and_not_where_none_was(users, tmp_path):
    assert not users.lacks("bob")  # nothing is known of the folder yet
    users("ann")
    assert users.lacks("bob")
    assert not users.lacks("ann")
    (tmp_path / "users" / "ann").unlink()
    assert users.lacks("ann")


def test_a_folder_that_is_not_mounted_lacks_nobody(users, tmp_path):
    users("ann")
    users._devices = {0}  # as of another file system, which was mounted there
    (tmp_path / "users" / "ann").unlink()
    assert not users.lacks("ann")
