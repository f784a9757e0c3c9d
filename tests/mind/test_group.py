"""People in a room hear the same, until they leave it or their session ends."""

from __future__ import annotations

import gc
from typing import Any

from actorcred import Group
from actorcred.mind.mind import Mind


class Client:
    """A client that notes what it hears."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def said(self, *args: Any) -> None:
        self.got.append(args)


def test_all_but_the_speaker_hear_what_is_said(inline: Any) -> None:
    clients = [Client() for _ in range(3)]
    minds = [Mind.start(client) for client in clients]
    room = Group()
    for mind in minds:
        room.add(mind)

    assert room.notify("said", "hello", but=minds[0]) == 2
    assert [client.got for client in clients] == [[], [("hello",)], [("hello",)]]
    assert (len(room), minds[0] in room, set(room)) == (3, True, set(minds))


def test_who_left_or_whose_session_is_over_hears_no_more(inline: Any) -> None:
    clients = [Client() for _ in range(3)]
    minds = [Mind.start(client) for client in clients]
    room = Group()
    for mind in minds:
        room.add(mind)
    room.discard(minds[0])
    room.discard(minds[0])
    minds[1].abandon()

    assert room.notify("said", "hello") == 1
    assert list(room) == [minds[2]]
    assert minds[1] not in room


def test_a_room_keeps_nobody_alive(inline: Any) -> None:
    room = Group()
    room.add(Mind.start(Client()))
    gc.collect()

    assert len(room) == 0


def test_only_a_mind_whose_session_is_open_is_in_a_room(inline: Any) -> None:
    mind, other = Mind.start(Client()), Mind.start(Client())
    room = Group()
    room.add(mind)
    assert mind in room
    assert other not in room
    assert "ann" not in room

    mind.abandon()
    assert mind not in room
    assert (len(room), list(room)) == (0, [])
