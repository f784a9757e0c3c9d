"""The options `--auth`, `--help-auth` and `--help-auth-type` for programs with argparse or click.

`--auth TYPE:ARGUMENT` may be repeated; pass each of its values to
`actorcred.auth.registry.from_string`. Each function takes the kinds of credentials that the
program's protocols create, so that the help shows only types that can be used.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from actorcred.auth.registry import broken_plugins, find_plugin, plugins, usable_with
from actorcred.auth.templates import TEMPLATE_HELP

__all__ = ["add_auth_arguments", "auth_options", "describe_type", "list_types"]


F = TypeVar("F", bound=Callable[..., Any])

AUTH_HELP = (
    "Who may log in; see --help-auth. May be repeated; checkers are asked in the given order."
)

LIST_HELP = "List the types of authentication that can be used here, and exit."

TYPE_HELP = "Explain one type of authentication, and exit."

WIDTH = 100


def _form(auth_type: str, form: str) -> str:
    return f"{auth_type}:{form}" if form else auth_type


def list_types(supported: Iterable[type] = (object,)) -> str:
    """Return a list, as text, of the types of authentication that protocols can use.

    Args:
        supported: the kinds of credentials that the protocols create.
    """
    kinds = tuple(supported)
    usable = [plugin for plugin in plugins().values() if usable_with(plugin, kinds)]
    made = ["Types of authentication, for --auth:"]
    for plugin in usable:
        made.append(f"  {_form(plugin.auth_type, plugin.arg_string_format)}")
        sentence = plugin.auth_help.split(". ")[0].rstrip(".") + "."
        made.append(
            textwrap.fill(sentence, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        )
    made += [f"  {name} cannot be used: {why}" for name, why in broken_plugins().items()]
    return "\n".join(
        [
            *made,
            textwrap.fill(TEMPLATE_HELP, WIDTH),
            "--help-auth-type TYPE explains one of them.",
        ]
    )


def describe_type(name: str, supported: Iterable[type] = (object,)) -> str:
    """Return the description of one type of authentication.

    Args:
        name: the type.
        supported: the kinds of credentials that the protocols create.

    Raises:
        ValueError: if there is no such type.
    """
    plugin = find_plugin(name)
    if plugin is None:
        raise ValueError(
            f"unknown type of authentication {name!r}; use one of {', '.join(plugins())}"
        )
    kinds = [kind.__name__ for kind in plugin.credential_interfaces if kind is not object]
    made = [
        f"--auth '{_form(plugin.auth_type, plugin.arg_string_format)}'",
        "",
        textwrap.fill(plugin.auth_help, WIDTH),
        "",
        textwrap.fill(TEMPLATE_HELP, WIDTH),
    ]
    if kinds:
        made += ["", f"It takes: {', '.join(kinds)}."]
    if not usable_with(plugin, supported):
        made += [
            "",
            (
                "WARNING: no protocol of this program creates such credentials, "
                "so no client could log in with it."
            ),
        ]
    return "\n".join(made)


def add_auth_arguments(
    parser: argparse.ArgumentParser,
    supported: Iterable[type] = (object,),
    *,
    required: bool = False,
) -> None:
    """Add the options to a parser, whose result has the attribute `auth`, a list of strings.

    Args:
        parser: the parser.
        supported: the kinds of credentials that the protocols create.
        required: whether `--auth` is required.
    """
    kinds = tuple(supported)

    class Print(argparse.Action):
        def __call__(
            self,
            parser: argparse.ArgumentParser,
            namespace: object,
            values: str | Sequence[Any] | None,
            option: str | None = None,
        ) -> NoReturn:
            if self.nargs == 0:
                parser.exit(message=list_types(kinds) + "\n")
            try:
                parser.exit(message=describe_type(str(values), kinds) + "\n")
            except ValueError as error:
                parser.error(str(error))

    parser.add_argument(
        "--auth",
        action="append",
        default=[],
        required=required,
        metavar="TYPE:ARGUMENT",
        help=AUTH_HELP,
    )
    parser.add_argument("--help-auth", action=Print, nargs=0, help=LIST_HELP)
    parser.add_argument("--help-auth-type", action=Print, metavar="TYPE", help=TYPE_HELP)


def auth_options(
    supported: Iterable[type] = (object,), *, required: bool = False
) -> Callable[[F], F]:
    """Return a decorator for click commands, whose function gets `auth`, a tuple of strings.

    Args:
        supported: the kinds of credentials that the protocols create.
        required: whether `--auth` is required.
    """
    import click

    kinds = tuple(supported)

    def print_list(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            click.echo(list_types(kinds))
            context.exit()

    def print_type(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            try:
                click.echo(describe_type(value, kinds))
            except ValueError as error:
                raise click.BadParameter(str(error), context, parameter) from None
            context.exit()

    once: dict[str, Any] = {"is_eager": True, "expose_value": False}

    def decorate(function: F) -> F:
        function = click.option(
            "--help-auth-type", metavar="TYPE", callback=print_type, help=TYPE_HELP, **once
        )(function)
        function = click.option(
            "--help-auth", is_flag=True, callback=print_list, help=LIST_HELP, **once
        )(function)
        return click.option(
            "--auth", multiple=True, required=required, metavar="TYPE:ARGUMENT", help=AUTH_HELP
        )(function)

    return decorate
