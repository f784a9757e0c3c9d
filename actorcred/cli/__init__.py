"""The command `actorcred`: serve a realm, call a server, manage accounts."""

from __future__ import annotations

import signal
import sys

from actorcred.errors import MissingExtra

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    # While modules are loaded and while the interpreter exits, Ctrl-C ends the process without a
    # traceback, which would not help.
    usual = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from actorcred.cli.commands import command
    except ImportError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.exit(f"actorcred: {MissingExtra('the command', 'cli')}")
    signal.signal(signal.SIGINT, usual)
    try:
        command()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
