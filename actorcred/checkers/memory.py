"""Users in memory, for tests and small services."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, cast

from actorcred.actors import ActorRef, Dispatcher, Future
from actorcred.checkers.base import CheckerRef, Revocation
from actorcred.checkers.passwords import Account, PasswordChecker
from actorcred.checkers.plugin import CheckerPlugin
from actorcred.credentials import (
    ScramVerifier,
    UsernameHashedPassword,
    UsernamePassword,
    UsernameScram,
    make_avatar_id,
)
from actorcred.descriptors import ArgString
from actorcred.errors import UnauthorizedLogin
from actorcred.passwords import DEFAULT_ROUNDS, dummy_hash, hash_password
from actorcred.sasl.scram import ITERATIONS, constant_salt, make_verifier

__all__ = ["MemoryChecker", "MemoryCheckerRef", "plugin"]


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
            `UsernameHashedPassword` and `UsernameScram`), and whoever can read the memory of the process can read the
            passwords.
        rounds: the cost of the hashes.
        scram_iterations: of PBKDF2 in SCRAM. It costs the client at each login, and the checker at the first one.

    Raises:
        ValueError: if a name cannot be an avatar id.
        PasswordRejected: if a password is empty or holds NUL.
    """

    ref_class = MemoryCheckerRef

    def __init__(self, users: dict[str, str], *, plaintext: bool, rounds: int, scram_iterations: int) -> None:
        super().__init__()
        self._users = users
        self._plaintext = plaintext
        self._rounds = rounds
        self._scram_iterations = scram_iterations
        # Made at the first SCRAM login of a user, as they take a third of a second each.
        self._verifiers: dict[str, tuple[str, ScramVerifier]] = {}
        if plaintext:
            self.credential_interfaces = (UsernamePassword, UsernameHashedPassword, UsernameScram)
        ref = cast("MemoryCheckerRef", self._actor_ref)
        ref._users, ref._plaintext, ref._rounds = users, plaintext, rounds

    @classmethod
    def start(  # type: ignore[override]
        cls,
        users: Mapping[str, str] | None = None,
        *,
        plaintext: bool = False,
        rounds: int = DEFAULT_ROUNDS,
        scram_iterations: int = ITERATIONS,
        dispatcher: Dispatcher | None = None,
    ) -> MemoryCheckerRef:
        """Start a checker; see the class for the arguments."""
        ref: ActorRef[Any] = super().start(
            {}, plaintext=plaintext, rounds=rounds, scram_iterations=scram_iterations, dispatcher=dispatcher
        )
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

    def request_avatar_id(self, credentials: UsernamePassword | UsernameHashedPassword | UsernameScram) -> Any:
        """Check a password, or an answer to a challenge."""
        if isinstance(credentials, UsernamePassword) and not self._plaintext:
            return super().request_avatar_id(credentials)
        stored = self._users.get(credentials.username)
        if isinstance(credentials, UsernameScram):
            if stored is None:
                raise UnauthorizedLogin("no such user")  # the protocol asks the client all the same
            return self._scram(credentials, stored)
        # An unknown user's answer is checked as well, against a text that no user has.
        reference = (stored if stored is not None else "\0").encode()
        if isinstance(credentials, UsernamePassword):
            right = hmac.compare_digest(credentials.password.encode(), reference)
        else:
            right = credentials.check_password(reference)
        if not right or stored is None:
            raise UnauthorizedLogin("wrong password" if stored is not None else "no such user")
        return credentials.username

    async def _scram(self, exchange: UsernameScram, password: str) -> str:
        name = exchange.username
        known = self._verifiers.get(name)
        if known is None or known[0] != password:
            arguments = (password, self._scram_iterations, constant_salt(name))
            verifier = await self.actor_inbox.dispatcher.offload(make_verifier, *arguments)
            known = self._verifiers[name] = (password, verifier)
        verdict: Future[bool] = Future()
        exchange.verify(known[1], verdict.settle)
        if not await verdict or self._users.get(name) != password:
            raise UnauthorizedLogin("wrong password")
        return name


def _generate(argument: ArgString) -> CheckerRef:
    words = ArgString.of(argument).fields(":")
    if len(words) % 2:
        raise ValueError("needs names and passwords in turn")
    return MemoryChecker.start(dict(zip(words[::2], words[1::2], strict=True)), plaintext=True)


plugin = CheckerPlugin(
    "memory",
    "NAME:PASSWORD[:NAME:PASSWORD...]",
    "Users in the text itself, for tests and demonstrations: everybody who sees the command line sees the passwords. "
    "Names and passwords with a colon need a backslash before it.",
    (UsernamePassword, UsernameHashedPassword, UsernameScram),
    _generate,
)
