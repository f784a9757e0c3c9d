"""An avatar that several sessions share tells all of them, and asks the one that can answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actorcred import Channel, ClientGone, Notification
from actorcred.mind.mind import Mind
from actorcred.sessions.sharing import SharedAvatar


class Client:
    """A client that notes what it is told."""

    def __init__(self, name: str) -> None:
        self.name, self.got = name, list[Any]()

    def news(self, *args: Any) -> None:
        self.got.append(args)

    def who(self) -> str:
        return self.name


class Silent(Channel):
    """A way to a client that can be told and asked nothing."""

    takes_notifications = False

    def notify(self, notification: Notification) -> None:
        raise AssertionError("it takes none")

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        raise ClientGone("it cannot be asked")


def test_all_clients_are_told_and_the_latest_that_can_be_is_asked(inline: Any) -> None:
    shared: SharedAvatar[Any] = SharedAvatar()
    clients = [Client("first"), Client("second")]
    sessions = [SimpleNamespace(id=client.name, mind=Mind.start(client)) for client in clients]
    silent = SimpleNamespace(id="silent", mind=Mind.start(Silent()))
    for session in (*sessions, silent):
        shared.add(session)
    shared.notify(Notification("news", (1,), None))
    assert [client.got for client in clients] == [[(1,)], [(1,)]]
    assert shared.call("who", ()).get(timeout=0) == "second"
    shared.discard(sessions[1])
    shared.notify(Notification("news", (2,), None))
    assert [len(client.got) for client in clients] == [2, 1]
    assert shared.call("who", ()).get(timeout=0) == "first"


def test_who_cannot_be_asked_is_asked_only_if_nobody_else_is_there(inline: Any) -> None:
    shared: SharedAvatar[Any] = SharedAvatar()
    session = SimpleNamespace(id="silent", mind=Mind.start(Silent()))
    shared.add(session)
    with pytest.raises(ClientGone):
        shared.call("who", ()).get(timeout=0)
    shared.discard(session)
    with pytest.raises(ClientGone, match="no client shares this avatar any more"):
        shared.call("who", ())
