"""A client is nothing, a function, an object, an actor, or a channel of its own."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import Channel, ClientGone, LogoutCode, LogoutReason, Notification
from actorcred.actors import Actor, Future
from actorcred.mind.channel import NOBODY, channel_to

NEWS = Notification("news", (1,))
BYE = LogoutReason(LogoutCode.KICKED, "spam")


class Client:
    """An object with methods."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def news(self, *args: Any) -> None:
        self.got.append(args)

    def name(self) -> str:
        return "ann"


class Polite(Client):
    def logged_out(self, *args: Any) -> None:
        self.got.append(args)


class Called(Client):
    def __call__(self, name: str, *args: Any) -> Any:
        self.got.append((name, *args))
        return "ann"


class ClientActor(Actor):
    def __init__(self, got: list[Any]) -> None:
        super().__init__()
        self.got = got

    def news(self, *args: Any) -> None:
        self.got.append(args)

    def name(self) -> str:
        return "ann"


class PoliteActor(ClientActor):
    def logged_out(self, *args: Any) -> None:
        self.got.append(args)


def use(channel: Channel) -> Any:
    """Tell, ask and close; return the answer."""
    channel.notify(NEWS)
    answer = channel.call("name", ())
    channel.close(BYE)
    return answer.get(timeout=10) if isinstance(answer, Future) else answer


def test_nobody_hears_nothing_and_cannot_be_asked() -> None:
    channel = channel_to(None)

    assert channel is NOBODY
    channel.notify(NEWS)
    assert channel.close(BYE) is None
    with pytest.raises(ClientGone, match="this session has no client to call"):
        channel.call("name", ())


@pytest.mark.parametrize("kind", [Client, Polite])
def test_an_objects_methods_are_called_and_its_goodbye_if_it_has_one(kind: Any) -> None:
    client = kind()

    assert use(channel_to(client)) == "ann"
    assert client.got == [(1,)] + ([("kicked", "spam")] if kind is Polite else [])


def test_a_function_or_a_callable_object_hears_all_by_name() -> None:
    for make in (lambda called: called, lambda called: called.__call__):
        client = Called()
        assert use(channel_to(make(client))) == "ann"
        assert client.got == [("news", 1), ("name",), ("logged_out", "kicked", "spam")]


@pytest.mark.parametrize("kind", [ClientActor, PoliteActor])
def test_an_actor_is_told_and_asked(inline: Any, kind: Any) -> None:
    got: list[Any] = []

    assert use(channel_to(kind.start(got))) == "ann"
    assert got == [(1,)] + ([("kicked", "spam")] if kind is PoliteActor else [])


def test_a_channel_is_itself_and_knows_no_sizes_by_default() -> None:
    class Own(Channel):
        def notify(self, notification: Notification) -> None: ...
        def call(self, name: str, args: tuple[Any, ...]) -> None: ...

    own = Own()

    assert channel_to(own) is own
    assert (own.ready(), own.size(NEWS), own.close(BYE)) == (False, 0, None)
