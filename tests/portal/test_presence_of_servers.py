"""Presence of users at two portals that are joined by a link without a network."""

from __future__ import annotations

import pytest

from actorcred.actors import InlineDispatcher
from actorcred.portal.presence import Presence
from actorcred.sessions.presence import Contribution, PresenceLimits, UserPresence
from tests.helpers import Stage

WINDOW = PresenceLimits().window


class Wire:
    """The link of one portal to the other."""

    def __init__(self, node: str, own: Presence, other: Presence) -> None:
        self.node = node
        self.own = own
        self.other = other
        self.told: list[dict[str, Contribution]] = []

    def watch(self, avatar_ids: list[str]) -> None:
        self.other.follow(avatar_ids, lambda users: self.own.heard("far", users, whole=False))

    def unwatch(self, avatar_ids: list[str]) -> None:
        self.other.unfollow(avatar_ids)

    def changed(self, users: dict[str, Contribution]) -> None:
        self.told.append(users)
        self.other.heard(self.node, users, whole=False)


class Pair:
    """Two portals; one watches, and users are at both."""

    def __init__(self, inline: InlineDispatcher) -> None:
        self.inline = inline
        self.here, self.there = Stage(), Stage()
        here, there = self.here.portal.presence, self.there.portal.presence
        here.link = Wire("near", here, there)
        there.link = self.wire = Wire("far", there, here)
        self.view: dict[str, UserPresence] = {}
        self.told = 0
        self.watch = here.watch(self._tell, "ann", "ben")

    def _tell(self, user: UserPresence) -> None:
        self.view[user.avatar_id] = user
        self.told += 1

    @property
    def online(self) -> list[str]:
        for _ in range(3):
            self.inline.advance(WINDOW)
        return sorted(name for name, user in self.view.items() if user.online)


@pytest.fixture
def pair(inline: InlineDispatcher) -> Pair:
    return Pair(inline)


def test_a_user_is_online_at_either_server(pair: Pair) -> None:
    logins = [pair.there.login("ann"), pair.here.login("ann"), pair.there.login("ben")]
    assert pair.online == ["ann", "ben"]
    logins[0].logout()
    assert pair.online == ["ann", "ben"]
    logins[1].logout()
    assert pair.online == ["ben"]
    assert pair.view["ann"].last_seen is not None


def test_only_changes_of_watched_users_are_told(pair: Pair) -> None:
    pair.there.login("cat")
    pair.there.login("ann")
    assert pair.online == ["ann"]
    pair.watch.stop()
    pair.there.login("ben")
    assert pair.online == ["ann"]
    assert [list(users) for users in pair.wire.told] == [["ann"]]
    pair.watch.users()


def test_users_of_a_server_that_is_gone_were_seen_until_then(pair: Pair) -> None:
    ann, _ = pair.there.login("ann"), pair.here.login("ben")
    assert pair.online == ["ann", "ben"]
    pair.here.portal.presence.gone("far")
    assert pair.online == ["ben"]
    seen = pair.view["ann"].last_seen
    assert seen is not None
    pair.here.portal.presence.gone("far")
    assert pair.online == ["ben"]
    assert pair.view["ann"].last_seen == seen
    pair.here.portal.presence.heard("far", {"ann": Contribution(1)}, whole=True)
    assert pair.online == ["ann", "ben"]
    ann.logout()


def test_what_a_server_knows_as_a_whole_replaces_what_it_knew(pair: Pair) -> None:
    presence = pair.here.portal.presence
    presence.heard("far", {"ann": Contribution(1), "dan": Contribution(1)}, whole=False)
    assert pair.online == ["ann"]
    presence.heard("far", {"ben": Contribution(last_seen=5.0)}, whole=True)
    assert pair.online == []
    assert pair.view["ben"].last_seen == 5.0
    assert pair.told == 3


def test_a_server_is_told_before_it_is_answered(pair: Pair) -> None:
    answers: list[dict[str, Contribution]] = []
    pair.there.login("ann")
    pair.there.portal.presence.follow(["ann", "cat"], answers.append)
    assert answers == [{"ann": Contribution(1)}]
    assert pair.wire.told == [{"ann": Contribution(1)}]
    pair.there.portal.presence.unfollow(["cat", "unknown"])
    assert pair.online == ["ann"]


def test_a_portal_that_stops_takes_its_users_with_it(pair: Pair) -> None:
    pair.there.login("ann")
    assert pair.online == ["ann"]
    pair.there.portal.stop()
    assert pair.online == []
    assert pair.view["ann"].last_seen is not None


def test_a_watch_that_begins_again_is_told_of_users_elsewhere(pair: Pair) -> None:
    pair.there.login("ann")
    assert pair.online == ["ann"]
    pair.watch.remove("ann")
    pair.view.clear()
    assert pair.online == []
    pair.watch.add("ann")
    assert pair.online == ["ann"]
    assert list(pair.watch.users().get()) == ["ann"]
