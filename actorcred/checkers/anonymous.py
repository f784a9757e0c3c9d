"""Anonymous logins."""

from __future__ import annotations

from typing import Literal

from actorcred.auth.plugin import CheckerPlugin, start_without_argument
from actorcred.checker import Checker
from actorcred.credentials import Anonymous
from actorcred.names import ANONYMOUS, _Anonymous

__all__ = ["AnonymousChecker", "plugin"]


class AnonymousChecker(Checker):
    """Accepts every client that presents `Anonymous`, with the avatar id `ANONYMOUS`."""

    credential_interfaces = (Anonymous,)

    def request_avatar_id(self, credentials: Anonymous) -> Literal[_Anonymous.ANONYMOUS]:
        """Return `ANONYMOUS`."""
        return ANONYMOUS


plugin = CheckerPlugin(
    "anonymous",
    "",
    "Accepts every client that gives no name, as an anonymous user.",
    (Anonymous,),
    start_without_argument(AnonymousChecker.start),
)
