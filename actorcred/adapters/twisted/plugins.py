"""Plugins converted both ways: Twisted's authentication types for our `--auth`, ours for Twisted.

Twisted's type `file` is `twisted-file` here. Our types have their own names in Twisted; those that
collide with one of Twisted's, such as `file`, are `actorcred-file`. Types of other packages are
`actorcred:TYPE`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from twisted.cred.strcred import ICheckerFactory
from twisted.plugin import IPlugin, getPlugins
from zope.interface import implementer
from zope.interface.interface import InterfaceClass

from actorcred.adapters.twisted.checkers import CredChecker, TwistedChecker
from actorcred.adapters.twisted.credentials import kinds_from_twisted, kinds_to_twisted
from actorcred.adapters.twisted.dispatcher import reactor_dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, Plugin, read_options
from actorcred.auth.registry import find_plugin, from_string, own_plugins
from actorcred.checker import CheckerRef
from actorcred.errors import ActorcredError

__all__ = ["AnyTypeFactory", "CredCheckerFactory", "factories_for_twisted", "types_from_twisted"]

TWISTEDS_OWN = frozenset({"anonymous", "file", "memory", "sshkey", "unix"})
"""The types that Twisted itself has."""


# -- Twisted's for us ------------------------------------------------------------------------------


def types_from_twisted() -> list[Plugin]:
    """Return the authentication types of all Twisted plugins, except our own."""
    found: dict[str, Plugin] = {}
    for factory in getPlugins(ICheckerFactory):
        if not isinstance(factory, CredCheckerFactory | AnyTypeFactory):
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
        except Exception as error:  # third-party code
            raise ValueError(str(error) or type(error).__name__) from None
        run_reactor()
        return TwistedChecker.start(checker)

    return generate


def run_reactor() -> None:
    """Run the reactor on a thread of its own if it is not running: Twisted's checkers can need it.

    A program that runs the reactor itself must start it before it creates such checkers.
    """
    from twisted.internet import reactor

    running: Any = reactor
    if running.running:
        return
    started = threading.Event()
    running.callWhenRunning(started.set)
    threading.Thread(
        target=lambda: running.run(installSignalHandlers=False), name="twisted-reactor", daemon=True
    ).start()
    started.wait()


# -- ours for Twisted ------------------------------------------------------------------------------


@implementer(ICheckerFactory, IPlugin)
class CredCheckerFactory:
    """One of our authentication types, for Twisted. The plugin is looked up when it is needed.

    Args:
        auth_type: our name of the type.

    Attributes:
        authType: its name in Twisted.
    """

    def __init__(self, auth_type: str) -> None:
        self._type = auth_type
        self.authType = f"actorcred-{auth_type}" if auth_type in TWISTEDS_OWN else auth_type

    @property
    def authHelp(self) -> str:  # noqa: N802  # Twisted's name
        """The help text."""
        return getattr(find_plugin(self._type), "auth_help", "It cannot be used.")

    @property
    def argStringFormat(self) -> str:  # noqa: N802  # Twisted's name
        """The form of the argument."""
        return getattr(find_plugin(self._type), "arg_string_format", "") or "No argstring required."

    @property
    def credentialInterfaces(self) -> list[InterfaceClass]:  # noqa: N802  # Twisted's name
        """The kinds of credentials, as Twisted has them."""
        return kinds_to_twisted(getattr(find_plugin(self._type), "credential_interfaces", ()))

    def generateChecker(self, argument: str = "") -> CredChecker:  # noqa: N802  # Twisted's name
        """Return a checker for a Twisted portal or ours.

        Raises:
            ValueError: if the argument is not valid; the text says why.
        """
        return _checker(f"{self._type}:{argument}")


@implementer(ICheckerFactory, IPlugin)
class AnyTypeFactory:
    """All our authentication types as one Twisted type, `actorcred:TYPE:ARGUMENT`.

    This includes the types of other packages.
    """

    authType = "actorcred"  # noqa: N815  # Twisted's name
    argStringFormat = "TYPE[:ARGUMENT]"  # noqa: N815  # Twisted's name

    @property
    def authHelp(self) -> str:  # noqa: N802  # Twisted's name
        """The help text."""
        return (
            "Any type of authentication that actorcred finds here: "
            f"{', '.join(sorted(own_plugins()))}."
        )

    @property
    def credentialInterfaces(self) -> list[InterfaceClass]:  # noqa: N802  # Twisted's name
        """The kinds of credentials that any of the types accepts, as Twisted has them."""
        return kinds_to_twisted(
            kind for plugin in own_plugins().values() for kind in plugin.credential_interfaces
        )

    def generateChecker(self, argument: str = "") -> CredChecker:  # noqa: N802  # Twisted's name
        """Return a checker; see `CredCheckerFactory`."""
        return _checker(argument)


def _checker(descriptor: str) -> CredChecker:
    try:
        return CredChecker(from_string(descriptor, dispatcher=reactor_dispatcher()))
    except ActorcredError as error:
        raise ValueError(str(error)) from None


def factories_for_twisted(types: Iterable[str]) -> dict[str, CredCheckerFactory]:
    """Return factories for some of our types, by the names of module variables."""
    made = map(CredCheckerFactory, types)
    return {factory.authType.replace("-", "_"): factory for factory in made}
