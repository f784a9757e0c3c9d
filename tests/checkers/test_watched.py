"""Files that change, also while they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actorcred import AccountError
from actorcred.checkers.watched import WatchedFile


def words(raw):
    if b"bad" in raw:
        raise ValueError("a bad word")
    return raw.decode().split()


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "words"
    made.write_text("one\n")
    return made


def replace(path, text):
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


class Busy:
    """A path whose file is replaced after each reading, as often as the test likes."""

    def __init__(self, path, texts):
        self._path, self._texts = path, texts

    def stat(self):
        return self._path.stat()

    def read_bytes(self):
        raw = self._path.read_bytes()
        if self._texts:
            replace(self._path, self._texts.pop(0))
        return raw


def test_a_file_that_is_replaced_while_it_is_read_is_read_again(path):
    file = WatchedFile(path, words)
    replace(path, "two\n")
    file.path = Busy(path, ["three\n", "four\n"])
    assert file.read() == ["four"]


def test_a_file_is_parsed_when_it_has_changed_and_only_then(path):
    parsed = []
    file = WatchedFile(path, lambda raw: parsed.append(raw) or words(raw))
    for _ in range(3):
        assert file.read() == ["one"]
    assert len(parsed) == 1
    replace(path, "two\n")
    assert file.read() == ["two"]
    assert len(parsed) == 2


def test_a_change_is_told_once_and_for_lines_when_it_has_settled(path):
    at_once, lines = WatchedFile(path, words), WatchedFile(path, words, lines=True)
    assert at_once.poll() is lines.poll() is None
    replace(path, "two\n")
    assert at_once.poll() == (["one"], ["two"])
    assert lines.poll() is None
    replace(path, "three\n")
    assert at_once.poll() == (["two"], ["three"])
    assert lines.poll() is None
    assert at_once.poll() is None
    assert lines.poll() == (["one"], ["three"])
    assert lines.poll() is None


def test_a_change_that_was_read_in_between_is_told_all_the_same(path):
    file = WatchedFile(path, words)
    replace(path, "two\n")
    assert file.read() == ["two"]
    assert file.poll() == (["one"], ["two"])


def test_what_cannot_be_used_is_logged_once_and_is_no_change(path, caplog):
    file = WatchedFile(path, words)
    for unusable in (lambda: replace(path, "bad\n"), path.unlink):
        unusable()
        for _ in range(3):
            assert file.poll() is None
    assert caplog.text.count("cannot be used") == 1
    with pytest.raises(OSError, match="No such file"):
        file.read()
    replace(path, "bad\n")
    with pytest.raises(ValueError, match="a bad word"):
        file.read()
    replace(path, "two\n")
    assert file.poll() == (["one"], ["two"])


def test_what_cannot_be_used_from_the_beginning_is_named(path, tmp_path):
    with pytest.raises(AccountError, match=r"cannot read '.*/none': No such file or directory; make one"):
        WatchedFile(tmp_path / "none", words, hint="make one")
    replace(path, "bad\n")
    with pytest.raises(AccountError, match=r"a bad word$"):
        WatchedFile(path, words, hint="make one")
    path.write_bytes(b"\xff")
    with pytest.raises(AccountError, match=r"it is not UTF-8$"):
        WatchedFile(Path(path), words)
