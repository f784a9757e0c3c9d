"""The README and the pages in docs: lines, links, commands of the README, and facts of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from actorcred.sessions.states import TRANSITIONS

ROOT = Path(__file__).parents[1]

GENERATED = {ROOT / "docs" / "reference" / "outcomes.md", ROOT / "docs" / "changelog.md"}

PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page not in GENERATED and "_build" not in page.parts
]

COLUMNS = 100

_LINK = re.compile(r"(?<!!)\[[^][]*\]\(([^()\s]+)\)")

_UNBREAKABLE = re.compile(r"\s*([*-] )?\S*(https?://|\]\()\S*")
"""A line that consists of one link."""


def _of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Sphinx and GitHub make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_of)
def test_no_line_is_longer_than_100_columns_outside_of_tables_and_links(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    long = [
        f"{number}: {line}"
        for number, line in enumerate(lines, 1)
        if len(line) > COLUMNS
        and not line.lstrip().startswith(("|", "<!--"))
        and not _UNBREAKABLE.fullmatch(line)
    ]
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=_of)
def test_each_relative_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    text = re.sub(
        r"<!--.*?-->|^```.*?^```",
        "",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL | re.MULTILINE,
    )
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert not anchor or anchor in _anchors(place), target


def _block(kind: str, number: int = 0) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)[number]


def _command(block: str) -> tuple[list[str], dict[str, str], str]:
    """Return the arguments of a command in the README, its variables, and its output."""
    line, _, output = block.partition("\n")
    words = line.removeprefix("$ ").split()
    program = words.index("actorcred")
    return words[program + 1 :], dict(word.split("=", 1) for word in words[:program]), output


def test_the_commands_of_the_readme_serve_its_game_and_call_it(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(_block("python"), encoding="utf-8")
    serve, _, first = _command(_block("console", 0))
    call, variables, answer = _command(_block("console", 1))
    address = "tcp:127.0.0.1:9986"
    assert address in serve
    assert address in call
    command = [sys.executable, "-m", "actorcred.cli"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    serve = ["tcp:127.0.0.1:0" if word == address else word for word in serve]
    with subprocess.Popen(
        [*command, *serve], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            place = line.split()[-1]
            assert line.replace(place, "tcp://127.0.0.1:9986") == first
            call = [place if word == address else word for word in call]
            called = subprocess.run(
                [*command, *call],
                env={**environment, **variables},
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            assert called.stdout == answer
        finally:
            server.terminate()
            server.wait(timeout=30)
    assert server.returncode == 0


def _table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the table below a heading."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"## {heading}\n")[1]
    rows = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_each_file_that_the_architecture_page_names_exists_and_has_what_it_is_named_for() -> None:
    rows = _table("topics/architecture.md", "Where things are")
    assert len(rows) >= 20
    for question, files, names in rows:
        paths = re.findall(r"`([^`]+)`", files)
        assert paths, question
        for path in paths:
            assert (ROOT / path).is_file(), f"{question}: {path}"
        code = "\n".join((ROOT / path).read_text(encoding="utf-8") for path in paths)
        for name in re.findall(r"`([^`]+)`", names):
            for part in name.split("."):
                assert re.search(rf"\b{part}\b", code), f"{question}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=_of)
def test_each_file_that_a_page_names_by_its_path_exists(page: Path) -> None:
    for path in re.findall(
        r"`((?:[\w-]+/)+[\w.-]+\.(?:py|js|mjs|rb|md))`", page.read_text(encoding="utf-8")
    ):
        assert (ROOT / path).is_file() or (ROOT / "actorcred" / path).is_file(), path


def test_the_drawing_of_a_login_is_the_table_of_states() -> None:
    text = (ROOT / "docs" / "topics" / "the-life-of-a-login.md").read_text(encoding="utf-8")
    drawing = re.findall(r"(?=\b(\w+) --(\w+)--> (\w+))", text)
    table = [
        (state.value, event.value, following.value)
        for state, events in TRANSITIONS.items()
        for event, following in events.items()
    ]
    assert sorted(drawing) == sorted(table)
    described = {
        row[0].strip("`")
        for heading in ("States", "Events")
        for row in _table("topics/the-life-of-a-login.md", heading)
    }
    assert described == {state.value for state in TRANSITIONS} | {event for _, event, _ in table}
