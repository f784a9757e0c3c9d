"""How a ref to a portal sends it messages."""

from __future__ import annotations

from functools import partial
from typing import Any

import pykka

from actorcred.actors import ActorRef, ControlMessage, Future

__all__ = ["Asking"]


class Asking(ActorRef[Any]):
    """The base of `PortalRef`."""

    __slots__ = ()

    def tell_if_alive(self, message: Any) -> bool:
        """Send a message unless the portal has stopped; return whether it was sent."""
        try:
            self.tell(message)
        except pykka.ActorDeadError:
            return False
        return True

    def deliver_if_alive(self, message: ControlMessage) -> None:
        """Have the portal handle a message, immediately if it runs here, unless it has stopped."""
        try:
            self.deliver(message, None)
        except pykka.ActorDeadError:
            return

    def _request(self, message: ControlMessage) -> Future[Any]:
        return self.ask(message, block=False)

    def _look_up(self, message: ControlMessage) -> Future[Any]:
        """Send a request to the registry, which may answer with a future."""
        found: Future[Any] = Future()
        found.expect_from(self.actor_inbox)
        self._request(message).add_done_callback(partial(_follow, found))
        return found


def _follow(found: Future[Any], reply: Future[Any]) -> None:
    try:
        result = reply.get()
    except BaseException as error:
        found.settle_error(error)
    else:
        if isinstance(result, Future):
            found.follow(result)
        else:
            found.settle(result)
