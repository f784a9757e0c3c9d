"""The first of several checkers that accepts a client."""

from __future__ import annotations

from typing import Any

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.auth.registry import start_groups
from actorcred.checker import CheckerRef
from actorcred.checkers.wrappers.wrapper import Wrapper, ask_checker, vouched
from actorcred.errors import CheckerUnavailable, LoginFailed, UnauthorizedLogin, UnknownKey
from actorcred.exchange import Exchange

__all__ = ["FirstOf", "plugin"]


class FirstOf(Wrapper):
    """Asks checkers in turn, as a portal does, so that several can be used where one is expected.

    Args:
        checkers: refs to started checkers. They stop with this one.
    """

    @classmethod
    def start(cls, *checkers: CheckerRef, dispatcher: Dispatcher | None = None) -> CheckerRef:  # type: ignore[override]
        """Start a checker; see the class for the arguments."""
        return cls.launch(checkers, dispatcher=dispatcher)

    async def request_avatar_id(self, credentials: Any) -> Any:
        """Ask one checker after the other."""
        errors: list[LoginFailed] = []
        asked = [
            checker
            for checker in self.checkers
            if isinstance(credentials, checker.credential_interfaces)
        ]
        is_last = isinstance(credentials, Exchange) and credentials.last
        for checker in asked:
            if isinstance(credentials, Exchange):
                credentials.last = is_last and checker is asked[-1]
            try:
                return vouched(checker, await ask_checker(checker, credentials), credentials)
            except (UnauthorizedLogin, CheckerUnavailable) as error:
                errors.append(error)
        if any(isinstance(error, CheckerUnavailable) for error in errors):
            raise CheckerUnavailable("one of several checkers is down")
        kind = (
            UnknownKey
            if errors and all(isinstance(error, UnknownKey) for error in errors)
            else UnauthorizedLogin
        )
        raise kind(
            "none of several checkers",
            known=any(getattr(error, "known", False) for error in errors),
        )


def _generate(argument: ArgString) -> CheckerRef:
    read_options(argument, {})
    return FirstOf.start(*start_groups(argument))


plugin = CheckerPlugin(
    "first",
    "(TYPE:...)(TYPE:...)...",
    "The first of several checkers that accepts the client.",
    (object,),
    _generate,
)
