"""Files by Apache's htdigest: passwords, and HTTP Digest with curl as the client."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import subprocess
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorcred import (
    AccountError,
    CheckerUnavailable,
    LoginFailed,
    Portal,
    ProtocolError,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.auth.registry import from_string
from actorcred.checkers.bases.polling import POLL
from actorcred.checkers.htdigest import HtdigestChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.identity import Identity
from actorcred.sasl.http_digest import DigestGate, DigestRequest, StaleNonce, digest_of
from tests.helpers import Arena, Player
from tests.rpc.server.test_asgi import serving
from tests.rpc.stage import on_loop


@pytest.fixture
def path(tmp_path):
    program = shutil.which("htdigest")
    if program is None:
        pytest.skip("htdigest is not installed; on Debian: apt-get install apache2-utils")
    path = tmp_path / "users.htdigest"
    for number, (name, realm, password) in enumerate(
        [("ann", "players", "right"), ("bob", "players", "sn\u00f6")]
    ):
        words = f"{password}\n{password}\n"
        subprocess.run(
            [program, *(["-c"] if not number else []), path, realm, name],
            input=words.encode(),
            check=True,
        )
    return path


def login(portal, name="ann", password="right"):
    return portal.login(UsernamePassword(name, password), None, Player).get(timeout=10).session


def test_files_by_apaches_htdigest(path, dispatcher):
    portal = Portal.start(Arena.start([]), [from_string(f"htdigest[realm=players]:{path}")])
    assert login(portal).avatar_id == "ann"
    assert login(portal, "bob", "sn\u00f6").avatar_id == "bob"
    for name, password in (("ann", "wrong"), ("bob", "right"), ("eve", "right"), ("ann", "")):
        with pytest.raises(UnauthorizedLogin):
            login(portal, name, password)


def test_changes_of_the_file_count_at_once_and_end_sessions(path, inline):
    portal = Portal.start(Arena.start([]), [HtdigestChecker.start(path)])
    session, other = login(portal), login(portal, "bob", "sn\u00f6")
    lines = path.read_text().splitlines()
    path.write_text(f"ann:players:{digest_of('MD5', 'ann', 'players', 'new')}\n{lines[1]}\n")
    with pytest.raises(UnauthorizedLogin):
        login(portal)
    inline.advance(2 * POLL)
    assert not session.is_open
    assert other.is_open
    path.unlink()
    with pytest.raises(CheckerUnavailable):
        login(portal, "bob", "sn\u00f6")
    assert other.is_open


def test_what_cannot_be_used_is_said(path, tmp_path, caplog):
    with pytest.raises(AccountError, match="htdigest -c"):
        HtdigestChecker.start(tmp_path / "none")
    path.write_text(path.read_text() + "nonsense\n:players:x\neve:others:" + "0" * 32 + "\n")
    with pytest.raises(AccountError, match="say which one"):
        HtdigestChecker.start(path)
    assert caplog.text.count("cannot be used") == 2


@given(st.lists(st.text(max_size=40) | st.text(":#0aF\n\r\0", max_size=80), max_size=5))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_else_is_in_a_file_the_others_are_unharmed(tmp_path, lines):
    path, digest = tmp_path / "any", digest_of("MD5", "ann", "players", "right")
    path.write_bytes(
        "\n".join([*lines, f"ann:players:{digest}", *lines, ""]).encode("utf-8", "surrogatepass")
    )
    try:
        checker = HtdigestChecker.start(path, "players")
    except AccountError as error:
        assert "not UTF-8" in str(error)
        return
    try:
        assert (
            checker.actor_inbox.actor.request_avatar_id(UsernamePassword("ann", "right")) == "ann"
        )
    finally:
        checker.stop()


class Pages:
    """A page behind HTTP Digest."""

    def __init__(self, portal, gate):
        self.portal, self.gate, self.asked = portal, gate, 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        self.asked += 1
        host, target = (
            scope["client"][0],
            scope["path"] + ("?" + scope["query_string"].decode()) * bool(scope["query_string"]),
        )
        body = (await receive()).get("body", b"")
        header, stale = dict(scope["headers"]).get(b"authorization"), False
        try:
            if header is None:
                raise UnauthorizedLogin
            answer = self.gate.read(
                header.decode(),
                DigestRequest(scope["method"], target, host, body),
                time.monotonic(),
            )
            status, text, more = 200, await self.portal.verify(answer), []
        except (LoginFailed, ProtocolError, StaleNonce) as error:
            stale = isinstance(error, StaleNonce)
            challenges = self.gate.challenges(host, time.monotonic(), stale=stale)
            status, text, more = (
                401,
                "no",
                [(b"www-authenticate", one.encode()) for one in challenges],
            )
        await send({"type": "http.response.start", "status": status, "headers": more})
        await send({"type": "http.response.body", "body": text.encode()})


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "MD5-sess", "SHA-256-sess"])
@on_loop
async def test_curl_logs_in(algorithm, path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed; on Debian: apt-get install curl")
    checker = (
        HtdigestChecker.start(path)
        if "MD5" in algorithm
        else MemoryChecker.start({"ann": "right"}, plaintext=True)
    )
    pages = Pages(Portal.start(Arena.start([]), [checker]), DigestGate("players", [algorithm]))

    async def fetch(user, *urls):
        words = [curl, "-s", "--digest", "-u", user, "-w", " %{http_code} ", *urls]
        process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0].decode().split()

    async with serving(pages) as port:
        url = f"http://127.0.0.1:{port}/some/page?x=1"
        assert await fetch("ann:right", url) == ["ann", "200"]
        assert await fetch("ann:right", url, url, url) == ["ann", "200"] * 3
        assert await fetch("ann:wrong", url) == ["no", "401"]
        assert await fetch("eve:right", url) == ["no", "401"]


def line_of(name, password="right", encoding="utf-8"):
    digest = hashlib.md5(
        f"{name}:players:{password}".encode(encoding), usedforsecurity=False
    ).hexdigest()
    return f"{name}:players:{digest}".encode(encoding)


@pytest.mark.parametrize("before", [b"", b" ", b"\t", b"\xef\xbb\xbf"], ids=repr)
@pytest.mark.parametrize("after", [b"", b" ", b"\t \r"], ids=repr)
def test_blanks_around_a_line_and_a_byte_order_mark_do_not_count(tmp_path, before, after):
    path = tmp_path / "users"
    path.write_bytes(before + line_of("ann") + after + b"\n  # eve\n" + line_of("bob") + after)
    portal = Portal.start(Arena.start([]), [HtdigestChecker.start(path)])
    assert login(portal).avatar_id == "ann"
    assert login(portal, "bob").avatar_id == "bob"


@pytest.mark.parametrize(
    "bad", [b"\xff", b"j\xf6rg:players:" + b"0" * 32, b"eve:pl\xe4yers:" + b"0" * 32], ids=repr
)
def test_bytes_that_are_not_utf_8_harm_no_other_line(tmp_path, bad, caplog):
    path = tmp_path / "users"
    path.write_bytes(line_of("ann") + b"\n")
    portal = Portal.start(Arena.start([]), [HtdigestChecker.start(path)])
    path.write_bytes(bad + b"\n" + line_of("ann") + b"\n" + line_of("bob") + b"\n")
    assert login(portal).avatar_id == "ann"
    assert login(portal, "bob").avatar_id == "bob"
    assert "line 1 cannot be used: it is not UTF-8" in caplog.text


@pytest.mark.parametrize(
    "written",
    ["j\u00f6rg", "jo\u0308rg", "\uff4a\u00f6rg"],
    ids=["composed", "decomposed", "full width"],
)
@pytest.mark.parametrize("password", ["sn\u00f6", "sno\u0308", "a\u00a0b", "a\tb"], ids=ascii)
def test_names_and_passwords_count_as_the_file_has_them(tmp_path, written, password):
    path = tmp_path / "users"
    path.write_bytes(line_of(written, password) + b"\n")
    portal = Portal.start(Arena.start([]), [HtdigestChecker.start(path)])
    assert login(portal, "jo\u0308rg", password).avatar_id == "j\u00f6rg"
    for wrong in (f"{password}x", ""):
        with pytest.raises(UnauthorizedLogin):
            login(portal, "j\u00f6rg", wrong)


def test_of_two_lines_with_one_name_the_one_in_its_usual_form_counts_and_the_log_names_both(
    tmp_path, caplog
):
    path = tmp_path / "users"
    path.write_bytes(
        line_of("jo\u0308rg", "first") + b"\n" + line_of("j\u00f6rg", "second") + b"\n"
    )
    portal = Portal.start(Arena.start([]), [HtdigestChecker.start(path)])
    assert login(portal, "j\u00f6rg", "second").avatar_id == "j\u00f6rg"
    with pytest.raises(UnauthorizedLogin):
        login(portal, "j\u00f6rg", "first")
    assert "line 2: 'j\u00f6rg' is also in line 1" in caplog.text


def test_an_old_file_in_another_encoding_is_an_option(tmp_path):
    path = tmp_path / "users"
    path.write_bytes(line_of("j\u00f6rg", "sn\u00f6", "latin-1") + b"\n")
    portal = Portal.start(Arena.start([]), [from_string(f"htdigest[encoding=latin-1]:{path}")])
    assert login(portal, "j\u00f6rg", "sn\u00f6").avatar_id == "j\u00f6rg"
    with pytest.raises(AccountError, match="encoding"):
        from_string(f"htdigest[encoding=utf-16]:{path}")


def test_a_line_above_a_user_ends_no_session(tmp_path, inline):
    path = tmp_path / "users"
    path.write_bytes(line_of("ann") + b"\n")
    portal = Portal.start(Arena.start([]), [HtdigestChecker.start(path)])
    session = login(portal)
    path.write_bytes(line_of("bob") + b"\n" + line_of("ann") + b"\n")
    inline.advance(3 * POLL)
    assert session.is_open


def test_a_file_of_groups_says_in_which_a_user_is(tmp_path, inline):
    path, groups = tmp_path / "users", tmp_path / "groups"
    path.write_bytes(line_of("ann") + b"\n" + line_of("bob") + b"\n")
    groups.write_text("staff: ann\n")
    checker = from_string(f"htdigest[groups={groups}]:{path}")
    portal = Portal.start(Arena.start([]), [checker])
    assert login(portal).identity == Identity("ann", groups=frozenset({"staff"}))
    assert login(portal, "bob").identity == Identity("bob")

    groups.write_text("admin: ann\n")
    inline.advance(2 * POLL)
    current = checker.actor_inbox.actor.current_identity
    assert login(portal).identity == current("ann") == Identity("ann", groups=frozenset({"admin"}))
    assert current("nobody") is None
