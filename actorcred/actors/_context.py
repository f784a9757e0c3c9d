"""What the running thread is doing for the actor system: a leaf that every part of the runtime may import."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actorcred.actors.dispatcher import Dispatcher
    from actorcred.actors.mailbox import Mailbox

__all__ = ["current_mailbox", "thread"]

current_mailbox: ContextVar[Mailbox | None] = ContextVar("actorcred.current_mailbox", default=None)
"""The mailbox whose actor runs now. A context variable, so that it stays right inside of coroutines."""


class _Thread(threading.local):
    """Facts about one thread."""

    dispatcher: Dispatcher | None = None
    """The dispatcher that owns this thread, if one does."""

    depth: int = 0
    """How many blocking asks deep this thread runs other actors' mailboxes itself."""

    reborn: Mailbox | None = None
    """The mailbox for which a fresh actor is being made, during a restart."""


thread = _Thread()
