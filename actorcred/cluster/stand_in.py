"""The stand-in: an avatar that passes calls on to the one of another node (policy SHARE)."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, cast

from actorcred.actors import Future
from actorcred.avatar import Avatar
from actorcred.cluster.errors import BusError
from actorcred.identity import Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import methods_of
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId

__all__ = ["StandIn", "stand_in_class"]


class Original(Protocol):
    """What a stand-in needs: the way to the avatar. All methods are thread-safe."""

    def call(self, method: str, args: list[Any]) -> Future[Any]:
        """Call a method of the avatar."""

    def introduce(self) -> None:
        """Tell the avatar what the checkers now say of the user."""

    def leave(self, reason: LogoutReason, *, stop: bool) -> Future[None]:
        """Leave the avatar; the future is done when nothing is left there, or after some time."""


class StandIn(Avatar):
    """Passes calls on. Its class is derived from the interface, too; see `stand_in_class`.

    Args:
        avatar_id: who is logged in.
        mind: the client.
        original: the avatar.
    """

    def __init__(self, avatar_id: AvatarId, mind: MindRef, original: Original) -> None:
        super().__init__(avatar_id, mind)
        self._original = original

    async def on_logout(self, reason: LogoutReason) -> None:
        """Leave the avatar. If the stand-in was stopped as an actor, the avatar is stopped, too."""
        stop = self._cred_reason is None and reason.code is LogoutCode.STOPPED
        await self._original.leave(reason, stop=stop)

    def on_identity_changed(self, identity: Identity) -> None:
        """Tell the avatar."""
        self._original.introduce()

    def on_receive(self, message: Any) -> None:
        """Refuse what is no call of a method.

        Raises:
            BusError: always.
        """
        raise BusError(
            f"the avatar is at another node, where a {type(message).__name__} cannot be sent: "
            "call a method of its interface"
        )


@lru_cache(256)
def stand_in_class(interface: type) -> type[StandIn]:
    """Return the class of stand-ins for avatars with an interface.

    Raises:
        TypeError: if a method of the interface cannot be called from another node.
    """
    members = {name: _forwarding(name, getattr(interface, name)) for name in methods_of(interface)}
    name = f"{interface.__name__}StandIn"
    made: Any = types.new_class(name, (StandIn, interface), exec_body=lambda ns: ns.update(members))
    # What else is abstract no client can use, either.
    made.__abstractmethods__ = frozenset()
    return cast("type[StandIn]", made)


def _forwarding(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    async def forward(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            bound = signature.bind(self, *args, **kwargs)
            if bound.kwargs:
                raise TypeError(f"{name}(): keyword-only arguments do not cross to another node")
            args = bound.args[1:]
        return await self._original.call(name, list(args))

    forward.__name__ = name
    return forward
