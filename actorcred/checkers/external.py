"""Clients that a trusted front has already authenticated."""

from __future__ import annotations

from actorcred.auth.plugin import CheckerPlugin, start_without_argument
from actorcred.checker import Checker
from actorcred.credentials import ExternalIdentity

__all__ = ["ExternalChecker", "plugin"]


class ExternalChecker(Checker):
    """Accepts the name given by a front.

    Which fronts are trusted is decided by the protocol, as by `ServerOptions.proxy`.
    """

    credential_interfaces = (ExternalIdentity,)

    def request_avatar_id(self, credentials: ExternalIdentity) -> str:
        """Return the name that the front gave."""
        return credentials.username


plugin = CheckerPlugin(
    "external",
    "",
    "Accepts clients that a trusted proxy in front of the server has authenticated; see "
    "--identity-header and --trusted-proxy.",
    (ExternalIdentity,),
    start_without_argument(ExternalChecker.start),
)
