"""The files of docs/how-to/cluster: a cluster runs with them as they are."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner
from nats.aio.client import Client

from actorcred.cli.serve import serve
from actorcred.cluster import BusError
from tests.cluster.nats_server import JETSTREAM, LIMITS, NatsServer, find_program
from tests.cluster.team import team

FILES = Path(__file__).parents[2] / "docs" / "how-to" / "cluster"


class DocumentedServer(NatsServer):
    """A nats-server with the accounts of the page, and one more."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder)
        self.user = "game"
        monkeypatch.setenv("GAME_PASSWORD", f'"{self.password}"')
        others = 'OTHERS { users: [ { user: "other", password: "theirs" } ] }\n'
        accounts = (
            (FILES / "accounts.conf").read_text().replace("accounts {\n", "accounts {\n" + others)
        )
        (folder / "nats.conf").write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            + accounts
            + JETSTREAM.format(store=folder / "store", limits=LIMITS)
        )


@pytest.fixture
def documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DocumentedServer:
    return DocumentedServer(tmp_path, monkeypatch)


def test_a_cluster_needs_no_more_than_the_permissions_of_the_page(
    documented: DocumentedServer,
) -> None:
    async def run() -> None:
        async with team(documented, 2, name="game", in_memory=False) as (a, b):
            login = await a.login()
            session = await b.portal.session(login.session.id)
            assert session is not None
            assert await session.avatar.proxy().move(1.0) == 2.0
            assert await b.portal.count() == 1
            b.revoke("ann")
            while login.session.is_open:
                await asyncio.sleep(0.01)
            await a.has_roster()
        # Neither another cluster with this user, nor another account, gets anywhere.
        with pytest.raises(BusError):
            async with team(documented, 1, name="other"):
                pytest.fail("it has joined")
        stranger, heard = Client(), []

        async def hear(msg: object) -> None:
            heard.append(msg)

        await stranger.connect(documented.url, user="other", password="theirs")
        await stranger.subscribe(">", cb=hear)
        async with team(documented, 1, name="game", in_memory=False) as (a,):
            await a.login()
            await stranger.flush()
        await stranger.close()
        assert heard == []

    documented.start()
    try:
        asyncio.run(run())
    finally:
        documented.stop()


def test_nats_accepts_the_configuration_of_three_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAME_PASSWORD", "secret")
    authority = trustme.CA()
    certificate = authority.issue_cert("nats-1.example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "nats-1.crt")
    certificate.private_key_pem.write_to_path(tmp_path / "nats-1.key")
    for name in ("nats.conf", "accounts.conf"):
        text = (FILES / name).read_text()
        text = text.replace("/etc/nats", str(tmp_path)).replace("/var/lib/nats", f"{tmp_path}/js")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [find_program(), "-t", "-c", str(tmp_path / "nats.conf")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_of_the_unit_has_options_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorcred.cli.serve.start_logging", lambda *given: None)
    unit = (FILES / "actorcred.service").read_text()
    command = re.search(r"^ExecStart=((?:.*\\\n)*.*)", unit, re.MULTILINE)
    assert command is not None
    words = shlex.split(command[1].replace("\\\n", " ").replace("%l", "eu-1"))
    assert words[1] == "serve"
    words[words.index("game:World")] = "tests.cli.realms:House"
    done = CliRunner().invoke(serve, [*words[2:], "--limits"])
    assert done.exit_code == 0, done.output
    assert "sessions_per_avatar" in done.output
