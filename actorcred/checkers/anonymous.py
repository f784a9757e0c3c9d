"""Let in who does not say who they are."""

from __future__ import annotations

from typing import Literal

from actorcred.checkers.base import Checker
from actorcred.credentials import ANONYMOUS, Anonymous, _Anonymous

__all__ = ["AnonymousChecker"]


class AnonymousChecker(Checker):
    """Lets every client in that presents `Anonymous`, as the avatar id `ANONYMOUS`."""

    credential_interfaces = (Anonymous,)

    def request_avatar_id(self, credentials: Anonymous) -> Literal[_Anonymous.ANONYMOUS]:
        """Return `ANONYMOUS`."""
        return ANONYMOUS
