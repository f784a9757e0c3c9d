"""The realm, which returns the avatar for an avatar id and a mind."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, ClassVar, NamedTuple, cast

import pykka

from actorcred.actors import ActorRef, ControlMessage, Future
from actorcred.avatar import Avatar, implements
from actorcred.dormant import unpack
from actorcred.errors import CheckerUnavailable
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.service import Question, Service

__all__ = [
    "Granted",
    "LogOut",
    "Realm",
    "RequestAvatar",
    "RestoreAvatar",
    "examine",
    "require_realm",
]

logger = logging.getLogger("actorcred.realm")


class Granted(NamedTuple):
    """The validated answer of a realm."""

    interface: type
    avatar: Any
    logout: Callable[[], object]


@dataclass(slots=True)
class RequestAvatar(Question):
    """The question for a user's avatar."""

    avatar_id: AvatarId
    mind: MindRef
    interfaces: tuple[type, ...]


@dataclass(slots=True)
class RestoreAvatar(RequestAvatar):
    """The question for the avatar of a user whose session moves here."""

    snapshot: bytes


@dataclass(slots=True)
class LogOut(ControlMessage):
    """A session has ended: call the logout that `request_avatar` returned."""

    logout: Callable[[], object]


class Realm(Service):
    """The application's side of a login, to be subclassed.

    Class attributes:
        interfaces: what clients may request. A program names an interface by its class, a network
            client by the name of the class. The first one is the default for network clients.
    """

    interfaces: ClassVar[tuple[type, ...]] = ()

    @abstractmethod
    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        """Make an avatar.

        Args:
            avatar_id: who logs in; `ANONYMOUS` for an anonymous user.
            mind: the client.
            interfaces: the interfaces that the client requests, in order of preference.

        Returns:
            `(interface, avatar, logout)`, or a future or a coroutine of that. `interface` is one of
            `interfaces`. `avatar` is a ref to a started actor, or a plain object, which is then
            wrapped in an actor. `logout` is called without arguments when the session has ended;
            usually it is `avatar.stop`.

        Raises:
            NoInterface: if there is no avatar with one of the interfaces.
            LoginDenied: if this user may not log in now.
        """

    def restore_avatar(
        self, avatar_id: AvatarId, mind: MindRef, snapshot: Any, *interfaces: type
    ) -> Any:
        """Make an avatar for a session that moves here from another server.

        By default, this is `request_avatar`. The new avatar's `restore(snapshot)` is called in
        place of its `on_login`. The logout function of the server that the session leaves is not
        called.

        Args:
            avatar_id: who is logged in.
            mind: the client.
            snapshot: what `Avatar.snapshot` returned at the other server.
            interfaces: the interface as which the client uses its avatar.

        Returns:
            The same as `request_avatar`; the avatar must be an `Avatar` with `restore`.
        """
        return self.request_avatar(avatar_id, mind, *interfaces)

    def _actor_control(self, message: ControlMessage) -> Any:
        if type(message) is RequestAvatar:  # by far the most frequent message
            self._serve(
                message, self.request_avatar, message.avatar_id, message.mind, *message.interfaces
            )
        elif isinstance(message, RestoreAvatar):
            self._serve(
                message,
                self.restore_avatar,
                message.avatar_id,
                message.mind,
                unpack(message.snapshot),
                *message.interfaces,
            )
        elif isinstance(message, LogOut):
            self._log_out(message.logout)
        else:
            super()._actor_control(message)

    def _log_out(self, logout: Callable[[], object]) -> None:
        """Call the logout that `request_avatar` returned; an exception must not crash the realm."""
        try:
            result = logout()
        except Exception:
            logger.exception("The logout of an avatar failed:")
        else:
            if type(result) is CoroutineType:
                self.spawn(result).add_done_callback(_log_failure)


def require_realm(realm: object) -> ActorRef[Realm]:
    """Return a realm's ref.

    Raises:
        TypeError: if it is not a ref to a realm.
    """
    if not isinstance(realm, ActorRef) or not issubclass(realm.actor_class, Realm):
        raise TypeError(
            "a realm must be a ref, as MyRealm.start() returns it, of a subclass of Realm; "
            f"not {realm!r}"
        )
    return cast("ActorRef[Realm]", realm)


def _log_failure(done: Future[Any]) -> None:
    try:
        done.get()
    except Exception:
        logger.exception("The logout of an avatar failed:")


def examine(answer: Any, interfaces: tuple[type, ...], realm: str) -> Granted:
    """Validate what a realm's `request_avatar` returned.

    Args:
        answer: the returned value.
        interfaces: the interfaces that were requested.
        realm: the realm's name, for the error.

    Raises:
        CheckerUnavailable: if the answer is invalid; its detail and its cause say why. An avatar in
            the answer is stopped.
    """
    problem = _problem(answer, interfaces)
    if problem is None:
        return tuple.__new__(Granted, answer)  # without the constructor's own Python frame
    for part in answer if isinstance(answer, tuple) else (answer,):
        if isinstance(part, pykka.ActorRef):
            part.stop(block=False)
    error = CheckerUnavailable(f"{realm}.request_avatar() {problem}")
    logger.error("A login failed: %s", error.detail)
    raise error from TypeError(error.detail)


def _problem(answer: Any, interfaces: tuple[type, ...]) -> str | None:
    if not isinstance(answer, tuple) or len(answer) != 3:
        return f"must return (interface, avatar, logout), not {_kind(answer)}"
    interface, avatar, logout = answer
    if interface not in interfaces:
        return (
            f"returned the interface {interface!r}, which was not asked for; "
            "return one of its arguments"
        )
    if not callable(logout):
        return f"must return a callable as logout, not {_kind(logout)}; as a rule avatar.stop"
    if isinstance(avatar, ActorRef):
        avatar_class = avatar.actor_class
    elif avatar is None or isinstance(avatar, type):
        return (
            f"must return a started actor or an object as avatar, not {avatar!r}; "
            f"call {Avatar.__name__}.start()"
        )
    elif isinstance(avatar, pykka.ActorRef):
        return (
            "must return an actor of actorcred.actors as avatar, "
            f"not a {avatar.actor_class.__name__} of Pykka's own runtime"
        )
    else:
        avatar_class = type(avatar)
    if not implements(avatar_class, interface):
        return (
            f"returned a {avatar_class.__name__}, which does not implement {interface.__name__}; "
            "derive it from that class"
        )
    return None


def _kind(value: object) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else f"a {type(value).__name__}"
