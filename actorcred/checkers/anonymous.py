"""Let in who does not say who they are."""

from __future__ import annotations

from typing import Literal, cast

from actorcred.checkers.base import Checker, CheckerRef
from actorcred.checkers.plugin import CheckerPlugin, read_options
from actorcred.credentials import ANONYMOUS, Anonymous, _Anonymous
from actorcred.descriptors import ArgString

__all__ = ["AnonymousChecker", "plugin"]


class AnonymousChecker(Checker):
    """Lets every client in that presents `Anonymous`, as the avatar id `ANONYMOUS`."""

    credential_interfaces = (Anonymous,)

    def request_avatar_id(self, credentials: Anonymous) -> Literal[_Anonymous.ANONYMOUS]:
        """Return `ANONYMOUS`."""
        return ANONYMOUS


def _generate(argument: ArgString) -> CheckerRef:
    if argument:
        raise ValueError("takes no argument")
    read_options(argument, {})
    return cast("CheckerRef", AnonymousChecker.start())


plugin = CheckerPlugin(
    "anonymous", "", "Lets in everybody who does not say who they are, as nobody in particular.", (Anonymous,), _generate
)
