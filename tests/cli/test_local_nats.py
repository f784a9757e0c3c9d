"""The nats-server of the workers: private, on loopback, and gone without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import stat
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from nats.aio.client import Client

from actorcred.cli.local_nats import LocalNats
from actorcred.errors import ActorcredError
from tests.cli.served import command_of
from tests.cluster.nats_server import find_program

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(sys.platform != "linux", reason="workers need Linux"),
]


@pytest.fixture(autouse=True)
def nats_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_program()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


async def admits(nats: LocalNats, password: str) -> bool:
    """Return whether it lets a client in; not by nats-py, which leaves a connection open if not."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(nats.url).port)
    except ConnectionError:
        return False
    try:
        await reader.readline()
        options = json.dumps({"user": nats.user, "pass": password, "verbose": False})
        writer.write(f"CONNECT {options}\r\nPING\r\n".encode())
        return await reader.readline() == b"PONG\r\n"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def test_it_is_private_and_leaves_nothing(tmp_path: Path) -> None:
    async def live() -> None:
        nats = LocalNats()
        await nats.open()
        assert nats.url.startswith("nats://127.0.0.1:")
        assert await admits(nats, nats.password)
        assert not await admits(nats, "guessed")
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        config = folder / "nats.conf"
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert nats.password not in config.read_text()
        assert nats.password not in command_of(nats.pid)
        assert os.getpgid(nats.pid) == nats.pid
        await nats.close()
        nats.remove()

    asyncio.run(live())
    assert list(tmp_path.iterdir()) == []


def test_it_comes_back_on_the_same_port_with_its_store() -> None:
    async def live() -> None:
        nats = LocalNats()
        await nats.open()
        url = nats.url
        client = Client()
        await client.connect(url, user=nats.user, password=nats.password)
        await client.jetstream().add_stream(name="kept", subjects=["kept"])
        await client.jetstream().publish("kept", b"x")
        nats.send(signal.SIGKILL)
        assert await nats.ended() == -signal.SIGKILL
        await client.close()
        await nats.start()
        assert await nats.ready()
        while not await admits(nats, nats.password):
            await asyncio.sleep(0.02)
        assert nats.url == url
        back = Client()
        await back.connect(url, user=nats.user, password=nats.password)
        assert (await back.jetstream().stream_info("kept")).state.messages == 1
        await back.close()
        await nats.close()
        nats.remove()

    asyncio.run(live())


def test_its_warnings_are_logged_as_such(caplog: pytest.LogCaptureFixture) -> None:
    nats = LocalNats()
    with caplog.at_level(logging.DEBUG):
        nats._log("[17] [INF] Server is ready")
        nats._log("[17] [WRN] the disk is nearly\x1b full")
        nats._log("[17] [ERR] the disk is full")
        nats._log("panic: no")
    nats.remove()
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("DEBUG", "nats-server: Server is ready"),
        ("WARNING", "nats-server: the disk is nearly? full"),
        ("ERROR", "nats-server: the disk is full"),
        ("DEBUG", "nats-server: panic: no"),
    ]
    assert nats._why() == ": the disk is nearly? full; the disk is full"


def program(folder: Path, text: str) -> None:
    path = folder / "nats-server"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_server_that_ends_at_once_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "echo '[1] [FTL] no room' >&2; exit 3")
    monkeypatch.setenv("PATH", str(tmp_path))

    async def live() -> None:
        nats = LocalNats()
        with pytest.raises(ActorcredError, match="has ended with exit code 3: no room"):
            await nats.open()
        nats.remove()

    asyncio.run(live())


def test_a_server_that_hangs_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It says more than a line may have, and ignores signals.
    text = "trap '' TERM; head -c 300000 /dev/zero >&2; echo >&2; while :; do sleep 1; done"
    program(tmp_path, f"PATH=/bin:/usr/bin; {text}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("actorcred.cli.local_nats.START", 0.2)
    monkeypatch.setattr("actorcred.cli.local_nats.PATIENCE", 0.1)

    async def live() -> None:
        nats = LocalNats()
        with pytest.raises(ActorcredError, match=r"has not started in 0\.2 s"):
            await nats.open()
        await nats.close()
        nats.remove()

    asyncio.run(live())


def test_without_the_program_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(ActorcredError, match=r"apt-get install nats-server.*--cluster"):
        LocalNats()
    assert list(tmp_path.iterdir()) == []
