"""The avatar: one actor per logged-in user, and the ref through which the client reaches it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import cache, lru_cache
from types import CoroutineType
from typing import Any

from actorcred.actors import Actor, ActorRef, ControlMessage, Dispatcher
from actorcred.actors.lifecycle import stops_all
from actorcred.identity import Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.sessions.session import Session

__all__ = [
    "Attached",
    "Avatar",
    "Detached",
    "Leave",
    "Opened",
    "Reidentified",
    "implements",
    "wrap_object",
]


logger = logging.getLogger("actorcred.avatar")


@dataclass(slots=True)
class Opened(ControlMessage):
    """The session is open."""

    session: Session
    opened: Callable[[], object] | None = None
    """Called when `on_login` is done; None if no one waits for it."""


@dataclass(slots=True)
class Leave(ControlMessage):
    """The session has ended: run `on_logout` and stop."""

    reason: LogoutReason


@dataclass(slots=True)
class Attached(ControlMessage):
    """A further session shares this avatar."""

    mind: MindRef


@dataclass(slots=True)
class Detached(ControlMessage):
    """A session that shared this avatar has ended."""

    mind: MindRef
    reason: LogoutReason


@dataclass(slots=True)
class Reidentified(ControlMessage):
    """The checkers say something new of the user."""

    identity: Identity


class Avatar(Actor):
    """The application's object for one logged-in user.

    Subclass it together with the interfaces that it implements. It is stopped when its session
    ends, for any reason. If it crashes, its session ends, and no other.

    Args:
        avatar_id: who is logged in.
        mind: the client; its methods never block and never raise.

    Attributes:
        avatar_id: who is logged in.
        mind: the client. Under the policy SHARE it reaches all clients of this avatar.
        session: the session, set before `on_login`; under the policy SHARE the first one.
    """

    registered = False

    def __init__(self, avatar_id: AvatarId, mind: MindRef) -> None:
        super().__init__()
        self.avatar_id = avatar_id
        self.mind = mind
        self.session: Session | None = None
        self._cred_logged_in = False
        self._cred_reason: LogoutReason | None = None

    @property
    def identity(self) -> Identity:
        """Who the user is, and how that was proven; under the policy SHARE of the first session."""
        return self.mind.identity

    def on_login(self) -> Awaitable[None] | None:
        """Called when the session is open, before the client's first message. May be `async def`.

        The login succeeds when this returns or uses `mind.call`. If it raises, the login fails: the
        client gets "unavailable", and the session ends. The same happens if the login times out in
        the meantime.
        """

    def on_logout(self, reason: LogoutReason) -> Awaitable[None] | None:
        """Called once when the session ends, if `on_login` was called. May be `async def`.

        The avatar and its mind stop afterwards.
        """

    def on_attach(self, mind: MindRef) -> Awaitable[None] | None:
        """Called when a further session shares this avatar (policy SHARE)."""

    def on_detach(self, mind: MindRef, reason: LogoutReason) -> Awaitable[None] | None:
        """Called when a session that shared this avatar with others ends (policy SHARE)."""

    def on_identity_changed(self, identity: Identity) -> Awaitable[None] | None:
        """Called when a checker says something new of the user, such as other groups.

        `identity` of the avatar, its mind and its session already are the new one. May be
        `async def`.
        """

    # -- messages of the portal --------------------------------------------------------------------

    def _actor_control(self, message: ControlMessage) -> Any:
        match message:
            case Opened():
                return self._cred_opened(message.session, message.opened)
            case Leave():
                self._cred_reason = message.reason
                self.actor_inbox.finish(self, None)
            case Attached(mind):
                return self.on_attach(mind)
            case Detached(mind, reason):
                return self.on_detach(mind, reason)
            case Reidentified(identity):
                return self.on_identity_changed(identity)
            case _:
                super()._actor_control(message)
        return None

    def _cred_opened(self, session: Session, opened: Callable[[], object] | None = None) -> Any:
        self.session = session
        self._cred_logged_in = True
        result = self.on_login()
        if opened is None:
            return result
        if type(result) is CoroutineType:
            return _then(result, opened)
        opened()
        return result

    def _actor_last_words(self) -> Any:
        reason = self._cred_claim_logout(LogoutCode.STOPPED)
        if reason is None:
            return self.on_stop()
        return self._cred_in_order(lambda: self.on_logout(reason), self.on_stop)

    def _actor_last_gasp(self, error: BaseException) -> Any:
        reason = self._cred_claim_logout(LogoutCode.CRASHED)
        if reason is None:
            return super()._actor_last_gasp(error)
        return self._cred_in_order(
            lambda: self.on_logout(reason), lambda: super(Avatar, self)._actor_last_gasp(error)
        )

    def _cred_claim_logout(self, code: LogoutCode) -> LogoutReason | None:
        """Return the reason for `on_logout`; None if it already ran or `on_login` never did."""
        if not self._cred_logged_in:
            return None
        self._cred_logged_in = False
        return self._cred_reason or LogoutReason(code)

    def _cred_in_order(self, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
        """Run two hooks, the second even if the first fails; return a coroutine if the first is."""
        try:
            result = first()
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("on_logout of %s failed:", self)
            return second()
        if type(result) is CoroutineType:
            return self._cred_await_in_order(result, second)
        return second()

    async def _cred_await_in_order(
        self, first: Coroutine[Any, Any, Any], second: Callable[[], Any]
    ) -> None:
        try:
            await first
        except Exception:
            logger.exception("on_logout of %s failed:", self)
        result = second()
        if type(result) is CoroutineType:
            await result


async def _then(first: Coroutine[Any, Any, Any], second: Callable[[], object]) -> None:
    await first
    second()


def implements(avatar_class: type, interface: type) -> bool:
    """Return whether a class implements an interface.

    The interface is a base class, an ABC or a `typing.Protocol`.
    """
    return bool(_implements(avatar_class, interface))


@lru_cache(1024)
def _implements(avatar_class: Any, interface: Any) -> bool:
    if getattr(interface, "_is_protocol", False):
        names = {
            name
            for base in interface.__mro__
            if getattr(base, "_is_protocol", False)
            for name in _public(base)
        }
        return all(hasattr(avatar_class, name) for name in names)
    return issubclass(avatar_class, interface)


def _public(cls: type) -> set[str]:
    names = set(vars(cls)) | set(getattr(cls, "__annotations__", {}))
    return {name for name in names if not name.startswith("_")}


_FOR_ITSELF = frozenset({"now", "offload", "spawn"})
"""Methods that an actor calls on itself; a wrapper never does, so the object's own are exposed."""


