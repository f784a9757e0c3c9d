"""Twisted as it is installed: plugins of both sides, `twistd`, and Twisted's own tests."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

import twisted
from twisted.cred import credentials as their_credentials
from twisted.plugins import actorcred_auth

from actorcred import ANONYMOUS, Anonymous, Portal, UnauthorizedLogin, UsernamePassword
from actorcred.adapters.twisted.plugins import CredCheckerFactory
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.options import describe_type, list_types
from actorcred.auth.plugin import CheckerPlugin
from actorcred.auth.registry import GROUP, from_string, own_plugins
from actorcred.checkers.sqlite import SQLiteChecker
from tests.adapters.greeters import Hall, OurGreeter, ours, password, result
from tests.auth.test_third_party_plugin import ROOT, copy_project, pip
from tests.backends.servers import eventually

pytestmark = pytest.mark.usefixtures("on_this_thread")


def test_twisteds_plugins_are_types_of_our_auth(tmp_path, real_reactor):
    (tmp_path / "users").write_text("ann:s3cret\n")
    listed = list_types((UsernamePassword,))
    assert "twisted-file:" in listed
    assert "twisted-anonymous" not in listed
    assert "FilePasswordDB" in describe_type("twisted-file")
    portal = Portal.start(
        Hall.start(),
        [from_string(f"twisted-file:{tmp_path / 'users'}"), from_string("twisted-anonymous")],
    )

    assert (
        portal.login(UsernamePassword("ann", "s3cret"), None, OurGreeter)
        .get(timeout=10)
        .session.avatar_id
        == "ann"
    )
    with pytest.raises(UnauthorizedLogin):
        portal.login(UsernamePassword("ann", "x"), None, OurGreeter).get(timeout=10)
    assert (
        portal.login(Anonymous(), None, OurGreeter).get(timeout=10).session.avatar_id is ANONYMOUS
    )


def test_what_is_wrong_with_a_type_of_twisteds_is_said():
    with pytest.raises(DescriptorError, match="requires a filename"):
        from_string("twisted-file:")
    with pytest.raises(DescriptorError, match="unknown type"):
        from_string("twisted-nonsense:x")


def test_our_types_are_factories_of_twisteds():
    assert actorcred_auth.actorcred_file.authType == "actorcred-file"
    checker = actorcred_auth.actorcred_memory.generateChecker("ann:s3cret")
    assert result(checker.requestAvatarId(password())) == b"ann"
    with pytest.raises(ValueError, match="PATH"):
        actorcred_auth.sqlite.generateChecker("")


def test_twisted_is_told_of_all_our_types_with_credentials_that_it_knows():
    known = {
        entry.name
        for entry in entry_points(group=GROUP)
        if entry.dist is not None and entry.dist.name == "actorcred"
    }
    assert [
        name for name in sorted(known) if CredCheckerFactory(name).credentialInterfaces
    ] == list(actorcred_auth.TYPES)


def test_types_of_other_packages_are_behind_one_of_ours(monkeypatch):
    """They come and go, and Twisted remembers which plugins there are."""
    ticket = CheckerPlugin(
        "ticket", "NUMBER", "", (UsernamePassword,), lambda argument: ours(ann=str(argument))
    )
    monkeypatch.setitem(own_plugins(), "ticket", ticket)
    factory = actorcred_auth.any_type

    assert "ticket" in factory.authHelp
    assert their_credentials.IUsernamePassword in factory.credentialInterfaces
    checker = factory.generateChecker("ticket:4711")
    assert result(checker.requestAvatarId(password(b"ann", b"4711"))) == b"ann"
    with pytest.raises(ValueError, match="nonsense"):
        factory.generateChecker("nonsense")


def test_a_type_that_cannot_be_used_is_not_offered():
    broken = CredCheckerFactory("nonsense")
    assert (broken.authHelp, broken.argStringFormat, broken.credentialInterfaces) == (
        "It cannot be used.",
        "No argstring required.",
        [],
    )
    with pytest.raises(ValueError, match="unknown type"):
        broken.generateChecker()


def test_a_program_of_twisteds_takes_our_types(tmp_path):
    """A client logs in at `twistd words --auth sqlite:accounts.db`, installed as a user has it."""
    accounts = SQLiteChecker.start(tmp_path / "accounts.db")
    accounts.add_account("ann", "a long s3cret").get(timeout=30)
    accounts.stop()
    copy_project(tmp_path / "source")
    pip(sys.executable, "wheel", "--no-deps", "-w", tmp_path, tmp_path / "source")
    pip(
        sys.executable,
        "install",
        "--no-deps",
        "--target",
        tmp_path / "site",
        *tmp_path.glob("*.whl"),
    )
    environment = {
        "PYTHONPATH": str(tmp_path / "site"),
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(tmp_path),
    }

    def twistd(*words: str) -> str:
        command = [
            sys.executable,
            "-c",
            "from twisted.scripts.twistd import run; run()",
            "-n",
            "words",
            *words,
        ]
        done = subprocess.run(
            command,
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    assert "sqlite" in twistd("--help-auth")
    assert "actorcred passwd" in twistd("--help-auth-type", "sqlite")
    assert "Unexpected error" in twistd("--auth", "sqlite:")
    port = tmp_path / "port"
    script = tmp_path / "serve.py"
    script.write_text(WORDS.format(port=port))
    server = subprocess.Popen(
        [sys.executable, script, f"sqlite:{tmp_path / 'accounts.db'}"],
        env=environment,
        cwd=tmp_path,
    )
    try:
        assert_irc_login(port, server)
    finally:
        server.terminate()
        server.wait(10)


WORDS = """
import sys
from twisted.internet import reactor
from twisted.words.tap import Options, makeService
options = Options()
options.parseOptions(["--irc-port", "tcp:0:interface=127.0.0.1", "--auth", sys.argv[1]])
service = makeService(options)
service.startService()
def tell():
    (port,) = [reader for reader in reactor.getReaders() if hasattr(reader, "factory")]
    open("{port}.new", "w").write(str(port.getHost().port))
    __import__("os").rename("{port}.new", "{port}")
