"""Users of the system, by a PAM service of the test's own.

The service, the users and their shadow entries are files of the test. A process in a namespace of its own sees them in the
place of the system's, so that nothing of the system is touched and nobody has to be root.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actorcred import AccountError
from actorcred.descriptors import DescriptorError
from actorcred.plugins import from_string

pytest.importorskip("pam", reason="python-pam is not installed: pip install 'actorcred[pam]'")

TODAY = int(time.time() // 86400)
PROGRAM = """
import json, sys
from actorcred import LoginFailed, Portal, UsernamePassword, actors
from actorcred.plugins import from_string
from tests.helpers import Arena, Player

service, *pairs = json.load(sys.stdin)
portal = Portal.start(Arena.start([]), [from_string(f"unix:{service}")])
for name, password in pairs:
    try:
        print(portal.login(UsernamePassword(name, password), None, Player).get(timeout=60).session.avatar_id)
    except LoginFailed as error:
        print(error.code)
assert actors.shutdown() == []
"""


def hashed(password):
    passlib = pytest.importorskip("passlib.hash")
    return passlib.sha512_crypt.using(rounds=1000).hash(password)


@pytest.fixture
def system(tmp_path):
    probe = subprocess.run(["unshare", "-rm", "mount", "--bind", "/etc", "/etc"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this system lets nobody make a namespace (unshare -rm)")
    users = {  # shadow(5): last change, minimum, maximum, warning, inactive, expiry
        "ann": f"{hashed('right')}:{TODAY}:0:99999:7::",
        "expired": f"{hashed('right')}:{TODAY}:0:99999:7::{TODAY - 1}",
        "aged": f"{hashed('right')}:{TODAY - 100}:0:30:7:1:",
        "mustchange": f"{hashed('right')}:0:0:99999:7::",
        "locked": f"!{hashed('right')}:{TODAY}:0:99999:7::",
        "empty": f":{TODAY}:0:99999:7::",
    }
    (tmp_path / "shadow").write_text("".join(f"{name}:{entry}:\n" for name, entry in users.items()))
    own = [f"{name}:x:{2000 + number}:2000:{name}:/:/bin/sh" for number, name in enumerate(users)]
    (tmp_path / "passwd").write_text("\n".join(["root:x:0:0:root:/root:/bin/sh", *own, ""]))
    (tmp_path / "group").write_text("root:x:0:\nusers:x:2000:\n")
    services = tmp_path / "services"
    services.mkdir()
    (services / "game").write_text("auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
    (services / "broken").write_text("auth required pam_that_is_not_there.so\naccount required pam_permit.so\n")
    mounts = {"passwd": "passwd", "shadow": "shadow", "group": "group", "services": "pam.d"}
    script = "".join(f"mount --bind '{tmp_path / own}' /etc/{name} && " for own, name in mounts.items())

    def check(service, *pairs):
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", f'{script} exec "$@"', "sh", sys.executable, "-c", PROGRAM],
            input=json.dumps([service, *pairs]),
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "right" not in done.stderr
        return done.stdout.split()

    return check


def test_the_right_password_lets_in_and_account_management_counts(system):
    pairs = {
        ("ann", "right"): "ann",
        ("ann", "wrong"): "refused",
        ("ann", ""): "refused",
        ("nobody-here", "right"): "refused",
        ("expired", "right"): "refused",
        ("aged", "right"): "refused",
        ("mustchange", "right"): "refused",
        ("locked", "right"): "refused",
        ("locked", "!"): "refused",
        ("empty", ""): "refused",
        ("empty", "x"): "refused",
    }
    assert system("game", *pairs) == list(pairs.values())


def test_a_service_that_cannot_work_is_unavailable(system):
    assert system("broken", ("ann", "right")) == ["unavailable"]


def test_a_service_is_the_name_of_a_file_that_is_there():
    with pytest.raises(AccountError, match="no PAM service 'no-such-service'"):  # and not the one called "other"
        from_string("unix:no-such-service")
    for text in ("unix:../../tmp/evil", "unix:a\nb"):
        with pytest.raises(DescriptorError, match="name of a file"):
            from_string(text)
