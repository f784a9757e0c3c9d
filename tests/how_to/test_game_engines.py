"""The lines of docs/how-to/use-game-engines.md: a client in Node.js sends them, and shows them.

The clients for Godot and Unity are not run; their comments must show the same lines.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: pip install starlette")

from tests.backends.servers import free_port
from tests.how_to.programs import HOW_TO, running
from tests.rpc.test_other_languages import node

pytestmark = [pytest.mark.slow, pytest.mark.foreign]

CLIENTS = HOW_TO / "game-engines"
PAGE = (HOW_TO / "use-game-engines.md").read_text(encoding="utf-8")


def sent_in(text: str) -> list[str]:
    """Return the lines that a text shows as sent."""
    return re.findall(r"--> (.+)$", text, flags=re.MULTILINE)


def without_secrets(line: str) -> str:
    """Return a line as the page shows it: without what differs each time."""
    line = re.sub(r'"session":"\w+"', '"session":"..."', line)
    return re.sub(r'"limits":\{.+?\}', '"limits":{...}', line)


def test_the_client_sends_and_receives_what_the_page_shows(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "game:app", f"--port={port}"]
    with running(command, HOW_TO / "typescript", port, log=tmp_path):
        done = subprocess.run(
            [
                *node(),
                str(CLIENTS / "client.mjs"),
                f"ws://127.0.0.1:{port}/rpc/socket",
                "ann",
                "s3cret",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    (shown,) = re.findall(r"^```console\n.+\n((?:.+\n)+)```$", PAGE, flags=re.MULTILINE)
    assert sent_in(done.stdout) == sent_in(shown)
    # What is heard of one's own line may come before or after its answer.
    lines = [without_secrets(line) for line in done.stdout.splitlines()]
    assert sorted(lines) == sorted(shown.splitlines())


@pytest.mark.parametrize("name", ["player.gd", "Player.cs"])
def test_the_comments_of_a_client_show_the_lines_of_the_one_that_is_run(name: str) -> None:
    lines = sent_in(PAGE)
    assert len(lines) >= 4
    assert sent_in((CLIENTS / name).read_text(encoding="utf-8")) == lines