reactor.callLater(0, tell)
reactor.run()
"""


def assert_irc_login(port: Path, server: Any) -> None:
    number = int(eventually(port.read_text, FileNotFoundError))
    assert server.poll() is None
    for secret, words in (("a long s3cret", b"376 ann"), ("wrong", b"Login failed")):
        with socket.create_connection(("127.0.0.1", number), 10) as sock:
            sock.settimeout(30)
            sock.sendall(f"PASS {secret}\r\nNICK ann\r\nUSER ann 0 * :ann\r\n".encode())
            said = b""
            while words not in said:
                data = sock.recv(4096)
                assert data, said
                said += data


# -- Twisted's own tests -------------------------------------------------------------------------


def run_own_tests(*modules: str, code: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run Twisted's own tests; `code` changes what is expected of them."""
    program = (
        "import sys; from tests.adapters import twisteds_own_tests as own; "
        f"{code}; sys.exit(own.main({modules!r} or own.MODULES))"
    )
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
def test_twisteds_own_tests_pass_with_our_portal_but_for_those_with_a_reason():
    done = run_own_tests()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    documented = " ".join((ROOT / "docs/topics/coming-from-twisted-cred.md").read_text().split())
    version = re.search(r"own tests with Twisted (\d+\.\d+)", documented)
    if twisted.__version__.startswith(f"{version[1]}."):  # another one may have other tests
        line = done.stdout.splitlines()[-1]
        assert line.removesuffix(" or fail") in documented


def test_an_exclusion_of_twisteds_own_tests_that_is_not_right_any_more_fails():
    name = "twisted.conch.test.test_tap.MakeServiceTests.test_"
    done = run_own_tests(
        "twisted.conch.test.test_tap",
        code=f"own.CANNOT = {{'{name}checkers': 'why', '{name}nothing': 'why'}}",
    )

    assert f"{name}checkers: WRONG, it is passed now" in done.stdout
    assert f"{name}nothing: WRONG, it is not there now" in done.stdout
    assert done.returncode == 1


def test_without_twisted_the_adapter_says_what_to_install():
    code = "import sys; sys.modules['twisted'] = None\nimport actorcred.adapters.twisted"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'actorcred[twisted]'" in done.stderr
