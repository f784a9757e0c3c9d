"""The avatar: one actor per logged-in user, and the ref through which the client reaches it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from types import CoroutineType
from typing import Any, ClassVar

from actorcred.actors import Actor, ActorRef, AnsweredMessage, ControlMessage, Dispatcher, Future
from actorcred.actors.future import error_of
from actorcred.actors.lifecycle import stops_all
from actorcred.dormant import Dormant, after, attempt, pack, packed_in, unpack
from actorcred.errors import SnapshotDeclined
from actorcred.identity import Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.sessions.session import Session

__all__ = [
    "Arrived",
    "Attached",
    "Avatar",
    "Depart",
    "Detached",
    "FallAsleep",
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


@dataclass(slots=True)
class FallAsleep(AnsweredMessage):
    """Fall asleep if no other message waits; the answer is whether it does."""

    limit: int
    """The most bytes of the snapshot."""

    answer: Future[bool]


@dataclass(slots=True)
class Depart(AnsweredMessage):
    """Stop handling messages, and answer with a snapshot; with None if there is none.

    Messages wait until `verdict` says whether the avatar is gone for good, without `on_logout`.
    """

    limit: int
    """The most bytes of the snapshot."""

    answer: Future[bytes | None]
    verdict: Future[bool]


@dataclass(slots=True)
class Arrived(AnsweredMessage):
    """The session has moved here: restore the snapshot. Answered when that is done."""

    session: Session
    snapshot: bytes
    answer: Future[None]


class Avatar(Actor):
    """The application's object for one logged-in user.

    Subclass it together with the interfaces that it implements. It is stopped when its session
    ends, for any reason. If it crashes, its session ends, and no other.

    An avatar that overrides both `snapshot` and `restore` can sleep while its client is idle, and
    move to another server. Each instance begins with `on_start` and ends with `on_stop`; what
    belongs to the session goes into the snapshot.

    Args:
        avatar_id: who is logged in.
        mind: the client; its methods never block and never raise.

    Attributes:
        avatar_id: who is logged in.
        mind: the client. Under the policy SHARE it reaches all clients of this avatar.
        session: the session, set before `on_login`; under the policy SHARE the first one.

    Class attributes:
        has_snapshot: whether it can sleep and move; set by this class.
    """

    registered = False
    has_snapshot: ClassVar[bool] = False
    _cred_woken: bytes | None = None
    """The snapshot that is to be restored before the first message."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        one, other = cls.snapshot is Avatar.snapshot, cls.restore is Avatar.restore
        if one is not other:
            raise TypeError(
                f"{cls.__name__} must define both snapshot() and restore(), or neither; "
                f"{'snapshot' if one else 'restore'}() is missing"
            )
        cls.has_snapshot = not one
        if cls.has_snapshot:
            cls.restartable = True  # so that the arguments of `start` are kept

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

    def snapshot(self) -> Any:
        """Return the state from which `restore` makes an equal avatar. May be `async def`.

        It must change nothing, since the avatar may go on.

        Returns:
            What MessagePack can encode: None, booleans, numbers, strings, bytes, and lists and maps
            of them.

        Raises:
            SnapshotDeclined: if the avatar must stay where it is for now. It also stays after any
                other exception, which is logged.
        """
        raise SnapshotDeclined(f"{type(self).__name__} has no snapshot()")

    def restore(self, snapshot: Any) -> Awaitable[None] | None:
        """Take over the state of an earlier instance. May be `async def`.

        Called in place of `on_login`, after `on_start`, before any message. `session` and `mind`
        are set. If it raises, the session ends as crashed, without `on_logout`.

        Args:
            snapshot: what `snapshot` returned; tuples are lists.
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
            case FallAsleep(limit, answer):
                return self._cred_fall_asleep(limit, answer)
            case Depart():
                self._cred_depart(message)
            case Arrived():
                return self._cred_arrived(message)
            case _:
                super()._actor_control(message)
        return None

    def _cred_welcome(self, session: Session) -> None:
        self.session = session
        self._cred_logged_in = True

    def _cred_opened(self, session: Session, opened: Callable[[], object] | None = None) -> Any:
        self._cred_welcome(session)
        result = self.on_login()
        return result if opened is None else after(result, lambda _: opened())

    def _cred_wake(self, session: Session, data: bytes) -> None:
        self.session = session
        self._cred_woken = data

    def _actor_first_words(self) -> Any:
        first: Any = self.on_start()  # type: ignore[func-returns-value]
        if self._cred_woken is None:
            return first
        return after(first, lambda _: self._cred_restore())

    def _cred_restore(self) -> Any:
        data, session = self._cred_woken, self.session
        assert data is not None
        assert session is not None
        self._cred_woken = None

        def restored(_: object) -> None:
            self._cred_logged_in = True
            session.woke()

        return after(self.restore(unpack(data)), restored)

    def _cred_fall_asleep(self, limit: int, answer: Future[bool]) -> Any:
        if not self._cred_logged_in or not self.has_snapshot or not self.actor_inbox.empty():
            answer.settle(False)
            return None
        return after(self._cred_pack(limit), partial(self._cred_sleep, answer))

    def _cred_pack(self, limit: int) -> Any:
        """Return the snapshot as bytes, or None if there is none; or a coroutine of that."""

        def none(error: Exception) -> None:
            if not isinstance(error, SnapshotDeclined):
                logger.error("%s stays, since it has no snapshot:", self, exc_info=error)

        try:
            taken = self.snapshot()
            if type(taken) is CoroutineType:
                return attempt(taken, lambda value: pack(value, limit), none)
            return pack(taken, limit)
        except Exception as error:
            none(error)
            return None

    def _cred_sleep(self, answer: Future[bool], data: bytes | None) -> Any:
        if data is None:
            answer.settle(False)
            return None
        session = self.session
        assert session is not None

        def put_away() -> None:
            inbox = self.actor_inbox
            inbox.put_away(Dormant(session, inbox, data))
            answer.settle(True)

        return self._cred_in_order("on_stop", self.on_stop, put_away)

    def _cred_depart(self, message: Depart) -> None:
        inbox = self.actor_inbox
        packed = self._cred_pack(message.limit) if self._cred_logged_in else None

        def wait(data: bytes | None) -> None:
            message.answer.settle(data)
            if data is not None:
                inbox.wait_for(message.verdict, self._cred_verdict)

        if type(packed) is CoroutineType:
            inbox.wait_for(inbox.dispatcher.spawn(packed), lambda done: wait(packed_in(done)))
        else:
            wait(packed)

    def _cred_verdict(self, verdict: Future[bool]) -> None:
        if error_of(verdict) is not None or verdict.get():
            self._cred_logged_in = False  # so that `on_logout` does not run
            self.actor_inbox.finish(self, None)

    def _cred_arrived(self, message: Arrived) -> Any:
        answer, session = message.answer, message.session
        self.session = session

        def restored(_: object) -> None:
            self._cred_logged_in = True
            answer.settle()

        try:
            result = self.restore(unpack(message.snapshot))
        except Exception as error:
            answer.settle_error(error)
            raise
        if type(result) is not CoroutineType:
            return restored(result)
        return _or_tell(after(result, restored), answer)

    def _actor_last_words(self) -> Any:
        reason = self._cred_claim_logout(LogoutCode.STOPPED)
        if reason is None:
            return self.on_stop()
        return self._cred_in_order("on_logout", lambda: self.on_logout(reason), self.on_stop)

    def _actor_last_gasp(self, error: BaseException) -> Any:
        reason = self._cred_claim_logout(LogoutCode.CRASHED)
        if reason is None:
            return super()._actor_last_gasp(error)
        return self._cred_in_order(
            "on_logout",
            lambda: self.on_logout(reason),
            lambda: super(Avatar, self)._actor_last_gasp(error),
        )

    def _cred_claim_logout(self, code: LogoutCode) -> LogoutReason | None:
        """Return the reason for `on_logout`; None if it already ran or `on_login` never did."""
        if not self._cred_logged_in:
            return None
        self._cred_logged_in = False
        return self._cred_reason or LogoutReason(code)

    def _cred_in_order(self, name: str, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
        """Run two hooks, the second even if the first fails; return a coroutine if the first is."""
        try:
            result = first()
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("%s of %s failed:", name, self)
            return second()
        if type(result) is CoroutineType:
            return self._cred_await_in_order(name, result, second)
        return second()

    async def _cred_await_in_order(
        self, name: str, first: Coroutine[Any, Any, Any], second: Callable[[], Any]
    ) -> None:
        try:
            await first
        except Exception:
            logger.exception("%s of %s failed:", name, self)
        result = second()
        if type(result) is CoroutineType:
            await result


async def _or_tell(work: Coroutine[Any, Any, Any], answer: Future[None]) -> None:
    """Do some work; if that fails, `answer` fails, too."""
    try:
        await work
    except BaseException as error:
        answer.settle_error(error)
        raise


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


_FOR_ITSELF = frozenset({"now", "offload", "spawn", "snapshot", "restore"})
"""Methods that an actor calls on itself; a wrapper never does, so the object's own are exposed."""


class ObjectAvatar(Avatar):
    """An avatar that wraps a plain object and exposes its public methods and attributes."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Do not take methods of the object for hooks: it cannot sleep."""

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
