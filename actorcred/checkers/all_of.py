"""Several checkers that must all say yes, as a password and a second factor."""

from __future__ import annotations

import math
from typing import Any

from actorcred.actors import Dispatcher
from actorcred.checkers.base import CheckerRef
from actorcred.checkers.plugin import CheckerPlugin, read_options
from actorcred.checkers.wrapper import Wrapper, ask_checker, checked_avatar_id
from actorcred.credentials import AvatarId, Combined, OneTimePassword, UsernamePassword, temporary, until_of
from actorcred.descriptors import ArgString
from actorcred.errors import UnauthorizedLogin, UnknownKey
from actorcred.plugins import start_groups

__all__ = ["CODE_DIGITS", "AllOf", "plugin"]

CODE_DIGITS = 6
"""Digits of a code that clients append to their password."""


class AllOf(Wrapper):
    """Lets those in of whom every one of several checkers says yes, and all say the same avatar id.

    They are asked in turn, and the first no ends it, so a code is not used up by a wrong password. The client presents a
    `Combined` with a part for each; or one thing for all of them; or, where some want a `OneTimePassword`, a
    `UsernamePassword` with the code's six digits after the password, which any protocol can carry.

    Args:
        checkers: refs to started checkers. They stop with this one.
    """

    @classmethod
    def start(cls, *checkers: CheckerRef, dispatcher: Dispatcher | None = None) -> CheckerRef:  # type: ignore[override]
        """Start a checker; see the class for the arguments."""
        return cls.launch(checkers, dispatcher=dispatcher)

    def kinds(self) -> tuple[type, ...]:
        """Return `Combined`, and what every wrapped checker takes."""
        common = [kind for kind in super().kinds() if all(self._part_for(checker, kind) for checker in self.checkers)]
        return (Combined, *(kind for kind in common if kind is not OneTimePassword or len(self.checkers) == 1))

    @property
    def offered_interfaces(self) -> tuple[type, ...]:  # type: ignore[override]
        """All that it takes: nobody gets in by another one."""
        return self.credential_interfaces

    @staticmethod
    def _part_for(checker: CheckerRef, kind: type) -> bool:
        taken = checker.credential_interfaces
        return issubclass(kind, taken) or (kind is UsernamePassword and OneTimePassword in taken)

    async def request_avatar_id(self, credentials: Any) -> Any:
        """Ask all of them."""
        parts = credentials.parts if isinstance(credentials, Combined) else self._parts_of(credentials)
        found: set[AvatarId] = set()
        until = math.inf
        for checker in self.checkers:
            part = next((part for part in parts if isinstance(part, checker.credential_interfaces)), None)
            if part is None:
                raise UnauthorizedLogin(f"nothing for {checker.actor_class.__name__}", known=bool(found))
            try:
                answer = await ask_checker(checker, part)
            except UnauthorizedLogin as error:
                kind = UnknownKey if isinstance(error, UnknownKey) else UnauthorizedLogin
                raise kind(error.detail, known=error.known or bool(found)) from None
            found.add(checked_avatar_id(checker, answer))
            # A code is good once, also with a checker that does not say so.
            until = 0.0 if isinstance(part, OneTimePassword) else min(until, until_of(answer))
        if len(found) != 1:
            raise UnauthorizedLogin("the checkers do not agree on who it is", known=True)
        return temporary(found.pop(), until)

    def _parts_of(self, credentials: Any) -> tuple[object, ...]:
        wants_code = any(OneTimePassword in checker.credential_interfaces for checker in self.checkers)
        if not isinstance(credentials, UsernamePassword) or not wants_code:
            return (credentials,)
        password, code = credentials.password[:-CODE_DIGITS], credentials.password[-CODE_DIGITS:]
        name, source = credentials.username, credentials.source
        return UsernamePassword(name, password, source=source), OneTimePassword(name, code, source=source)


def _generate(argument: ArgString) -> CheckerRef:
    read_options(argument, {})
    return AllOf.start(*start_groups(argument))


plugin = CheckerPlugin(
    "all",
    "(TYPE:...)(TYPE:...)...",
    "All of several, who must agree on who it is: a password and a second factor, as all:(file:players)(otp:codes.db). Clients "
    "type the code after the password.",
    (Combined, UsernamePassword),
    _generate,
)
