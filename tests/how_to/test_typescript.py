"""The page in TypeScript of docs/how-to/use-typescript.md: the real compiler, and a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="Starlette is not installed: pip install starlette")

from actorcred import rpc
from tests.backends.servers import free_port
from tests.how_to.programs import HOW_TO, environment, running

pytestmark = [pytest.mark.slow, pytest.mark.foreign]

PAGE = (HOW_TO / "use-typescript.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, with the client beside its page, as the how-to says."""
    folder = tmp_path_factory.mktemp("typescript")
    shutil.copytree(HOW_TO / "typescript", folder, dirs_exist_ok=True)
    for client in (Path(rpc.__file__).parent / "browser").glob("actorcred.*"):
        shutil.copy(client, folder / "page")
    return folder


def compile_page(project: Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("tsc")
    if program is None:
        pytest.skip("TypeScript is not installed: apt install node-typescript")
    return subprocess.run(
        [program, "-p", "."], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_types_of_the_page_are_those_of_the_game(project: Path) -> None:
    command = re.search(r"^ +(actorcred stubs .+--check)$", PAGE, flags=re.MULTILINE)
    assert command is not None
    done = subprocess.run(
        [sys.executable, "-m", "actorcred.cli", *command[1].split()[1:]],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_compiler_refuses_what_the_how_to_says(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    main = copy / "page" / "main.ts"
    right = main.read_text(encoding="utf-8")
    wrong = re.findall(r"^\| `(client\.call\(.+?\))` \| `(.+)` \|$", PAGE, flags=re.MULTILINE)
    assert len(wrong) >= 3
    lines = "".join(f"await {line};\n" for line, _ in wrong)
    main.write_text(right.replace("const { x, y }", f"{lines}const {{ x, y }}"))
    done = compile_page(copy)
    first = right[: right.index("const { x, y }")].count("\n") + 1
    for number, (line, message) in enumerate(wrong, first):
        said = re.search(rf"main\.ts\({number},.*\n(?: .*\n)*", done.stdout)
        assert said is not None, line
        assert message in said[0], line


def test_the_page_plays_in_a_browser(project: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    compiled = compile_page(project)
    assert compiled.returncode == 0, compiled.stdout
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "game:app", f"--port={port}"]
    with running(command, project, port), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        problems: list[str] = []
        first, second = (browser.new_context().new_page() for _ in range(2))
        for page in (first, second):
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(f"http://127.0.0.1:{port}/")
            expect(page.get_by_role("status")).to_have_text("You are in")
        first.get_by_role("button", name="east").click()
        expect(first.get_by_role("status")).to_have_text("You are at 2, 0")
        first.reload()
        expect(first.get_by_role("status")).to_have_text("You are in")
        first.get_by_role("button", name="east").click()
        expect(first.get_by_role("status")).to_have_text("You are at 4, 0")
        first.get_by_placeholder("Say something").fill("hello")
        first.keyboard.press("Enter")
        expect(first.get_by_role("status")).to_have_text("2 heard you")
        expect(second.get_by_role("listitem")).to_contain_text("hello")
        browser.close()
    assert problems == []
