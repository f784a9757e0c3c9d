"""Lists in files: a line that cannot be read harms no other, and keeps out whom it may mean."""

from __future__ import annotations

import os

import pytest

from actorcred import (
    AccountError,
    CheckerUnavailable,
    Portal,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.polling import POLL
from tests.helpers import Arena, Player, Stage

USERS = "memory:ann:right:bob:right:j\u00f6rg:right"


def enters(kind, path, name):
    portal = Portal.start(Arena.start([]), [from_string(f"{kind}[file={path}]:({USERS})")])
    try:
        return (
            portal.login(UsernamePassword(name, "right"), None, Player)
            .get(timeout=10)
            .session.avatar_id
            == name
        )
    except UnauthorizedLogin:
        return False


@pytest.mark.parametrize("bad", [b"\xff", b"a\x00b", b"\xc3\x28"], ids=repr)
def test_a_line_that_cannot_be_used_harms_no_other(tmp_path, bad, caplog):
    path = tmp_path / "list"
    path.write_bytes(b"\xef\xbb\xbf ann \r\n # bob\n" + bad + b"\n")
    assert enters("allow", path, "ann")
    assert not enters("allow", path, "bob")
    assert not enters("deny", path, "ann")
    assert enters("deny", path, "bob")
    assert "line 3 of a list cannot be used" in caplog.text


@pytest.mark.parametrize(
    "line",
    ["j\u00f6rg".encode("latin-1"), "jo\u0308rg".encode(), "\uff4a\u00f6rg".encode()],
    ids=repr,
)
def test_who_is_denied_in_whatever_form_does_not_come_in(tmp_path, line):
    path = tmp_path / "list"
    path.write_bytes(b"bob\n" + line + b"\n")
    assert not enters("deny", path, "j\u00f6rg")
    assert enters("deny", path, "ann")


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0c", "\x1d"], ids=repr)
def test_a_comment_ends_with_its_line(tmp_path, sign):
    path = tmp_path / "list"
    path.write_text(f"# {sign}ann\nbob\n", "utf-8")
    assert not enters("allow", path, "ann")
    assert enters("deny", path, "ann")


def test_a_list_of_which_nothing_can_be_read_is_refused(tmp_path):
    path = tmp_path / "list"
    path.write_bytes(b"\xff\n")
    with pytest.raises(AccountError, match="not UTF-8"):
        from_string(f"allow[file={path}]:({USERS})")


@pytest.mark.parametrize(("kind", "left"), [("allow", "bob"), ("deny", "ann")])
def test_who_is_listed_anew_has_to_go(tmp_path, inline, kind, left):
    path = tmp_path / "list"
    path.write_text("ann\nbob\n" if kind == "allow" else "nobody\n")
    stage = Stage(checkers=0)
    stage.portal.register_checker(from_string(f"{kind}[file={path}]:({USERS})")).get()
    for name in ("ann", "bob"):
        stage.login(name, "right")
    path.write_text("bob\n" if kind == "allow" else "nobody\nbob\n")
    os.utime(path, (1, 1))
    inline.advance(2 * POLL)

    assert [session.avatar_id for session in stage.portal.sessions().get(timeout=10)] == [left]


def test_a_list_may_stand_in_the_text_itself(inline):
    for kind, enters_by_it in (("allow", "ann"), ("deny", "bob")):
        stage = Stage(checkers=0)
        stage.portal.register_checker(from_string(f"{kind}[names=ann]:({USERS})")).get()
        assert stage.login(enters_by_it, "right").session.avatar_id == enters_by_it
        other = "bob" if enters_by_it == "ann" else "ann"
        with pytest.raises(UnauthorizedLogin):
            stage.login(other, "right")


def test_a_list_that_is_lost_lets_nobody_in(tmp_path, inline):
    path = tmp_path / "list"
    path.write_text("ann\n")
    stage = Stage(checkers=0)
    stage.portal.register_checker(from_string(f"allow[file={path}]:({USERS})")).get()
    path.unlink()
    path.mkdir()

    with pytest.raises(CheckerUnavailable) as failed:
        stage.login("ann", "right")
    assert "the list cannot be used" in failed.value.detail


@pytest.mark.parametrize("options", ["", "[names=ann,file=list]"])
def test_there_is_one_list(options):
    with pytest.raises(DescriptorError, match="needs one of the options names and file"):
        from_string(f"allow{options}:({USERS})")
