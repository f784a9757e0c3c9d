"""A system with users for PAM: the test's own files in a mount namespace.

A process in that namespace sees them in place of the system's files, so nothing of the system
changes and the test does not need root.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

TODAY = int(time.time() // 86400)
PROGRAM = """
import json, logging, sys
from actorcred import LoginFailed, Portal, UsernamePassword, actors
from actorcred.auth.registry import from_string
from actorcred.testing import Hall, Visitor

logging.basicConfig(format="%(message)s")
text, *pairs = json.load(sys.stdin)
portal = Portal.start(Hall.start(), [from_string(text)])
for name, password in pairs:
    try:
        login = portal.login(UsernamePassword(name, password), None, Visitor)
        print(login.get(timeout=60).session.avatar_id)
    except LoginFailed as error:
        print(error.code)
assert actors.shutdown() == []
"""
SERVICES = {
    "game": "auth required pam_unix.so nodelay\naccount required pam_unix.so\n",
    "lax": "auth required pam_unix.so nodelay nullok\naccount required pam_unix.so\n",
    "broken": "auth required pam_that_is_not_there.so\naccount required pam_permit.so\n",
    "closed": "auth required pam_unix.so nodelay\naccount required pam_deny.so\n",
    "odd": "auth required pam_unix.so nodelay\naccount required pam_that_is_not_there.so\n",
    "slow": "auth required pam_exec.so /bin/sleep 3\naccount required pam_permit.so\n",
}


def hashed(password):
    passlib = pytest.importorskip(
        "passlib.hash", reason="libpass is not installed: pip install 'actorcred[htpasswd]'"
    )
    return passlib.sha512_crypt.using(rounds=1000).hash(password)


class System:
    """Users, and PAM services.

    Args:
        folder: for its files.
    """

    def __init__(self, folder: Path) -> None:
        self.log = ""
        """The log of the last check."""
        probe = subprocess.run(
            ["unshare", "-rm", "mount", "--bind", "/etc", "/etc"], capture_output=True, check=False
        )
        if probe.returncode != 0:
            pytest.skip("this system lets nobody make a namespace (unshare -rm)")
        users = {  # shadow(5): last change, minimum, maximum, warning, inactive, expiry
            **{name: f"{hashed('right')}:{TODAY}:0:99999:7::" for name in ("ann", "bob", "carl")},
            "expired": f"{hashed('right')}:{TODAY}:0:99999:7::{TODAY - 1}",
            "aged": f"{hashed('right')}:{TODAY - 100}:0:30:7:1:",
            "mustchange": f"{hashed('right')}:0:0:99999:7::",
            "locked": f"!{hashed('right')}:{TODAY}:0:99999:7::",
            "empty": f":{TODAY}:0:99999:7::",
        }
        (folder / "shadow").write_text(
            "".join(f"{name}:{entry}:\n" for name, entry in users.items())
        )
        own = [
            f"{name}:x:{2000 + number}:2000:{name}:/:/bin/sh" for number, name in enumerate(users)
        ]
        (folder / "passwd").write_text("\n".join(["root:x:0:0:root:/root:/bin/sh", *own, ""]))
        (folder / "group").write_text("root:x:0:\nusers:x:2000:\nstaff:x:2001:ann,bob\n")
        (folder / "services").mkdir()
        for name, text in SERVICES.items():
            (folder / "services" / name).write_text(text)
        mounts = {"passwd": "passwd", "shadow": "shadow", "group": "group", "services": "pam.d"}
        self._script = "".join(
            f"mount --bind '{folder / own}' /etc/{name} && " for own, name in mounts.items()
        )

    def check(self, text: str, *pairs: tuple[str, str]) -> list[str]:
        """Log users in by a descriptor; return their avatar ids, or the error codes."""
        return self.run(PROGRAM, json.dumps([text, *pairs])).split()

    def run(self, code: str, text: str = "") -> str:
        """Run Python code on the system, with a text as its input; return what it prints."""
        done = subprocess.run(
            [
                "unshare",
                "-rm",
                "sh",
                "-c",
                f'{self._script} exec "$@"',
                "sh",
                sys.executable,
                "-c",
                code,
            ],
            input=text,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "right" not in done.stderr
        self.log = done.stderr
        return done.stdout
