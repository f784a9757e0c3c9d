"""Messages between the parts of one system, and what a mailbox has to know of those of users."""

from __future__ import annotations

from typing import Any, Protocol

from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

__all__ = [
    "REVIVE",
    "AnsweredMessage",
    "ControlMessage",
    "Receiver",
    "Revocable",
    "Sender",
    "describe",
    "is_control",
    "reply_to",
]


class Receiver(Protocol):
    """Where an answer goes: a future, or what stands in for one."""

    def settle(self, value: Any = None) -> bool:
        """Take the answer."""

    def settle_error(self, error: BaseException, traceback: Any = None) -> bool:
        """Take the exception that is the answer."""


class ControlMessage:
    """A message between the parts of one system: a slotted dataclass that its actor matches in `_actor_control`.

    Unlike a message of the application, no bound of a mailbox refuses or drops it.
    """

    __slots__ = ()


class AnsweredMessage(ControlMessage):
    """A `ControlMessage` with an `answer`, which is settled with a `pykka.ActorDeadError` if the actor never gets the message."""

    __slots__ = ()

    answer: Any


class Sender(Protocol):
    """Who sent a message."""

    @property
    def revoked(self) -> bool:
        """Whether it has lost the right to have its messages handled."""


class Revocable:
    """A message that is refused when its turn comes, if its sender has lost the right to send it meanwhile.

    Args:
        message: the message.
        sender: who sent it.
    """

    __slots__ = ("message", "sender")

    def __init__(self, message: Any, sender: Sender) -> None:
        self.message = message
        self.sender = sender


class _Revive(ControlMessage):
    __slots__ = ()


REVIVE = _Revive()
"""What a mailbox whose actor is down is sent when it is to be made anew."""


def is_control(item: Any) -> bool:
    """Tell whether a message is one between the parts of a system, or a request to stop."""
    message = item.message if type(item) is Envelope else item
    return isinstance(message, ControlMessage) or type(message) is _ActorStop


def reply_to(item: Any) -> Receiver | None:
    """Return where the answer to a message goes, or None."""
    return item.reply_to if type(item) is Envelope else None  # type: ignore[return-value]


def describe(message: Any) -> str:
    """Name a message for the log without its contents, which may be secret."""
    if isinstance(message, ControlMessage):
        return type(message).__name__.lstrip("_")
    if isinstance(message, ProxyCall | ProxyGetAttr | ProxySetAttr):
        return f"{type(message).__name__} {'.'.join(message.attr_path)}"
    return f"a {type(message).__name__}"
