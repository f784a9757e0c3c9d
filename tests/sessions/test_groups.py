"""Named groups in one process: who hears what, and what is left when members go."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from actorcred import CheckerUnavailable, Policy
from actorcred.mind import mind as minds
from actorcred.mind.mind import Mind
from actorcred.sessions import groups
from actorcred.sessions.groups import Groups
from tests.helpers import Stage


class Client:
    """A client that notes what it hears."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def said(self, *args: Any) -> None:
        self.got.append(args)


def test_all_members_but_the_speaker_hear_what_is_said(inline: Any) -> None:
    stage, clients = Stage(), [Client() for _ in range(3)]
    logins = [stage.login(name, mind=client) for name, client in zip("abc", clients, strict=True)]
    room = stage.portal.group("room:lobby")
    for login in logins:
        assert room.add(login.session.mind).get(timeout=1) is None

    room.notify("said", "hello", 1, but=logins[0].session.mind)
    assert [client.got for client in clients] == [[], [("hello", 1)], [("hello", 1)]]
    assert stage.portal.group("room:lobby") is room
    assert list(stage.portal.groups) == [room]
    assert stage.portal.group("room:other") is not room


def test_a_group_lists_and_counts_the_sessions_of_its_members(inline: Any) -> None:
    stage = Stage()
    ann, ben = stage.login("ann"), stage.login("ben")
    stage.login("cat")
    room = stage.portal.group("room")
    assert (room.count().get(), room.members().get()) == (0, [])
    room.add(ben.session.mind)
    room.add(ann.session.mind)
    assert room.count().get() == 2
    assert room.members().get() == [ann.session, ben.session]
    assert "'room', 2 members" in repr(room)


def test_a_group_lists_all_clients_of_an_avatar_that_they_share(inline: Any) -> None:
    stage, clients = Stage(policy=Policy.SHARE), [Client(), Client()]
    logins = [stage.login(mind=client) for client in clients]
    room = stage.portal.group("room")
    avatar = logins[0].session.avatar.actor_inbox.actor
    assert avatar is not None
    room.add(avatar.mind)  # type: ignore[attr-defined]
    room.notify("said", "hello")
    assert [client.got for client in clients] == [[("hello",)]] * 2
    assert room.members().get() == [login.session for login in logins]
    for login in logins:
        login.logout()
    assert room.count().get() == 0


def test_who_leaves_or_logs_out_is_no_member_any_more(inline: Any) -> None:
    stage, clients = Stage(), [Client() for _ in range(3)]
    logins = [stage.login(name, mind=client) for name, client in zip("abc", clients, strict=True)]
    room = stage.portal.group("room")
    for login in logins:
        room.add(login.session.mind)
    room.discard(logins[0].session.mind)
    room.discard(logins[0].session.mind)
    logins[1].logout()

    room.notify("said", "hello")
    assert [client.got for client in clients] == [[], [], [("hello",)]]
    room.add(logins[1].session.mind)
    assert room.members().get() == [logins[2].session]


def test_a_login_that_fails_leaves_the_groups_that_its_realm_put_it_into(inline: Any) -> None:
    stage = Stage()
    room = stage.portal.group("room")

    def refuse(avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        room.add(mind)
        raise ZeroDivisionError

    stage.realm_answers.append(refuse)
    with pytest.raises(CheckerUnavailable):
        stage.begin().get(timeout=1)
    assert room.count().get() == 0


def test_nothing_is_left_of_a_group_when_its_members_have_gone(inline: Any) -> None:
    stage = Stage()
    login = stage.login()
    stage.portal.group("room").add(login.session.mind)
    known = weakref.ref(stage.portal.group("room"))
    gc.collect()
    assert (len(stage.portal.groups), known()) == (1, stage.portal.groups.find("room"))
    login.logout()
    gc.collect()
    assert (len(stage.portal.groups), known()) == (0, None)
    assert stage.portal.groups.find("room") is None


@pytest.mark.parametrize(
    ("name", "error"),
    [("", ValueError), ("x" * 257, ValueError), ("room \ud800", ValueError), (None, TypeError)],
)
def test_a_group_needs_a_name(name: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="the name of a group"):
        Groups().get(name)


def test_only_minds_are_members(inline: Any) -> None:
    room = Groups().get("room")
    for method in (room.add, room.discard):
        with pytest.raises(TypeError, match="the mind of a session"):
            method(Client())  # type: ignore[arg-type]


def test_groups_are_bounded(inline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    monkeypatch.setattr(minds, "MOST_TIES", 1)
    known, mind = Groups(), Mind.start(Client())
    first, second = known.get("1"), known.get("2")
    assert known.get("1") is first
    with pytest.raises(ValueError, match="2 groups, no more"):
        known.get("3")
    first.add(mind)
    first.add(mind)
    with pytest.raises(ValueError, match="a mind can be in 1 groups"):
        second.add(mind)
    assert second.count().get() == 0
    first.discard(mind)
    second.add(mind)
    assert second.count().get() == 1
