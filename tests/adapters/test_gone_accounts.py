"""Accounts that are deleted under live sessions of three protocols, in real stores."""

from __future__ import annotations

import json
import logging

import pytest
import sqlalchemy

from actorcred.checkers.ldap.checker import LDAPChecker, LDAPSettings
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.sql import SQLChecker
from actorcred.checkers.sshkey import SSHKeyChecker
from tests.adapters.three_protocols import PROTOCOLS, ThreeProtocols
from tests.backends.directory import PEOPLE, running_directory
from tests.backends.servers import postgresql, running
from tests.backends.ssh_keys import make_keys, public
from tests.backends.system import System
from tests.backends.tables import fill
from tests.helpers import until


@pytest.fixture
def serve():
    """Yield what serves a portal by three protocols."""
    made = []

    def start(*checkers, **options):
        made.append(ThreeProtocols(*checkers, **options))
        return made[-1]

    yield start
    for one in made:
        one.stop()


def ended(name, detail, protocols=PROTOCOLS):
    return [(protocol, name, "revoked", detail) for protocol in protocols]


def fails(caplog, backend, served):
    """Stop a store until the portal has asked it in vain; no session may end."""
    caplog.set_level(logging.WARNING, "actorcred.portal")
    before = served.open()
    with backend.down():
        until(lambda: "nobody is logged out" in caplog.text)
        assert served.open() == before
    until(lambda: "can be asked again" in caplog.text)
    assert served.open() == before


def test_a_row_of_postgresql(serve, caplog):
    with running(postgresql) as backend:
        fill(backend.url)
        served = serve(SQLChecker.start(backend.url))
        for name in ("ann", "bcrypt"):
            served.log_in(name, "right")
        fails(caplog, backend, served)
        assert served.ended == []
        engine = sqlalchemy.create_engine(backend.url)
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM users WHERE username = 'ann'"))
        engine.dispose()
        served.wait_for(*ended("ann", "deleted"))
        assert served.open() == 3


def test_an_ldap_entry(serve, caplog, tmp_path):
    ldap = pytest.importorskip("ldap", reason="python-ldap is not installed")
    with running_directory(tmp_path) as backend:
        service = LDAPSettings(bind="cn=admin,dc=example", password="admin")
        served = serve(LDAPChecker.start(f"{backend.url}/{PEOPLE}?uid", service))
        served.log_in("ann", "right")
        served.log_in("bob", "hush")
        fails(caplog, backend, served)
        connection = ldap.initialize(backend.url)
        connection.simple_bind_s("cn=admin,dc=example", "admin")
        connection.delete_s(f"uid=ann,{PEOPLE}")
        connection.unbind_s()
        served.wait_for(*ended("ann", "deleted"))
        assert served.open() == 3


def test_an_ssh_key(serve, tmp_path):
    keys = make_keys(tmp_path)
    (tmp_path / "users").mkdir()
    own = tmp_path / "users" / "ann"
    own.write_text(f"{public(keys, 'ed25519')}\n{public(keys, 'ecdsa')}\n")
    served = serve(
        SSHKeyChecker.start(f"{tmp_path}/users/%u"),
        MemoryChecker.start({"ann": "s3cret"}, rounds=4),
    )
    for name in ("ed25519", "ecdsa"):
        served.ssh("ann", client_keys=[str(keys / name)])
    served.log_in("ann", "s3cret")
    own.write_text(f"{public(keys, 'ecdsa')}\n")
    served.wait_for(("ssh", "ann", "revoked", "disabled"))
    assert served.open() == 4
    own.unlink()
    served.wait_for(*[("ssh", "ann", "revoked", "disabled")] * 2)
    assert served.open() == 3


PAM = """
import json, pathlib, sys
from actorcred import actors
from actorcred.auth.registry import from_string
from tests.adapters.three_protocols import ThreeProtocols

passwd, shadow = (pathlib.Path("/etc", name) for name in ("passwd", "shadow"))

def without(path, name):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(name + ":")))

served = ThreeProtocols(from_string("unix:game"))
for name in ("ann", "bob", "carl"):
    served.log_in(name, "right")
without(passwd, "ann")
without(shadow, "ann")
served.wait_for(*[(protocol, "ann", "revoked", "deleted") for protocol in ("rpc", "ssh", "smtp")])
lines = shadow.read_text().splitlines()
shadow.write_text("\\n".join(
    line.replace(":::", "::1:") if line.startswith("bob:") else line for line in lines) + "\\n")
served.wait_for(*[
    (protocol, name, "revoked", what) for protocol in ("rpc", "ssh", "smtp")
    for name, what in (("ann", "deleted"), ("bob", "disabled"))])
print(json.dumps([served.open(), len(served.ended)]))
served.stop()
assert actors.shutdown() == []
"""


def test_a_unix_account(tmp_path):
    pytest.importorskip("pam", reason="python-pam is not installed")
    system = System(tmp_path)
    assert json.loads(system.run(PAM)) == [3, 6], system.log
