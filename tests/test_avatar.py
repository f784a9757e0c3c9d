"""An avatar's hooks run once and in order, whatever fails, and a plain object can be one."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from actorcred import Avatar, LogoutCode, LogoutReason
from actorcred.actors import ControlMessage, Future
from actorcred.avatar import Attached, Detached, Leave, Opened, implements, wrap_object

BYE = LogoutReason(LogoutCode.KICKED, "spam")


class Noting(Avatar):
    """Notes its hooks, and waits or fails in them as it is told."""

    def __init__(self, log: list[Any], **hooks: Any) -> None:
        super().__init__("ann", None)  # type: ignore[arg-type]
        self.log, self.hooks = log, hooks

    def note(self, name: str, *what: Any) -> Any:
        self.log.append((name, *what))
        hook = self.hooks.get(name)
        if isinstance(hook, BaseException):
            raise hook
        return _wait(hook, self.log, name) if isinstance(hook, Future) else None

    def on_login(self) -> Any:
        return self.note("login")

    def on_logout(self, reason: LogoutReason) -> Any:
        return self.note("logout", str(reason))

    def on_stop(self) -> Any:
        return self.note("stop")

    def on_failure(self, *_: Any) -> Any:
        return self.note("failure")

    def on_attach(self, mind: Any) -> Any:
        return self.note("attach", mind)

    def on_detach(self, mind: Any, reason: LogoutReason) -> Any:
        return self.note("detach", mind, str(reason))

    def on_receive(self, message: Any) -> Any:
        raise LookupError(message)


async def _wait(future: Future[Any], log: list[Any], name: str) -> None:
    await future
    log.append((name, "is through"))


@pytest.fixture
def log() -> list[Any]:
    return []


def opened(log: list[Any], **hooks: Any) -> Any:
    avatar = Noting.start(log, **hooks)
    avatar.tell(Opened(None, lambda: log.append("in")))  # type: ignore[arg-type]
    return avatar


def test_a_session_begins_is_shared_and_ends(inline: Any, log: list[Any]) -> None:
    avatar = opened(log)
    avatar.tell(Attached("further"))  # type: ignore[arg-type]
    avatar.tell(Detached("further", BYE))  # type: ignore[arg-type]
    avatar.tell(Leave(BYE))

    assert log == [
        ("login",),
        "in",
        ("attach", "further"),
        ("detach", "further", "kicked: spam"),
        ("logout", "kicked: spam"),
        ("stop",),
    ]
    assert not avatar.is_alive()


def test_the_login_waits_for_a_hook_that_takes_its_time(inline: Any, log: list[Any]) -> None:
    gate: Future[None] = Future()
    opened(log, login=gate)
    assert log == [("login",)]
    gate.settle()

    assert log == [("login",), ("login", "is through"), "in"]


def test_somebody_who_waits_for_the_login_himself_gets_its_end(inline: Any, log: list[Any]) -> None:
    gate: Future[None] = Future()
    answer = Noting.start(log, login=gate).ask(Opened(None), block=False)  # type: ignore[arg-type]
    assert not answer.done()
    gate.settle()

    assert answer.get(timeout=0) is None


def test_each_end_has_its_reason_and_none_has_a_logout_without_a_login(
    inline: Any, log: list[Any]
) -> None:
    opened(log).stop()
    opened(log).tell("crash")
    Noting.start(log).stop()
    Noting.start(log).tell("crash")

    assert [entry for entry in log if entry not in (("login",), "in")] == [
        ("logout", "stopped"),
        ("stop",),
        ("logout", "crashed"),
        ("failure",),
        ("stop",),
        ("failure",),
    ]


def test_a_logout_may_take_its_time(inline: Any, log: list[Any]) -> None:
    logout, stop = Future[None](), Future[None]()
    opened(log, logout=logout, stop=stop).tell(Leave(BYE))
    assert log[-1] == ("logout", "kicked: spam")
    logout.settle()
    assert log[-1] == ("stop",)
    stop.settle()
    assert log[-1] == ("stop", "is through")


@pytest.mark.parametrize("later", [False, True])
def test_an_avatar_stops_also_if_its_logout_fails(
    inline: Any, log: list[Any], later: bool, caplog: Any
) -> None:
    error, gate = LookupError("a bug"), Future[None]()
    avatar = opened(log, logout=gate if later else error)
    avatar.tell(Leave(BYE))
    if later:
        gate.settle_error(error)

    assert log[-1] == ("stop",)
    assert "on_logout of Noting" in caplog.text
    assert not avatar.is_alive()


def test_ctrl_c_in_a_logout_is_not_swallowed(inline: Any, log: list[Any]) -> None:
    avatar = opened(log, logout=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        avatar.tell(Leave(BYE))
    avatar.actor_inbox.kill(TimeoutError())


def test_a_message_that_no_avatar_knows_is_an_error_of_the_sender(
    inline: Any, log: list[Any]
) -> None:
    class Odd(ControlMessage): ...

    with pytest.raises(TypeError, match="does not handle a Odd"):
        Noting.start(log).ask(Odd())


class Named(Protocol):
    name: str


class Walker(Named, Protocol):
    def walk(self) -> str: ...


class Plain:
    """An object that knows nothing of actors."""

    name = "ann"
    _secret = "s3cret"

    def __init__(self, log: list[Any]) -> None:
        self.steps, self.log, self.session = 0, log, "of its own"

    def walk(self) -> str:
        self.steps += 1
        return "walked"

    def now(self) -> str:
        return "its own"

    def on_logout(self, reason: LogoutReason) -> None:
        self.log.append(str(reason))


class Greeted(Plain):
    def on_login(self) -> None:
        self.log.append("login")


def test_a_class_implements_its_bases_and_protocols_whose_names_it_has() -> None:
    assert implements(Greeted, Plain)
    assert not implements(Plain, Greeted)
    assert implements(Plain, Walker)
    assert not implements(Noting, Walker)


def test_a_plain_object_has_an_actor_that_shows_its_public_part(
    inline: Any, log: list[Any]
) -> None:
    plain = Plain(log)
    ref = wrap_object(plain, "ann", None, inline)  # type: ignore[arg-type]
    proxy = ref.proxy()

    assert proxy.walk().get() == "walked"
    assert proxy.steps.get() == 1
    proxy.steps = 5
    assert proxy.now().get() == "its own"
    assert (proxy.name.get(), plain.steps) == ("ann", 5)
    assert proxy.session.get() is None  # the avatar's, not the object's
    assert not hasattr(proxy, "_secret")
    ref.tell(Opened(None))  # type: ignore[arg-type]
    ref.tell(Leave(BYE))
    assert log == ["kicked: spam"]


def test_a_plain_object_is_told_of_its_login_if_it_wants_to_know(
    inline: Any, log: list[Any]
) -> None:
    ref = wrap_object(Greeted(log), "ann", None, inline)  # type: ignore[arg-type]
    ref.tell(Opened(None))  # type: ignore[arg-type]

    assert log == ["login"]
    other = wrap_object(object(), "ann", None, inline)  # type: ignore[arg-type]
    other.tell(Opened(None))  # type: ignore[arg-type]
    other.tell(Leave(BYE))
    assert not other.is_alive()
