"""The command with all its subcommands."""

from __future__ import annotations

import importlib.metadata

import click

from actorcred.cli.call import call
from actorcred.cli.otp import otp
from actorcred.cli.passwd import passwd
from actorcred.cli.project import init
from actorcred.cli.serve import serve
from actorcred.cli.stubs import stubs

__all__ = ["command"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(importlib.metadata.version("actorcred"), prog_name="actorcred")
def command() -> None:
    """Log users in and serve their avatars.

    Pluggable authentication and sessions in the actor model.
    """


command.add_command(serve)
command.add_command(call)
command.add_command(passwd)
command.add_command(otp)
command.add_command(stubs)
command.add_command(init)
