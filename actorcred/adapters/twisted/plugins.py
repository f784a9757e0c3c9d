"""Plugins that cross over: Twisted's types of authentication for our `--auth`, and ours for Twisted's.

`file` of Twisted's is `twisted-file` here. Ours have their own names there; those that Twisted has a type for, as `file`, are
`actorcred-file`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin, getPlugins
from zope.interface import implementer

from actorcred.adapters.twisted.checkers import CredChecker, TwistedChecker
from actorcred.adapters.twisted.credentials import kinds_from_twisted, kinds_to_twisted
from actorcred.adapters.twisted.dispatcher import reactor_dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, Plugin, read_options
from actorcred.auth.registry import from_string, own_plugins
from actorcred.checker import CheckerRef
from actorcred.errors import ActorcredError

__all__ = ["CredCheckerFactory", "factories_for_twisted", "types_from_twisted"]

TWISTEDS_OWN = frozenset({"anonymous", "file", "memory", "sshkey", "unix"})
"""The types that Twisted brings itself."""


# -- Twisted's for us -----------------------------------------------------------------------------------------------------


def types_from_twisted() -> list[Plugin]:
    """Return the types of authentication of all plugins of Twisted's, but for our own."""
    found: dict[str, Plugin] = {}
    for factory in getPlugins(ICheckerFactory):
        if not isinstance(factory, CredCheckerFactory):
            name = f"twisted-{factory.authType}"
            found.setdefault(
                name,
                CheckerPlugin(
                    name,
                    factory.argStringFormat,
                    " ".join(factory.authHelp.split()),
                    kinds_from_twisted(factory.credentialInterfaces),
                    _generator(factory),
                ),
            )
    return list(found.values())


def _generator(factory: Any) -> Callable[[ArgString], CheckerRef]:
    def generate(argument: ArgString) -> CheckerRef:
        read_options(argument, {})
        try:
            checker = factory.generateChecker(str(argument))
        except Exception as error:  # a third party's code
            raise ValueError(str(error) or type(error).__name__) from None
        run_reactor()
        return TwistedChecker.start(checker)

    return generate


def run_reactor() -> None:
    """Run the reactor on a thread of its own if nobody runs it: checkers of Twisted's may need it.

    A program that runs it itself does so before it makes such checkers.
    """
    from twisted.internet import reactor

    running: Any = reactor
    if running.running:
        return
    started = threading.Event()
    running.callWhenRunning(started.set)
    threading.Thread(target=lambda: running.run(installSignalHandlers=False), name="twisted-reactor", daemon=True).start()
    started.wait()


# -- ours for Twisted -----------------------------------------------------------------------------------------------------


@implementer(ICheckerFactory, IPlugin)
class CredCheckerFactory:
    """One of our types of authentication, for Twisted.

    Args:
        plugin: ours.

    Attributes:
        authType: its name there.
        authHelp: its help.
        argStringFormat: the form of the argument.
        credentialInterfaces: the kinds of credentials, as Twisted has them.
    """

    def __init__(self, plugin: Plugin) -> None:
        self._type = plugin.auth_type
        self.authType = f"actorcred-{self._type}" if self._type in TWISTEDS_OWN else self._type
        self.authHelp = plugin.auth_help
        self.argStringFormat = plugin.arg_string_format or "No argstring required."
        self.credentialInterfaces = kinds_to_twisted(plugin.credential_interfaces)

    def generateChecker(self, argument: str = "") -> CredChecker:  # noqa: N802  # Twisted's name
        """Return a checker for a portal of Twisted's, or of ours.

        Raises:
            ValueError: says what is wrong with the argument.
        """
        try:
            return CredChecker(from_string(f"{self._type}:{argument}", dispatcher=reactor_dispatcher()))
        except ActorcredError as error:
            raise ValueError(str(error)) from None


def factories_for_twisted() -> dict[str, CredCheckerFactory]:
    """Return our types that have credentials which Twisted knows, by names to be variables of a module."""
    made = map(CredCheckerFactory, own_plugins().values())
    return {factory.authType.replace("-", "_"): factory for factory in made if factory.credentialInterfaces}