class ObjectAvatar(Avatar):
    """An avatar that wraps a plain object and exposes its public methods and attributes."""

    def __init__(self, avatar_id: AvatarId, mind: MindRef, wrapped: Any) -> None:
        super().__init__(avatar_id, mind)
        self._wrapped = wrapped

    def on_login(self) -> Any:
        """Call `on_login` of the object, if it has one."""
        hook = getattr(self._wrapped, "on_login", None)
        return hook() if callable(hook) else None

    def on_logout(self, reason: LogoutReason) -> Any:
        """Call `on_logout` of the object, if it has one."""
        hook = getattr(self._wrapped, "on_logout", None)
        return hook(reason) if callable(hook) else None

    def on_identity_changed(self, identity: Identity) -> Any:
        """Call `on_identity_changed` of the object, if it has one."""
        hook = getattr(self._wrapped, "on_identity_changed", None)
        return hook(identity) if callable(hook) else None


def _delegate(name: str) -> Any:
    def method(self: ObjectAvatar, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._wrapped, name)(*args, **kwargs)

    method.__name__ = name
    return method


def _delegate_attribute(name: str) -> property:
    return property(
        lambda self: getattr(self._wrapped, name),
        lambda self, value: setattr(self._wrapped, name, value),
    )


@cache
def _wrapper_class(cls: Any, attributes: frozenset[str], has_on_login: bool) -> type[ObjectAvatar]:
    members: dict[str, Any] = {name: _delegate_attribute(name) for name in attributes}
    if not has_on_login:
        members["on_login"] = Avatar.on_login  # so that the login does not wait for it
    for name in dir(cls):
        if not name.startswith("_") and (name in _FOR_ITSELF or not hasattr(ObjectAvatar, name)):
            members[name] = (
                _delegate(name) if callable(getattr(cls, name)) else _delegate_attribute(name)
            )
    return type(f"{cls.__name__}Avatar", (ObjectAvatar,), members)


def wrap_object(
    wrapped: object, avatar_id: AvatarId, mind: MindRef, dispatcher: Dispatcher
) -> ActorRef[ObjectAvatar]:
    """Start an avatar that wraps a plain object."""
    taken = set(dir(ObjectAvatar)) - _FOR_ITSELF | {"avatar_id", "mind", "session", "actor_inbox"}
    attributes = frozenset(
        name
        for name in getattr(wrapped, "__dict__", {})
        if not name.startswith("_") and name not in taken
    )
    wrapped_class: Any = type(wrapped)
    cls = _wrapper_class(wrapped_class, attributes, callable(getattr(wrapped, "on_login", None)))
    return cls.start(avatar_id, mind, wrapped, dispatcher=dispatcher)
