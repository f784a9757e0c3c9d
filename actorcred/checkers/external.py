"""Clients that a trusted front has logged in already."""

from __future__ import annotations

from typing import cast

from actorcred.checkers.base import Checker, CheckerRef
from actorcred.checkers.plugin import CheckerPlugin, read_options
from actorcred.credentials import ExternalIdentity
from actorcred.descriptors import ArgString

__all__ = ["ExternalChecker", "plugin"]


class ExternalChecker(Checker):
    """Believes the front. Which one may be believed is the protocol's business, as `ServerOptions.trusted_fronts`."""

    credential_interfaces = (ExternalIdentity,)

    def request_avatar_id(self, credentials: ExternalIdentity) -> str:
        """Return the name that the front gave."""
        return credentials.username


def _generate(argument: ArgString) -> CheckerRef:
    if argument:
        raise ValueError("takes no argument")
    read_options(argument, {})
    return cast("CheckerRef", ExternalChecker.start())


plugin = CheckerPlugin(
    "external",
    "",
    "Lets in those whom a trusted proxy before the server has logged in; see --identity-header and --trusted-front.",
    (ExternalIdentity,),
    _generate,
)
