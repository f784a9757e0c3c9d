"""Password files: Apache's forms, one's own forms, and files that change while they are in use."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorcred import AccountError, CheckerUnavailable, Portal, UnauthorizedLogin, UsernamePassword
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.polling import POLL
from actorcred.checkers.file import FileChecker, FileFormat
from actorcred.identity import Identity
from actorcred.passwords.hashing import hash_password
from tests.helpers import Arena, Player, Stage


def bcrypt(password):
    return hash_password(password=password, rounds=4)


RIGHT = bcrypt("right")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "users.htpasswd"


def login(portal, name="ann", password="right"):
    return portal.login(UsernamePassword(name, password), None, Player).get(timeout=30).session


def serve(path, form=None):
    return Portal.start(Arena.start([]), [FileChecker.start(path, form)])


@pytest.mark.parametrize(
    "option", ["-B", "-m", "-s", "-2", "-5"], ids=["bcrypt", "apr1", "SHA-1", "SHA-256", "SHA-512"]
)
def test_files_by_apaches_htpasswd(path, option):
    program = shutil.which("htpasswd")
    if program is None:
        pytest.skip("htpasswd is not installed; on Debian: apt-get install apache2-utils")
    for name, password in (("ann", "right"), ("bob", "sn\u00f6")):
        create = [] if path.exists() else ["-c"]
        subprocess.run(
            [program, "-b", *create, option, path, name, password], check=True, capture_output=True
        )
    portal = serve(path)

    assert login(portal).avatar_id == "ann"
    assert login(portal, "bob", "sn\u00f6").avatar_id == "bob"
    for name, password in (("ann", "wrong"), ("bob", "right"), ("eve", "right")):
        with pytest.raises(UnauthorizedLogin):
            login(portal, name, password)


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("abJnggxhB/yWI", "traditional DES crypt"),
        ("$1$abc$defghijklmnopqrstuvwxyz", "MD5-crypt"),
        ("right", "plain text"),
        ("{SSHA}abcdefgh", r"{SSHA}"),
        ("$argon2id$v=19$abc", "damaged"),
        ("$2b$12$tooshort", "damaged bcrypt"),
        ("$apr1$7XJDXSpI$short", "damaged"),
    ],
)
def test_a_hash_that_is_not_safe_is_refused_by_name(path, caplog, stored, name):
    path.write_text(f"ann:{stored}\nbob:{bcrypt('right')}\n")
    portal = serve(path)

    assert "'ann' cannot log in: a" in caplog.text or "'ann' cannot log in: plain" in caplog.text
    assert name in caplog.text
    assert stored == "right" or stored not in caplog.text
    with pytest.raises(UnauthorizedLogin):
        login(portal)
    assert login(portal, "bob").avatar_id == "bob"


def test_comments_blank_and_damaged_lines_harm_no_other(path, caplog):
    path.write_text(
        f"# users\n\nno delimiter\n:{bcrypt('x')}\nann:{bcrypt('right')}\nann:{bcrypt('second')}\n"
    )
    portal = serve(path)

    assert login(portal).avatar_id == "ann"
    with pytest.raises(UnauthorizedLogin):
        login(portal, "ann", "second")
    assert "line 3: there are only 1 fields" in caplog.text
    assert "line 4: the user name must not be empty" in caplog.text


def test_fields_case_and_hash_function_are_configurable(path):
    def sha(name, password, stored):
        return hashlib.sha256(f"{name.lower()}{password}".encode()).hexdigest()

    path.write_text(f"1|{sha('ann', 'right', '')}|Ann\n")
    form = FileFormat(
        delimiter="|", username_field=2, password_field=1, case_sensitive=False, hash_function=sha
    )
    portal = serve(path, form)

    assert login(portal, "ANN").avatar_id == "Ann"
    with pytest.raises(UnauthorizedLogin):
        login(portal, "ann", "wrong")
    for wrong in ({"delimiter": ""}, {"username_field": 1}, {"password_field": -1}):
        with pytest.raises(ValueError, match="must"):
            FileFormat(**wrong)


def test_a_file_that_cannot_be_read_is_named(path, tmp_path):
    with pytest.raises(
        AccountError,
        match=r"'.*users.htpasswd': No such file.*`actorcred passwd add file:.*htpasswd NAME`",
    ):
        FileChecker.start(path)
    path.write_bytes(b"ann:\xff\n")
    with pytest.raises(AccountError, match="not UTF-8"):
        FileChecker.start(path)
    with pytest.raises(AccountError, match="Is a directory"):
        FileChecker.start(tmp_path)


def test_a_file_that_vanishes_makes_logins_unavailable_until_it_is_back(path):
    text = f"ann:{bcrypt('right')}\n"
    path.write_text(text)
    portal = serve(path)
    path.unlink()
    with pytest.raises(CheckerUnavailable):
        login(portal)
    path.write_text(text)

    assert login(portal).avatar_id == "ann"


def test_a_file_that_is_replaced_all_the_time_loses_nobody(path):
    names = [f"user{number}" for number in range(20)]
    lines = [f"{name}:{bcrypt('right')}\n" for name in names]
    path.write_text("".join(lines))
    portal = serve(path)
    enough, replaced = threading.Event(), []

    def replace():
        while not enough.wait(0.01):
            fresh = path.with_suffix(".new")
            fresh.write_text("".join([f"# {len(replaced)}\n", *lines]))
            os.replace(fresh, path)
            replaced.append(fresh)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for start in range(0, 1000, 50):
            wanted = [names[number % len(names)] for number in range(start, start + 50)]
            logins = [
                portal.login(UsernamePassword(name, "right"), None, Player) for name in wanted
            ]
            assert [login.get(timeout=30).session.avatar_id for login in logins] == wanted
    finally:
        enough.set()
        thread.join()
    assert len(replaced) > 10


def test_who_is_new_in_a_file_gets_in_at_once(path):
    path.write_text(f"ann:{bcrypt('right')}\n")
    portal = serve(path)
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{path.read_text()}bob:{bcrypt('right')}\n")
    os.replace(fresh, path)
    assert login(portal, "bob").avatar_id == "bob"
    assert login(portal).avatar_id == "ann"


@given(
    st.lists(st.text(max_size=40) | st.text(":#$!\n\r\0{}", max_size=20), max_size=5),
    st.binary(max_size=5),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_else_is_in_a_file_the_others_are_unharmed(path, lines, end):
    path.write_bytes(
        "\n".join([*lines, f"ann:{RIGHT}", *lines, ""]).encode("utf-8", "surrogatepass") + end
    )
    try:
        checker = FileChecker.start(path)
    except AccountError as error:
        assert "not UTF-8" in str(error)
        return
    try:
        account = checker.actor_inbox.actor.lookup("ann")
        first = next(
            (line for line in lines for line in line.split("\n") if line.startswith("ann:")), None
        )
        assert first is not None or account.hash == RIGHT
    finally:
        checker.stop()


def test_a_half_written_file_does_not_lock_anybody_out(path):
    path.write_text(f"ann:{bcrypt('right')}\nbob:{bcrypt('right')}\n")
    portal = serve(path)
    with path.open("w") as file:
        file.write("ann:$2b$04$")  # as htpasswd does when it is interrupted here
        file.flush()
        assert login(portal, "bob").avatar_id == "bob"


def test_sessions_of_users_who_were_removed_or_changed_end(path, inline):
    path.write_text("".join(f"{name}:{bcrypt('right')}\n" for name in ("ann", "bob", "cleo")))
    stage = Stage(checkers=0)
    stage.portal.register_checker(FileChecker.start(path)).get()
    ann, bob, cleo = (stage.login(name) for name in ("ann", "bob", "cleo"))
    cleo_line = path.read_text().splitlines()[2]
    fresh = path.with_suffix(".new")
    fresh.write_text(f"bob:{bcrypt('another')}\n{cleo_line}\n")
    os.replace(fresh, path)
    inline.advance(POLL + 0.1)
    assert ann.session.is_open  # once more, in case the file is being written
    inline.advance(POLL)

    assert not ann.session.is_open
    assert not bob.session.is_open
    assert cleo.session.is_open
    assert ("logged_out", "revoked", "deleted") in stage.notified
    assert ("logged_out", "revoked", "password changed") in stage.notified


def test_without_the_extra_an_apr1_hash_says_what_to_install(path, monkeypatch, caplog):
    import sys

    monkeypatch.setitem(sys.modules, "passlib", None)
    monkeypatch.setitem(sys.modules, "passlib.hash", None)
    path.write_text("ann:$apr1$7XJDXSpI$GVjIBWbnEZdJSjTuC8J5U0\n")
    FileChecker.start(path)

    assert "pip install 'actorcred[htpasswd]'" in caplog.text


SENT = {
    "ASCII": "right one",
    "composed": "sn\u00f6",
    "decomposed": "sno\u0308",
    "no-break space": "a\u00a0b",
    "ideographic space": "a\u3000b",
    "tab": "a\tb \t",
    "ligature": "\ufb01sh",
    "invisible": "a\u200bb",
    "escape": "\x1b[A",
}


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
@pytest.mark.parametrize("option", ["-mb", "-2b", "-bBC4"], ids=["apr1", "SHA-256", "bcrypt"])
def test_what_apaches_tool_accepts_of_its_own_file_is_accepted(path, sent, option):
    program = shutil.which("htpasswd")
    if program is None:
        pytest.skip("htpasswd is not installed; on Debian: apt-get install apache2-utils")
    subprocess.run([program, "-c", option, path, "ann", sent], check=True, capture_output=True)
    subprocess.run([program, "-vb", path, "ann", sent], check=True, capture_output=True)
    portal = serve(path)
    assert login(portal, password=sent).avatar_id == "ann"
    assert login(portal, password=sent.encode()).avatar_id == "ann"
    for wrong in (f"{sent}x", sent[:-1], ""):
        with pytest.raises(UnauthorizedLogin):
            login(portal, password=wrong)


@pytest.mark.parametrize("before", ["", " ", "\t", "  \t", "\ufeff"], ids=repr)
@pytest.mark.parametrize("after", ["", " ", "\t", "\r", " \r"], ids=repr)
def test_blanks_around_a_line_and_a_byte_order_mark_do_not_count(path, before, after):
    path.write_text(
        f"{before}ann:{RIGHT}{after}\n  # eve:{RIGHT}\n \nbob:{RIGHT}:Bob{after}\n",
        "utf-8",
        newline="",
    )
    portal = serve(path)
    assert login(portal).avatar_id == "ann"
    assert login(portal, "bob").avatar_id == "bob"


def test_blanks_that_divide_fields_are_kept(path):
    path.write_text(f"\tann\t{RIGHT}\nbob  {RIGHT}\n")
    portal = serve(path, FileFormat(delimiter="\t", username_field=1, password_field=2))
    assert login(portal).avatar_id == "ann"


NAMES = {
    "decomposed": "jo\u0308rg",
    "full width": "\uff4a\u00f6\uff52\uff47",
    "composed": "j\u00f6rg",
}


@pytest.mark.parametrize("written", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("typed", NAMES.values(), ids=NAMES)
def test_a_name_is_found_in_any_form(path, written, typed):
    path.write_text(f"{written}:{RIGHT}\n")
    assert login(serve(path), typed).avatar_id == "j\u00f6rg"


def test_of_two_lines_with_one_name_the_one_in_its_usual_form_counts_and_the_log_names_both(
    path, caplog
):
    path.write_text(f"jo\u0308rg:{bcrypt('first')}\nann:{RIGHT}\nj\u00f6rg:{bcrypt('second')}\n")
    portal = serve(path)
    assert login(portal, "j\u00f6rg", "second").avatar_id == "j\u00f6rg"
    with pytest.raises(UnauthorizedLogin):
        login(portal, "j\u00f6rg", "first")
    assert "line 3: 'j\u00f6rg' is also in line 1, which is ignored" in caplog.text


BAD_BYTES = [b"\xff", b"j\xf6rg", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xc2"]


@pytest.mark.parametrize("bad", BAD_BYTES, ids=repr)
@pytest.mark.parametrize(
    "where",
    ["{bad}:" + RIGHT, "eve:{bad}", "# {bad}", "{bad}"],
    ids=["name", "hash", "comment", "alone"],
)
def test_bytes_that_are_not_utf_8_harm_no_other_line(path, bad, where, caplog):
    """Also in a file that a server is using."""
    path.write_text(f"ann:{RIGHT}\n")
    portal = serve(path)
    path.write_bytes(
        where.encode().replace(b"{bad}", bad) + f"\nann:{RIGHT}\nbob:{RIGHT}\n".encode()
    )
    assert login(portal).avatar_id == "ann"
    assert login(portal, "bob").avatar_id == "bob"
    assert where.startswith("#") or "line 1: it is not UTF-8" in caplog.text
    assert login(serve(path)).avatar_id == "ann"


def test_an_old_file_in_another_encoding_is_an_option(path):
    from passlib.hash import apr_md5_crypt

    password = apr_md5_crypt.hash("sn\u00f6".encode("latin-1")).encode()
    path.write_bytes(b"j\xf6rg:" + password + b"\nbj\xf6rn:" + RIGHT.encode() + b"\n")
    portal = Portal.start(Arena.start([]), [from_string(f"file[encoding=latin-1]:{path}")])
    assert login(portal, "j\u00f6rg", "sn\u00f6").avatar_id == "j\u00f6rg"
    assert login(portal, "jo\u0308rg", "sno\u0308").avatar_id == "j\u00f6rg"
    assert login(portal, "bj\u00f6rn").avatar_id == "bj\u00f6rn"
    for encoding in ("utf-16", "nonsense", "rot13", ""):
        with pytest.raises(AccountError, match="encoding"):
            from_string(f"file[encoding={encoding}]:{path}")


def test_a_file_in_utf_16_says_what_to_do(path):
    path.write_text(f"ann:{RIGHT}\n", "utf-16")
    with pytest.raises(AccountError, match="it is UTF-16; save it as UTF-8"):
        FileChecker.start(path)


def test_a_disabled_account_is_called_so(path, caplog):
    path.write_text(f"ann:!{RIGHT}\n")
    with pytest.raises(UnauthorizedLogin):
        login(serve(path))
    assert "line 1: 'ann' cannot log in: the account is disabled" in caplog.text


def test_a_file_of_groups_says_in_which_a_user_is(path, tmp_path, inline):
    path.write_text(f"ann:{RIGHT}\nbob:{RIGHT}\neve:!{RIGHT}\n")
    groups = tmp_path / "groups"
    groups.write_text("staff: ann eve\n")
    checker = from_string(f"file[groups={groups}]:{path}")
    portal = Portal.start(Arena.start([]), [checker])
    assert login(portal).identity == Identity("ann", groups=frozenset({"staff"}))
    assert login(portal, "bob").identity == Identity("bob")
    session = login(portal)

    groups.write_text("admin: ann\nthis is no group\n")
    inline.advance(2 * POLL)
    assert session.is_open  # with the groups that it had
    assert login(portal).identity.groups == {"admin"}
    current = checker.actor_inbox.actor.current_identity
    assert current("ann").groups == {"admin"}
    assert current("bob") == Identity("bob")
    assert current("eve") is current("nobody") is None

    groups.unlink()
    with pytest.raises(CheckerUnavailable) as failed:
        login(portal)
    assert "groups cannot be used: No such file" in failed.value.detail
    with pytest.raises(AccountError, match="lines are GROUP: USER USER"):
        from_string(f"file[groups={groups}]:{path}")


def test_without_a_file_of_groups_the_answer_is_a_name(path, inline):
    path.write_text(f"ann:{RIGHT}\n")
    checker = FileChecker.start(path)
    assert login(Portal.start(Arena.start([]), [checker])).identity == Identity("ann")
    assert checker.actor_inbox.actor.current_identity("ann") == Identity("ann")
