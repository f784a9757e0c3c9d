"""Several checkers that must all accept a client, such as a password and a second factor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.auth.registry import start_groups
from actorcred.checker import CheckerRef
from actorcred.checkers.bases.facts import with_mfa
from actorcred.checkers.wrappers.wrapper import (
    Wrapper,
    ask_checker,
    vouched,
)
from actorcred.credentials import Combined, OneTimePassword, UsernamePassword, is_blank
from actorcred.errors import AccountError, UnauthorizedLogin, UnknownKey
from actorcred.identity import Identity, combined
from actorcred.naming import IdSpace

__all__ = ["CODE_DIGITS", "AllOf", "plugin"]


CODE_DIGITS = 6
"""Digits of a code that clients append to their password."""

_DIGITS = frozenset("0123456789")


class AllOf(Wrapper):
    """Accepts a client only if all wrapped checkers do and agree on the avatar id.

    They are asked in turn, and the first refusal ends the login, so that a wrong password does not
    use up a code. The client presents a `Combined` with a part for each; or credentials that all of
    them take; or, if some take a `OneTimePassword`, a `UsernamePassword` with the code's six digits
    after the password, which any protocol can carry. Blanks before the code and between its digits
    are ignored.

    The identity has what all of them say (`actorcred.identity.combined`). Its methods are those of
    all, and "mfa" if they are of different kinds, such as a password and a code.

    Args:
        checkers: refs to started checkers. They stop with this one.
    """

    all_asked = True

    @classmethod
    def start(cls, *checkers: CheckerRef, dispatcher: Dispatcher | None = None) -> CheckerRef:  # type: ignore[override]
        """Start a checker; see the class for the arguments."""
        return cls.launch(checkers, dispatcher=dispatcher)

    def id_spaces(self) -> Iterable[IdSpace]:
        """Return the avatar ids of the first checker, with which the others must agree.

        Raises:
            AccountError: if the template of another one lets it agree with none of them.
        """
        first, *others = [checker.id_spaces for checker in self.checkers] or [()]
        for spaces in others:
            if first and spaces and all(one.is_apart_from(two) for one in first for two in spaces):
                raise AccountError(
                    f"{first[0]} and {spaces[0]} never agree on an avatar id; put the template "
                    "before both, such as all[as=corp/{name}]:(...)(...)"
                )
        return first

    def kinds(self) -> tuple[type, ...]:
        """Return `Combined`, and the kinds that every wrapped checker takes."""
        common = [
            kind
            for kind in super().kinds()
            if all(self._part_for(checker, kind) for checker in self.checkers)
        ]
        return (
            Combined,
            *(kind for kind in common if kind is not OneTimePassword or len(self.checkers) == 1),
        )

    @staticmethod
    def _part_for(checker: CheckerRef, kind: type) -> bool:
        taken = checker.credential_interfaces
        return issubclass(kind, taken) or (kind is UsernamePassword and OneTimePassword in taken)

    async def request_avatar_id(self, credentials: Any) -> Any:
        """Ask all wrapped checkers."""
        first, *others = self._readings_of(credentials)
        try:
            return await self._ask_all(first())
        except UnauthorizedLogin as error:
            if not others:
                raise
            try:
                return await self._ask_all(others[0]())
            except UnauthorizedLogin as again:
                raise UnauthorizedLogin(error.detail, known=error.known or again.known) from None

    async def _ask_all(self, parts: tuple[object, ...]) -> Identity:
        found: Identity | None = None
        for checker in self.checkers:
            part = next(
                (part for part in parts if isinstance(part, checker.credential_interfaces)), None
            )
            if part is None:
                raise UnauthorizedLogin(
                    f"no credentials for {checker.actor_class.__name__}", known=found is not None
                )
            try:
                answer = await ask_checker(checker, part)
            except UnauthorizedLogin as error:
                kind = UnknownKey if isinstance(error, UnknownKey) else UnauthorizedLogin
                raise kind(error.detail, known=error.known or found is not None) from None
            identity = vouched(checker, answer, part)
            if found is not None and found.avatar_id != identity.avatar_id:
                raise UnauthorizedLogin("the checkers do not agree on the avatar id", known=True)
            found = identity if found is None else combined(found, identity)
        assert found is not None
        return found.replaced(methods=with_mfa(found.methods))

    def _readings_of(self, credentials: Any) -> list[Callable[[], tuple[object, ...]]]:
        """Return functions that make the parts of credentials.

        There are two if blanks before the code might belong to the password.
        """
        if isinstance(credentials, Combined):
            return [lambda: credentials.parts]
        wants_code = any(
            OneTimePassword in checker.credential_interfaces for checker in self.checkers
        )
        if not isinstance(credentials, UsernamePassword) or not wants_code:
            return [lambda: (credentials,)]
        name, source = credentials.username, credentials.source
        password, code = _split(credentials.sent)

        def reading(password: str) -> tuple[object, ...]:
            return UsernamePassword(name, password, source=source), OneTimePassword(
                name, code, source=source
            )

        return [
            partial(reading, text) for text in dict.fromkeys((_without_blanks(password), password))
        ]


def _split(typed: str) -> tuple[str, str]:
    """Return a password and the code after it.

    The password can still have trailing blanks; there can be blanks between the code's digits.
    """
    position, digits = len(typed), ""
    while (
        position
        and len(digits) < CODE_DIGITS
        and (typed[position - 1] in _DIGITS or is_blank(typed[position - 1]))
    ):
        position -= 1
        digits = typed[position] + digits if typed[position] in _DIGITS else digits
    if len(digits) < CODE_DIGITS:
        return typed[:-CODE_DIGITS], typed[-CODE_DIGITS:]
    return typed[:position], digits


def _without_blanks(password: str) -> str:
    """Return a password without trailing blanks."""
    end = len(password)
    while end and is_blank(password[end - 1]):
        end -= 1
    return password[:end]


def _generate(argument: ArgString) -> CheckerRef:
    read_options(argument, {})
    return AllOf.start(*start_groups(argument))


plugin = CheckerPlugin(
    "all",
    "(TYPE:...)(TYPE:...)...",
    "All of several checkers, which must agree on the user: a password and a second factor, as in "
    "all:(file:players)(otp:codes.db). Clients type the code after the password.",
    (Combined, UsernamePassword),
    _generate,
)
