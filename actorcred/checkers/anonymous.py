"""Let in who does not say who they are."""

from __future__ import annotations

from typing import Literal

from actorcred.auth.plugin import CheckerPlugin, start_without_argument
from actorcred.checker import Checker
from actorcred.credentials import Anonymous
from actorcred.names import ANONYMOUS, _Anonymous

__all__ = ["AnonymousChecker", "plugin"]


class AnonymousChecker(Checker):
    """Lets every client in that presents `Anonymous`, as the avatar id `ANONYMOUS`."""

    credential_interfaces = (Anonymous,)

    def request_avatar_id(self, credentials: Anonymous) -> Literal[_Anonymous.ANONYMOUS]:
        """Return `ANONYMOUS`."""
        return ANONYMOUS


plugin = CheckerPlugin(
    "anonymous",
    "",
    "Lets in everybody who does not say who they are, as nobody in particular.",
    (Anonymous,),
    start_without_argument(AnonymousChecker.start),
)
