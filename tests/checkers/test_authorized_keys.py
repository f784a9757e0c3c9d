"""authorized_keys files as people have them.

What sshd takes for a key is one, and what it takes for a comment is none.
"""

from __future__ import annotations

import base64
import shutil
import subprocess

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred import Portal, UnauthorizedLogin
from actorcred.auth.registry import from_string
from actorcred.checkers.authorized_keys import LONGEST_COMMENT, entries
from actorcred.checkers.sshkey import SSHKeyChecker
from tests.backends.ssh_keys import proof
from tests.helpers import Arena, Player

KEY, OTHER, EVIL = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
SEPARATORS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r", "\x00"]


def public(key):
    return key.export_public_key().decode().strip()


def lets_in(content, key=KEY, **options):
    portal = Portal.start(Arena.start([]), [SSHKeyChecker.start(lambda name: content)])
    try:
        return (
            portal.login(proof(key, **options), None, Player).get(timeout=10).session.avatar_id
            == "ann"
        )
    except UnauthorizedLogin:
        return False


LAYOUTS = {
    "crlf": f"{public(OTHER)} other\r\n{public(KEY)} ann@host\r\n",
    "crlf without a comment": f"{public(OTHER)}\r\n{public(KEY)}\r\n",
    "no end": f"{public(OTHER)}\n{public(KEY)}",
    "blank first": f"\n\n{public(KEY)}\n",
    "indented": f"   # indented\n\t\n  {public(KEY)}\n",
    "tabs": public(KEY).replace(" ", "\t") + "\tann's key\n",
    "many blanks": public(KEY).replace(" ", " \t  ") + "   a comment of many words\n",
    "BOM": f"\ufeff{public(KEY)}\n",
    "tab after the options": f'from="192.0.2.0/24"\t{public(KEY)}\n',
    "comment in quotes": f'{public(KEY)} "ann"\n',
    "damaged lines first": (
        f'from="192.0.2.7",no-pty ssh-rsa AAAA broken\nfrom="192 {public(KEY)}\n'
        f"ssh-ed25519\n{public(KEY)}\n"
    ),
    "old kinds first": f"ssh-dss AAAAB3NzaC1kc3MAAAAA old\nssh-rsa not-base64!\n{public(KEY)}\n",
    "blank in a value": f'from="10.0.0.1, 192.0.2.7" {public(KEY)}\n',
    "large letters": f'FROM="192.0.2.7",No-Port-Forwarding,NO-X11-FORWARDING {public(KEY)}\n',
    "no quotes": f"from=192.0.2.7 {public(KEY)}\n",
}


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS)
def test_layout(content):
    assert lets_in(content)
    assert not lets_in(content, EVIL)


@pytest.mark.parametrize("comment", ["Jörg's laptop", "ann@büro", "王伟"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le"])
def test_a_comment_is_bytes(tmp_path, comment, encoding):
    """`ssh-keygen -C` takes any, and sshd does not look at it."""
    (tmp_path / "ann").write_bytes(
        public(KEY).encode()
        + b" "
        + comment.encode(encoding, "replace")
        + b"\n"
        + public(OTHER).encode()
    )
    portal = Portal.start(Arena.start([]), [from_string(f"sshkey:{tmp_path}/%u")])
    for key in (KEY, OTHER):
        assert portal.login(proof(key), None, Player).get(timeout=10).session.avatar_id == "ann"


@pytest.mark.parametrize("separator", SEPARATORS, ids=repr)
def test_only_a_newline_ends_a_line(separator):
    """Or the comment could hold another key, or end what restricts the first.

    It is its owner's text.
    """
    assert not lets_in(f"{public(OTHER)} me{separator}{public(EVIL)}\n", EVIL)
    assert not lets_in(f"{public(OTHER)}{separator}{public(EVIL)}\n", EVIL)
    assert not lets_in(f'from="203.0.113.9" {public(OTHER)} x{separator}{public(OTHER)}\n', OTHER)
    assert not lets_in(f'from="203.0.113.9"{separator}{public(OTHER)}\n', OTHER)
    assert lets_in(f"{public(OTHER)} me{separator}{public(EVIL)}\n{public(KEY)}\n")


@pytest.mark.parametrize("separator", SEPARATORS[:-1], ids=repr)
@pytest.mark.parametrize("comment", [" me", ""])
def test_ssh_keygen_sees_the_same_keys(tmp_path, separator, comment):
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("ssh-keygen is not installed; on Debian: apt-get install openssh-client")
    raw = f"{public(OTHER)}{comment}{separator}{public(EVIL)}\n# x\n{public(KEY)}\r\n".encode()
    (tmp_path / "keys").write_bytes(raw)
    listed = subprocess.run(
        [program, "-lf", tmp_path / "keys"], check=True, capture_output=True
    ).stdout
    seen = [
        asyncssh.import_public_key(
            entry.kind + b" " + base64.b64encode(entry.blob)
        ).get_fingerprint()
        for entry in entries(raw)
    ]
    # With no blank before such a sign ssh-keygen drops it out of the key, or the line: then we see
    # no more than it does.
    theirs = [line.split(b" ")[1].decode() for line in listed.splitlines() if b"SHA256:" in line]
    assert set(seen) <= set(theirs)
    assert not comment or seen == theirs


@pytest.mark.parametrize(
    "options",
    [
        'command="a \\" b",no-user-rc',
        'from="192.0.2.7" no-user-rc',
        ",no-user-rc",
        'from="192.0.2.7"no-user-rc',
        "no-user-rc=",
        'from=""',
        "from",
        'from="192.0.2.7/24"',
        'from="!192.0.2.8/33,*"',
        'from="192.0.2.7",from="192.0.2.8"',
        'cert-authority="x"',
        'x="',
    ],
)
def test_options_that_cannot_be_kept_or_read_let_nobody_in(options):
    assert not lets_in(f"{options} {public(KEY)}\n")


@given(
    st.binary(max_size=300) | st.text(' \t\r\n\v\f",=\\#no-ptyfrom', max_size=80).map(str.encode)
)
@settings(deadline=None)
def test_any_bytes_are_lines_with_keys_or_without(raw):
    for entry in entries(raw):
        assert not lets_in(raw) or entry.blob == KEY.public_data


def test_what_stands_behind_a_key_is_its_comment_bounded_and_printable():
    key = public(KEY).encode()
    for behind, comment in (
        (b"", ""),
        (b"  ann's   key \t", "ann's   key"),
        (b" j\xf6rg\x1b[2J", "j\ufffdrg\ufffd[2J"),
        (b" " + b"x" * 1000, "x" * LONGEST_COMMENT),
    ):
        (entry,) = entries(b" ".join(key.split(b" ")[:2]) + behind + b"\n")
        assert (entry.blob, entry.comment) == (KEY.public_data, comment)
