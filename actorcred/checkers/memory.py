"""Users in memory, for tests and small services."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, cast

from actorcred.actors import ActorRef, Dispatcher
from actorcred.checkers.base import CheckerRef, Revocation
from actorcred.checkers.passwords import Account, PasswordChecker
from actorcred.credentials import UsernameHashedPassword, UsernamePassword, make_avatar_id
from actorcred.errors import UnauthorizedLogin
from actorcred.passwords import DEFAULT_ROUNDS, dummy_hash, hash_password

__all__ = ["MemoryChecker", "MemoryCheckerRef"]


class MemoryCheckerRef(CheckerRef):
    """A ref to a `MemoryChecker`, with which users come and go."""

    __slots__ = ("_plaintext", "_rounds", "_users")

    _users: dict[str, str]
    _plaintext: bool
    _rounds: int

    def add(self, username: str, password: str) -> None:
        """Add a user, or set a new password; the live sessions of the user are told. Hashes on the caller's thread.

        Raises:
            ValueError: if the name cannot be an avatar id.
            PasswordRejected: if the password is empty or holds NUL.
        """
        name = make_avatar_id(username)
        known = name in self._users
        self._users[name] = password if self._plaintext else hash_password(password=password, rounds=self._rounds)
        if known:
            self.revoke(name, Revocation.PASSWORD_CHANGED)

    def remove(self, username: str) -> None:
        """Remove a user; the live sessions of the user end.

        Raises:
            KeyError: if there is no such user.
        """
        name = make_avatar_id(username)
        del self._users[name]
        self.revoke(name, Revocation.DELETED)


class MemoryChecker(PasswordChecker):
    """Checks against users in memory. They outlive a restart of the checker, not one of the program.

    Args:
        users: name -> password. They are hashed with bcrypt before the checker starts, on the caller's thread.
        plaintext: keep the passwords as they are. That is what challenge and response needs (credentials derived from
            `UsernameHashedPassword`), and whoever can read the memory of the process can read the passwords.
        rounds: the cost of the hashes.

    Raises:
        ValueError: if a name cannot be an avatar id.
        PasswordRejected: if a password is empty or holds NUL.
    """

    ref_class = MemoryCheckerRef

    def __init__(self, users: dict[str, str], *, plaintext: bool, rounds: int) -> None:
        super().__init__()
        self._users = users
        self._plaintext = plaintext
        self._rounds = rounds
        if plaintext:
            self.credential_interfaces = (UsernamePassword, UsernameHashedPassword)
        ref = cast("MemoryCheckerRef", self._actor_ref)
        ref._users, ref._plaintext, ref._rounds = users, plaintext, rounds

    @classmethod
    def start(  # type: ignore[override]
        cls,
        users: Mapping[str, str] | None = None,
        *,
        plaintext: bool = False,
        rounds: int = DEFAULT_ROUNDS,
        dispatcher: Dispatcher | None = None,
    ) -> MemoryCheckerRef:
        """Start a checker; see the class for the arguments."""
        ref: ActorRef[Any] = super().start({}, plaintext=plaintext, rounds=rounds, dispatcher=dispatcher)
        checker = cast("MemoryCheckerRef", ref)
        try:
            for name, password in (users or {}).items():
                checker.add(name, password)
        except Exception:
            ref.stop(block=False)
            raise
        return checker

    def dummy(self) -> str:
        """Return a hash of the cost that the users' hashes have."""
        return dummy_hash(self._rounds)

    def lookup(self, username: str) -> Account | None:
        """Return the account of a user."""
        stored = self._users.get(username)
        return None if stored is None else Account(username, stored)

    def request_avatar_id(self, credentials: UsernamePassword | UsernameHashedPassword) -> Any:
        """Check a password, or an answer to a challenge."""
        if isinstance(credentials, UsernamePassword) and not self._plaintext:
            return super().request_avatar_id(credentials)
        stored = self._users.get(credentials.username)
        # An unknown user's answer is checked as well, against a text that no user has.
        reference = (stored if stored is not None else "\0").encode()
        if isinstance(credentials, UsernamePassword):
            right = hmac.compare_digest(credentials.password.encode(), reference)
        else:
            right = credentials.check_password(reference)
        if not right or stored is None:
            raise UnauthorizedLogin("wrong password" if stored is not None else "no such user")
        return credentials.username
