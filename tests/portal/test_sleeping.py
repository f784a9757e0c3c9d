"""An idle avatar sleeps, and wakes for whatever would have reached it awake."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from actorcred import (
    Avatar,
    Group,
    Identity,
    Login,
    LogoutReason,
    Policy,
    Session,
    SnapshotDeclined,
)
from actorcred.actors import Future
from actorcred.portal.events import LoggedOut
from tests.helpers import Player, Stage, until


class Sleeper(Avatar, Player):
    """An avatar whose state is where it stands."""

    def __init__(self, avatar_id: Any, mind: Any, log: list[Any], **extra: Any) -> None:
        super().__init__(avatar_id, mind)
        self.log, self.x = log, 0.0

    def on_start(self) -> None:
        self.log.append("start")

    def on_login(self) -> None:
        self.log.append("login")

    def on_logout(self, reason: LogoutReason) -> None:
        self.log.append(("logout", self.x, str(reason.code)))

    def on_stop(self) -> None:
        self.log.append("stop")

    def on_attach(self, mind: Any) -> None:
        self.log.append("attach")

    def on_identity_changed(self, identity: Identity) -> None:
        self.log.append(("identity", identity.groups))

    def snapshot(self) -> Any:
        self.log.append("snapshot")
        return {"x": self.x}

    def restore(self, snapshot: Any) -> Any:
        self.log.append("restore")
        self.x = snapshot["x"]

    def move(self, dx: float) -> float:
        self.x += dx
        self.mind.notify("moved", self.x)
        return self.x

    def later(self, seconds: float) -> None:
        self.send_after(seconds, "tick")

    def on_receive(self, message: Any) -> None:
        self.log.append(message)


class Slow(Sleeper):
    """One whose hooks take their time."""

    async def snapshot(self) -> Any:
        return {"x": self.x}

    async def restore(self, snapshot: Any) -> None:
        await _nothing()
        self.x = snapshot["x"]

    async def on_start(self) -> None:  # type: ignore[override]
        await _nothing()

    async def on_stop(self) -> None:  # type: ignore[override]
        await _nothing()


def _nothing() -> Future[None]:
    done: Future[None] = Future()
    done.settle()
    return done


class Failing(Sleeper):
    """One that does not sleep, or does not wake."""

    how = ""

    def snapshot(self) -> Any:
        match self.how:
            case "declines":
                raise SnapshotDeclined("in a duel")
            case "raises":
                raise ZeroDivisionError
            case "odd":
                return object()
            case "large":
                return "x" * 100_000
            case "number":
                return 2**70
        return super().snapshot()

    def restore(self, snapshot: Any) -> None:
        raise ZeroDivisionError

    def on_stop(self) -> None:
        if self.how == "stop":
            raise ZeroDivisionError


class FailingSlowly(Failing):
    async def snapshot(self) -> Any:
        return Failing.snapshot(self)


def stage(kind: type[Any] = Sleeper, **options: Any) -> Stage:
    made = Stage(sleep_after=60.0, **options)

    def answer(avatar_id: Any, mind: Any, *_: type) -> Any:
        avatar = kind.start(avatar_id, mind, made.log)
        return Player, avatar, avatar.stop

    made.realm_answers += [answer] * 4
    return made


def sleeping(made: Stage, name: str = "ann") -> Session:
    """Log in, and put the avatar to sleep."""
    session = made.login(name).session
    assert session.sleep().get(timeout=10)
    assert session.asleep
    return session


@pytest.mark.parametrize("kind", [Sleeper, Slow])
def test_an_avatar_goes_on_where_it_fell_asleep_in_another_instance(
    dispatcher: Any, kind: type[Any]
) -> None:
    made = stage(kind)
    session = made.login().session
    assert session.avatar.proxy().move(2.0).get(timeout=10) == 2.0
    assert session.sleep().get(timeout=10)
    assert session.avatar.proxy().move(1.0).get(timeout=10) == 3.0
    assert not session.asleep
    assert session.notes == {}
    session.end().get(timeout=10)
    assert made.log[-1] == ("logout", 3.0, "logout") or made.log[-2][:2] == ("logout", 3.0)
    assert made.log.count("login") == 1


def test_the_hooks_of_each_instance_run_in_order(inline: Any) -> None:
    made = stage()
    session = sleeping(made)
    session.avatar.proxy().move(1.0)
    session.end()
    assert made.log == [
        *["start", "login", "snapshot", "stop"],
        *["start", "restore", ("logout", 1.0, "logout"), "stop"],
    ]


def test_an_idle_avatar_falls_asleep_and_one_that_is_used_does_not(inline: Any) -> None:
    made = stage()
    session = made.login().session
    inline.advance(50)
    session.avatar.proxy().move(1.0)
    inline.advance(50)
    assert not session.asleep
    inline.advance(20)
    assert session.asleep
    session.avatar.tell("knock")
    assert not session.asleep
    inline.advance(70)
    assert session.asleep
    assert session.is_open


def test_who_is_woken_by_others_stays_awake_for_a_while(inline: Any) -> None:
    made = stage()
    session = sleeping(made)
    inline.advance(100)
    session.avatar.actor_inbox.put("from another actor")
    inline.advance(50)
    assert not session.asleep
    inline.advance(20)
    assert session.asleep


def test_without_the_option_or_the_hooks_none_falls_asleep_by_itself(inline: Any) -> None:
    made = Stage()
    session = made.login().session
    inline.advance(1000)
    assert not session.asleep
    assert session.sleep().get() is False


def test_an_avatar_that_sleeps_is_not_put_to_sleep_again(inline: Any) -> None:
    made = stage()
    session = sleeping(made)
    assert session.sleep().get()
    assert made.log.count("snapshot") == 1
    session.end()
    assert session.sleep().get() is False


def test_an_avatar_with_messages_to_handle_stays_awake(inline: Any) -> None:
    made = stage()
    session = made.login().session
    inbox = session.avatar.actor_inbox
    assert inbox.busy.acquire(False)
    asleep = session.sleep()
    inbox.push("waits")
    inbox.leave()
    assert asleep.get() is False
    assert made.log[-1] == "waits"


@pytest.mark.parametrize("kind", [Failing, FailingSlowly])
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("declines", ""),
        ("raises", "ZeroDivisionError"),
        ("odd", "Encoding objects of type object is unsupported"),
        ("large", "PortalOptions.snapshot_size allows 65536"),
        ("number", "cannot be encoded as MessagePack"),
    ],
)
def test_an_avatar_without_a_snapshot_stays_where_it_is(
    inline: Any, caplog: pytest.LogCaptureFixture, kind: type[Failing], how: str, why: str
) -> None:
    made = stage(kind)
    session = made.login().session
    kind.how = how
    assert session.sleep().get() is False
    assert session.avatar.proxy().move(1.0).get() == 1.0
    assert why in caplog.text
    assert ("has no snapshot" in caplog.text) is bool(why)


def test_a_snapshot_that_cannot_be_restored_ends_the_session_as_crashed(
    inline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = stage(Failing)
    Failing.how = ""
    session = sleeping(made)
    with pytest.raises(Exception, match="did not handle"):
        session.avatar.proxy().move(1.0).get()
    assert not session.is_open
    assert [event.reason for event in made.named(LoggedOut, 1)] == ["crashed"]
    assert not [entry for entry in made.log if entry[0] == "logout"]


def test_an_avatar_that_fails_to_stop_sleeps_nevertheless(
    inline: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = stage(Failing)
    Failing.how = "stop"
    assert sleeping(made).asleep
    assert "on_stop of Failing" in caplog.text


def test_the_mailbox_of_a_sleeping_avatar_goes_if_no_one_refers_to_it(inline: Any) -> None:
    made = stage()
    session = sleeping(made)
    assert session._rest is not None
    assert session.avatar is session.avatar
    assert session._rest is None
    assert session.asleep
    assert session.avatar.proxy().move(1.0).get() == 1.0


def test_a_ref_that_someone_keeps_reaches_the_avatar_asleep_and_awake(inline: Any) -> None:
    made = stage()
    login = made.login()
    own = login.session.avatar.actor_inbox.actor.actor_ref  # type: ignore[union-attr]
    for step in (1.0, 2.0):
        assert login.session.sleep().get()
        assert login.avatar is login.session.avatar
        assert own.actor_inbox is login.avatar.actor_inbox
        assert own.proxy().move(1.0).get() == step


def test_only_the_mailbox_being_kept_is_enough(inline: Any) -> None:
    made = stage()
    session = made.login().session
    inbox = session.avatar.actor_inbox
    assert session.sleep().get()
    assert session.avatar.actor_inbox is inbox


def test_a_watcher_of_a_sleeping_avatar_is_called_at_its_end(inline: Any) -> None:
    made = stage()
    session = made.login().session
    gone: list[Any] = []
    session.avatar.watch(gone.append)
    assert session.sleep().get()
    assert gone == []
    session.end()
    assert gone == [None]


def test_a_timer_wakes_the_avatar(inline: Any) -> None:
    made = stage()
    session = made.login().session
    session.avatar.proxy().later(100.0)
    inline.advance(70)
    assert session.asleep
    inline.advance(30)
    assert made.log[-2:] == ["restore", "tick"]


def test_a_sleeping_session_stays_in_its_groups_and_is_told_without_waking(inline: Any) -> None:
    made = stage()
    group = Group()
    session = made.login().session
    group.add(session.mind)
    assert session.sleep().get()
    gc.collect()
    assert group.notify("news", 1) == 1
    assert made.notified == [("news", 1)]
    assert session.asleep


def test_avatars_that_are_shared_sleep_when_all_clients_are_idle(inline: Any) -> None:
    made = stage(policy=Policy.SHARE)
    first = made.login().session
    inline.advance(30)
    second = made.login().session
    inline.advance(40)
    assert not first.asleep
    inline.advance(25)
    assert first.asleep
    assert second.asleep
    third = made.login().session
    assert made.log[-2:] == ["restore", "attach"]
    inline.advance(70)
    assert third.asleep
    first.end()
    assert second.avatar.proxy().move(1.0).get() == 1.0
    assert second.is_open


@pytest.mark.parametrize("limit", [{"idle_timeout": 200.0}, {"lifetime": 200.0}])
def test_a_sleeping_session_expires_as_one_that_is_awake(
    inline: Any, limit: dict[str, float]
) -> None:
    made = stage(**limit)
    session = made.login().session
    inline.advance(150)
    assert session.asleep
    inline.advance(100)
    assert not session.is_open
    assert made.log[-2][0] == "logout"


def test_a_sleeping_session_ends_with_the_proof_of_its_user(inline: Any) -> None:
    made = stage()
    session = sleeping(made)
    session.expires_in(100.0)
    made.portal.actor_inbox.actor._directory.reschedule(session)  # type: ignore[union-attr]
    inline.advance(50)
    assert made.notified == [("proof_expires", pytest.approx(60, abs=20))]
    assert session.asleep
    inline.advance(60)
    assert made.log[-2] == ("logout", 0.0, "proof-expired")


def test_kicks_and_revocations_wake_the_avatar_for_its_logout(inline: Any) -> None:
    made = stage()
    ann, bob = sleeping(made), sleeping(made, "bob")
    assert made.portal.kick(avatar_id="ann").get() == 1
    assert made.log[-2] == ("logout", 0.0, "kicked")
    made.checkers[0].proxy().disable("bob").get()
    assert made.log[-2] == ("logout", 0.0, "revoked")
    assert not ann.is_open
    assert not bob.is_open


def test_a_login_that_replaces_a_sleeping_session_waits_for_its_logout(inline: Any) -> None:
    made = stage(policy=Policy.REPLACE)
    sleeping(made)
    assert made.login().session.is_open
    assert made.log[-4:] == [("logout", 0.0, "replaced"), "stop", "start", "login"]


def test_what_the_checkers_say_anew_reaches_a_sleeping_avatar(inline: Any) -> None:
    from actorcred.avatar import Reidentified

    made = stage()
    session = sleeping(made)
    session.avatar.actor_inbox.put(Reidentified(Identity("ann", groups=frozenset({"x"}))))
    assert made.log[-1] == ("identity", frozenset({"x"}))


def test_all_sleeping_sessions_log_out_when_the_portal_drains_or_stops(dispatcher: Any) -> None:
    made = stage()
    sleeping(made)
    assert made.portal.drain().get(timeout=10) == 1
    assert made.log[-2] == ("logout", 0.0, "drained")
    other = stage()
    sleeping(other)
    other.portal.stop()
    until(lambda: other.log[-1] == "stop" and other.log[-2][0] == "logout")


def test_an_avatar_that_is_killed_asleep_ends_its_session(inline: Any) -> None:
    made = stage()
    session = sleeping(made)
    session.avatar.actor_inbox.kill(TimeoutError("too late"))
    assert not session.is_open
    assert made.portal.count().get() == 0


def test_arguments_of_the_start_are_given_to_each_instance(inline: Any) -> None:
    made = stage()

    def answer(avatar_id: Any, mind: Any, *_: type) -> Any:
        avatar = Sleeper.start(avatar_id, mind, log=made.log, colour="red")
        return Player, avatar, avatar.stop

    made.realm_answers[:0] = [answer]
    session = sleeping(made)
    assert session.avatar.proxy().move(1.0).get() == 1.0
    assert session.sleep().get()


def test_a_class_with_one_of_both_hooks_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"both snapshot.* restore\(\) is missing"):

        class Half(Avatar):
            def snapshot(self) -> Any:
                return None

    with pytest.raises(TypeError, match=r"snapshot\(\) is missing"):

        class Other(Avatar):
            def restore(self, snapshot: Any) -> None:
                pass


def test_a_plain_object_with_such_methods_is_not_taken_for_one_that_sleeps(inline: Any) -> None:
    class Camera(Player):
        def move(self, dx: float) -> float:
            return dx

        def snapshot(self) -> str:
            return "a picture"

    made = Stage()
    made.realm_answers.append((Player, Camera(), lambda: None))
    login: Login = made.login()
    assert login.avatar.proxy().snapshot().get() == "a picture"
    assert login.session.sleep().get() is False
