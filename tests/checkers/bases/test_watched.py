"""Files that change, also while they are read."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from actorcred import AccountError, Portal, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.polling import POLL
from actorcred.checkers.bases.watched import WatchedFile
from actorcred.passwords.hashing import hash_password
from actorcred.sasl.http_digest import digest_of
from tests.helpers import Arena, Player


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
    with pytest.raises(
        AccountError, match=r"cannot read '.*/none': No such file or directory; make one"
    ):
        WatchedFile(tmp_path / "none", words, hint="make one")
    replace(path, "bad\n")
    with pytest.raises(AccountError, match=r"a bad word$"):
        WatchedFile(path, words, hint="make one")
    path.write_bytes(b"\xff")
    with pytest.raises(AccountError, match=r"it is not UTF-8$"):
        WatchedFile(Path(path), words)


TOMORROW = 86_400


@pytest.mark.parametrize("ahead", [30, TOMORROW, 100 * 365 * TOMORROW])
def test_a_file_of_the_future_without_an_end_is_read(path, ahead):
    """As by a machine whose clock is ahead, or `touch -d`.

    Its lines counted once the time was past.
    """
    file = WatchedFile(path, words, lines=True)
    path.write_text("two")
    then = time.time() + ahead
    os.utime(path, (then, then))
    assert file.read() == ["two"]
    assert file.poll() is None
    assert file.poll() == (["one"], ["two"])


@pytest.fixture
def hasty(path, monkeypatch):
    """However slow the machine is, the file has been changed just now."""
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: min(clock(), path.stat().st_mtime + 0.5))


def test_what_is_being_written_is_read_when_it_has_an_end(path, hasty):
    file = WatchedFile(path, words, lines=True)
    path.write_text("tw")
    assert file.read() == ["one"]
    path.write_text("two\n")
    assert file.read() == ["two"]


def test_what_has_no_end_is_read_when_it_is_old(path):
    file = WatchedFile(path, words, lines=True)
    path.write_text("three")
    long_ago = time.time() - 2
    os.utime(path, (long_ago, long_ago))
    assert file.read() == ["three"]


def test_a_file_that_is_written_all_the_time_and_never_has_an_end_is_read(path, hasty, monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    file = WatchedFile(path, words, lines=True)
    for text in ("two", "three"):
        path.write_text(text)
        assert file.read() == ["one"]
        now += 2.9
    path.write_text("four")
    assert file.read() == ["four"]


def test_a_change_that_keeps_time_and_size_is_seen(path):
    """As by `rsync -t --inplace`, or two changes within the grain of the file system's clock."""
    file = WatchedFile(path, words, lines=True)
    status = path.stat()
    with path.open("r+") as same:
        same.write("two\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert file.read() == ["two"]


def _digest_line(name):
    return f"{name}:players:{digest_of('MD5', name, 'players', 'right')}"


KINDS = {
    "file": ("file:{}", lambda name: f"{name}:{hash_password(password='right', rounds=4)}"),
    "htdigest": ("htdigest:{}", _digest_line),
    "allow": ("allow[file={}]:(memory:ann:right:bob:right)", lambda name: name),
}


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_removed_by_a_file_of_the_future_is_out(kind, tmp_path, inline):
    descriptor, line = KINDS[kind]
    path = tmp_path / "list"
    path.write_text(f"{line('ann')}\n{line('bob')}\n")
    portal = Portal.start(Arena.start([]), [from_string(descriptor.format(path))])
    ann, bob = (
        portal.login(UsernamePassword(name, "right"), None, Player) for name in ("ann", "bob")
    )
    inline.advance(0)
    sessions = ann.get(timeout=10).session, bob.get(timeout=10).session
    path.write_text(line("bob"))
    then = time.time() + TOMORROW
    os.utime(path, (then, then))
    with pytest.raises(UnauthorizedLogin):
        portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=10)
    inline.advance(2 * POLL)
    assert [session.is_open for session in sessions] == [
        False,
        kind != "file",
    ]  # a new hash is a new password


def test_what_is_wrong_with_a_file_is_found_out_once(path):
    parsed = []
    file = WatchedFile(path, lambda raw: parsed.append(raw) or words(raw))
    for text in ("bad\n", "worse and bad\n"):
        replace(path, text)
        for _ in range(3):
            with pytest.raises(ValueError, match="a bad word"):
                file.read()
    replace(path, "two\n")
    assert file.read() == ["two"]
    assert len(parsed) == 4
