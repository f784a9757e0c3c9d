"""Projects of `actorcred init` as users get them: from a wheel, in a clean environment.

Each is installed and served by the two commands that `init` prints, and used in a browser.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.auth.test_third_party_plugin import copy_project, pip

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the `bin` folder of an environment that has actorcred, from its wheel, only."""
    folder = tmp_path_factory.mktemp("environment")
    copy_project(folder / "source")
    pip(sys.executable, "wheel", "--no-deps", "-w", folder / "wheels", folder / "source")
    subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
    programs = folder / "environment" / "bin"
    (wheel,) = (folder / "wheels").glob("*.whl")
    pip(programs / "python", "install", f"{wheel}[cli]")
    return programs


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield made
        made.close()


def made(programs: Path, folder: Path, kind: str) -> tuple[Path, list[str]]:
    """Make a project; return its folder, and the commands that are printed."""
    done = subprocess.run(
        [programs / "actorcred", "init", f"my_{kind}", "--kind", kind],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    enter, *commands = re.findall(r"^    (.+)$", done.stdout, flags=re.MULTILINE)
    assert enter == f"cd my_{kind}"
    return folder / f"my_{kind}", commands


@contextmanager
def served(programs: Path, folder: Path, kind: str) -> Iterator[str]:
    """Make, install and serve a project; yield the address of its page."""
    project, (install, serve) = made(programs, folder, kind)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    subprocess.run(install.split(), cwd=project, env=environment, check=True, capture_output=True)
    config = project / "config.toml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("port = 8000", f"port = {free_port()}"), encoding="utf-8")
    with subprocess.Popen(
        serve.split(),
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield address_of(process)
        finally:
            process.terminate()
            assert process.wait(30) in {0, -15}


def address_of(process: subprocess.Popen[str]) -> str:
    """Return the address that a server prints."""
    assert process.stdout is not None
    said = ""
    while not (found := re.search(r"http://[\d.]+:\d+", said)):
        line = process.stdout.readline()
        assert line, said
        said += line
    return found[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def window(browser: Browser, address: str) -> Iterator[Page]:
    """Open a page, as in a window of a browser of its own."""
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    assert problems == []
    context.close()


def test_two_windows_of_the_game_see_each_other(
    programs: Path, browser: Browser, tmp_path: Path
) -> None:
    with (
        served(programs, tmp_path, "game") as address,
        window(browser, address) as first,
        window(browser, address) as second,
    ):
        first.get_by_role("button", name="Play as a guest").click()
        expect(first.locator("#scores")).to_have_text("guest 1: 0")
        second.get_by_role("button", name="Play as a guest").click()
        for page in (first, second):
            expect(page.get_by_text("guest 2: 0")).to_be_visible()
        picture = "document.querySelector('#field').toDataURL()"
        before = second.evaluate(picture)
        for name in ("left", "right", "up", "down"):
            first.get_by_role("button", name=name).click()
            if name in {"left", "up"}:
                first.keyboard.press("ArrowLeft" if name == "left" else "ArrowUp")
        second.wait_for_function(f"{picture} !== {before!r}")

        readme = (tmp_path / "my_game" / "README.md").read_text(encoding="utf-8")
        (call,) = re.findall(r"^    actorcred (call .+)$", readme, flags=re.MULTILINE)
        words = call.replace("http", "ws").replace("127.0.0.1:8000", address.split("/")[2]).split()
        done = subprocess.run([programs / "actorcred", *words], capture_output=True, check=True)
        assert done.stdout in {b"true\n", b"false\n"}

        second.reload()  # and the session goes on
        expect(second.locator(".me")).to_have_text(re.compile("guest 2: "))
        second.get_by_role("button", name="Leave").click()
        expect(first.locator("#scores li")).to_have_count(1)
        expect(second.get_by_label("Name")).to_be_visible()


def test_two_windows_of_the_chat_hear_each_other(
    programs: Path, browser: Browser, tmp_path: Path
) -> None:
    with (
        served(programs, tmp_path, "chat") as address,
        window(browser, address) as first,
        window(browser, address) as second,
    ):
        add = [programs / "actorcred", "passwd", "add", "sqlite:accounts.sqlite", "ann"]
        folder = tmp_path / "my_chat"
        secret = {"ACTORCRED_PASSWORD": PASSWORD}
        subprocess.run(add, cwd=folder, env={**os.environ, **secret}, check=True)
        first.get_by_label("Name").fill("ann")
        first.get_by_label("Password").fill("wrong")
        first.get_by_role("button", name="Log in").click()
        expect(first.get_by_role("status")).to_have_text("The name or the password is wrong.")
        first.get_by_label("Password").fill(PASSWORD)
        first.get_by_role("button", name="Log in").click()
        second.get_by_role("button", name="Come in as a guest").click()
        expect(first.locator("#people")).to_have_text("Here: ann, guest 1")
        first.get_by_label("Say something").fill("hello <b>you</b>")
        first.get_by_role("button", name="Say").click()
        for page in (first, second):
            expect(page.locator("#lines li")).to_contain_text("ann: hello <b>you</b>")


def test_notes_are_kept_by_the_api(programs: Path, browser: Browser, tmp_path: Path) -> None:
    with served(programs, tmp_path, "api") as address, window(browser, address) as page:
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("status")).to_have_text("login refused")
        page.get_by_role("button", name="Sign up").click()
        expect(page.get_by_role("status")).to_have_text("You are ann.")
        page.get_by_label("New note").fill("milk")
        page.get_by_role("button", name="Keep").click()
        expect(page.locator("#notes")).to_contain_text("milk")
        page.reload()
        page.get_by_role("button", name="Delete").click()
        expect(page.locator("#notes li")).to_have_count(0)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Password")).to_be_visible()
