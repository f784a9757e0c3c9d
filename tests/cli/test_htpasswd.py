"""Changes to password files, compared with Apache's tool.

Lines that are no accounts stay, and so do the file's owner and mode.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import pwd
import shutil
import subprocess
import threading
import unicodedata

import pytest

from actorcred import AccountError
from actorcred.checkers.file import FileChecker, FileFormat
from actorcred.cli.htpasswd import HtpasswdFile
from actorcred.passwords.hashing import hash_password, verify_password

PASSWORD = "a good long password"

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(
        "actorcred.cli.htpasswd.hash_password", functools.partial(hash_password, rounds=4)
    )


@pytest.fixture(scope="module")
def hashes():
    return {word: hash_password(password=word, rounds=4) for word in ("right", "old", "evil")}


@pytest.fixture
def made(tmp_path, hashes):
    """A file of a string in which `{right}` stands for a hash."""

    def make(text):
        path = tmp_path / "players"
        path.write_bytes(text.format(**hashes).encode())
        return path

    return make


@contextlib.contextmanager
def checker_of(path, form=None):
    checker = FileChecker.start(path, form)
    try:
        yield checker.actor_inbox.actor
    finally:
        checker.stop()


def password_of(path, name, *tried):
    """Return the password that logs a user in by the checker, if one does."""
    with checker_of(path) as checker:
        account = checker.lookup(name)
    if account is None or not account.usable:
        return None
    return next((word for word in tried if verify_password(password=word, hash=account.hash)), None)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["none", "lf", "crlf"])
def test_all_else_stays_byte_for_byte(made, end):
    between = end or "\n"
    text = (
        f"# players{between}  # more\x85{between}{between}no account{between}"
        f"ann:{{right}}:Ann's comment{between}bob:{{old}}"
    )
    path = made(text + end)
    before = path.read_bytes()
    file = HtpasswdFile(str(path))
    file.add("cleo", PASSWORD)
    file.disable("ann")
    file.enable("ann")
    file.change_password("bob", PASSWORD)
    assert password_of(path, "bob", PASSWORD)
    assert path.read_bytes().startswith(before.partition(b"bob:")[0])
    file.delete("cleo")
    file.delete("bob")
    assert path.read_bytes() == before.partition(b"bob:")[0]


def test_a_deleted_user_is_in_no_line_any_more(made):
    """As with Apache's own tool; an old line further down would accept an old password."""
    path = made("ann:{right}\nbob:{right}\nann:{old}\n")
    HtpasswdFile(str(path)).delete("ann")
    assert path.read_text().count("ann") == 0
    assert password_of(path, "bob", "right")


def test_an_old_line_of_a_user_never_comes_to_life(made):
    path = made("ann:{right}\nbob:{right}\nann:{old}\n")
    file = HtpasswdFile(str(path))
    file.disable("ann")
    assert file.accounts() == [("ann", True), ("bob", False)]
    assert password_of(path, "ann", "right", "old") is None
    file.enable("ann")
    assert password_of(path, "ann", "right", "old") == "right"
    file.change_password("ann", PASSWORD)
    assert password_of(path, "ann", PASSWORD, "right", "old") == PASSWORD
    assert path.read_text().count("ann:") == 1


FORMS = {
    "decomposed": "jo\u0308rg",
    "full width": "\uff4a\u00f6rg",
    "after a blank": " j\u00f6rg",
    "after a tab": "\tj\u00f6rg",
    "after a byte order mark": "\ufeffj\u00f6rg",
}


@pytest.mark.parametrize("written", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("given", ["j\u00f6rg", "jo\u0308rg"], ids=["composed", "decomposed"])
def test_a_user_is_found_however_the_name_is_written(made, written, given):
    path = made(f"{written}:{{old}}\n")
    file = HtpasswdFile(str(path))
    with pytest.raises(AccountError, match="already"):
        file.add(given, PASSWORD)
    file.change_password(given, PASSWORD)
    assert file.accounts() == [("j\u00f6rg", False)]
    assert password_of(path, "j\u00f6rg", PASSWORD)
    assert path.read_text("utf-8").startswith(written)
    file.delete(given)
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"], ids=repr
)
def test_a_comment_never_becomes_an_account(made, sign):
    path = made(f"# was{sign}eve:{{evil}}\nann:{{right}}\n")
    file = HtpasswdFile(str(path))
    file.add("bob", PASSWORD)
    assert [name for name, _ in file.accounts()] == ["ann", "bob"]
    assert password_of(path, "eve", "evil") is None


def test_files_of_another_form_and_encoding_are_kept_in_it(tmp_path, hashes):
    path = tmp_path / "users"
    path.write_bytes(f"1|J\u00f6rg|{hashes['right']}|x\n".encode("latin-1"))
    form = FileFormat(
        delimiter="|", username_field=1, password_field=2, case_sensitive=False, encoding="latin-1"
    )
    file = HtpasswdFile(str(path), form)
    file.change_password("j\u00f6rg", PASSWORD)
    file.add("Zo\u00eb", PASSWORD)
    assert [name for name, _ in file.accounts()] == ["J\u00f6rg", "Zo\u00eb"]
    assert [line.split(b"|")[1] for line in path.read_bytes().splitlines()] == [
        b"J\xf6rg",
        b"Zo\xeb",
    ]
    with checker_of(path, form) as checker:
        assert verify_password(password=PASSWORD, hash=checker.lookup("zo\u00eb").hash)
    for name, why in (("a|b", "no '|'"), ("#a", "no #"), ("\u0144", "in latin-1")):
        with pytest.raises(AccountError, match=why):
            file.add(name, PASSWORD)


