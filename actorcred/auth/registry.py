"""Create checkers from strings such as `file:players.htpasswd`, `sqlite:accounts.db`, `anonymous`.

The types are entry points in the group `actorcred.checkers`, those of this package like all others;
see docs/how-to/write-a-checker-plugin.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable
from functools import cache
from importlib.metadata import entry_points

from actorcred.actors import Dispatcher, starting_on
from actorcred.auth.descriptors import ArgString, Descriptor, parse_descriptor
from actorcred.auth.plugin import CheckerPlugin, Plugin
from actorcred.auth.templates import take_avatar_ids
from actorcred.checker import CheckerRef
from actorcred.errors import ActorcredError
from actorcred.naming import TemplateError

__all__ = [
    "GROUP",
    "SOURCES",
    "CheckerPlugin",
    "Plugin",
    "broken_plugins",
    "find_plugin",
    "from_string",
    "own_plugins",
    "plugins",
    "start_group",
    "start_groups",
    "usable_with",
]


logger = logging.getLogger("actorcred.plugins")

GROUP = "actorcred.checkers"
"""The group of the entry points."""

SOURCES = "actorcred.checker_sources"
"""The group of the entry points for functions that return many types, such as another framework's.

The functions have no arguments. The names of the types begin with the name of the entry point and a
hyphen. A function is called when such a type, or a list of all types, is requested.
"""

_ATTRIBUTES = (
    "auth_type",
    "arg_string_format",
    "auth_help",
    "credential_interfaces",
    "generate_checker",
)


@cache
def _load() -> tuple[dict[str, Plugin], dict[str, str]]:
    found: dict[str, Plugin] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            plugin = entry.load()
            if lacking := [name for name in _ATTRIBUTES if not hasattr(plugin, name)]:
                raise TypeError(f"it lacks {', '.join(lacking)}")
            if found.setdefault(plugin.auth_type, plugin) is not plugin:
                raise TypeError(f"a type called {plugin.auth_type!r} already exists")
        except Exception as error:  # third-party code can fail in any way
            where = entry.dist.name if entry.dist is not None else "?"
            broken[entry.name] = f"{entry.value} of {where}: {type(error).__name__}: {error}"
            logger.error(
                "The type of authentication %r cannot be used: %s", entry.name, broken[entry.name]
            )
    return found, broken


@cache
def _load_source(name: str) -> dict[str, Plugin]:
    found: dict[str, Plugin] = {}
    for entry in entry_points(group=SOURCES, name=name):
        try:
            made: Iterable[Plugin] = entry.load()()
        except ImportError as error:  # the framework is not installed
            logger.debug("No types of authentication %s-...: %s", name, error)
            continue
        found.update((plugin.auth_type, plugin) for plugin in made)
    return found


def plugins() -> dict[str, Plugin]:
    """Return all installed types of authentication by name; broken ones are logged and omitted."""
    found = dict(_load()[0])
    for name in sorted({entry.name for entry in entry_points(group=SOURCES)}):
        found = {**_load_source(name), **found}
    return found


def own_plugins() -> dict[str, Plugin]:
    """Return the types that are entry points themselves, without those from sources."""
    return _load()[0]


def find_plugin(auth_type: str) -> Plugin | None:
    """Return a type of authentication, or None if there is no such type."""
    return _load()[0].get(auth_type) or _load_source(auth_type.partition("-")[0]).get(auth_type)


def broken_plugins() -> dict[str, str]:
    """Return the types that cannot be used: name of the entry point -> reason."""
    return _load()[1]


def usable_with(plugin: Plugin, kinds: Iterable[type]) -> bool:
    """Return whether protocols that create these kinds of credentials can use a plugin."""
    made = tuple(kinds)
    return any(
        issubclass(kind, taken) or issubclass(taken, kind)
        for taken in plugin.credential_interfaces
        for kind in made
    )


def from_string(text: str, *, dispatcher: Dispatcher | None = None) -> CheckerRef:
    """Start the checker of a descriptor; see `actorcred.auth.descriptors` for the grammar.

    Args:
        text: the descriptor.
        dispatcher: where the checker and those inside it run.

    Raises:
        DescriptorError: if the descriptor is invalid; the text says why and shows where.
        AccountError: if something that it names, such as a file, cannot be used.
        MissingExtra: if an optional package is needed.
    """
    with starting_on(dispatcher):
        return _start(parse_descriptor(text))


def _start(descriptor: Descriptor) -> CheckerRef:
    plugin = find_plugin(descriptor.kind)
    if plugin is None:
        near = difflib.get_close_matches(descriptor.kind, plugins(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(plugins())}"
        raise descriptor.error(f"unknown type of authentication {descriptor.kind!r}; {hint}")
    avatar_ids = take_avatar_ids(descriptor)
    try:
        checker = plugin.generate_checker(descriptor.argument)
    except ActorcredError:
        raise
    except (ValueError, TypeError) as error:
        form = f"{descriptor.kind}:{plugin.arg_string_format}".rstrip(":")
        raise descriptor.error(
            f"{descriptor.kind}: {error}; the form is {form}", len(descriptor.kind) + 1
        ) from None
    if not isinstance(checker, CheckerRef):
        raise descriptor.error(
            f"the plugin of {descriptor.kind!r} must return a started checker, "
            f"not {type(checker).__name__}"
        )
    if avatar_ids is None:
        return checker
    try:
        return checker.named(avatar_ids=avatar_ids)
    except TemplateError as error:
        checker.stop(block=False)
        raise descriptor.argument.option_error("as", f"as: {error}") from None


def start_groups(argument: ArgString) -> list[CheckerRef]:
    """Start the checkers in parentheses; if one of them cannot be started, the others are stopped.

    Raises the same errors as `from_string`.
    """
    started: list[CheckerRef] = []
    try:
        started.extend(_start(descriptor) for descriptor in argument.groups())
    except BaseException:
        for checker in started:
            checker.stop(block=False)
        raise
    return started


def start_group(argument: ArgString) -> CheckerRef:
    """Start the one checker in parentheses. Raises the same errors as `from_string`."""
    if len(argument.groups()) != 1:
        raise argument.error("expected one descriptor in parentheses")
    return start_groups(argument)[0]
