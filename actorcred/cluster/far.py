"""Sessions of other nodes, as the application sees them: to call, to notify and to end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, overload

import pykka
from pykka.messages import ProxyCall

from actorcred.actors import Future
from actorcred.cluster.errors import BusDown, BusError, NodeGone
from actorcred.cluster.messages import Ask, CallMind, End, IsKnown, Message, Notify
from actorcred.cluster.portable import Portrait
from actorcred.identity import ClientInfo, Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import methods_of
from actorcred.mind.mind import CALL_TIMEOUT
from actorcred.names import AvatarId
from actorcred.sessions.interface_ref import InterfaceCalls, check_stub

__all__ = ["FarMind", "FarRef", "FarSession", "Way", "ask_for"]

R = TypeVar("R")


class Way(Protocol):
    """What a far session needs of its cluster. All methods can be called on any thread.

    Attributes:
        id: the id of this node.
    """

    id: str

    def run(self, coroutine: Coroutine[Any, Any, R]) -> Future[R]:
        """Run a coroutine on the cluster's event loop."""

    async def ask(self, node: str, message: Message, timeout: float | None = None) -> Any:
        """Ask a node; see `Peers.ask`."""

    async def gather(self, message: Message) -> tuple[dict[str, Any], frozenset[str]]:
        """Ask all other nodes; see `Peers.gather`."""

    def tell(self, node: str, message: Message) -> None:
        """Send a node a message."""


class FarSession:
    """A session of another node. It is what that was when it was found, but for what it does.

    Attributes:
        interface: what the client may use the avatar as; `object` if this node does not know it,
            since its realm does not list it and no login here has requested it.
        node: the id of the node that has it.
        mind: reaches the client.
        avatar: reaches the avatar.
    """

    def __init__(self, portrait: Portrait, interface: type, way: Way) -> None:
        self._portrait = portrait
        self._way = way
        self.interface = interface
        self.node = portrait.node
        self.avatar = FarRef(portrait.node, portrait.id, interface, way)
        self.avatar.session = self
        self.mind = FarMind(portrait.node, portrait.id, way)

    def __repr__(self) -> str:
        return f"<FarSession {self.id[:6]}... of {self.avatar_id!r} at {self.node}>"

    @property
    def id(self) -> str:
        """The session's id."""
        return self._portrait.id

    @property
    def avatar_id(self) -> AvatarId:
        """The avatar id that is logged in."""
        return self._portrait.who

    @property
    def checker(self) -> str:
        """The name of the checker that accepted the credentials."""
        return self._portrait.checker

    @property
    def since(self) -> float:
        """When the session was opened, in seconds since the epoch."""
        return self._portrait.since

    @property
    def last_active(self) -> float:
        """When the client had last used it when it was found, in seconds since the epoch."""
        return self._portrait.last_active

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the application had noted when it was found."""
        return MappingProxyType(self._portrait.notes)

    @property
    def is_open(self) -> bool:
        """Whether the client was logged in when the session was found, which is true."""
        return True

    @property
    def identity(self) -> Identity:
        """Who the user is, and how that was proven."""
        return self._portrait.identity.identity()

    @property
    def client(self) -> ClientInfo:
        """Where the client comes from."""
        return self._portrait.client.client()

    def end(self, code: LogoutCode = LogoutCode.LOGOUT, detail: str = "") -> Future[None]:
        """End the session, wherever it is by now; see `Session.end`.

        The future fails if its node does not answer.
        """
        return self._way.run(self._end(LogoutReason(LogoutCode(code), detail)))

    async def _end(self, reason: LogoutReason) -> None:
        question = End(self.id, str(reason.code), reason.detail)
        try:
            if not await self._ended_at(self.node, question):
                for node in await self._nodes_now():
                    await self._ended_at(node, question)
        except BusDown as error:
            raise pykka.Timeout(str(error)) from None

    async def _ended_at(self, node: str, question: End) -> bool:
        """Have a node end the session; return whether it had it."""
        try:
            return await self._way.ask(node, question, END_TIMEOUT) is not False
        except NodeGone:
            return False

    async def _nodes_now(self) -> list[str]:
        """Return the nodes that have the session, if it has moved since it was found."""
        known, _ = await self._way.gather(IsKnown(self.id))
        return [self._way.id, *(node for node, knows in known.items() if knows is True)]


END_TIMEOUT = 30.0
"""Seconds for a session to end, with its `on_logout`."""


class FarRef(InterfaceCalls[Any]):
    """A ref to an avatar of another node, for the methods of its interface.

    Attributes:
        session: the session that it belongs to.
    """

    session: FarSession

    def __init__(self, node: str, session_id: str, interface: type, way: Way) -> None:
        self._node = node
        self._session_id = session_id
        self._way = way
        self.actor_class = interface

    def __repr__(self) -> str:
        return f"<FarRef to {self.actor_class.__name__} at {self._node}>"

    @property
    def interface(self) -> type:
        """The interface; `object` if this node does not know it."""
        return self.actor_class

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Call a method of the interface, as `ActorRef.ask` does.

        Args:
            message: a `ProxyCall`, as `proxy()` makes it.
            block: whether to wait for the answer; if False, a future is returned.
            timeout: seconds for the answer; that of the cluster by default.

        Raises:
            BusError: if the message is none, or an argument cannot cross to another node.
        """
        asking = self._way.run(self._ask(self._question(message), timeout))
        return asking.get() if block else asking

    def tell(self, message: Any) -> None:
        """Call a method of the interface without waiting for anything; see `ask`."""
        self._way.tell(self._node, self._question(message))

    @overload
    def proxy(self) -> FarProxy: ...
    @overload
    def proxy(self, stub: Callable[..., R]) -> R: ...
    def proxy(self, stub: Callable[..., Any] | None = None) -> Any:
        """Return an object with the methods of the interface, which return futures.

        Args:
            stub: its type for type checkers; see `InterfaceRef.proxy`.
        """
        if stub is not None:
            check_stub(stub, self.actor_class)
        return FarProxy(self)

    def _question(self, message: Any) -> Ask:
        if not isinstance(message, ProxyCall) or message.kwargs or len(message.attr_path) != 1:
            raise BusError("only calls of methods with positional arguments cross to another node")
        return Ask(self._session_id, message.attr_path[0], list(message.args))

    async def _ask(self, question: Ask, timeout: float | None) -> Any:
        return await ask_for(self._way, self._node, question, timeout)


