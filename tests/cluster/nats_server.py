"""A real nats-server for tests, which can be killed and comes back on the same port."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from actorcred.cluster.settings import NatsOptions
from tests.backends.servers import START, free_port, program

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


class NatsServer:
    """A nats-server on a free loopback port, with a password and a store of its own.

    Args:
        folder: an empty folder, for its configuration, its store and its log.
        jetstream: whether it keeps streams.
        more: more lines of its configuration.

    Attributes:
        port: where it listens, also after a restart.
        user: the name of its only user.
        password: the user's password.
    """

    def __init__(self, folder: Path, *, jetstream: bool = True, more: str = "") -> None:
        self._program = find_program()
        self.port = free_port()
        self.user, self.password = "cluster", secrets.token_urlsafe(16)
        self._store, self._log = folder / "store", folder / "log"
        self._config = folder / "nats.conf"
        self._config.touch(0o600)
        if jetstream:
            more += JETSTREAM.format(store=self._store)
        config = CONFIG.format(port=self.port, user=self.user, password=self.password)
        self._config.write_text(config + more)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for clients, without the password."""
        return f"nats://127.0.0.1:{self.port}"

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

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-c", str(self._config)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START
        while not self._accepts():
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            time.sleep(0.02)

    def _accepts(self) -> bool:
        """Return whether it greets a client; it does so when its streams are there."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as connection,
        ):
            return connection.recv(5) == b"INFO "
        return False

    def kill(self) -> None:
        """End it as a crash would, by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

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
