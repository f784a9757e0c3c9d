"""Internal messages, and what a mailbox must know about messages of the application."""

from __future__ import annotations

from contextvars import Context
from typing import Any, Protocol

from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

__all__ = [
    "REVIVE",
    "AnsweredMessage",
    "ControlMessage",
    "InContext",
    "Receiver",
    "Revocable",
    "Sender",
    "describe",
    "is_control",
    "reply_to",
]


class Receiver(Protocol):
    """Receives an answer: a future, or an object that replaces one."""

    def settle(self, value: Any = None) -> bool:
        """Accept the answer."""

    def settle_error(self, error: BaseException, traceback: Any = None) -> bool:
        """Accept an exception as the answer."""


class ControlMessage:
    """An internal message: a slotted dataclass that its actor matches in `_actor_control`.

    Unlike a message of the application, it is never refused or dropped by a bounded mailbox.
    """

    __slots__ = ()


class AnsweredMessage(ControlMessage):
    """A `ControlMessage` with an `answer`.

    The answer is settled with a `pykka.ActorDeadError` if the actor never gets the message.
    """

    __slots__ = ()

    answer: Any


class Sender(Protocol):
    """The sender of a message."""

    @property
    def revoked(self) -> bool:
        """Whether it has lost the right to have its messages handled."""

    def refusal(self) -> Exception | None:
        """Return why its messages are not handled for now; None if they are."""


class Revocable:
    """A message that is refused if its sender may not send it any more when it is handled.

    Args:
        message: the message.
        sender: who sent it.
    """

    __slots__ = ("message", "sender")

    def __init__(self, message: Any, sender: Sender) -> None:
        self.message = message
        self.sender = sender


class InContext:
    """A message that is handled in a context of its sender, for tracing.

    Args:
        message: the message, of the application.
        context: the context variables; not used for another message.
    """

    __slots__ = ("context", "message")

    def __init__(self, message: Any, context: Context) -> None:
        self.message = message
        self.context = context


class _Revive(ControlMessage):
    __slots__ = ()


REVIVE = _Revive()
"""Sent to a mailbox whose actor is down, to restart the actor."""


def is_control(item: Any) -> bool:
    """Return whether a message is an internal message or a request to stop."""
    message = item.message if type(item) is Envelope else item
    return isinstance(message, ControlMessage) or type(message) is _ActorStop


def reply_to(item: Any) -> Receiver | None:
    """Return the receiver of the answer to a message, or None."""
    return item.reply_to if type(item) is Envelope else None  # type: ignore[return-value]


def describe(message: Any) -> str:
    """Describe a message for the log without its contents, which can be secret."""
    if isinstance(message, InContext):
        return describe(message.message)
    if isinstance(message, ControlMessage):
        return type(message).__name__.lstrip("_")
    if isinstance(message, ProxyCall | ProxyGetAttr | ProxySetAttr):
        return f"{type(message).__name__} {'.'.join(message.attr_path)}"
    return f"a {type(message).__name__}"
