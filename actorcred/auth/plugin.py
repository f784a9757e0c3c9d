"""What a deployer chooses by name: a type of authentication, its help, and how a checker is made of an argument."""

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
    """What an entry point in the group `actorcred.checkers` names; any object with these attributes will do."""

    @property
    def auth_type(self) -> str:
        """What stands before the colon: small letters, digits and hyphens."""

    @property
    def arg_string_format(self) -> str:
        """The form of the argument in a line, as "PATH"."""

    @property
    def auth_help(self) -> str:
        """What it checks against and what its argument means, in a few sentences."""

    @property
    def credential_interfaces(self) -> tuple[type, ...]:
        """The kinds of credentials that its checkers take."""

    @property
    def generate_checker(self) -> Callable[[ArgString], Any]:
        """A function that starts a checker and returns its ref; a ValueError says what is wrong with the argument."""


@dataclass(frozen=True, slots=True)
class CheckerPlugin:
    """A plugin, ready made; see `Plugin` for the attributes."""

    auth_type: str
    arg_string_format: str
    auth_help: str
    credential_interfaces: tuple[type, ...]
    generate_checker: Callable[[ArgString], Any]


def read_options(argument: ArgString, kinds: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the options of an argument, converted.

    Args:
        argument: the argument.
        kinds: name of the option -> what makes a value of its text, as `int`.

    Raises:
        ValueError: if there is another option, or a value cannot be converted.
    """
    made = {}
    for name, text in ArgString.of(argument).options.items():
        convert = kinds.get(name)
        if convert is None:
            raise ValueError(
                f"unknown option {name!r}; there {'are ' + ', '.join(kinds) if kinds else 'is none'}"
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
    """Return what "yes" or "no" means.

    Raises:
        ValueError: if it is neither.
    """
    if text not in {"yes", "no"}:
        raise ValueError(text)
    return text == "yes"


def start_with_path(
    start: Callable[..., CheckerRef], kinds: Mapping[str, Callable[[str], Any]]
) -> Callable[[ArgString], CheckerRef]:
    """Return what makes a checker of a path and options, which are its arguments by name."""

    def generate(argument: ArgString) -> CheckerRef:
        if not argument:
            raise ValueError("needs the path of a file")
        return start(str(argument), **read_options(argument, kinds))

    return generate


def start_without_argument(start: Callable[[], Any]) -> Callable[[ArgString], CheckerRef]:
    """Return what makes a checker of nothing: no argument, no options."""

    def generate(argument: ArgString) -> CheckerRef:
        if argument:
            raise ValueError("takes no argument")
        read_options(argument, {})
        return cast("CheckerRef", start())

    return generate
