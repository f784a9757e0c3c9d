"""Twisted's protocols on our portals, and checkers, realms and plugins converted both ways.

`CredPortal` replaces `twisted.cred.portal.Portal` in Twisted's protocols. Needs the extra
"twisted".
"""

try:
    import twisted.cred as _  # noqa: F401
except ImportError:
    from actorcred.errors import MissingExtra

    raise MissingExtra("actorcred.adapters.twisted", "twisted") from None

from actorcred.adapters.twisted.checkers import CredChecker, TwistedChecker
from actorcred.adapters.twisted.dispatcher import (
    ReactorDispatcher,
    deferred_of,
    future_of,
    reactor_dispatcher,
)
from actorcred.adapters.twisted.faces import Face
from actorcred.adapters.twisted.portal import CredPortal
from actorcred.adapters.twisted.realm import TwistedAvatar, TwistedRealm

__all__ = [
    "CredChecker",
    "CredPortal",
    "Face",
    "ReactorDispatcher",
    "TwistedAvatar",
    "TwistedChecker",
    "TwistedRealm",
    "deferred_of",
    "future_of",
    "reactor_dispatcher",
]
