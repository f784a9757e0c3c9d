"""What can be used once, such as a one-time code, used once in the whole cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from actorcred.cluster.errors import BusDown, StoreLost
from actorcred.cluster.roster import key_of
from actorcred.errors import CheckerUnavailable

__all__ = ["Used", "UsedStore"]

logger = logging.getLogger("actorcred.cluster")


class UsedStore(Protocol):
    """What this needs of the store."""

    async def use_up(self, key: str, use: bytes) -> float | None:
        """Create a key; return the age of the store."""


class Used:
    """The keys in NATS of what was used. A key is created once, and expires by itself.

    Args:
        store: what is kept on NATS.
        lost: called when NATS has lost the keys.
    """

    def __init__(self, store: UsedStore, lost: Callable[[], object]) -> None:
        self._store = store
        self._lost = lost

    async def take(self, key: str, seconds: float, use: str) -> bool:
        """Use up a key; return whether no node has used it before, except by the same use.

        Args:
            key: what it is.
            seconds: for which it can be used at most, from the first moment on.
            use: stands for this use.

        Raises:
            CheckerUnavailable: if NATS does not say so, or might have forgotten it.
        """
        try:
            age = await self._store.use_up(key_of(key), use.encode())
        except BusDown as error:
            if isinstance(error, StoreLost):
                self._lost()
            raise CheckerUnavailable(f"NATS does not say what was used: {error}") from None
        if age is None:
            return False
        left = seconds - age
        if left > 0:
            logger.warning(
                "The store of NATS is new, so one-time codes are refused for another %.0f s: "
                "an earlier store might have known that they were used",
                left,
            )
            raise CheckerUnavailable("NATS might have lost what was used")
        return True
