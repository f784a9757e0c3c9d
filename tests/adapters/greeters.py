"""A service that greets, as Twisted's application and as ours, and helpers of its tests."""

from __future__ import annotations

from typing import Any

from twisted.cred import checkers as their_checkers
from twisted.cred import credentials as their_credentials
from twisted.cred import portal as their_portal
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from actorcred import Avatar, Future, Realm
from actorcred.adapters.twisted import reactor_dispatcher
from actorcred.checkers.memory import MemoryChecker


class IGreeter(Interface):
    def greet(name):
        """Say hello."""


@implementer(IGreeter)
class Greeter:
    def __init__(self, avatar_id: Any) -> None:
        self.avatar_id = avatar_id

    def greet(self, name: str) -> str:
        return f"{name}, this is {self.avatar_id!r}"


@implementer(their_portal.IRealm)
class GreeterRealm:
    """`answer` is returned instead, if it is set."""

    def __init__(self) -> None:
        self.logged_out: list[Any] = []
        self.minds: list[Any] = []
        self.answer: Any = None

    def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
        if IGreeter not in interfaces:
            raise NotImplementedError("no such interface")
        self.minds.append(mind)
        made = IGreeter, Greeter(avatar_id), lambda: self.logged_out.append(avatar_id)
        if isinstance(self.answer, Deferred):
            return self.answer.addCallback(lambda _: made)
        return made


class GreeterAvatar(Avatar):
    def greet(self, name: str) -> str:
        return f"{name}, this is {self.avatar_id}"

    def greet_later(self, name: str) -> Future[str]:
        return self.mind.call("name?")


class OurGreeter:
    """An interface of ours."""


class Hall(Realm):
    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        kind = (
            type("Ours", (GreeterAvatar, interfaces[0]), {})
            if interfaces[0] is OurGreeter
            else implementer(IGreeter)(type("Zopes", (GreeterAvatar,), {}))
        )
        avatar = kind.start(avatar_id, mind)
        return interfaces[0], avatar, avatar.stop


def password(name: str | bytes = b"ann", secret: str | bytes = b"s3cret") -> Any:
    return their_credentials.UsernamePassword(name, secret)


def ours(**users: str) -> Any:
    return MemoryChecker.start(
        users or {"ann": "s3cret"}, plaintext=True, dispatcher=reactor_dispatcher()
    )


def theirs() -> Any:
    return their_checkers.InMemoryUsernamePasswordDatabaseDontUse(ann=b"s3cret")


def result(deferred: Any) -> Any:
    """Return what a Deferred has fired with; fail if it has not."""
    assert deferred.called
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results[0]


def error(deferred: Any) -> Any:
    return result(deferred).value
