"""Clients of other machines that share an avatar of a portal, as its registry attaches them."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import ClientInfo, Identity, LogoutCode, NoInterface, Policy
from actorcred.mind.channel import Channel
from actorcred.portal.events import LoggedIn, LoggedOut
from actorcred.sessions.guest import Newcomer
from actorcred.sessions.session import Session
from tests.helpers import Player, Stage


class FarClient(Channel):
    """Remembers what is sent to it."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def ready(self) -> bool:
        return True

    def notify(self, notification: Any) -> None:
        self.heard.append((notification.name, *notification.args))

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        return f"far {name}"

    def close(self, reason: Any) -> None:
        self.heard.append(str(reason.code))


def attach(stage: Stage, channel: Channel, interface: type | None = Player) -> Session:
    host = stage.portal.actor_inbox.actor._registry._host  # type: ignore[union-attr]
    newcomer = Newcomer(
        "far",
        channel,
        Identity("ann", groups=frozenset({"players"})),
        ClientInfo(address="192.0.2.7"),
        {"theme": "dark"},
        lambda avatar_class: interface,
    )

    def step() -> Session:
        present = host.shareable("ann")
        assert present is not None
        attached: Session = host.attach(present, newcomer)
        return attached

    session: Session = host.run(step).get(timeout=10)
    return session


def test_a_guest_shares_the_avatar_and_its_notifications(inline):
    stage = Stage(policy=Policy.SHARE)
    near = stage.login()
    client = FarClient()
    guest = attach(stage, client)

    assert guest.is_guest
    assert guest.avatar.actor_urn == near.avatar.actor_urn
    assert guest.mind.identity.groups == {"players"}
    assert guest.client.address == "192.0.2.7"
    assert guest.mind.info == {"theme": "dark"}
    assert near.avatar.proxy().move(1).get() == 1
    assert client.heard == [("moved", 1)]
    assert near.avatar.proxy().ask_client("where?").get().get() == "far where?"


def test_a_guest_is_neither_listed_nor_counted_nor_reported(inline):
    stage = Stage(policy=Policy.SHARE)
    near = stage.login()
    guest = attach(stage, FarClient())

    assert stage.count() == 1
    assert stage.portal.sessions("ann").get() == [near.session]
    assert stage.portal.session("far").get() is None
    guest.end(LogoutCode.LOST).get()
    assert ("detach", "ann", "lost") in stage.log
    assert near.session.is_open
    assert len(stage.named(LoggedIn)) == 1
    assert stage.named(LoggedOut) == []


def test_the_avatar_goes_on_for_a_guest_and_ends_with_it(inline):
    stage = Stage(policy=Policy.SHARE)
    near = stage.login()
    client = FarClient()
    guest = attach(stage, client)
    near.logout().get()

    assert not any(entry[0] == "logout" for entry in stage.log)
    guest.end().get()
    assert stage.log[-2:] == [("logout", "ann", "logout"), ("stop", "ann")]
    assert client.heard[-1] == "logout"


def test_a_guest_has_no_deadlines(inline):
    stage = Stage(policy=Policy.SHARE, idle_timeout=10.0, lifetime=20.0)
    stage.login()
    guest = attach(stage, FarClient())
    inline.advance(60)

    assert stage.count() == 0
    assert guest.is_open


def test_a_guest_that_wants_what_the_avatar_has_not_is_refused(inline):
    stage = Stage(policy=Policy.SHARE)
    stage.login()
    with pytest.raises(NoInterface):
        attach(stage, FarClient(), None)
    assert stage.portal.drain(timeout=1).get() == 1


def test_guests_end_with_a_drain_and_with_the_portal(inline):
    for end in ("drain", "stop"):
        stage = Stage(policy=Policy.SHARE)
        near = stage.login()
        client = FarClient()
        attach(stage, client)
        near.logout().get()
        if end == "drain":
            assert stage.portal.drain(timeout=1).get() == 1
        else:
            stage.portal.stop()
        assert client.heard[-1] == "drained"
        assert stage.log[-2:] == [("logout", "ann", "drained"), ("stop", "ann")]
