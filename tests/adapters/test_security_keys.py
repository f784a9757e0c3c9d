"""OpenSSH's client with the key of a FIDO authenticator, at asyncssh and at Conch."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from actorcred import Portal
from actorcred.checkers.sshkey import SSHKeyChecker
from tests.adapters.front import LOCALHOST, House
from tests.adapters.fronts_asyncio import AsyncSSH
from tests.adapters.fronts_twisted import Conch
from tests.backends.servers import program
from tests.backends.ssh_agent import Agent
from tests.backends.ssh_keys import Authenticator


@pytest.fixture(params=[AsyncSSH, Conch])
def serve(request):
    fronts = []

    def start(line: str) -> int:
        front = request.param()
        fronts.append(front)
        dispatcher = front.dispatcher()
        checkers = [SSHKeyChecker.start(lambda name: line)]
        front.portal = Portal.start(
            House.start([], dispatcher=dispatcher), checkers, dispatcher=dispatcher
        )
        front.start()
        return front.port

    yield start
    for front in fronts:
        front.stop()


def run(port: int, agent: Agent, folder: Any) -> Any:
    settings = {
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": str(folder / "known"),
        "IdentityAgent": agent.path,
    }
    settings |= {
        "PreferredAuthentications": "publickey",
        "IdentityFile": "none",
        "BatchMode": "yes",
    }
    words = [f"-o{name}={value}" for name, value in settings.items()]
    command = [
        program("ssh", "openssh-client"),
        "-F",
        "none",
        "-p",
        str(port),
        *words,
        f"ann@{LOCALHOST}",
        "who",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
@pytest.mark.parametrize(
    ("options", "flags", "lets_in"),
    [
        ("", 1, True),
        ("", 0, False),
        ("no-touch-required ", 0, True),
        ("verify-required ", 1, False),
        ("verify-required ", 5, True),
    ],
)
def test_openssh_logs_in_with_the_key_of_an_authenticator(
    serve, tmp_path, kind, options, flags, lets_in
):
    key = Authenticator(kind)
    port = serve(f"{options}{key.public} ann's\n")
    with Agent(tmp_path / "agent", key, flags) as agent:
        done = run(port, agent, tmp_path)
    assert done.stdout.strip() == ("ann" if lets_in else ""), done.stderr
    assert lets_in or "Permission denied" in done.stderr
