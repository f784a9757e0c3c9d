"""A session as the application sees it, wherever it is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Mapping
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from actorcred.actors import Future
from actorcred.identity import ClientInfo, Identity
from actorcred.logout import LogoutCode
from actorcred.names import AvatarId

__all__ = ["AvatarHandle", "ClientHandle", "SessionInfo"]


P = ParamSpec("P")
R = TypeVar("R")


class AvatarHandle(Protocol):
    """The avatar of a session, wherever it is: the part of `ActorRef` that works everywhere."""

    def tell(self, message: Any) -> None:
        """Send the avatar a message; see `ActorRef.tell`."""

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the avatar; see `ActorRef.ask`."""

    @overload
    def call(
        self,
        method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[R]: ...
    @overload
    def call(
        self, method: Callable[Concatenate[Any, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R]: ...
    def call(self, method: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a method of the interface; see `AvatarRef.call`."""

    @overload
    def proxy(self) -> Any: ...
    @overload
    def proxy(self, stub: Callable[..., R]) -> R: ...
    def proxy(self, stub: Callable[..., Any] | None = None) -> Any:
        """Return an object whose methods call those of the avatar; see `AvatarRef.proxy`."""


class ClientHandle(Protocol):
    """The client of a session, wherever it is: the part of `MindRef` that works everywhere."""

    def notify(self, name: str, *args: Any, key: Hashable = None) -> None:
        """Send the client a notification; see `MindRef.notify`."""

    def call(self, name: str, *args: Any, timeout: float | None = None) -> Future[Any]:
        """Call the client; see `MindRef.call`."""


class SessionInfo(Protocol):
    """A session as `PortalRef.session` and `PortalRef.sessions` return it."""

    @property
    def id(self) -> str:
        """The session's id."""

    @property
    def avatar_id(self) -> AvatarId:
        """The avatar id that is logged in."""

    @property
    def interface(self) -> type:
        """What the client may use the avatar as."""

    @property
    def checker(self) -> str:
        """The name of the checker that accepted the credentials."""

    @property
    def since(self) -> float:
        """When the session was opened, in seconds since the epoch."""

    @property
    def last_active(self) -> float:
        """When the client last used it, in seconds since the epoch."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """What the application noted about the session; see `PortalRef.annotate`."""

    @property
    def is_open(self) -> bool:
        """Whether the client is logged in."""

    @property
    def identity(self) -> Identity:
        """Who the user is, and how that was proven."""

    @property
    def client(self) -> ClientInfo:
        """Where the client comes from."""

    @property
    def avatar(self) -> AvatarHandle:
        """The client's ref to the avatar."""

    @property
    def mind(self) -> ClientHandle:
        """The mind, through which the client is reached."""

    def end(self, code: LogoutCode = LogoutCode.LOGOUT, detail: str = "") -> Future[None]:
        """End the session; see `Session.end`."""