# -- the file itself -----------------------------------------------------------------------------


def change(path):
    HtpasswdFile(str(path)).add("bob", PASSWORD)
    assert password_of(path, "bob", PASSWORD)


@needs_root
def test_owner_group_and_mode_stay(made):
    """After `sudo actorcred passwd`, the server of another user must be able to read its file."""
    path, nobody = made("ann:{right}\n"), pwd.getpwnam("nobody")
    os.chown(path, nobody.pw_uid, nobody.pw_gid)
    path.chmod(0o640)
    change(path)
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (
        nobody.pw_uid,
        nobody.pw_gid,
        0o640,
    )


def test_a_reader_sees_the_old_file_or_the_new_one(made):
    path = made("ann:{right}\n")
    with path.open() as reader:
        change(path)
        assert reader.read().count("\n") == 1


def test_links_stay_links(made, tmp_path):
    path = made("ann:{right}\n")
    (tmp_path / "etc").mkdir()
    soft, dangling, hard = (
        tmp_path / "etc" / "soft",
        tmp_path / "etc" / "dangling",
        tmp_path / "hard",
    )
    soft.symlink_to("../players")
    dangling.symlink_to("../fresh")
    change(soft)
    change(dangling)
    assert soft.is_symlink()
    assert dangling.is_symlink()
    os.link(path, hard)
    HtpasswdFile(str(hard)).delete("ann")
    assert path.samefile(hard)
    assert path.read_bytes() == hard.read_bytes()
    assert password_of(path, "bob", PASSWORD)
    assert (tmp_path / "fresh").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("call", "number"),
    [("fchown", errno.EPERM), ("replace", errno.EBUSY), ("replace", errno.EXDEV)],
)
def test_where_no_file_can_take_its_place_it_is_overwritten(made, monkeypatch, call, number):
    """The file of another owner in a group-writable mode, or a file mounted into a container."""
    path = made("ann:{right}\n")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    inode = path.stat().st_ino
    change(path)
    HtpasswdFile(str(path)).delete("bob")
    assert path.stat().st_ino == inode
    assert path.read_text().count("\n") == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["players"]


@pytest.fixture
def full(tmp_path):
    """A file of 4,000 bytes on a disk of 8 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", disk]
    if os.getuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        path = disk / "players"
        path.write_text(f"# {'x' * 3997}\n")
        (disk / "other").write_bytes(bytes(4096))
        yield path
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("linked", [False, True], ids=["replaced", "overwritten"])
def test_a_full_disk_is_a_clear_error_and_leaves_the_file_as_it_was(full, linked):
    before = full.read_bytes()
    if linked:
        os.link(full, full.with_name("link"))
    with pytest.raises(AccountError, match=r"cannot write '.*players': No space left on device"):
        for number in range(3):
            HtpasswdFile(str(full)).add(f"bob{number}", PASSWORD)
    assert full.read_bytes()[: len(before)] == before
    assert full.read_bytes().count(b"\0") == 0
    assert not [entry for entry in full.parent.iterdir() if entry.name.startswith(".actorcred")]


def test_what_is_no_file_is_said(tmp_path):
    for name, why in (
        ("none", "there is no file"),
        ("no/folder", "there is no file"),
        (".", "Is a directory"),
    ):
        with pytest.raises(AccountError, match=why):
            HtpasswdFile(str(tmp_path / name)).delete("ann")
    with pytest.raises(AccountError, match="cannot write"):
        HtpasswdFile(str(tmp_path / "no" / "folder")).add("ann", PASSWORD)
    utf16 = tmp_path / "utf16"
    utf16.write_text("ann:x\n", "utf-16")
    with pytest.raises(AccountError, match="UTF-16; save it as UTF-8"):
        HtpasswdFile(str(utf16)).delete("ann")


def test_two_who_change_a_file_at_once_lose_nothing(made):
    path = made("ann:{right}\n")
    names = [f"user{number}" for number in range(8)]
    threads = [
        threading.Thread(target=HtpasswdFile(str(path)).add, args=(name, PASSWORD))
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in HtpasswdFile(str(path)).accounts()) == ["ann", *names]


def test_apaches_tool_and_ours_change_one_file(made):
    program = shutil.which("htpasswd")
    if program is None:
        pytest.skip("htpasswd is not installed; on Debian: apt-get install apache2-utils")
    path = made("ann:{right}\n")
    name = unicodedata.normalize("NFD", "j\u00f6rg")
    subprocess.run([program, "-bB", "-C4", path, name, "theirs"], check=True, capture_output=True)
    HtpasswdFile(str(path)).change_password("j\u00f6rg", PASSWORD)
    subprocess.run([program, "-vb", path, name, PASSWORD], check=True, capture_output=True)
    subprocess.run([program, "-D", path, name], check=True, capture_output=True)
    assert HtpasswdFile(str(path)).accounts() == [("ann", False)]


def test_what_a_file_has_no_place_for_or_cannot_be_read_is_said(made, tmp_path):
    file = HtpasswdFile(str(made("ann:{right}\n")))
    for change in (file.add, file.change_password):
        with pytest.raises(AccountError, match="no place for SCRAM; use sqlite:PATH"):
            change("ann", PASSWORD, scram=True)
    with pytest.raises(AccountError, match="cannot read"):
        HtpasswdFile(str(tmp_path)).accounts()
    with pytest.raises(AccountError, match="there is no file"):
        HtpasswdFile(str(tmp_path / "none")).accounts()
