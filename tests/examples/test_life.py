"""Each example ends at a signal at any time, and reports a failed start without a traceback."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.examples.started import run, started

pytestmark = pytest.mark.slow  # each starts a server, and waits for its end

PORTS = {
    "arena": ("--listen", "ws:127.0.0.1:0"),
    "chat": ("--web", "0", "--rpc", "0", "--ssh", "0", "--telnet", "0"),
    "mail": ("--pop3", "0", "--imap", "0", "--smtp", "0"),
}
READY = {"arena": "Play at", "chat": "rpc: ", "mail": "try: "}


def words_of(example: str, folder: Path) -> list[Any]:
    more = ["--avatars", "20"] if example == "arena" else []
    return [*PORTS[example], "--data", folder, *more]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


async def by_signal(example: str, number: int, folder: Path) -> None:
    async with started(f"examples.{example}", *words_of(example, folder)) as it:
        await it.read_until(READY[example])
        it.process.send_signal(number)
        assert await it.ended() == 0
        assert "Traceback" not in it.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("example", PORTS)
def test_a_signal_logs_everybody_out(example: str, number: int, tmp_path: Path) -> None:
    asyncio.run(by_signal(example, number, tmp_path))


def test_ctrl_c_while_accounts_are_made_leaves_no_half_of_them(tmp_path: Path) -> None:
    async def go() -> None:
        async with started(
            "examples.arena", *words_of("arena", tmp_path), "--avatars", "100000"
        ) as it:
            await it.read_until("Accounts of 100000 bots")
            it.process.send_signal(signal.SIGINT)
            assert await it.ended() == 0
            assert "Interrupted before it was open" in it.text
            assert "Traceback" not in it.text

    asyncio.run(go())
    assert not (tmp_path / "players.htpasswd").exists()


@pytest.mark.parametrize("example", [*PORTS, "pb"])
@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6, 1.0])
def test_ctrl_c_at_any_moment_of_the_start_has_no_traceback(
    example: str, seconds: float, tmp_path: Path
) -> None:
    async def go() -> None:
        words = () if example == "pb" else words_of(example, tmp_path)
        async with started(f"examples.{example}", *words) as it:
            await asyncio.sleep(seconds)  # at any stage of the start
            if it.process.returncode is None:
                it.process.send_signal(signal.SIGINT)
            # In the first moments, while modules are loaded, the signal itself ends it; before that
            # there is only the interpreter, which cannot start.
            code = await it.ended()
            assert code in {0, -signal.SIGINT} or (code == 1 and "Fatal Python" in it.text), it.text
            ours = re.search(
                r'File ".*/(?!examples/__init__)(examples|actorcred|twisted)/', it.text
            )
            assert "Traceback" not in it.text or not ours, it.text

    asyncio.run(go())


@pytest.mark.parametrize(
    ("example", "words", "text"),
    [
        ("arena", ("--listen", "nonsense"), "must begin with one of tcp:"),
        ("arena", ("--listen", "tcp:127.0.0.1:0"), "must begin with ws: or wss:"),
        ("arena", ("--listen", "ws:127.0.0.1:{taken}"), "another port with --listen ws:"),
        ("arena", ("--listen", "ws:no.such.invalid:0"), "the host is not known"),
        ("arena", ("--listen", "wss:127.0.0.1:0"), "add ?cert=FILE&key=FILE"),
        ("chat", ("--web", "{taken}"), "use another port"),
        ("chat", ("--ssh", "{taken}"), "Another port or folder may help"),
        ("chat", ("--telnet", "{taken}"), "Another port or folder may help"),
        ("chat", ("--rpc", "99999"), "must be from 0 to 65535"),
        ("chat", ("--host", "no.such.invalid"), "the host is not known"),
        ("mail", ("--imap", "{taken}"), "Another port or folder may help"),
        ("mail", ("--smtp", "{taken}"), "Another port or folder may help"),
        ("mail", ("--data", "/proc/no/such"), "Another port or folder may help"),
    ],
)
def test_what_cannot_open_says_what_to_do(
    example: str, words: tuple[str, ...], text: str, taken: int, tmp_path: Path
) -> None:
    given = [word.format(taken=taken) for word in words]
    code, said = asyncio.run(run(f"examples.{example}", *words_of(example, tmp_path), *given))
    assert code == 2
    assert text in " ".join(said.split())
    assert "Traceback" not in said
    assert "Event loop is closed" not in said
