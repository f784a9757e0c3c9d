"""Caching of successful logins, for checkers that are slow or expensive."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.auth.registry import start_group
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.wrappers.wrapper import Filter
from actorcred.credentials import BearerToken, UsernamePassword
from actorcred.identity import Identity, seconds_left
from actorcred.names import AvatarId

__all__ = ["CachingChecker", "plugin"]


class CachingChecker(Filter):
    """Asks another checker, and remembers its successful logins for a while.

    The same name and password, or the same token, is then accepted without asking again. Refusals
    are not remembered. Logins are remembered by a keyed hash whose key never leaves the process. An
    account that the other checker revokes is forgotten immediately; a change that it does not
    report is noticed when the time is over. Credentials that can be used only once, such as a code
    after a password (`Identity.methods` has "otp"), are not remembered, nor is a token beyond its
    expiry (`Identity.expires`). Other kinds of credentials are always passed on.

    Args:
        checker: a ref to the started checker. It stops with this one.
        seconds: how long a login is remembered.
        entries: how many are remembered; the oldest ones are forgotten first.
    """

    def __init__(self, checkers: tuple[CheckerRef, ...], seconds: float, entries: int) -> None:
        super().__init__(checkers)
        if seconds <= 0 or entries < 1:
            raise ValueError("seconds and entries must be more than 0")
        self._seconds = seconds
        self._entries = entries
        self._key = os.urandom(32)
        # key -> identity, and until when; the oldest first
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()

    @classmethod
    def start(  # type: ignore[override]
        cls,
        checker: CheckerRef,
        seconds: float = 60.0,
        entries: int = 10_000,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cls.launch((checker,), seconds, entries, dispatcher=dispatcher)

    def _key_of(self, credentials: Any) -> bytes | None:
        if type(credentials) is UsernamePassword:
            secret = credentials.password
        elif type(credentials) is BearerToken:
            secret = credentials.token
        else:
            return None
        name, proof = (
            text.encode("utf-8", "surrogatepass") for text in (credentials.username, secret)
        )
        message = b"%s\0%d\0%s%s" % (type(credentials).__name__.encode(), len(name), name, proof)
        return hashlib.blake2b(message, key=self._key).digest()

    def before(self, credentials: Any) -> Identity | None:
        """Return the remembered identity, if there is one."""
        key = self._key_of(credentials)
        known = None if key is None else self._known.get(key)
        if known is None or known[1] <= self.now():
            return None
        return known[0]

    def after(self, credentials: Any, identity: Identity) -> Identity:
        """Remember the identity, as long as the credentials are valid."""
        key = self._key_of(credentials)
        left = seconds_left(identity, datetime.now(UTC))
        seconds = self._seconds if left is None else min(self._seconds, left)
        if key is not None and seconds > 0 and "otp" not in identity.methods:
            self._known.pop(key, None)
            self._known[key] = (identity, self.now() + seconds)
            while len(self._known) > self._entries:
                self._known.popitem(last=False)
        return identity

    def revoked(self, avatar_id: AvatarId, what: Revocation) -> None:
        """Forget the account, and pass the revocation on."""
        for key in [key for key, (known, _) in self._known.items() if known.avatar_id == avatar_id]:
            del self._known[key]
        super().revoked(avatar_id, what)


def _generate(argument: ArgString) -> CheckerRef:
    options = read_options(argument, {"seconds": float, "entries": int})
    return CachingChecker.start(start_group(argument), **options)


plugin = CheckerPlugin(
    "cache",
    "(TYPE:...)",
    "Remembers successful logins for a while, for a checker that is slow. Options: seconds=60, "
    "entries=10000.",
    (object,),
    _generate,
)
