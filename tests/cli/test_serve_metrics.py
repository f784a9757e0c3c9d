"""`actorcred serve` shows metrics at a port, and writes its log as it is told."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

import click
import pytest

from actorcred import ActorcredError, UnauthorizedLogin, rpc
from actorcred.cli.parameters import METRICS
from actorcred.cli.role import Role
from actorcred.cli.serve import _serve_metrics
from tests.cli.served import Served

PROMTOOL = shutil.which("promtool")


def test_metrics_and_json(tmp_path: Path) -> None:
    pytest.importorskip(
        "prometheus_client",
        reason="prometheus-client is not installed: pip install 'actorcred[metrics]'",
    )
    users = tmp_path / "users"
    users.write_text("")
    words = ("--realm", "examples.arena.realm:Arena", "--auth", f"file:{users}")
    words += ("--auth", "anonymous", "--listen", "tcp:127.0.0.1:0", "--metrics", "0")
    words += ("--log-format", "json", "--log-omit", "address", "--log-omit", "claimed")

    async def visit(address: str) -> None:
        async with await rpc.connect(address):
            pass
        with pytest.raises(UnauthorizedLogin):
            await rpc.connect(address, "ann", "wrong")

    with Served(*words) as server:
        server.wait_for(1)
        where = re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)", server.said)
        assert where is not None
        asyncio.run(visit(server.addresses[0]))
        server.wait_until_said('"refused"')
        with urllib.request.urlopen(where[1], timeout=10) as answer:
            text = answer.read()
        entries = [json.loads(line) for line in server.said.splitlines() if line.startswith("{")]
    assert re.search(rb'actorcred_logins_total\{.*outcome="success",protocol="rpc"\} 1\.0', text)
    assert re.search(rb'outcome="wrong-credentials",protocol="rpc"\} 1\.0', text)
    by_name = {entry["event"]: entry for entry in entries if "event" in entry}
    assert by_name["login"]["protocol"] == "rpc"
    refused = by_name["refused"]
    assert refused["cause"] == "wrong-credentials"
    assert refused["mechanism"] in {"PLAIN", "SCRAM-SHA-256"}
    assert not {"address", "claimed"} & set(refused)
    if PROMTOOL is None:
        return
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_a_place_for_metrics_is_on_this_machine_by_default(
    text: str, expected: tuple[str, int]
) -> None:
    assert METRICS.convert(text, None, None) == expected


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1:", "127.0.0.1:70000", "x:٣"])
def test_a_mistaken_place_is_named(text: str) -> None:
    with pytest.raises(click.BadParameter, match="PORT"):
        METRICS.convert(text, None, None)


def test_a_port_for_metrics_that_is_taken_is_named() -> None:
    pytest.importorskip(
        "prometheus_client",
        reason="prometheus-client is not installed: pip install 'actorcred[metrics]'",
    )
    from actorcred.metrics import Metrics

    shown: list[str] = []

    class Loud(Role):
        def shows_metrics(self, url: str) -> None:
            shown.append(url)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ActorcredError, match=f"cannot serve metrics on 127.0.0.1:{port}: "):
            _serve_metrics(Loud(), Metrics(), ("127.0.0.1", port))
    _serve_metrics(Loud(), Metrics(), ("127.0.0.1", 0))
    with urllib.request.urlopen(shown[0], timeout=10) as page:
        assert b"actorcred_" in page.read()
