"""Users in memory, for tests and small services."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from actorcred.actors import ActorRef, Dispatcher, Future
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options
from actorcred.checker import CheckerRef, Revocation
from actorcred.checkers.bases.passwords import Account, PasswordChecker
from actorcred.credentials import UsernamePassword
from actorcred.errors import PasswordRejected, UnauthorizedLogin
from actorcred.exchange import ScramVerifier, UsernameHashedPassword, UsernameScram
from actorcred.names import prepare_username
from actorcred.passwords.hashing import DEFAULT_ROUNDS, check_rounds, dummy_hash, hash_password
from actorcred.passwords.policy import prepare_new_password
from actorcred.sasl.scram import ScramSHA512, has_scram, make_verifier

__all__ = ["MemoryChecker", "MemoryCheckerRef", "plugin"]


SCRAM_ITERATIONS = 15_000
"""Of PBKDF2 (RFC 7677, section 4). The verifiers are in memory, next to the passwords."""


class _User(NamedTuple):
    """What is kept of a user: a password or its hash, and a SCRAM verifier per hash function."""

    secret: str
    verifiers: dict[str, ScramVerifier]


class MemoryCheckerRef(CheckerRef):
    """A ref to a `MemoryChecker`, with methods to add and remove users."""

    __slots__ = ("_make_user", "_users")

    _users: dict[str, _User]
    _make_user: Callable[[str], _User]

    def add(self, username: str, password: str) -> None:
        """Add a user, or set a new password; then live sessions of the user end or are notified.

        Hashes on the caller's thread.

        Raises:
            ValueError: if the name is not a valid user name.
            PasswordRejected: if the password is empty or contains control characters.
        """
        name = prepare_username(username)
        known = name in self._users
        self._users[name] = self._make_user(password)
        if known:
            self.revoke(name, Revocation.PASSWORD_CHANGED)

    def remove(self, username: str) -> None:
        """Remove a user and end the user's live sessions.

        Raises:
            KeyError: if there is no such user.
        """
        name = prepare_username(username)
        del self._users[name]
        self.revoke(name, Revocation.DELETED)


class MemoryChecker(PasswordChecker):
    """Checks against users in memory. They survive a restart of the checker, not of the program.

    Args:
        users: name -> password. The passwords are hashed with bcrypt before the checker starts, on
            the caller's thread.
        plaintext: keep the passwords as they are. Challenge-response credentials need this (those
            derived from `UsernameHashedPassword` and `UsernameScram`), and anyone who can read the
            memory of the process can read the passwords.
        rounds: the cost of the hashes.
        scram_iterations: iterations of PBKDF2 in SCRAM. The client computes them at each login, and
            the caller three times for each user.

    Raises:
        ValueError: if a name is not a valid user name, or `rounds` is out of range.
        PasswordRejected: if a password is empty or contains control characters.
    """

    ref_class = MemoryCheckerRef

    def __init__(
        self, users: dict[str, _User], *, plaintext: bool, rounds: int, scram_iterations: int
    ) -> None:
        super().__init__()
        check_rounds(rounds)
        self._users = users
        self._plaintext = plaintext
        self._rounds = rounds
        self._scram_iterations = scram_iterations
        if plaintext:
            self.credential_interfaces = (
                UsernamePassword,
                UsernameHashedPassword,
                UsernameScram,
                ScramSHA512,
            )
        ref = cast("MemoryCheckerRef", self._actor_ref)
        ref._users, ref._make_user = users, self._make_user

    def _make_user(self, password: str) -> _User:
        if not self._plaintext:
            return _User(hash_password(password=password, rounds=self._rounds), {})
        # All are made before the first login, whose duration would otherwise reveal who is known.
        algorithms = ("SHA-256", "SHA-512", "SHA-1") if has_scram() else ()
        prepared = prepare_new_password(password=password)
        verifiers: dict[str, ScramVerifier] = {}
        with contextlib.suppress(PasswordRejected):  # not valid for SCRAM
            verifiers |= {
                name: make_verifier(prepared, self._scram_iterations, algorithm=name)
                for name in algorithms
            }
        return _User(prepared, verifiers)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        users: Mapping[str, str] | None = None,
        *,
        plaintext: bool = False,
        rounds: int = DEFAULT_ROUNDS,
        scram_iterations: int = SCRAM_ITERATIONS,
        dispatcher: Dispatcher | None = None,
    ) -> MemoryCheckerRef:
        """Start a checker; see the class for the arguments."""
        ref: ActorRef[Any] = super().start(
            {},
            plaintext=plaintext,
            rounds=rounds,
            scram_iterations=scram_iterations,
            dispatcher=dispatcher,
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
        """Return a hash with the cost of the users' hashes."""
        return dummy_hash(self._rounds)

    def lookup(self, username: str) -> Account | None:
        """Return the account of a user."""
        user = self._users.get(username)
        return None if user is None else Account(username, user.secret)

    def request_avatar_id(
        self, credentials: UsernamePassword | UsernameHashedPassword | UsernameScram
    ) -> Any:
        """Check a password, or an answer to a challenge."""
        if isinstance(credentials, UsernameScram):
            return self._scram(credentials)
        if isinstance(credentials, UsernamePassword) and not self._plaintext:
            return super().request_avatar_id(credentials)
        user = self._users.get(credentials.username)
        # An unknown user's answer is checked as well, against a password that no user has.
        reference = (user.secret if user is not None else "\0").encode()
        if isinstance(credentials, UsernamePassword):
            right = hmac.compare_digest(credentials.password.encode(), reference)
        else:
            right = credentials.check_password(reference)
        if not right or user is None:
            raise UnauthorizedLogin(
                "wrong password" if user is not None else "no such user", known=user is not None
            )
        return credentials.username

    async def _scram(self, exchange: UsernameScram) -> str:
        user = self._users.get(exchange.username)
        exchange.iterations = exchange.iterations or self._scram_iterations
        verdict: Future[bool] = Future()
        exchange.check(
            None if user is None else user.verifiers.get(exchange.algorithm), verdict.settle
        )
        if not await verdict or self._users.get(exchange.username) is not user:
            raise UnauthorizedLogin(
                "no such user, wrong password, or it was changed during the login",
                known=user is not None,
            )
        return exchange.username


def _generate(argument: ArgString) -> CheckerRef:
    read_options(argument, {})
    words = ArgString.of(argument).fields(":")
    if len(words) % 2:
        raise ValueError("needs names and passwords in turn")
    return MemoryChecker.start(dict(zip(words[::2], words[1::2], strict=True)), plaintext=True)


plugin = CheckerPlugin(
    "memory",
    "NAME:PASSWORD[:NAME:PASSWORD...]",
    "Users in the argument itself, for tests and demonstrations: everyone who sees the command "
    "line sees the passwords. A colon in a name or password needs a backslash before it.",
    (UsernamePassword, UsernameHashedPassword, UsernameScram),
    _generate,
)
