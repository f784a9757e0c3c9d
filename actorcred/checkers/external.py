"""Clients that a trusted front has logged in already."""

from __future__ import annotations

from actorcred.auth.plugin import CheckerPlugin, start_without_argument
from actorcred.checker import Checker
from actorcred.credentials import ExternalIdentity

__all__ = ["ExternalChecker", "plugin"]


class ExternalChecker(Checker):
    """Believes the front. Which one may be believed is the protocol's business, as `ServerOptions.trusted_fronts`."""

    credential_interfaces = (ExternalIdentity,)

    def request_avatar_id(self, credentials: ExternalIdentity) -> str:
        """Return the name that the front gave."""
        return credentials.username


plugin = CheckerPlugin(
    "external",
    "",
    "Lets in those whom a trusted proxy before the server has logged in; see --identity-header and --trusted-front.",
    (ExternalIdentity,),
    start_without_argument(ExternalChecker.start),
)
