"""What docs/topics/platforms.md expects on a system without the modules of POSIX."""

from __future__ import annotations

import subprocess
import sys

POSIX = ("fcntl", "grp", "pwd", "resource", "termios")

PROGRAM = f"""
import sys

sys.modules.update(dict.fromkeys({POSIX}))

import actorcred.cluster, actorcred.rpc.client.blocking, actorcred.rpc.client.client
import actorcred.adapters.asgi
from actorcred import Avatar, Portal, Realm, UsernamePassword, actors
from actorcred.checkers import anonymous, certificate, file, htdigest, memory, otp, sqlite, token
from actorcred.checkers.wrappers import all_of, caching, first_of, listing, renaming, throttling

class Hall(Realm):
    def request_avatar(self, avatar_id, mind, *interfaces):
        avatar = Avatar.start(avatar_id, mind)
        return Avatar, avatar, avatar.stop

portal = Portal.start(Hall.start(), [memory.MemoryChecker.start({{"ann": "s3cret"}}, rounds=4)])
login = portal.login(UsernamePassword("ann", "s3cret"), None, Avatar).get(timeout=20)
print(login.session.avatar_id)
assert actors.shutdown(timeout=10) == []
"""


def test_portal_checkers_client_and_cluster_need_no_module_of_posix() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "ann\n", done.stderr
