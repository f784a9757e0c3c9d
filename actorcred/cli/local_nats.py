"""A nats-server for the workers of one machine: on loopback, with a password that nobody types."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import bcrypt

from actorcred.audit import printable
from actorcred.cli.worker_process import Child, describe_end
from actorcred.errors import ActorcredError

__all__ = ["LocalNats"]

logger = logging.getLogger("actorcred.cli")

START = 20.0
"""Seconds that it may take to start."""

PATIENCE = 1.0
"""Seconds that it may take to end."""

POLL = 0.02
"""Seconds between looks for the file that says where it listens."""

_CONFIG: Final = """
server_name: "actorcred"
listen: "127.0.0.1:{port}"
ports_file_dir: {folder}
logtime: false
authorization {{ user: "{user}", password: "{hash}" }}
jetstream {{ store_dir: {store}, max_memory_store: 256MB, max_file_store: 1GB }}
"""

# Ends nats-server if the supervisor is killed: prctl's PR_SET_PDEATHSIG stays over an exec.
_LAUNCH: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""

_LINE: Final = re.compile(r"\[\d+\] \[(\w+)\] (.*)")

_LEVELS: Final = {"FTL": logging.ERROR, "ERR": logging.ERROR, "WRN": logging.WARNING}


class LocalNats(Child):
    """A nats-server that only the processes of one server use. Linux only.

    All that it writes is in a temporary folder, which only this user can read. Its store outlives
    its process, and ends with `remove`.

    Attributes:
        user: the name of its only user.
        password: the user's password.
        url: its address, once it was started.
    """

    def __init__(self) -> None:
        super().__init__("nats-server")
        self.user, self.password = "workers", secrets.token_urlsafe(24)
        self.url = ""
        self._program = _find()
        self._folder = Path(tempfile.mkdtemp(prefix="actorcred-nats-"))
        self._said: deque[str] = deque(maxlen=5)
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, again on the port that it had.

        Raises:
            OSError: if that fails.
        """
        config = self._folder / "nats.conf"
        config.touch(0o600)
        config.write_text(self._configuration())
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid())),
            *(self._program, "-c", str(config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            process_group=0,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    def _configuration(self) -> str:
        # At the first start it chooses a port and says which in a file.
        port = urlsplit(self.url).port or -1
        hashed = bcrypt.hashpw(self.password.encode(), bcrypt.gensalt(5)).decode()
        folder, store = (json.dumps(str(path)) for path in (self._folder, self._folder / "store"))
        return _CONFIG.format(port=port, user=self.user, hash=hashed, folder=folder, store=store)

    async def open(self) -> None:
        """Start it for the first time, and wait until it serves.

        Raises:
            ActorcredError: if it does not.
        """
        await self.start()
        ports = self._folder / f"nats-server_{self.pid}.ports"
        try:
            async with asyncio.timeout(START):
                while not self.url:
                    if (code := self.code) is not None:
                        await self.ended()
                        raise ActorcredError(f"nats-server {describe_end(code)}{self._why()}")
                    await asyncio.sleep(POLL)
                    with contextlib.suppress(OSError, ValueError):  # not there, or not all of it
                        self.url = str(json.loads(ports.read_text())["nats"][0])
        except TimeoutError:
            why = self._why()
            raise ActorcredError(f"nats-server has not started in {START:g} s{why}") from None

    def _why(self) -> str:
        return f": {'; '.join(self._said)}" if self._said else ""

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Log what it says, until it has ended."""
        assert process.stderr is not None
        with contextlib.suppress(ValueError):  # a line that is no line
            async for line in process.stderr:
                self._log(line.decode("utf-8", "replace").strip())
        while await process.stderr.read(65536):
            pass

    def _log(self, line: str) -> None:
        match = _LINE.fullmatch(line)
        level, text = (match[1], match[2]) if match else ("", line)
        if level in _LEVELS:
            self._said.append(printable(text))
        logger.log(_LEVELS.get(level, logging.DEBUG), "nats-server: %s", printable(text))

    async def ended(self) -> int:
        """Wait for its end and the last thing that it says; return `code`."""
        code = await super().ended()
        if self._reading is not None:
            await self._reading
        return code

    async def close(self) -> None:
        """End it."""
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.ended(), PATIENCE)
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.ended()

    def remove(self) -> None:
        """Remove its folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _find() -> str:
    found = shutil.which("nats-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise ActorcredError(
            "nats-server, through which the workers share sessions, is not on the PATH; install it "
            "(Debian: apt-get install nats-server; others: https://nats.io/download), "
            "or name a NATS that runs: --cluster nats://HOST:PORT"
        )
    return found
