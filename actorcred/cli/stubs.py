"""`actorcred stubs`: write the types of an interface for its callers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from actorcred.cli.classes import find_class
from actorcred.cli.errors import ExitCode, fail
from actorcred.cli.python_stubs import python_stub
from actorcred.cli.typescript_stubs import typescript_stub

__all__ = ["stubs"]

LANGUAGES: Final[dict[str, Callable[[str, type], str]]] = {
    "python": python_stub,
    "ts": typescript_stub,
}


@click.command(short_help="Write the types of an interface, for its callers.")
@click.argument("interface", metavar="MODULE:INTERFACE")
@click.option(
    "--language",
    type=click.Choice([*LANGUAGES]),
    default="python",
    show_default=True,
    help="python: the type of a proxy. ts: a TypeScript interface for clients.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: standard output]",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; fail if the file of --output is not what would be written.",
)
def stubs(interface: str, language: str, output: Path | None, check: bool) -> None:
    """Write the types of MODULE:INTERFACE, for those who call its methods.

    In Python, the stub is the type of `avatar.proxy(PlayerProxy)`, whose methods return futures.
    In TypeScript, the interface is that of `connect<Player>(...)` of actorcred.js.

    \b
    Exit codes: 0 done, 1 --check found a difference, 2 the interface cannot be written.
    Example: actorcred stubs game:Player --language ts -o page/player.ts
    """  # noqa: D301  # click does not rewrap a paragraph that begins with \b
    if check and output is None:
        raise click.UsageError("--check needs --output, the file to check")
    try:
        text = LANGUAGES[language](interface, find_class(interface))
    except (ValueError, TypeError) as error:
        fail(error, ExitCode.USAGE)
    if output is None:
        click.echo(text, nl=False)
    elif not check:
        _write(output, text)
    elif not output.exists() or output.read_text(encoding="utf-8") != text:
        fail(
            f"{output} is not up to date; write it again: actorcred stubs {interface} "
            f"--language {language} -o {output}"
        )


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}", ExitCode.USAGE)
