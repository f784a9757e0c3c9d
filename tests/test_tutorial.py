"""The tutorial, done as a reader does it: each file is saved, each command is run.

The output must be what the page shows. `ACTORCRED_WRITE_TUTORIAL=1` writes it into the page.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
TEMPLATE = ROOT / "actorcred" / "cli" / "templates" / "game" / "projectname"
WRITES = bool(os.environ.get("ACTORCRED_WRITE_TUTORIAL"))
STEPS = 10

_BLOCK = re.compile(
    r"(?:as\s`(?P<path>[\w./]+)`:\n\n)?^```(?P<kind>python|html|console)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def sections() -> dict[int, str]:
    """Return the text of each step."""
    parts = re.split(r"^## (\d+)\. ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Reader:
    """A reader with a folder, who does what the page says.

    Args:
        folder: where the files are saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = str(free_port())
        self.server: subprocess.Popen[str] | None = None
        programs = folder / "programs"
        programs.mkdir()
        for name, command in (("python", ""), ("actorcred", "-m actorcred.cli")):
            path = programs / name
            path.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
            path.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def do(self, number: int) -> None:
        """Do one step, and check what is printed."""
        for block in _BLOCK.finditer(sections()[number]):
            path, kind, text = block["path"], block["kind"], block["text"]
            if kind == "console":
                self.run(text)
            else:
                assert path, f"step {number} does not say where to save {text[:60]!r}"
                place = self.folder / path
                place.parent.mkdir(exist_ok=True)
                place.write_text(text.replace("8000", self.port), encoding="utf-8")

    def run(self, text: str) -> None:
        """Run the commands of a block; what they print must be what the block shows."""
        said = ""
        for command in re.findall(r"^\$ (.+)$", text, flags=re.MULTILINE):
            said += f"$ {command}\n{self.output(command.replace('8000', self.port))}"
        said = re.sub(r"in \d+\.\d+s", "in 0.12s", said).replace(self.port, "8000")
        if WRITES:
            page = PAGE.read_text(encoding="utf-8")
            PAGE.write_text(page.replace(f"```console\n{text}", f"```console\n{said}"), "utf-8")
        else:
            assert said == text

    def output(self, command: str) -> str:
        """Run a command; return what it prints."""
        if command == "^C":
            return self.end()
        if command == "python server.py":
            self.server = subprocess.Popen(
                command.split(),
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert self.server.stdout is not None
            return self.server.stdout.readline()
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def end(self) -> str:
        """End the server as Ctrl-C does; return what it prints."""
        server, self.server = self.server, None
        assert server is not None
        server.send_signal(signal.SIGINT)
        said, _ = server.communicate(timeout=60)
        assert server.returncode == 0, said
        return said


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    made = Reader(tmp_path_factory.mktemp("tutorial"))
    yield made
    if made.server is not None:
        made.server.kill()
        made.server.communicate()


def test_there_are_ten_steps() -> None:
    assert list(sections()) == list(range(1, STEPS + 1))


@pytest.mark.parametrize("number", range(1, STEPS))
def test_a_step_prints_what_the_page_shows(reader: Reader, number: int) -> None:
    reader.do(number)


@pytest.mark.parametrize("name", ["world.py", "realm.py"])
def test_a_file_is_that_of_the_project_that_init_makes(name: str) -> None:
    text = (TEMPLATE / f"{name}-tpl").read_text(encoding="utf-8")
    saved = {block["path"]: block["text"] for block in _BLOCK.finditer(PAGE.read_text("utf-8"))}
    assert saved[name] == text.replace("from projectname.", "from ")


@pytest.mark.foreign
def test_in_the_last_step_two_windows_see_each_other(reader: Reader) -> None:
    from playwright.sync_api import expect, sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    if reader.server is None:  # this test alone
        for number in range(1, STEPS):
            reader.do(number)
    *_, page_file, _ = _BLOCK.finditer(sections()[STEPS])
    (reader.folder / "page").mkdir(exist_ok=True)
    (reader.folder / "page/index.html").write_text(page_file["text"], encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first, second = (browser.new_context().new_page() for _ in range(2))
        problems: list[str] = []
        for page in (first, second):
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(f"http://127.0.0.1:{reader.port}/")
            page.get_by_role("button", name="Play as a guest").click()
            expect(page.get_by_role("status")).to_contain_text("You are guest")
        picture = "document.querySelector('canvas').toDataURL()"
        before = second.evaluate(picture)
        for key in ("ArrowLeft", "ArrowUp", "ArrowUp"):
            first.keyboard.press(key)
        second.wait_for_function(f"{picture} !== {before!r}")
        name = second.get_by_role("status").text_content()
        second.reload()
        expect(second.get_by_role("status")).to_have_text(str(name))
        first.screenshot(path=reader.folder / "first.png")
        assert problems == []
        browser.close()
    reader.do(STEPS)
