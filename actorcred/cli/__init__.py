"""The command `actorcred`: serve a realm, call a server, keep accounts."""

from __future__ import annotations

import sys

from actorcred.errors import MissingExtra

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    try:
        from actorcred.cli.commands import command
    except ImportError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.exit(f"actorcred: {MissingExtra('the command', 'cli')}")
    command()
