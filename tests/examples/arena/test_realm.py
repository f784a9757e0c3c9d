"""The arena's realm: what players, spectators and bots are sent, and what becomes of points."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from actorcred import CallError, ClientInfo, NoInterface
from actorcred.actors import InlineDispatcher
from examples.arena.avatars import SIGN_UPS
from examples.arena.interface import Spectator
from examples.arena.messages import Figures
from tests.examples.arena.hall import Hall


@pytest.fixture
def hall(inline: InlineDispatcher) -> Hall:
    return Hall(inline)


def test_a_player_is_sent_frames_a_board_and_its_rank(hall: Hall) -> None:
    login, mind = hall.enter("ann")
    land = hall.ask(login, "watch")
    assert (land["name"], land["size"], len(land["rows"])) == ("ann", 64.0, 32)
    hall.ticks(10)
    frames = mind.named("frame")
    assert [frame[0] for frame in frames] == list(range(1, 11))
    assert frames[0][2] == [(1, "ann", 0, 0)]
    assert mind.named("board")[0][0]["best"] == [("ann", 0, 0)]
    assert mind.named("rank")[-1] == [1, 0, 0]
    hall.ask(login, "move", 1.0, 0.0)
    hall.ask(login, "dash")
    hall.ask(login, "say", "hello")
    hall.ticks(2)
    frame = mind.named("frame")[10]
    assert frame[3][4] > 100  # the speed of a dash
    assert frame[6] == [("said", 1, "hello")]


def test_a_slow_client_is_sent_the_difference_later_and_no_queue_of_frames(hall: Hall) -> None:
    login, mind = hall.enter("ann")
    hall.ask(login, "watch")
    hall.ticks(1)
    outbox = hall.arena._actor_weakref()._minds["ann"].outbox  # type: ignore[union-attr]
    outbox._awake = True  # as while the socket of the client is full
    hall.ask(login, "say", "hello")
    hall.ticks(5)
    outbox._awake = False
    hall.ticks(1)
    frames = mind.named("frame")
    assert [frame[0] for frame in frames] == [1, 7]
    assert frames[1][6] == [("said", 1, "hello")]


def test_a_spectator_follows_a_player_who_carries_gold_and_plays_no_part(hall: Hall) -> None:
    hall.enter("ann")
    hall.enter("bob")
    hall.world.bodies["bob"].set_load(3)
    login, mind = hall.enter(None, Spectator)
    assert hall.ask(login, "watch")["name"] is None
    hall.ticks(150)
    assert mind.named("frame")[-1][1] == hall.world.bodies["bob"].number
    assert list(hall.world.bodies) == ["ann", "bob"]
    assert hall.ask(login, "who") == [("ann", 0), ("bob", 0)]
    login.logout().get()
    count = len(mind.named("frame"))
    hall.ticks(5)
    assert len(mind.named("frame")) == count


def test_bots_get_glances_and_rounds_but_no_frames(inline: InlineDispatcher) -> None:
    hall = Hall(inline, round=4, rest=1)
    login, mind = hall.enter("ann", look="guard")
    land = hall.ask(login, "glance", 1.0)
    assert land["round"]["phase"] == "play"
    hall.ticks(55)
    assert len(mind.named("glance")) == 6
    assert [args[0]["phase"] for args in mind.named("round")] == ["rest", "play"]
    assert mind.named("frame") == []
    assert mind.named("glance")[0][0].me.look == "guard"


def test_a_look_that_is_unknown_is_a_persons(hall: Hall) -> None:
    for name, look in (("ann", "king"), ("bob", ["guard"])):
        hall.enter(name, look=look)
        assert hall.world.bodies[name].look == "person"


def test_people_come_before_bots_in_the_list(hall: Hall) -> None:
    hall.enter("ann", look="guard")
    hall.world.bodies["ann"].points = 9
    login, _ = hall.enter("bob")
    assert hall.ask(login, "who") == [("bob", 0), ("ann", 9)]


def test_what_is_no_number_is_refused_and_harms_nothing(hall: Hall) -> None:
    login, _ = hall.enter("ann")
    for method, args in (
        ("move", (float("nan"), 0.0)),
        ("move", (float("inf"), 1.0)),
        ("glance", (float("nan"),)),
    ):
        with pytest.raises(CallError):
            hall.ask(login, method, *args)
    hall.ticks(1)
    assert login.session.is_open


def test_points_outlive_a_login_in_the_round_and_the_process(
    inline: InlineDispatcher, tmp_path: Path
) -> None:
    hall = Hall(inline, scores=tmp_path / "scores.sqlite", round=4, rest=1)
    login, _ = hall.enter("ann")
    hall.world.bodies["ann"].points = hall.world.bodies["ann"].total = 7
    login.logout().get()
    hall.enter("ann")
    assert (hall.world.bodies["ann"].points, hall.world.bodies["ann"].total) == (7, 7)
    hall.ticks(55)
    assert (hall.world.bodies["ann"].points, hall.world.bodies["ann"].total) == (0, 7)
    assert hall.arena.proxy().top().get() == [("ann", 7)]
    hall.arena.stop()
    rows = sqlite3.connect(tmp_path / "scores.sqlite").execute("SELECT * FROM score").fetchall()
    assert rows == [("ann", 7)]


@pytest.mark.parametrize("heir_is_faster", [False, True])
def test_a_guest_who_makes_an_account_goes_on_with_it(hall: Hall, heir_is_faster: bool) -> None:
    guest, _ = hall.enter()
    body = hall.world.bodies["guest 1"]
    body.points = body.total = 5
    body.set_load(2)
    hall.ask(guest, "sign_up", "zoe", "right")
    if heir_is_faster:
        hall.enter("zoe")
        guest.logout().get()
    else:
        guest.logout().get()
        assert list(hall.world.bodies) == []
        hall.enter("zoe")
    assert list(hall.world.bodies) == ["zoe"]
    heir = hall.world.bodies["zoe"]
    assert (heir.points, heir.total, heir.load) == (5, 5, 2)
    assert (heir.team, heir.x, heir.y) == (body.team, body.x, body.y)
    assert hall.world.team_gold()[heir.team] == 5


def test_a_guest_without_an_account_leaves_no_points_to_others(hall: Hall) -> None:
    guest, _ = hall.enter()
    hall.world.bodies["guest 1"].points = 5
    with pytest.raises(CallError, match="taken"):
        hall.ask(guest, "sign_up", "eve", "right")
    guest.logout().get()
    hall.enter("zoe")
    assert hall.world.bodies["zoe"].points == 0


def test_no_account_is_made_where_others_can_read_along(hall: Hall) -> None:
    far = ClientInfo(address="192.0.2.7", protocol="rpc", transport="websocket")
    guest, _ = hall.enter(client=far)
    with pytest.raises(CallError, match="not encrypted"):
        hall.ask(guest, "sign_up", "zoe", "right")
    here = ClientInfo(address="127.0.0.1", protocol="rpc", transport="websocket")
    guest, _ = hall.enter(client=here)
    hall.ask(guest, "sign_up", "zoe", "right")


def test_who_logs_in_from_another_place_goes_on_there(hall: Hall) -> None:
    first, _ = hall.enter("ann")
    body = hall.world.bodies["ann"]
    body.points = body.total = 7
    second, mind = hall.enter("ann")
    assert not first.session.is_open
    hall.ask(second, "watch")
    hall.ticks(2)
    now = hall.world.bodies["ann"]
    assert (now.points, now.total, now.x, now.y) == (7, 7, body.x, body.y)
    assert mind.named("frame")[-1][1] == now.number


def test_one_session_cannot_try_to_sign_up_for_ever_and_users_not_at_all(hall: Hall) -> None:
    guest, _ = hall.enter(None, Spectator)
    for _ in range(SIGN_UPS):
        with pytest.raises(CallError, match="taken"):
            hall.ask(guest, "sign_up", "eve", "right")
    with pytest.raises(CallError, match="too often"):
        hall.ask(guest, "sign_up", "zoe", "right")
    ann, _ = hall.enter("ann")
    with pytest.raises(CallError, match="No account can be made here"):
        hall.ask(ann, "sign_up", "zoe", "right")


def test_there_is_no_other_interface(hall: Hall) -> None:
    with pytest.raises(NoInterface):
        hall.enter("ann", int)


def test_figures_go_to_those_who_watch(hall: Hall) -> None:
    login, mind = hall.enter("ann")
    _, other = hall.enter("bob")
    hall.ask(login, "watch")
    hall.arena.tell(Figures({"sessions": 2.0}))
    hall.ticks(1)
    assert mind.named("figures") == [[{"sessions": 2.0}]]
    assert other.named("figures") == []


def test_a_crash_of_one_avatar_leaves_the_others_alone(hall: Hall) -> None:
    ann, _ = hall.enter("ann")
    bob, _ = hall.enter("bob")
    with pytest.raises(RuntimeError):
        hall.ask(ann, "stumble")
    ann.avatar.proxy().stumble()
    hall.ticks(3)
    assert bob.session.is_open
    assert "bob" in hall.world.bodies
