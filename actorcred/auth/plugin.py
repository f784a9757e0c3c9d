"""Plugins: types of authentication, with a help text and a function that starts a checker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from actorcred.auth.descriptors import ArgString
from actorcred.checker import CheckerRef

__all__ = [
    "CheckerPlugin",
    "Plugin",
    "read_options",
    "start_with_path",
    "start_without_argument",
    "yes_or_no",
]


class Plugin(Protocol):
    """The target of an entry point in the group `actorcred.checkers`.

    Any object with these attributes is accepted.
    """

    @property
    def auth_type(self) -> str:
        """The name before the colon: lowercase letters, digits and hyphens."""

    @property
    def arg_string_format(self) -> str:
        """The form of the argument in one line, such as "PATH"."""

    @property
    def auth_help(self) -> str:
        """What it checks against and what its argument means, in a few sentences."""

    @property
    def credential_interfaces(self) -> tuple[type, ...]:
        """The kinds of credentials that its checkers accept."""

    @property
    def generate_checker(self) -> Callable[[ArgString], Any]:
        """A function that starts a checker and returns its ref.

        If the argument is invalid, it must raise a ValueError that says why.
        """


@dataclass(frozen=True, slots=True)
class CheckerPlugin:
    """A plugin as a plain object; see `Plugin` for the attributes."""

    auth_type: str
    arg_string_format: str
    auth_help: str
    credential_interfaces: tuple[type, ...]
    generate_checker: Callable[[ArgString], Any]


def read_options(argument: ArgString, kinds: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the options of an argument, converted.

    Args:
        argument: the argument.
        kinds: name of the option -> function that converts its string, such as `int`.

    Raises:
        ValueError: if an option is unknown, or a value cannot be converted.
    """
    made = {}
    for name, text in ArgString.of(argument).options.items():
        convert = kinds.get(name)
        if convert is None:
            raise ValueError(
                f"unknown option {name!r}; "
                f"it takes {'the options ' + ', '.join(kinds) if kinds else 'no options'}"
            )
        try:
            made[name] = convert(text)
        except ValueError:
            raise ValueError(
                f"the option {name} cannot be {text!r}"
                if name != "password"
                else "the password is wrong"
            ) from None
    return made


def yes_or_no(text: str) -> bool:
    """Return True for "yes" and False for "no".

    Raises:
        ValueError: if it is neither.
    """
    if text not in {"yes", "no"}:
        raise ValueError(text)
    return text == "yes"


def start_with_path(
    start: Callable[..., CheckerRef], kinds: Mapping[str, Callable[[str], Any]]
) -> Callable[[ArgString], CheckerRef]:
    """Return a function that starts a checker with a path and options as keyword arguments."""

    def generate(argument: ArgString) -> CheckerRef:
        if not argument:
            raise ValueError("needs the path of a file")
        return start(str(argument), **read_options(argument, kinds))

    return generate


def start_without_argument(start: Callable[[], Any]) -> Callable[[ArgString], CheckerRef]:
    """Return a function that starts a checker without an argument or options."""

    def generate(argument: ArgString) -> CheckerRef:
        if argument:
            raise ValueError("takes no argument")
        read_options(argument, {})
        return cast("CheckerRef", start())

    return generate
