"""Real servers for tests, started in temporary folders on free loopback ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

START = 60.0
"""Seconds that a server may take to start."""


def eventually(attempt: Callable[[], T], error: type[Exception]) -> T:
    """Retry until success, for a server that is starting or recovering."""
    deadline = time.monotonic() + START
    while True:
        try:
            return attempt()
        except error:
            assert time.monotonic() < deadline


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def program(name: str, package: str, *places: str) -> str:
    """Return the path of a program, or skip the test with the package to install."""
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *places])
    )
    if found is None:
        pytest.skip(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


class Backend:
    """A running server.

    Attributes:
        port: where it listens.
        url: its address for clients.
        tls_url: its address for clients by TLS.
    """

    tls_url = ""
    ready: list[str] = []
    """A command that succeeds only if the server answers, not merely listens."""

    def __init__(
        self, command: list[str], port: int, url: str, log: Path, user: str | None = None
    ) -> None:
        self.port, self.url = port, url
        self._command, self._log, self._user = command, log, user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, user=self._user
            )
        deadline = time.monotonic() + START
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            time.sleep(0.02)

    def _answers(self) -> bool:
        """Return whether clients can be served."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1),
        ):
            return (
                not self.ready
                or subprocess.run(self.ready, capture_output=True, check=False).returncode == 0
            )
        return False

    def stop(self) -> None:
        """Stop immediately, as in a crash, with all child processes.

        PostgreSQL does not start again while old children run.
        """
        if self._process is not None:
            children = self._children()
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None
            for pid in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            deadline = time.monotonic() + START
            while any(_is_running(pid) for pid in children):
                assert time.monotonic() < deadline, f"{children} do not end"
                time.sleep(0.02)

    def _children(self) -> list[int]:
        assert self._process is not None
        found = subprocess.run(
            ["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze it: the kernel accepts connections, and nothing is answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)  # first, so that it forks no more children
        pids = [self._process.pid, *self._children()]
        for pid in pids[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


def _is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _unprivileged(folder: Path, name: str) -> str | None:
    """Return a user for a server that refuses to run as root, and give it the folder."""
    if os.getuid() != 0:
        return None
    shutil.chown(folder, name)
    return name


def _run(arguments: list[str], **settings: Any) -> None:
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, **settings)
    assert done.returncode == 0, (
        f"{arguments[0]} failed: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    )


def postgresql(folder: Path) -> Backend:
    places = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb = program("initdb", "postgresql", *places)
    server = program("postgres", "postgresql", *places)
    user, data, port = _unprivileged(folder, "postgres"), folder / "data", free_port()
    arguments = [
        initdb,
        "-D",
        str(data),
        "-U",
        "test",
        "--auth=trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    _run(arguments, user=user, cwd=folder)
    command = [server, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    made = Backend(
        command, port, f"postgresql+psycopg://test@127.0.0.1:{port}/postgres", folder / "log", user
    )
    made.ready = [
        str(Path(server).resolve().with_name("pg_isready")),
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    return made


def mariadb(folder: Path) -> Backend:
    install = program("mariadb-install-db", "mariadb-server-core")
    server = program("mariadbd", "mariadb-server-core")
    data, port = folder / "data", free_port()
    user = ["--user=root"] if os.getuid() == 0 else []
    _run(
        [
            install,
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *user,
        ]
    )
    command = [
        server,
        "--no-defaults",
        f"--datadir={data}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
    ]
    command += [f"--socket={folder}/socket", f"--pid-file={folder}/pid", *user]
    return Backend(
        command,
        port,
        f"mysql+pymysql://root@127.0.0.1:{port}/mysql?charset=utf8mb4",
        folder / "log",
    )


SLAPD = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload memberof
pidfile {folder}/pid
# As some directories do, so that a test sees it if an empty password is sent.
allow bind_anon_dn
TLSCACertificateFile {folder}/ca.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
database mdb
maxsize 10485760
suffix "dc=example"
rootdn "cn=admin,dc=example"
rootpw admin
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by * read
lastbind on
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,dc=example"
"""


def slapd(folder: Path) -> Backend:
    """Start an OpenLDAP server, with TLS by the certificates in the folder."""
    server = program("slapd", "slapd")
    (folder / "data").mkdir()
    (folder / "slapd.conf").write_text(SLAPD.format(folder=folder))
    port, tls_port = free_port(), free_port()
    listen = f"ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls_port}/"
    made = Backend(
        [server, "-f", str(folder / "slapd.conf"), "-h", listen, "-d", "0"],
        port,
        f"ldap://127.0.0.1:{port}",
        folder / "log",
    )
    made.tls_url = f"ldaps://127.0.0.1:{tls_port}"
    return made


@contextlib.contextmanager
def running(make: Callable[[Path], Backend], folder: Path | None = None) -> Iterator[Backend]:
    """Run a server in a folder.

    By default it is one that other users can enter, unlike pytest's.
    """
    with tempfile.TemporaryDirectory(prefix="actorcred-", ignore_cleanup_errors=True) as own:
        os.chmod(own, 0o755)
        backend = make(folder or Path(own))
        backend.start()
        try:
            yield backend
        finally:
            backend.stop()