class FarProxy:
    """The methods of the interface of an avatar of another node."""

    def __init__(self, ref: FarRef) -> None:
        self._ref = ref

    def __getattr__(self, name: str) -> Callable[..., Future[Any]]:
        ref: FarRef = self.__dict__["_ref"]
        if ref.actor_class is not object and name not in methods_of(ref.actor_class):
            raise AttributeError(f"{ref.actor_class.__name__} has no method {name!r}")
        return lambda *args: ref.ask(ProxyCall((name,), args, {}), block=False)


class FarMind:
    """The client of a session of another node.

    Attributes:
        node: the id of the node.
        session_id: the session's id.
    """

    def __init__(self, node: str, session_id: str, way: Way) -> None:
        self.node = node
        self.session_id = session_id
        self._way = way

    def __repr__(self) -> str:
        return f"<FarMind at {self.node}>"

    def notify(self, name: str, *args: Any, key: Hashable = None) -> None:
        """Send the client a notification; see `MindRef.notify`.

        Raises:
            BusError: if an argument cannot cross to another node.
        """
        self._way.tell(self.node, Notify(self.session_id, name, list(args), key))

    def call(self, name: str, *args: Any, timeout: float | None = CALL_TIMEOUT) -> Future[Any]:
        """Call the client; see `MindRef.call`. None is the default of the cluster here."""
        seconds = CALL_TIMEOUT if timeout is None else timeout
        question = CallMind(self.session_id, name, list(args), seconds)
        # The other node's own time-out is to come first.
        return self._way.run(ask_for(self._way, self.node, question, seconds + 1.0))


async def ask_for(way: Way, node: str, question: Message, timeout: float | None) -> Any:
    """Ask a node for an application, with the errors that it knows.

    Raises:
        pykka.ActorDeadError: if the node is gone.
        pykka.Timeout: if there was no answer in time.
        Exception: what `Peers.ask` raises otherwise.
    """
    try:
        return await way.ask(node, question, timeout)
    except NodeGone:
        raise pykka.ActorDeadError(f"node {node} is gone") from None
    except BusDown as error:
        raise pykka.Timeout(str(error)) from None
