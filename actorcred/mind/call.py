"""A call to a client, and how it fails."""

from __future__ import annotations

from typing import Any

import pykka

from actorcred.actors import Future
from actorcred.errors import ClientGone

__all__ = ["Call", "as_client_gone", "pass_on"]


class Call:
    """A call that waits in an outbox.

    Args:
        name: the method to call.
        args: its arguments.

    Attributes:
        future: of the answer.
    """

    __slots__ = ("args", "future", "name")

    key = None

    def __init__(self, name: str, args: tuple[Any, ...]) -> None:
        self.name = name
        self.args = args
        self.future: Future[Any] = Future()

    def dropped(self) -> None:
        """Fail the call, which will not be sent."""
        self.future.settle_error(
            ClientGone(
                "the call was dropped: the client's outbox is full, or the client has disconnected"
            )
        )


def as_client_gone(error: Exception) -> Exception:
    """Return the error of a call: `ClientGone` if the client has disconnected."""
    return (
        ClientGone("the client has disconnected")
        if isinstance(error, OSError | pykka.ActorDeadError)
        else error
    )


def pass_on(done: Future[Any], to: Future[Any]) -> None:
    """Settle a call with the answer of its client."""
    try:
        to.settle(done.get())
    except Exception as error:
        to.settle_error(as_client_gone(error))
