"""A real nats-server for tests, which can be killed and comes back on the same port."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
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
jetstream {{ store_dir: "{store}", max_memory_store: 64MB, max_file_store: 256MB }}
"""


def find_program() -> str:
    """Return the path of nats-server, or skip the test with what to install."""
    chosen = os.environ.get("NATS_SERVER")
    return chosen or program("nats-server", "nats-server")


class NatsServer(Backend):
    """A nats-server on a free loopback port, with a password and a store of its own.

    Args:
        folder: an empty folder, for its configuration, its store and its log.
        jetstream: whether it keeps streams.
        more: more lines of its configuration.

    Attributes:
        port: where it listens, also after a restart.
        url: its address for clients, without the password.
        user: the name of its only user.
        password: the user's password.
    """

    def __init__(self, folder: Path, *, jetstream: bool = True, more: str = "") -> None:
        port, config = free_port(), folder / "nats.conf"
        command = [find_program(), "-c", str(config)]
        super().__init__(command, port, f"nats://127.0.0.1:{port}", folder / "log")
        self.user, self.password = "cluster", secrets.token_urlsafe(16)
        self._store = folder / "store"
        text = CONFIG.format(port=port, user=self.user, password=self.password) + more
        if jetstream:
            text += JETSTREAM.format(store=self._store)
        config.touch(0o600)
        config.write_text(text)

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
