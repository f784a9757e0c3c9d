"""The first of several checkers that accepts a client."""

from __future__ import annotations

from typing import Any

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options, yes_or_no
from actorcred.auth.registry import start_groups
from actorcred.checker import CheckerRef
from actorcred.checkers.wrappers.wrapper import Wrapper, ask_checker, vouched
from actorcred.errors import CheckerUnavailable, LoginFailed, UnauthorizedLogin, UnknownKey
from actorcred.exchange import Exchange
from actorcred.naming import IdSpace, require_apart

__all__ = ["FirstOf", "plugin"]


class FirstOf(Wrapper):
    """Asks checkers in turn, as a portal does, so that several can be used where one is expected.

    Args:
        checkers: refs to started checkers. They stop with this one.
        same: whether they know the same people, so that one avatar id from two of them is one user.
            If not, their templates (`CheckerRef.named`) must keep their users apart, and a warning
            is logged if some have none.

    Raises:
        AccountError: if two templates allow the same avatar id.
    """

    def __init__(self, checkers: tuple[CheckerRef, ...], same: bool = False) -> None:
        super().__init__(checkers)
        known: list[tuple[IdSpace, ...]] = []
        for checker in () if same else checkers:
            require_apart(known, checker.id_spaces)
            known.append(checker.id_spaces)

    @classmethod
    def start(  # type: ignore[override]
        cls, *checkers: CheckerRef, same: bool = False, dispatcher: Dispatcher | None = None
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cls.launch(checkers, same, dispatcher=dispatcher)

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
    options = read_options(argument, {"same": yes_or_no})
    return FirstOf.start(*start_groups(argument), **options)


plugin = CheckerPlugin(
    "first",
    "(TYPE:...)(TYPE:...)...",
    "The first of several checkers that accepts the client. same=yes says that they know the same "
    "people, so that the same name from two of them is one user.",
    (object,),
    _generate,
)
