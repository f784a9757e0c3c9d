"""The workers of docs/how-to/use-fastapi.md: processes of uvicorn, one cluster, and HAProxy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.backends.servers import free_port, program
from tests.cluster.nats_server import NatsServer

pytestmark = [pytest.mark.slow, pytest.mark.foreign]

ROOT = Path(__file__).parents[2]
ANN = {"name": "ann", "password": "s3cret"}
PATIENCE = 40.0

FRONT = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    bind 127.0.0.1:{port}
    default_backend club
"""


def documented() -> tuple[str, str]:
    """Return the program of the page, and its configuration of HAProxy."""
    text = (ROOT / "docs/how-to/use-fastapi.md").read_text(encoding="utf-8")
    first, _, third = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    backend = re.findall(r"^    (backend .+?)(?:\n\n|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    return first + third, backend[0].replace("\n    ", "\n")


@contextmanager
def running(command: list[str], folder: Path, port: int, **variables: str) -> Iterator[None]:
    """Run a program until the end; wait until it listens."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    log = (folder / f"{port}.log").open("w+")
    with log, subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as run:
        try:
            until = time.monotonic() + PATIENCE
            while not listens(port):
                log.seek(0)
                assert run.poll() is None, log.read()
                assert time.monotonic() < until, log.read()
            yield
        finally:
            run.terminate()
            run.wait(30)


def listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
    except httpx.TransportError:
        time.sleep(0.05)  # between two tries
        return False
    return True


def client(port: int) -> httpx.Client:
    """Return a browser. The first login in a new store of NATS waits for a lease."""
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def workers(tmp_path: Path, nats: NatsServer) -> Iterator[tuple[int, int]]:
    """Return the ports of two workers."""
    code, _ = documented()
    (tmp_path / "club.py").write_text(code, encoding="utf-8")
    ports = free_port(), free_port()
    variables = {"NATS_URL": nats.url, "NATS_USER": nats.user, "NATS_PASSWORD": nats.password}
    with ExitStack() as stack:
        for port in ports:
            command = [sys.executable, "-m", "uvicorn", "--factory", "club:app", f"--port={port}"]
            stack.enter_context(running(command, tmp_path, port, **variables))
        yield ports


def test_a_user_has_one_place_on_all_workers(workers: tuple[int, int]) -> None:
    first, second = (client(port) for port in workers)
    with first, second:
        assert first.post("/login", json=ANN).status_code == 200
        assert first.post("/say/hello").status_code == 200
        assert second.post("/login", json=ANN).status_code == 200
        assert second.post("/say/hello").status_code == 200
        assert first.post("/say/hello").status_code == 401


def test_behind_haproxy_each_browser_stays_at_its_worker(
    workers: tuple[int, int], tmp_path: Path
) -> None:
    _, backend = documented()
    for known, port in zip(("8001", "8002"), workers, strict=True):
        backend = backend.replace(known, str(port))
    front = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(f"{FRONT.format(port=front)}{backend}\n", encoding="utf-8")
    command = [program("haproxy", "haproxy"), "-f", str(config)]
    with running(command, tmp_path, front):
        for _ in range(2):  # browsers, which HAProxy gives to different workers
            with client(front) as browser:
                assert browser.post("/login", json=ANN).status_code == 200
                said = [browser.post("/say/hello").status_code for _ in range(6)]
                assert said == [200] * 6
