"""What has become of the accounts of users who are logged in.

A portal asks its checkers at intervals about the users with open sessions; see `Checker.standing`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from actorcred.identity import Identity
from actorcred.service import Question

__all__ = ["AskStanding", "Revocation", "Standing", "fingerprint", "named", "with_proof"]


class Revocation(StrEnum):
    """What happened to an account that might have open sessions."""

    DISABLED = "disabled"
    DELETED = "deleted"
    PASSWORD_CHANGED = "password changed"
    CHANGED = "changed"
    """Something that the checker has not examined: the portal asks its `standing`."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What has become of some accounts.

    Names that are in neither mapping are unchanged, or unknown for now.

    Args:
        gone: the names whose users may no longer be logged in, and why. `Revocation.CHANGED` is no
            reason.
        identities: what the store now says of other users. Where this differs from what a session
            knows, the session takes it over, except for the avatar id and for what belongs to the
            login: `methods`, `authenticated`, `expires` and `last_login`.
    """

    gone: Mapping[str, Revocation] = field(default_factory=dict)
    identities: Mapping[str, Identity] = field(default_factory=dict)

    def joined(self, other: Standing) -> Standing:
        """Return what two answers about different names say together."""
        return Standing({**self.gone, **other.gone}, {**self.identities, **other.identities})

    def mistake(self) -> str:
        """Return what is wrong with the answer of a checker; "" if nothing is."""
        if not all(_is_reason(what) for what in self.gone.values()):
            return "a value of `gone` is no reason"
        if not all(type(one) is Identity for one in self.identities.values()):
            return "a value of `identities` is no Identity"
        return ""


def _is_reason(what: object) -> bool:
    return isinstance(what, Revocation) and what is not Revocation.CHANGED


@dataclass(slots=True)
class AskStanding(Question):
    """Asks a checker what has become of accounts."""

    names: tuple[str, ...]

    @property
    def subject(self) -> object:
        """The names."""
        return self.names


# -- for checkers that compare the proof of a login with what the store has now -----------------

_KEY: Final = os.urandom(32)
"""Makes fingerprints useless outside this process."""

_SEPARATOR: Final = "\0"
"""Between a name and a fingerprint; no avatar id contains a control character."""


def fingerprint(secret: str | bytes) -> str:
    """Return a short keyed hash of what proved a login, such as a password hash.

    It can be kept with the session: without the key, which never leaves the process, it says
    nothing about the secret.
    """
    raw = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    return hashlib.blake2b(raw, key=_KEY, digest_size=8).hexdigest()


def with_proof(name: str, secret: str | bytes) -> str:
    """Return a name for `Identity.vouchers` that also says which secret proved the login."""
    return f"{name}{_SEPARATOR}{fingerprint(secret)}"


def named(name: str) -> tuple[str, str]:
    """Return the account's name and the fingerprint in a name from `with_proof`.

    The fingerprint is "" if the name is only a name.
    """
    account, _, proof = name.partition(_SEPARATOR)
    return account, proof
