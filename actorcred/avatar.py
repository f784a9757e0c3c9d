"""The avatar: one actor per logged-in user, and the ref through which the client reaches it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache, lru_cache
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import pykka

from actorcred.actors import Actor, ActorRef, Future, Revocable
from actorcred.actors.mailbox import stops_all
from actorcred.actors.messages import is_control
from actorcred.errors import ClientGone
from actorcred.mind import Channel, Group, MindRef
from actorcred.outbox import Notification
from actorcred.sessions.session import LogoutCode, LogoutReason

if TYPE_CHECKING:
    from actorcred.actors import Dispatcher
    from actorcred.credentials import AvatarId
    from actorcred.sessions.session import Session

__all__ = ["Avatar", "AvatarRef", "SharedAvatar", "implements", "wrap_object"]

logger = logging.getLogger("actorcred.avatar")

A = TypeVar("A", bound=pykka.Actor)


class Avatar(Actor):
    """The business object of one logged-in user. Subclass it together with the interfaces that it implements.

    It is stopped when its session ends, for whatever reason, and a crash of it ends its session and no other.

    Args:
        avatar_id: who is logged in.
        mind: the client; its methods never block and never raise.

    Attributes:
        avatar_id: who is logged in.
        mind: the client. Under the policy SHARE it reaches all clients of this avatar.
        session: the session, from `on_login` on; under the policy SHARE the first one.
    """

    registered = False

    def __init__(self, avatar_id: AvatarId, mind: MindRef) -> None:
        super().__init__()
        self.avatar_id = avatar_id
        self.mind = mind
        self.session: Session | None = None
        self._cred_logged_in = False
        self._cred_reason: LogoutReason | None = None

    def on_login(self) -> Awaitable[None] | None:
        """Run when the session is open, before the first message of the client. May be `async def`.

        The login succeeds when this is done, or asks the client by `mind.call`. What it raises fails the login: the client is
        told "unavailable", and the session ends. So does a login whose deadline comes meanwhile.
        """

    def on_logout(self, reason: LogoutReason) -> Awaitable[None] | None:
        """Run once when the session ends, if `on_login` ran. Then the avatar and its mind stop. May be `async def`."""

    def on_attach(self, mind: MindRef) -> Awaitable[None] | None:
        """Run when a further session shares this avatar (policy SHARE)."""

    def on_detach(self, mind: MindRef, reason: LogoutReason) -> Awaitable[None] | None:
        """Run when a session ends that shared this avatar with others (policy SHARE)."""

    # -- what the portal sends ----------------------------------------------------------------------------------------

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

    def _cred_leave(self, reason: LogoutReason) -> None:
        self._cred_reason = reason
        self._actor_finish(None)

    def _actor_last_words(self) -> Any:
        reason = self._cred_claim_logout(LogoutCode.STOPPED)
        if reason is None:
            return self.on_stop()
        return self._cred_in_order(lambda: self.on_logout(reason), self.on_stop)

    def _actor_last_gasp(self, error: BaseException) -> Any:
        reason = self._cred_claim_logout(LogoutCode.CRASHED)
        if reason is None:
            return super()._actor_last_gasp(error)
        return self._cred_in_order(lambda: self.on_logout(reason), lambda: super(Avatar, self)._actor_last_gasp(error))

    def _cred_claim_logout(self, code: LogoutCode) -> LogoutReason | None:
        """Return the reason for `on_logout`; None if it ran already or `on_login` never did."""
        if not self._cred_logged_in:
            return None
        self._cred_logged_in = False
        return self._cred_reason or LogoutReason(code)

    def _cred_in_order(self, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
        """Run two hooks, the second one also if the first fails; return a coroutine if the first is one."""
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

    async def _cred_await_in_order(self, first: Coroutine[Any, Any, Any], second: Callable[[], Any]) -> None:
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


class AvatarRef(ActorRef[A]):
    """The client's ref to its avatar: it counts as a sign of life, and works while the session is open, not longer.

    The avatar's own `actor_ref`, which the program's other actors use, does neither.
    """

    __slots__ = ("session",)

    def __init__(self, ref: ActorRef[A], session: Session) -> None:
        self.actor_inbox = ref.actor_inbox
        self.session = session

    def is_alive(self) -> bool:
        """Tell whether the session is open and the avatar alive."""
        return self.session.is_open and super().is_alive()

    def tell(self, message: Any) -> None:
        """Send the avatar a message, as `ActorRef.tell`.

        Raises:
            pykka.ActorDeadError: if the session is over.
        """
        if not self.session.is_open:
            raise pykka.ActorDeadError(f"the session of {self} is over")
        self.session.touch()
        super().tell(self._queued(message))

    @overload
    def ask(self, message: Any, *, block: Literal[False], timeout: float | None = None) -> Future[Any]: ...
    @overload
    def ask(self, message: Any, *, block: Literal[True], timeout: float | None = None) -> Any: ...
    @overload
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any | Future[Any]: ...
    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any | Future[Any]:
        """Ask the avatar, as `ActorRef.ask`; the answer is a `pykka.ActorDeadError` if the session is over."""
        if self.session.is_open:
            self.session.touch()
            return super().ask(message, block=block, timeout=timeout)
        future: Future[Any] = Future()
        future.settle_error(pykka.ActorDeadError(f"the session of {self} is over"))
        return future.get() if block else future

    def hand_over(self, message: Any, reply: Any) -> None:
        """Send the avatar a message, as `ActorRef.hand_over`; if the session is over, `pykka.ActorDeadError` is the answer."""
        if not self.session.is_open:
            self._answer_dead(reply)
            return
        self.session.touch()
        super().hand_over(message, reply)

    def _queued(self, message: Any) -> Any:
        # A request to stop has to be known as one: a full mailbox takes it all the same.
        return message if is_control(message) else Revocable(message, self.session)


class SharedAvatar(Channel):
    """One avatar and the sessions that share it (policy SHARE), as the target of the avatar's mind."""

    hub: MindRef
    """The mind that the avatar has been given, whose target this is."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self._group = Group()

    def add(self, session: Session) -> None:
        """Let a session share the avatar."""
        self.sessions[session.id] = session
        self._group.add(session.mind)

    def discard(self, session: Session) -> None:
        """Let a session go."""
        self.sessions.pop(session.id, None)
        self._group.discard(session.mind)

    def notify(self, notification: Notification) -> None:
        """Send a notification to all clients of the avatar."""
        for mind in self._group:
            mind.send(notification)

    def call(self, name: str, args: tuple[Any, ...]) -> Future[Any]:
        """Ask the client that logged in last, of those that can be asked."""
        if not self.sessions:
            raise ClientGone("no client shares this avatar any more")
        minds = [session.mind for session in reversed(self.sessions.values())]
        return next((mind for mind in minds if mind.channel.takes_notifications), minds[0]).call(name, *args)


def implements(avatar_class: type, interface: type) -> bool:
    """Tell whether objects of a class can be used as an interface: a base class, an ABC, or a `typing.Protocol`."""
    return bool(_implements(avatar_class, interface))


@lru_cache(1024)
def _implements(avatar_class: Any, interface: Any) -> bool:
    if getattr(interface, "_is_protocol", False):
        names = {name for base in interface.__mro__ if getattr(base, "_is_protocol", False) for name in _public(base)}
        return all(hasattr(avatar_class, name) for name in names)
    return issubclass(avatar_class, interface)


def _public(cls: type) -> set[str]:
    names = set(vars(cls)) | set(getattr(cls, "__annotations__", {}))
    return {name for name in names if not name.startswith("_")}


# -- plain objects as avatars ---------------------------------------------------------------------------------------------


class ObjectAvatar(Avatar):
    """An avatar around a plain object, whose public methods and attributes it shows as its own."""

    def __init__(self, avatar_id: AvatarId, mind: MindRef, wrapped: Any) -> None:
        super().__init__(avatar_id, mind)
        self._wrapped = wrapped

    def on_login(self) -> Any:
        """Tell the object, if it wants to know."""
        hook = getattr(self._wrapped, "on_login", None)
        return hook() if callable(hook) else None

    def on_logout(self, reason: LogoutReason) -> Any:
        """Tell the object, if it wants to know."""
        hook = getattr(self._wrapped, "on_logout", None)
        return hook(reason) if callable(hook) else None


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
        members["on_login"] = Avatar.on_login  # so that the login need not wait for it
    for name in dir(cls):
        if not name.startswith("_") and not hasattr(ObjectAvatar, name):
            members[name] = _delegate(name) if callable(getattr(cls, name)) else _delegate_attribute(name)
    return type(f"{cls.__name__}Avatar", (ObjectAvatar,), members)


def wrap_object(wrapped: object, avatar_id: AvatarId, mind: MindRef, dispatcher: Dispatcher) -> ActorRef[ObjectAvatar]:
    """Start an actor around a plain object."""
    taken = set(dir(ObjectAvatar)) | {"avatar_id", "mind", "session", "actor_inbox"}
    attributes = frozenset(name for name in getattr(wrapped, "__dict__", {}) if not name.startswith("_") and name not in taken)
    wrapped_class: Any = type(wrapped)
    cls = _wrapper_class(wrapped_class, attributes, callable(getattr(wrapped, "on_login", None)))
    return cls.start(avatar_id, mind, wrapped, dispatcher=dispatcher)
