"""What the client of a session may send its avatar."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from pykka.messages import ProxyCall

from actorcred.actors.messages import is_control
from actorcred.errors import CallCode, CallError
from actorcred.identity import Identity
from actorcred.methods import demands_of
from actorcred.sessions.proof import Proof
from actorcred.sessions.seldom import Seldom

__all__ = ["Guarded"]


class Guarded:
    """The part of a session that decides about the client's messages. See `Session`."""

    __slots__ = ()

    interface: type
    proof: Seldom[Proof]
    suspension: Callable[[], float] | None

    @abstractmethod
    def now(self) -> float:
        """Return the time in seconds on the portal's clock."""

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Who the user is."""

    @abstractmethod
    def touch(self) -> None:
        """Record that the client is active."""

    def demand(self, within: float, methods: frozenset[str] = frozenset()) -> None:
        """Check that the user has proven the credentials again recently.

        Args:
            within: seconds for which a proof is accepted.
            methods: the methods that it must have.

        Raises:
            CallError: if not; the code is `CallCode.REAUTHENTICATE`.
        """
        proof = self.proof
        if proof is None or self.now() - proof.at > within or not methods <= proof.methods:
            by = f" by {', '.join(sorted(methods))}" if methods else ""
            raise CallError(
                f"prove your credentials again first{by}: cred.reauthenticate",
                CallCode.REAUTHENTICATE,
            )

    def check(self, message: Any) -> None:
        """Check that the client may send its avatar a message; see `methods.requires`.

        Raises:
            CallError: if not; the code is `CallCode.FORBIDDEN`, `CallCode.REAUTHENTICATE` or
                `CallCode.SUSPENDED`.
        """
        if (
            self.suspension is not None
            and not is_control(message)
            and (refusal := self.refusal()) is not None
        ):
            self.touch()  # the client is active, so the session is not idle
            raise refusal
        demands = demands_of(self.interface)
        if demands is None or not isinstance(message, ProxyCall):
            return
        demand = demands.get(message.attr_path[0])
        if demand is None:
            return
        groups = self.identity.groups
        if not all(groups & roles for roles in demand.roles):
            raise CallError(f"{message.attr_path[0]}: not permitted", CallCode.FORBIDDEN)
        if demand.within is not None:
            self.demand(demand.within, demand.methods)

    def refusal(self) -> CallError | None:
        """Return why the client's messages are refused for now; None if they are not."""
        wait = 0.0 if self.suspension is None else self.suspension()
        if not wait:
            return None
        return CallError(
            "this server has lost touch with the others; try again",
            CallCode.SUSPENDED,
            retry_after=wait,
        )
