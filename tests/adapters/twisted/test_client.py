"""The client of a Twisted protocol: its mind is notified and called, so is its avatar's face."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from twisted.internet.defer import Deferred, succeed

from actorcred import LogoutCode, LogoutReason, Notification
from actorcred.actors import Future
from actorcred.adapters.twisted.client import ProtocolChannel

BYE = LogoutReason(LogoutCode.KICKED, "spam")

pytestmark = pytest.mark.usefixtures("on_this_thread")


class Mind:
    """An object with methods."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def moved(self, *args: Any) -> None:
        self.got.append(args)

    def name(self) -> str:
        return "ann"


class Remote:
    """A client of PB."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def callRemote(self, name: str, *args: Any) -> Deferred[Any]:
        self.got.append((name, *args))
        return succeed("answered")


def channel_to(mind: Any) -> tuple[Any, list[Any]]:
    """Return a channel on a connection, and what the connection hears."""
    heard: list[Any] = []
    connection: Any = SimpleNamespace(
        closed=lambda session: heard.append("closed"),
        farewell=lambda reason: heard.append(str(reason)),
    )
    return ProtocolChannel(mind, connection), heard


def test_the_mind_is_told_or_else_the_face_or_nobody() -> None:
    mind, face = Mind(), Mind()
    channel, _ = channel_to(mind)
    channel.notify(Notification("moved", (1,), None))
    channel.original, channel.hears = None, face
    channel.notify(Notification("moved", (2,), None))
    channel.notify(Notification("nobody hears this", (), None))

    assert (mind.got, face.got) == ([(1,)], [(2,)])


def test_the_mind_is_asked_here_or_at_its_own_end() -> None:
    here, remote = channel_to(Mind())[0], channel_to(Remote())[0]
    answer = remote.call("name", ())

    assert here.call("name", ()) == "ann"
    assert answer.get(timeout=10) == "answered" if isinstance(answer, Future) else answer
    assert remote.original.got == [("name",)]


def test_the_end_is_told_once_and_not_to_a_client_that_went() -> None:
    ended: list[Any] = []
    session: Any = SimpleNamespace(end=lambda: ended.append("ended"))
    mind = Remote()
    channel, heard = channel_to(mind)
    channel.log_out()
    channel.session = session
    channel.log_out()
    for _ in range(2):
        channel.close(BYE)
    gone, heard_of_gone = channel_to(Remote())
    gone.close(LogoutReason(LogoutCode.LOST))

    assert ended == ["ended"]
    assert heard == ["closed", "kicked: spam"]
    assert mind.got == [("logged_out", "kicked", "spam")]
    assert heard_of_gone == []
