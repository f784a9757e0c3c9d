"""`actorcred init`: make a small project to begin with."""

from __future__ import annotations

import importlib.metadata
import keyword
import shutil
import sys
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from actorcred.cli.errors import ExitCode, fail

__all__ = ["init"]

NAME = "projectname"
"""What stands for the project's name in the files of the templates, and in their paths."""

VERSION = "actorcredversion"

SUFFIX = "-tpl"
"""What follows the names of files that tools would take for a part of actorcred."""

LONGEST_NAME = 40


@dataclass(frozen=True)
class Kind:
    """A kind of project.

    Args:
        folders: those of its templates.
        what: what it is, for the user.
    """

    folders: tuple[str, ...]
    what: str


KINDS = {
    "game": Kind(("common", "page", "game"), "a game"),
    "chat": Kind(("common", "page", "chat"), "a chat"),
    "api": Kind(("common", "api"), "an HTTP API"),
}


@click.command(short_help="Make a small project to begin with.")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="game",
    show_default=True,
    help="What the project is: a game or a chat, with a page and a WebSocket, or an HTTP API.",
)
def init(name: str, kind: str) -> None:
    """Make the folder NAME with a small project: realm, page, tests and settings.

    NAME is also the name of its Python package.
    """
    _check(name)
    folder = Path(name)
    if folder.exists():
        fail(f"{name} exists already; choose another name, or remove it", ExitCode.USAGE)
    try:
        count = _write(folder, KINDS[kind].folders)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        fail(f"{name} cannot be written: {error.strerror or error}", ExitCode.USAGE)
    click.echo(f"{name} is {KINDS[kind].what} in {count} files. Next:\n")
    click.echo(f"    cd {name}\n    pip install -e .\n    python -m {name}")


def _check(name: str) -> None:
    """End the command if a name cannot be that of a package."""
    usable = name.isascii() and name.isidentifier() and name == name.lower()
    if not usable or len(name) > LONGEST_NAME or name.startswith("_") or keyword.iskeyword(name):
        fail(
            f"{name!r} cannot be the name of a Python package: use lower case letters, digits and "
            "underscores, such as my_game",
            ExitCode.USAGE,
        )
    if name in sys.stdlib_module_names or name in {"actorcred", "tests", NAME}:
        fail(f"{name!r} is the name of another package; choose another name", ExitCode.USAGE)


def _write(folder: Path, templates: tuple[str, ...]) -> int:
    """Write a project; return the number of files."""
    words = {NAME: folder.name, VERSION: importlib.metadata.version("actorcred")}
    count = 0
    for template in templates:
        source = files("actorcred.cli").joinpath("templates", template)
        count += _copy(source, folder, words)
    return count


def _copy(source: Traversable, target: Path, words: dict[str, str]) -> int:
    """Copy a folder of a template; return the number of files."""
    target.mkdir(exist_ok=True)
    count = 0
    for item in source.iterdir():
        name = item.name.replace(NAME, words[NAME]).removesuffix(SUFFIX)
        path = target / (".gitignore" if name == "gitignore" else name)
        if item.is_dir():
            count += _copy(item, path, words)
            continue
        text = item.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        path.write_text(text, encoding="utf-8")
        count += 1
    return count
