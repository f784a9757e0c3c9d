"""A session as the application sees it, wherever it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from actorcred.actors import ActorRef, Future
from actorcred.identity import ClientInfo, Identity
from actorcred.logout import LogoutCode
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId

__all__ = ["SessionInfo"]


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
    def avatar(self) -> ActorRef[Any]:
        """The client's ref to the avatar."""

    @property
    def mind(self) -> MindRef:
        """The mind, through which the client is reached."""

    def end(self, code: LogoutCode = LogoutCode.LOGOUT, detail: str = "") -> Future[None]:
        """End the session; see `Session.end`."""
