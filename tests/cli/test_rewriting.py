"""A file that is changed stays what it is for everybody else, and is old or new, never half."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from actorcred.cli.rewriting import locked, rewrite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "players"
    made.write_bytes(b"old")
    made.chmod(0o640)
    return made


def fail_with(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    rewrite(tmp_path / "new", b"content")

    assert (tmp_path / "new").read_bytes() == b"content"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_a_file_is_replaced_with_its_mode_and_a_reader_keeps_the_old_one(path: Path) -> None:
    with path.open("rb") as reader:
        rewrite(path, b"new content")
        assert reader.read() == b"old"

    assert path.read_bytes() == b"new content"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(path.parent) == ["players"]


@pytest.mark.parametrize("raw", [b"x", b"a longer content"])
def test_a_second_link_still_leads_to_the_file(path: Path, raw: bytes) -> None:
    os.link(path, path.parent / "link")
    rewrite(path, raw)

    assert (path.parent / "link").read_bytes() == raw


def test_where_no_file_can_take_its_place_it_is_overwritten(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, "replace", errno.EXDEV)
    rewrite(path, b"new")

    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["players"]


@pytest.mark.parametrize("call", ["replace", "posix_fallocate"])
def test_a_full_disk_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    if call == "posix_fallocate":
        os.link(path, path.parent / "link")
    fail_with(monkeypatch, call, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        rewrite(path, b"a longer content")

    assert path.read_bytes() == b"old"


def test_a_file_system_that_reserves_nothing_is_written_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(path, path.parent / "link")
    fail_with(monkeypatch, "posix_fallocate", errno.EOPNOTSUPP)
    rewrite(path, b"a longer content")

    assert path.read_bytes() == b"a longer content"


def test_what_is_no_file_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        rewrite(tmp_path, b"")


def test_two_who_change_files_of_a_folder_take_turns(path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with locked(path):
            order.append("second")

    with locked(path):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        thread.join(0.05)
        order.append("first")
    thread.join(10)

    assert order == ["first", "second"]


def test_a_folder_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locked(tmp_path / "none" / "players"):
        pass
