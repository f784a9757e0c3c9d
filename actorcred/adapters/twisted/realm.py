"""Twisted's realms behind our portals."""

from __future__ import annotations

from functools import cache
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface.interface import InterfaceClass

from actorcred.actors import ActorRef, Dispatcher, Future
from actorcred.adapters.twisted.checkers import avatar_id_to_twisted
from actorcred.adapters.twisted.dispatcher import deferred_of, reactor_dispatcher
from actorcred.adapters.twisted.errors import our_error
from actorcred.adapters.twisted.interfaces import class_of, interface_of
from actorcred.avatar import Avatar
from actorcred.errors import LoginFailed, NoInterface
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.realm import Realm

__all__ = ["TwistedAvatar", "TwistedRealm"]


class TwistedAvatar(Avatar):
    """An actor that wraps a Twisted avatar.

    Attributes:
        original: the avatar.
        provides: the requested interface; a class attribute.
    """

    provides: InterfaceClass

    def __init__(self, avatar_id: AvatarId, mind: MindRef, original: Any) -> None:
        super().__init__(avatar_id, mind)
        self.original = original

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the avatar, for protocols that are not Twisted's.

        The result of a Deferred is returned when it fires.
        """
        result = getattr(self.original, name)(*args, **kwargs)
        return _awaited(result) if isinstance(result, Deferred) else result


async def _awaited(deferred: Deferred[Any]) -> Any:
    return await deferred


@cache
def _avatar_class(interface: InterfaceClass) -> type[TwistedAvatar]:
    return type(f"{interface.__name__}Avatar", (TwistedAvatar,), {"provides": interface})


class TwistedMind:
    """The mind that a Twisted realm gets for a client of a protocol that is not Twisted's."""

    def __init__(self, mind: MindRef) -> None:
        self._mind = mind

    def callRemote(self, name: str, *args: Any) -> Deferred[Any]:  # noqa: N802  # Twisted's name
        """Call the client; return a Deferred of its answer."""
        return deferred_of(self._mind.call(name, *args))


class TwistedRealm(Realm):
    """A Twisted realm, for our portals. It and its avatars run on the reactor.

    Args:
        realm: a provider of `IRealm`.
    """

    def __init__(self, realm: Any) -> None:
        super().__init__()
        self.realm = realm

    @classmethod
    def start(cls, realm: Any, *, dispatcher: Dispatcher | None = None) -> ActorRef[TwistedRealm]:  # type: ignore[override]
        """Start a realm; see the class for the argument."""
        return super().start(realm, dispatcher=dispatcher or reactor_dispatcher())

    @staticmethod
    def offering(*interfaces: InterfaceClass) -> type[TwistedRealm]:
        """Return the class of realms that list these interfaces, for protocols that ask by name."""
        return type(
            "TwistedRealm", (TwistedRealm,), {"interfaces": tuple(map(class_of, interfaces))}
        )

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        """Ask the Twisted realm."""
        wanted = [interface for cls in interfaces if (interface := interface_of(cls)) is not None]
        if not wanted:
            raise NoInterface(interfaces)
        channel: Any = mind.channel
        client = channel.original if hasattr(channel, "original") else TwistedMind(mind)
        try:
            answer = self.realm.requestAvatar(avatar_id_to_twisted(avatar_id), client, *wanted)
        except Exception as error:
            raise self._refusal(error, interfaces) from None
        if not isinstance(answer, Deferred):
            return self._start_avatar(answer, avatar_id, mind)
        decision: Future[Any] = Future()
        answer.addCallback(self._start_avatar, avatar_id, mind)
        answer.addCallbacks(
            decision.settle,
            lambda failure: decision.settle_error(self._refusal(failure.value, interfaces)),
        )
        return decision

    def _start_avatar(self, answer: Any, avatar_id: AvatarId, mind: MindRef) -> Any:
        interface, original, logout = answer
        if not isinstance(interface, InterfaceClass):
            return answer  # the portal reports what is wrong with it
        avatar = _avatar_class(interface).start(
            avatar_id, mind, original, dispatcher=self.actor_inbox.dispatcher
        )
        return class_of(interface), avatar, logout

    def _refusal(self, error: BaseException, interfaces: tuple[type, ...]) -> LoginFailed:
        if isinstance(
            error, NotImplementedError
        ):  # Twisted's realms raise this for an interface that they do not have
            return NoInterface(interfaces)
        return our_error(error, self.realm)
