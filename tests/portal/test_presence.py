"""Presence in one process: who is told of whom, in what order, and within which bounds."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from actorcred import (
    Anonymous,
    LogoutCode,
    OutboxLimit,
    OutboxOverflow,
    PortalOptions,
)
from actorcred.actors import Dispatcher, Future, InlineDispatcher
from actorcred.mind.channel import Channel
from actorcred.mind.outbox import Notification
from actorcred.portal import presence_actor
from actorcred.portal.online import Online
from actorcred.sessions.presence import PresenceLimits, UserPresence
from tests.helpers import ArenaPlayer, Player, Stage, until

WINDOW = PresenceLimits().window


class Viewer:
    """Remembers what it is told, as a function of the application."""

    def __init__(self) -> None:
        self.told: list[UserPresence] = []
        self.view: dict[str, UserPresence] = {}

    def __call__(self, user: UserPresence) -> None:
        self.told.append(user)
        self.view[user.avatar_id] = user

    @property
    def online(self) -> list[str]:
        return sorted(name for name, user in self.view.items() if user.online)


class Line(Channel):
    """A client whose line is slow when it is told so, and that encodes like a wire."""

    def __init__(self, takes: bool = True) -> None:
        self.takes_notifications = takes
        self.viewer = Viewer()
        self.sent: list[bytes] = []
        self.encodings = 0
        self.taken: Future[None] | None = None

    def slow(self) -> None:
        self.taken = Future()

    def quick(self) -> None:
        taken, self.taken = self.taken, None
        assert taken is not None
        taken.settle()

    def _encode(self, name: str, args: tuple[Any, ...]) -> bytes:
        self.encodings += 1
        return repr((name, args)).encode()

    def size(self, notification: Notification) -> int:
        return len(notification.encoded("test", self._encode))

    def notify(self, notification: Notification) -> Any:
        self.sent.append(notification.encoded("test", self._encode))
        if notification.name == "presence":
            self.viewer(UserPresence(*notification.args))
        return self.taken

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        raise AssertionError


@pytest.fixture
def stage(inline: InlineDispatcher) -> Stage:
    return Stage()


def test_a_watch_tells_who_is_online_and_who_comes_and_goes(
    stage: Stage, inline: InlineDispatcher
) -> None:
    viewer = Viewer()
    stage.login("ann")
    watch = stage.portal.presence.watch(viewer, "ann", "ben", "cat")
    inline.advance(WINDOW)
    assert viewer.told == [UserPresence("ann", online=True)]

    ben = stage.login("ben")
    inline.advance(WINDOW)
    assert viewer.online == ["ann", "ben"]
    ben.logout()
    inline.advance(WINDOW)
    assert viewer.online == ["ann"]
    seen = viewer.view["ben"].last_seen
    assert seen is not None
    assert watch.users().get() == viewer.view
    assert sorted(watch.avatar_ids) == ["ann", "ben", "cat"]


def test_nothing_is_told_of_users_who_are_not_watched(
    stage: Stage, inline: InlineDispatcher
) -> None:
    viewer = Viewer()
    watch = stage.portal.presence.watch(viewer, "ann", "ann")
    stage.login("ben")
    inline.advance(WINDOW)
    assert viewer.told == []
    watch.remove("ann", "ben")
    watch.add("ben")
    stage.login("ann")
    inline.advance(WINDOW)
    assert viewer.online == ["ben"]
    assert watch.users().get() == viewer.view


def test_a_user_is_offline_when_the_last_session_has_ended(
    stage: Stage, inline: InlineDispatcher
) -> None:
    viewer, logins = Viewer(), [stage.login(), stage.login()]
    stage.portal.presence.watch(viewer, "ann")
    for login in logins:
        inline.advance(WINDOW)
        assert viewer.online == ["ann"]
        login.logout()
    inline.advance(WINDOW)
    assert viewer.online == []
    assert len(viewer.told) == 2


def test_who_comes_back_at_once_has_not_been_away(stage: Stage, inline: InlineDispatcher) -> None:
    viewer, login = Viewer(), stage.login()
    stage.portal.presence.watch(viewer, "ann")
    inline.advance(WINDOW)
    login.logout()
    stage.login()
    inline.advance(WINDOW)
    assert len(viewer.told) == 1


def test_a_session_counts_when_its_login_has_succeeded(
    inline: InlineDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, viewer, ready = Stage(), Viewer(), Future[None]()
    stage.portal.presence.watch(viewer, "ann")

    async def on_login(self: Any) -> None:
        await ready

    monkeypatch.setattr(ArenaPlayer, "on_login", on_login)
    login = stage.begin()
    inline.advance(WINDOW)
    assert (stage.count(), viewer.told) == (1, [])
    ready.settle()
    inline.advance(WINDOW)
    assert login.get().session.is_open
    assert viewer.online == ["ann"]


def test_a_login_that_fails_was_never_online(
    inline: InlineDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, viewer = Stage(), Viewer()
    watch = stage.portal.presence.watch(viewer, "ann")

    def on_login(self: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ArenaPlayer, "on_login", on_login)
    assert stage.begin().done()
    inline.advance(WINDOW)
    assert viewer.told == []
    assert watch.users().get() == {}


# -- statuses -----------------------------------------------------------------------------------


def test_the_statuses_of_all_sessions_of_a_user_are_merged(
    stage: Stage, inline: InlineDispatcher
) -> None:
    viewer, presence = Viewer(), stage.portal.presence
    phone, desk = stage.login().session, stage.login().session
    presence.watch(viewer, "ann")
    assert presence.set_status(phone, away=True, mood="sad").get()
    assert presence.set_status(desk, mood="glad", game=("chess", 1)).get()
    inline.advance(WINDOW)
    assert viewer.view["ann"].status == {"away": True, "game": ["chess", 1], "mood": "glad"}

    presence.set_status(phone, away=None)
    desk.end()
    inline.advance(WINDOW)
    assert viewer.view["ann"].status == {"mood": "sad"}
    presence.set_status(phone, mood=None)
    inline.advance(WINDOW)
    assert viewer.view["ann"].status == {}
    phone.end()
    assert not presence.set_status(phone, away=True).get()
    assert not presence.hide(phone).get()


def test_a_hidden_session_is_not_seen(
    inline: InlineDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, viewer = Stage(), Viewer()
    presence = stage.portal.presence
    watch = presence.watch(viewer, "ann")

    def on_login(self: ArenaPlayer) -> None:
        presence.hide(self.session)  # type: ignore[arg-type]

    monkeypatch.setattr(ArenaPlayer, "on_login", on_login)
    session = stage.login().session
    inline.advance(WINDOW)
    assert watch.users().get() == {}
    presence.hide(session, hidden=False)
    inline.advance(WINDOW)
    assert viewer.online == ["ann"]
    presence.hide(session)
    inline.advance(WINDOW)
    assert viewer.online == []
    seen = viewer.view["ann"].last_seen
    session.end()
    inline.advance(WINDOW)
    assert watch.users().get()["ann"].last_seen == seen
    assert len(viewer.told) == 2


def test_a_status_of_no_session_here_is_refused(stage: Stage) -> None:
    presence = stage.portal.presence
    anonymous = stage.portal.login(Anonymous(), None, Player).get().session
    for session, text in (("x", "the server that has the session"), (anonymous, "anonymous")):
        with pytest.raises(TypeError, match=text):
            presence.set_status(session, away=True)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=text):
            presence.hide(session)  # type: ignore[arg-type]


def test_a_status_that_is_too_large_changes_nothing(stage: Stage, inline: InlineDispatcher) -> None:
    viewer, presence, session = Viewer(), stage.portal.presence, stage.login().session
    presence.watch(viewer, "ann")
    with pytest.raises(ValueError, match="1024 bytes"):
        presence.set_status(session, text="x" * 2000)
    assert presence.set_status(session, a="x" * 900).get()
    with pytest.raises(ValueError, match="1024 bytes"):
        presence.set_status(session, b="x" * 900).get()
    inline.advance(WINDOW)
    assert list(viewer.view["ann"].status) == ["a"]


# -- last seen ----------------------------------------------------------------------------------


def test_when_the_last_users_were_seen_is_remembered(inline: InlineDispatcher) -> None:
    stage, viewer = Stage(PortalOptions(presence=PresenceLimits(remembered=2))), Viewer()
    for name in ("ann", "ben", "cat"):
        stage.login(name).logout()
    stage.login("ben").logout()
    stage.portal.presence.watch(viewer, "ann", "ben", "cat", "dan")
    inline.advance(WINDOW)
    assert sorted(viewer.view) == ["ben", "cat"]
    ben, cat = (viewer.view[name].last_seen or 0.0 for name in ("ben", "cat"))
    assert ben >= cat > 0


def test_an_anonymous_client_is_not_remembered(stage: Stage) -> None:
    stage.portal.login(Anonymous(), None, Player).get().logout()
    assert not stage.portal.presence.online._last_seen


# -- those who are told -------------------------------------------------------------------------


def test_a_client_is_told_by_notifications_until_its_session_ends(
    stage: Stage, inline: InlineDispatcher
) -> None:
    line, presence = Line(), stage.portal.presence
    login = stage.login("watcher", mind=line)
    watch = presence.watch(login.session.mind, "ann")
    ann = stage.login("ann").session
    presence.set_status(ann, away=True)
    inline.advance(WINDOW)
    assert line.viewer.told == [UserPresence("ann", online=True, status={"away": True})]
    login.logout()
    ann.end()
    inline.advance(WINDOW)
    assert len(line.viewer.told) == 1
    assert (watch.active, watch.avatar_ids, presence._tally.count) == (False, [], 0)
    watch.add("ben")
    watch.stop()
    assert watch.avatar_ids == []


def test_a_function_is_called_until_a_session_ends(stage: Stage, inline: InlineDispatcher) -> None:
    viewer, presence = Viewer(), stage.portal.presence
    login = stage.login("watcher")
    watch = presence.watch(viewer, "ann", until=login.session.mind)
    login.logout()
    stage.login("ann")
    inline.advance(WINDOW)
    assert (viewer.told, watch.active) == ([], False)
    assert not presence.watch(viewer, "ann", until=login.session.mind).active
    assert presence._tally.count == 0


def test_a_watch_of_a_client_can_end_with_another_session(
    stage: Stage, inline: InlineDispatcher
) -> None:
    lines, presence = [Line(), Line()], stage.portal.presence
    first, second = (stage.login(f"watcher{n}", mind=line) for n, line in enumerate(lines))
    for ends in (second, first):
        watch = presence.watch(first.session.mind, "ann", until=second.session.mind)
        ends.logout()
        assert not watch.active
        if ends is second:
            first.session.mind.notify("hello")
            assert lines[0].sent, "the client itself goes on"
    assert presence._tally.count == 0


def test_a_client_that_has_lost_its_state_is_told_again(
    stage: Stage, inline: InlineDispatcher
) -> None:
    viewer = Viewer()
    watch = stage.portal.presence.watch(viewer, "ann", "ben", "cat")
    stage.login("ann")
    stage.login("ben").logout()
    inline.advance(WINDOW)
    known = dict(viewer.view)
    viewer.view.clear()
    watch.tell_again()
    inline.advance(WINDOW)
    assert sorted(known) == ["ann", "ben"]
    assert viewer.view == known
    watch.stop()
    watch.tell_again()
    inline.advance(WINDOW)
    assert len(viewer.told) == 4


def test_a_notice_is_encoded_once_for_all_clients(stage: Stage, inline: InlineDispatcher) -> None:
    lines = [Line() for _ in range(5)]
    for number, line in enumerate(lines):
        mind = stage.login(f"watcher{number}", mind=line).session.mind
        stage.portal.presence.watch(mind, "ann")
    stage.login("ann")
    inline.advance(WINDOW)
    assert [line.viewer.online for line in lines] == [["ann"]] * 5
    assert sum(line.encodings for line in lines) == 1


@pytest.mark.parametrize("overflow", list(OutboxOverflow))
def test_a_slow_client_is_told_what_is_true_at_the_end(
    inline: InlineDispatcher, overflow: OutboxOverflow
) -> None:
    stage = Stage(PortalOptions(outbox=OutboxLimit(8, overflow)))
    line, names = Line(), [f"user{number}" for number in range(50)]
    mind = stage.login("watcher", mind=line).session.mind
    stage.portal.presence.watch(mind, *names)
    line.slow()
    logins = {name: stage.login(name) for name in names}
    inline.advance(WINDOW)
    assert len(mind.outbox) <= 2, "the rest of the outbox is the application's"
    for name in names[::2]:
        logins[name].logout()
    inline.advance(WINDOW)
    line.quick()
    for _ in range(30):
        inline.advance(presence_actor.RETRY)
    assert line.viewer.online == sorted(names[1::2])
    assert len(line.viewer.told) <= len(names) + 4, "changes that waited were joined"


def test_notices_that_the_application_displaces_are_told_again(inline: InlineDispatcher) -> None:
    stage = Stage(PortalOptions(outbox=OutboxLimit(8)))
    line = Line()
    mind = stage.login("watcher", mind=line).session.mind
    watch = stage.portal.presence.watch(mind, "ann", "ben")
    line.slow()
    mind.notify("first")
    for name in ("ann", "ben"):
        stage.login(name)
    inline.advance(WINDOW)
    for number in range(20):
        mind.notify("chat", number)
    line.quick()
    inline.advance(presence_actor.RETRY)
    assert line.viewer.online == ["ann", "ben"]
    line.slow()
    mind.notify("second")
    stage.login("ann").session.mind.notify("x")
    watch.stop()
    line.quick()


def test_a_client_that_takes_no_notifications_waits_for_none(
    stage: Stage, inline: InlineDispatcher
) -> None:
    mind = stage.login("watcher", mind=Line(takes=False)).session.mind
    watch = stage.portal.presence.watch(mind, "ann")
    stage.login("ann")
    inline.advance(WINDOW)
    assert not watch.waiting


def test_a_slow_function_is_called_with_the_latest(stage: Stage, inline: InlineDispatcher) -> None:
    told: list[UserPresence] = []
    ready: Future[None] = Future()

    async def slow(user: UserPresence) -> None:
        await ready
        told.append(user)

    stage.portal.presence.watch(slow, "ann", "ben")
    stage.login("ben")
    inline.advance(WINDOW)
    for _ in range(5):
        login = stage.login("ann")
        inline.advance(WINDOW)
        login.logout()
        inline.advance(WINDOW)
    ready.settle()
    inline.run_ready()
    assert [user.avatar_id for user in told] == ["ben", "ann"]
    assert not told[-1].online


def test_a_function_that_fails_is_called_again(
    stage: Stage, inline: InlineDispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    viewer, errors = Viewer(), [ZeroDivisionError]

    def fails(user: UserPresence) -> None:
        if errors:
            raise errors.pop()
        viewer(user)

    stage.portal.presence.watch(fails, "ann", "ben")
    for name in ("ann", "ben"):
        stage.login(name)
        inline.advance(WINDOW)
    assert viewer.online == ["ben"]
    assert "ZeroDivisionError" in caplog.text


def test_one_watch_of_very_many_users_lets_others_have_their_turn(
    stage: Stage, inline: InlineDispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_actor, "TURN", 5)
    viewer, other = Viewer(), Viewer()
    names = [f"user{number}" for number in range(40)]
    for name in names:
        stage.login(name)
    stage.portal.presence.watch(viewer, *names)
    stage.portal.presence.watch(other, names[0])
    inline.advance(WINDOW)
    assert viewer.online == sorted(names)
    assert other.online == names[:1]


# -- bounds, and what is left -------------------------------------------------------------------


def test_watches_are_bounded(inline: InlineDispatcher) -> None:
    limits = PresenceLimits(users_per_watch=2, watched=5)
    presence, viewer = Stage(PortalOptions(presence=limits)).portal.presence, Viewer()
    watch = presence.watch(viewer, "ann", "ben")
    with pytest.raises(ValueError, match="at most 2 users"):
        watch.add("cat")
    with pytest.raises(ValueError, match="at most 2 users"):
        presence.watch(viewer, "a", "b", "c")
    other = presence.watch(viewer, "ann")
    with pytest.raises(ValueError, match="watches 5 users, no more"):
        other.add("cat")
    with pytest.raises(ValueError, match="watches 5 users, no more"):
        presence.watch(viewer)
    watch.stop()
    other.add("cat")
    assert "2 users" in repr(other)
    assert "3 watched" in repr(presence)


@pytest.mark.parametrize("avatar_id", ["\ud800", "x" * 5_000])
def test_what_is_no_avatar_id_is_not_watched_and_harms_no_other_watch(
    stage: Stage, inline: InlineDispatcher, avatar_id: str
) -> None:
    presence, viewer = stage.portal.presence, Viewer()
    watch = presence.watch(viewer, "ann")
    with pytest.raises(ValueError, match="no avatar id"):
        watch.add("ben", avatar_id)
    with pytest.raises(ValueError, match="no avatar id"):
        presence.watch(viewer, avatar_id)
    assert watch.avatar_ids == ["ann"]
    assert presence._tally.count == 2


@pytest.mark.parametrize(
    ("watcher", "avatar_ids", "until"),
    [(None, ["ann"], None), (Viewer(), [7], None), (Viewer(), ["ann"], "mind")],
)
def test_a_watch_checks_its_arguments(
    stage: Stage, watcher: Any, avatar_ids: Any, until: Any
) -> None:
    presence = stage.portal.presence
    with pytest.raises(TypeError):
        presence.watch(watcher, *avatar_ids, until=until)
    assert presence._tally.count == 0


def test_nothing_is_left_of_watches_that_have_ended(stage: Stage, inline: InlineDispatcher) -> None:
    presence = stage.portal.presence
    watches = [presence.watch(Viewer(), "ann", "ben") for _ in range(3)]
    mind = stage.login("watcher", mind=Line()).session.mind
    presence.watch(mind, "ann").stop()
    login = stage.login("ann")
    presence.set_status(login.session, away=True)
    presence.hide(stage.login("ben").session)
    inline.advance(WINDOW)
    for watch in watches:
        watch.stop()
    stage.portal.kick(everyone=True).get()
    inline.advance(WINDOW)
    actor = presence._ref().actor_inbox.actor
    assert isinstance(actor, presence_actor.PresenceActor)
    left = (actor._users, actor._ready, actor._slow, actor._changed)
    online: Online = presence.online
    assert not any((*left, online._watched, online._statuses, online._hidden, online._changed))
    assert mind._ties == {}


def test_presence_that_is_not_used_starts_nothing(stage: Stage) -> None:
    stage.login().logout()
    assert stage.portal.presence._actor is None


def test_a_portal_that_has_stopped_watches_nothing(stage: Stage, inline: InlineDispatcher) -> None:
    viewer, presence = Viewer(), stage.portal.presence
    watch = presence.watch(viewer, "ann")
    session = stage.login("ann").session
    inline.advance(WINDOW)
    stage.portal.stop()
    inline.advance(WINDOW)
    assert viewer.online == ["ann"]
    watch.add("ben")
    assert presence.watch(viewer, "ann").active
    assert presence.set_status(session, away=True).done()


def test_a_portal_that_stops_before_presence_is_used(
    stage: Stage, inline: InlineDispatcher
) -> None:
    stage.portal.stop()
    viewer = Viewer()
    stage.portal.presence.watch(viewer, "ann").add("ben")
    inline.advance(WINDOW)
    assert viewer.told == []


def test_presence_goes_on_after_a_message_that_it_cannot_handle(
    stage: Stage, inline: InlineDispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    viewer, presence = Viewer(), stage.portal.presence
    presence.watch(viewer, "ann")
    presence.follow(["ann"], lambda users: 1 / 0)
    presence._ref().tell(LogoutCode.LOGOUT)
    stage.login("ann")
    inline.advance(WINDOW)
    assert viewer.online == ["ann"]
    assert "ZeroDivisionError" in caplog.text


# -- all at once --------------------------------------------------------------------------------


def test_every_view_is_true_after_a_thousand_random_changes(dispatcher: Dispatcher) -> None:
    chance = random.Random(16)
    stage = Stage()
    names = [f"user{number}" for number in range(40)]
    viewers = [Viewer() for _ in range(40)]
    watches = [stage.portal.presence.watch(viewer, *chance.sample(names, 20)) for viewer in viewers]
    open_ones: list[Any] = []
    for _ in range(1000):
        if open_ones and chance.random() < 0.5:
            open_ones.pop(chance.randrange(len(open_ones))).logout()
        else:
            open_ones.append(stage.login(chance.choice(names)))
    online = {login.session.avatar_id for login in open_ones}

    def all_true() -> bool:
        if isinstance(dispatcher, InlineDispatcher):
            dispatcher.advance(WINDOW)
        return all(
            viewer.online == sorted(online & set(watch.avatar_ids))
            for viewer, watch in zip(viewers, watches, strict=True)
        )

    until(all_true)
    for watch in watches:
        watch.stop()


def test_watches_begin_and_end_on_many_threads_while_users_come_and_go() -> None:
    stage, viewers = Stage(), [Viewer() for _ in range(4)]
    stage.login("ann")

    def watch(viewer: Viewer) -> None:
        for _ in range(50):
            one = stage.portal.presence.watch(viewer, "ann", "ben")
            one.remove("ann")
            one.add("ann")
            one.stop()
        stage.portal.presence.watch(viewer, "ann", "ben")

    threads = [threading.Thread(target=watch, args=(viewer,)) for viewer in viewers]
    for thread in threads:
        thread.start()
    for _ in range(50):
        stage.login("ben").logout()
    for thread in threads:
        thread.join()
    ben = stage.login("ben")
    until(lambda: all(viewer.online == ["ann", "ben"] for viewer in viewers))
    ben.logout()
    until(lambda: all(viewer.online == ["ann"] for viewer in viewers))
