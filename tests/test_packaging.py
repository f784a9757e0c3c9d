"""What PyPI shows of the project, and what developers install."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = "https://github.com/actorcred/actorcred/blob/main/"
REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))


def _setup() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def _links(text: str) -> list[str]:
    pairs = re.findall(r"\]\(([^()\s]+)\)|^\[[^]]+\]: (\S+)$", text, flags=re.MULTILINE)
    return ["".join(pair) for pair in pairs]


def test_the_links_of_the_readme_are_absolute_and_lead_to_files_of_the_repository() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = _links(text)
    assert len(found) >= 6
    assert [link for link in found if not link.startswith("https://")] == []
    own = [link.removeprefix(PAGES) for link in found if link.startswith(PAGES)]
    assert [path for path in own if not (ROOT / path).is_file()] == []


def test_each_reference_in_the_readme_has_a_link() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    defined = set(re.findall(r"^\[([a-z]+)\]: ", text, flags=re.MULTILINE))
    assert set(re.findall(r"\]\[([a-z]+)\]", text)) <= defined


def test_the_urls_of_the_project_are_those_of_the_readme() -> None:
    urls = dict(
        line.split(" = ") for line in _setup()["metadata"]["project_urls"].strip().splitlines()
    )
    assert set(urls) == {"Changelog", "Documentation", "Issues", "Source"}
    assert f"{urls['Source']}/blob/main/" == PAGES
    for name in ("Changelog", "Documentation"):
        assert (ROOT / urls[name].removeprefix(PAGES)).is_file(), name


def test_no_extra_is_for_developers_only() -> None:
    extras = _setup()["options.extras_require"]
    packages = {
        re.split(r"[\[>;]", line)[0]
        for text in extras.values()
        for line in text.splitlines()
        if line
    }
    assert {"test", "lint", "docs", "bench", "fuzz"}.isdisjoint(extras)
    assert {"pytest", "ruff", "mypy", "sphinx", "playwright", "atheris"}.isdisjoint(packages)


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_requirements_name_extras_and_files_that_exist(path: Path) -> None:
    extras = set(_setup()["options.extras_require"])
    lines = path.read_text(encoding="utf-8").splitlines()
    for line in lines:
        if found := re.fullmatch(r"-e \.(?:\[([a-z,]+)\])?", line):
            assert set((found[1] or "").split(",")) - {""} <= extras, line
        elif found := re.fullmatch(r"-r (.+)", line):
            assert path.with_name(found[1]) in REQUIREMENTS, line
        else:
            assert re.match(r"[\w-]+(\[[\w,]+\])?>=[\d.]+(; .+)?$", line), line


def test_each_target_of_make_that_installs_has_its_requirements() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    names = set(re.findall(r"\$\(VENV\)/([\w,-]+)\.installed", makefile))
    assert names <= {path.stem for path in REQUIREMENTS}


def test_the_classifiers_name_the_pythons_that_ci_runs() -> None:
    classifiers = _setup()["metadata"]["classifiers"]
    claimed = set(re.findall(r"Python :: (3\.\d+)$", classifiers, flags=re.MULTILINE))
    required = _setup()["options"]["python_requires"].removeprefix(">=")
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert claimed == {required, *re.findall(r"\bpython(3\.\d+)\b", run)}
