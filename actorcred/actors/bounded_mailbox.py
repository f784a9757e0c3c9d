"""A mailbox with a bound, and the policies for a message that would exceed it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from actorcred.actors import _counters
from actorcred.actors.cell import Behaviour, Cell
from actorcred.actors.messages import is_control, reply_to

__all__ = ["BoundedMailbox", "MailboxFull", "MailboxLimit", "Overflow"]


class MailboxFull(Exception):
    """The mailbox of an actor is full, and its policy is to refuse the sender."""


class Overflow(StrEnum):
    """What happens to a message that would exceed the bound of a mailbox."""

    REFUSE = "refuse"
    """The sender gets `MailboxFull`."""

    DROP_OLDEST = "drop oldest"
    """The oldest waiting message is dropped; if it is an ask, it fails with `MailboxFull`."""

    DROP_NEWEST = "drop newest"
    """The new message is dropped; if it is an ask, it fails with `MailboxFull`."""


@dataclass(frozen=True, slots=True)
class MailboxLimit:
    """How many messages may wait for an actor, and what happens to the next one.

    Args:
        bound: the number of messages, at least 1. Stop requests and control messages are always
            accepted, and never dropped.
        overflow: the policy when the mailbox is full.
    """

    bound: int
    overflow: Overflow = Overflow.REFUSE

    def __post_init__(self) -> None:
        if self.bound < 1:
            raise ValueError(f"the bound of a mailbox must be at least 1, not {self.bound}")
        object.__setattr__(self, "overflow", Overflow(self.overflow))


class BoundedMailbox(Cell):
    """A mailbox that holds a limited number of messages; see `MailboxLimit`."""

    __slots__ = ("dropped", "guard", "limit")

    def __init__(
        self,
        actor: Behaviour | None,
        limit: MailboxLimit,
        actor_class: type[Any] | None = None,
    ) -> None:
        super().__init__(actor, actor_class)
        self.limit = limit
        self.dropped = 0
        self.guard = threading.Lock()

    def push(self, item: Any) -> None:  # type: ignore[override]
        """Append a message, or drop one if the limit is reached.

        Raises:
            MailboxFull: if the limit is reached and the policy is to refuse the sender.
        """
        with self.guard:
            full = self.qsize() >= self.limit.bound and not is_control(item)
            overflow = self.limit.overflow
            victim = item if full else None
            if full and overflow is Overflow.DROP_OLDEST:
                victim = self._oldest()
            if victim is not item:
                super().push(item)
            if full and overflow is not Overflow.REFUSE:
                self.dropped += 1
        if full and overflow is Overflow.REFUSE:
            raise MailboxFull(
                f"{self.label} has {self.limit.bound} messages waiting; "
                "send fewer, or start it with a larger bound"
            )
        if victim is not None:
            self._drop(victim)

    def pop(self) -> Any:
        """Take out the oldest waiting message."""
        with self.guard:
            return super().pop()

    def _oldest(self) -> Any:
        """Take out the oldest waiting message that is not a control message."""
        first = super().pop()
        if not is_control(first):
            return first
        waiting = [first, *(super(BoundedMailbox, self).pop() for _ in range(self.qsize()))]
        oldest = next((item for item in waiting if not is_control(item)), None)
        for item in waiting:
            if item is not oldest:
                super().push(item)
        return oldest

    def _drop(self, item: Any) -> None:
        _counters.count_dropped()
        reply = reply_to(item)
        if reply is not None:
            reply.settle_error(
                MailboxFull(f"{self.label} dropped the message: its mailbox is full")
            )
