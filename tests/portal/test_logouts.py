"""Second logins under the session policies, and every way in which a session ends."""

from __future__ import annotations

import pykka
import pytest

from actorcred import (
    ANONYMOUS,
    Anonymous,
    CheckerUnavailable,
    LoginDenied,
    LogoutCode,
    NoInterface,
    OutboxLimit,
    OutboxOverflow,
    PasswordChange,
    Policy,
    RestartRole,
    Revocation,
    actors,
)
from actorcred.actors import Actor, Future, MailboxLimit
from actorcred.portal.events import LoggedOut, SessionKicked
from tests.helpers import ArenaPlayer, Nothing, Player, Spectator, Stage

BASE = 4


def living() -> int:
    return actors.statistics().actors


def reasons(stage: Stage) -> list[str]:
    return [event.reason for event in stage.named(LoggedOut)]


# -- second logins -------------------------------------------------------------------------------


def test_allow_gives_each_login_an_avatar_of_its_own(inline):
    stage = Stage(policy=Policy.ALLOW, sessions_per_avatar=2)
    first, second = stage.login(), stage.login()

    assert first.avatar.actor_urn != second.avatar.actor_urn
    assert [session.id for session in stage.portal.sessions("ann").get()] == [
        first.session.id,
        second.session.id,
    ]
    with pytest.raises(LoginDenied):
        stage.login()
    first.logout()
    stage.login()
    assert stage.count() == 2


def test_replace_logs_the_old_session_out_before_the_realm_is_asked(inline):
    stage = Stage(policy="replace")
    stage.login()
    stage.log.clear()
    second = stage.login()

    assert stage.log == [
        ("logout", "ann", "replaced"),
        ("stop", "ann"),
        ("start", "ann"),
        ("login", "ann"),
    ]
    assert stage.portal.sessions().get() == [second.session]
    assert living() == BASE + 1


def test_replace_waits_for_an_old_avatar_that_takes_its_time(inline):
    stage = Stage(policy=Policy.REPLACE, login_timeout=10.0)
    done: Future[None] = Future()

    class Slow(ArenaPlayer):
        async def on_logout(self, reason):
            await done
            self.log.append("saved")

    stage.realm_answers.append(
        lambda a, m, *i: (Player, ref := Slow.start(a, m, stage.log), ref.stop)
    )
    stage.login()
    waiting, other = stage.begin(), stage.begin("bob")
    assert not waiting.done()
    assert other.done()  # only the same avatar id must wait
    assert stage.count() == 1
    done.set(None)

    assert waiting.get(timeout=10).session.is_open
    assert stage.log.index("saved") < stage.log.index(("login", "ann"), 2)


def test_replace_gives_up_at_the_deadline_when_the_old_avatar_never_ends(inline):
    stage = Stage(policy=Policy.REPLACE, login_timeout=10.0)
    never: Future[None] = Future()

    class Stuck(ArenaPlayer):
        async def on_logout(self, reason):
            await never

    stage.realm_answers.append(
        lambda a, m, *i: (Player, ref := Stuck.start(a, m, stage.log), ref.stop)
    )
    stage.login()
    waiting = stage.begin()
    inline.advance(11)

    with pytest.raises(Exception, match="unavailable"):
        waiting.get(timeout=0)
    never.set(None)
    assert stage.count() == 0
    assert living() == BASE


def test_many_logins_of_one_name_at_once_leave_one_session_under_replace(dispatcher):
    stage = Stage(policy=Policy.REPLACE)
    logins = [stage.begin() for _ in range(20)]
    for login in logins:
        login.get(timeout=10)

    assert stage.count() == 1
    assert sum(login.get().session.is_open for login in logins) == 1


@pytest.mark.parametrize("policy", list(Policy))
def test_a_login_that_fails_at_the_realm_does_not_keep_the_next_one_waiting(inline, policy):
    stage = Stage(policy=policy)
    for _ in range(2):
        with pytest.raises(NoInterface):
            stage.login("ann", "right", Nothing)

    assert stage.begin().done()


def test_reject_denies_the_newcomer(inline):
    stage = Stage(policy=Policy.REJECT)
    first = stage.login()

    with pytest.raises(LoginDenied):
        stage.login()
    first.logout()
    assert stage.login().session.is_open


def test_two_logins_at_once_cannot_both_slip_past_reject(inline):
    stage = Stage(policy=Policy.REJECT)
    grant: Future[object] = Future()
    stage.realm_answers.append(grant)
    first, second = stage.begin(), stage.begin()
    avatar = ArenaPlayer.start("ann", None, stage.log)
    avatar.proxy().mind = stage.portal  # any mind will do
    grant.set((Player, avatar, avatar.stop))

    assert first.get(timeout=0).session.is_open
    with pytest.raises(LoginDenied):
        second.get(timeout=0)


def test_share_gives_one_avatar_several_minds_and_stops_it_with_the_last(inline):
    stage = Stage(policy=Policy.SHARE)
    phone, desktop = [], []
    first = stage.login(mind=lambda *n: phone.append(n))
    second = stage.login("ann", "right", Spectator, mind=lambda *n: desktop.append(n))

    assert first.avatar.actor_urn == second.avatar.actor_urn
    assert second.interface is Spectator
    assert first.avatar.proxy().move(1).get() == 1
    assert phone == desktop == [("moved", 1)]
    first.logout().get()
    assert phone[-1] == ("logged_out", "logout", "")
    assert second.avatar.proxy().watch().get() == "seen"
    with pytest.raises(pykka.ActorDeadError):
        first.avatar.ask("a client whose session is over has no way in")
    assert ("detach", "ann", "logout") in stage.log
    assert [entry for entry in stage.log if entry[0] == "logout"] == []
    second.logout().get()
    assert stage.log[-2:] == [("logout", "ann", "logout"), ("stop", "ann")]
    assert living() == BASE
    with pytest.raises(NoInterface):
        stage.login()
        stage.login("ann", "right", Nothing)


def test_a_call_of_a_shared_avatar_goes_to_the_client_that_came_last(inline):
    stage = Stage(policy=Policy.SHARE)
    first = stage.login(mind=lambda name, *args: "phone")
    stage.login(mind=lambda name, *args: "desktop")

    assert first.avatar.proxy().ask_client("where?").get().get() == "desktop"


def test_what_a_shared_avatar_sends_is_coalesced_for_each_client_that_is_slow(inline):
    stage = Stage(policy=Policy.SHARE)
    slow, gate = [], Future()

    def client(*notification):
        slow.append(notification)
        return gate

    login = stage.login(mind=client)
    mind = login.avatar.proxy().mind.get()
    mind.notify("first")
    for number in range(50):
        mind.notify("position", number, key="ann")
    gate.set(None)

    assert slow == [("first",), ("position", 49)]


def test_a_crash_of_a_shared_avatar_ends_all_its_sessions(inline):
    stage = Stage(policy=Policy.SHARE)
    first, second = stage.login(), stage.login()
    first.avatar.proxy().crash.defer()

    assert not first.session.is_open
    assert not second.session.is_open
    assert reasons(stage) == ["crashed", "crashed"]
    assert living() == BASE


@pytest.mark.parametrize("policy", list(Policy))
def test_anonymous_clients_are_never_the_same_user(inline, policy):
    stage = Stage(policy=policy, sessions_per_avatar=1)
    logins = [stage.portal.login(Anonymous(), None, Player).get() for _ in range(3)]

    assert len({login.avatar.actor_urn for login in logins}) == 3
    assert stage.count() == 3
    assert len(stage.portal.sessions(ANONYMOUS).get()) == 3


def test_the_portal_has_a_limit_of_its_own(inline):
    stage = Stage(sessions=2)
    first = stage.login("a")
    stage.login("b")

    with pytest.raises(LoginDenied, match="try again in 5 s"):
        stage.login("c")
    first.logout()
    stage.login("c")


# -- the directory -------------------------------------------------------------------------------


def test_sessions_are_found_listed_counted_and_annotated(inline):
    stage = Stage()
    ann, bob = stage.login("ann"), stage.login("bob")

    assert stage.portal.session(ann.session.id).get() is ann.session
    assert stage.portal.session("nobody's").get() is None
    assert stage.portal.sessions("bob").get() == [bob.session]
    assert stage.portal.sessions().get() == [ann.session, bob.session]
    assert stage.portal.annotate(ann.session.id, address="::1", team="red").get() is True
    assert stage.portal.annotate(ann.session.id, team=None).get() is True
    assert stage.portal.annotate("nobody's", x=1).get() is False
    assert dict(ann.session.notes) == {"address": "::1"}
    assert len(ann.session.id) >= 22  # 128 bits in base64
    assert ann.session.id != bob.session.id


@pytest.mark.parametrize(
    ("whom", "left"),
    [
        ({"session_id": None}, ["ann", "bob"]),
        ({"avatar_id": "ann"}, ["bob"]),
        ({"everyone": True}, []),
    ],
)
def test_a_kick_ends_sessions_and_says_why(inline, whom, left):
    stage = Stage()
    sessions = [stage.login(name).session for name in ("ann", "ann", "bob")]
    if "session_id" in whom:
        whom = {"session_id": sessions[0].id}
    count = stage.portal.kick(**whom, reason="cheating").get()

    assert count == 3 - len(left)
    assert [session.avatar_id for session in sessions if session.is_open] == left
    assert ("logout", "ann", "kicked: cheating") in stage.log
    assert ("logged_out", "kicked", "cheating") in stage.notified
    assert len(stage.named(SessionKicked)) == count
    assert stage.named(LoggedOut)[0].detail == "cheating"


# -- ends ----------------------------------------------------------------------------------------


def test_an_idle_session_ends_and_one_in_use_does_not(inline):
    stage = Stage(idle_timeout=60.0, lifetime=None)
    idle, used, touched = stage.login("idle"), stage.login("used"), stage.login("touched")
    for _ in range(5):
        inline.advance(20)
        used.avatar.tell("I am here")
        touched.session.touch()

    assert not idle.session.is_open
    assert used.session.is_open
    assert touched.session.is_open
    assert reasons(stage) == ["idle"]
    inline.advance(70)
    assert stage.count() == 0
    inline.advance(70)
    assert inline.pending_timers == 0


def test_what_others_send_to_an_avatar_does_not_keep_its_session_alive(inline):
    stage = Stage(idle_timeout=60.0)
    login = stage.login()
    own_ref = actors.ActorRef(login.avatar.actor_inbox)
    for _ in range(2):
        inline.advance(25)
        own_ref.tell("gossip")
    inline.advance(25)

    assert not login.session.is_open


def test_a_session_ends_at_the_end_of_its_lifetime_whatever_happens(inline):
    stage = Stage(idle_timeout=None, lifetime=100.0)
    login = stage.login()
    for _ in range(11):
        inline.advance(10)
        login.session.touch()

    assert not login.session.is_open
    assert reasons(stage) == ["expired"]


def test_without_limits_there_is_no_timer(inline):
    stage = Stage(idle_timeout=None, lifetime=None)
    stage.login()
    inline.advance(31)  # the deadline of the login

    assert inline.pending_timers == 0
    assert stage.count() == 1


def test_a_crash_of_an_avatar_ends_its_session_and_no_other(dispatcher):
    stage = Stage()
    ann, bob = stage.login("ann"), stage.login("bob")
    gone: Future[object] = Future()
    ann.avatar.watch(gone.settle)
    ann.avatar.proxy().crash.defer()
    gone.get(timeout=10)
    ann.session.end().get(timeout=10)

    assert stage.count() == 1
    assert bob.avatar.proxy().move(1).get(timeout=10) == 1
    assert ("logout", "ann", "crashed") in stage.log
    assert [event.reason for event in stage.named(LoggedOut, 1)] == ["crashed"]


def test_an_avatar_that_stops_itself_ends_its_session(inline):
    stage = Stage()
    login = stage.login()
    actors.ActorRef(login.avatar.actor_inbox).stop()

    assert not login.session.is_open
    assert reasons(stage) == ["stopped"]
    assert stage.log[-2:] == [("logout", "ann", "stopped"), ("stop", "ann")]
    assert living() == BASE


def test_a_failing_on_logout_does_not_keep_anything_alive(inline, caplog):
    class Sloppy(ArenaPlayer):
        def on_logout(self, reason):
            raise LookupError("a bug")

    stage = Stage()
    stage.realm_answers.append(
        lambda a, m, *i: (Player, ref := Sloppy.start(a, m, stage.log), ref.stop)
    )
    stage.login().logout().get(timeout=10)

    assert "a bug" in caplog.text
    assert stage.log[-1] == ("stop", "ann")
    assert living() == BASE


def test_a_full_mailbox_of_an_avatar_does_not_keep_it_from_leaving(inline):
    class Busy(ArenaPlayer):
        mailbox_limit = MailboxLimit(1)

        def on_receive(self, message):
            if message == "go":
                self.actor_ref.tell("its mailbox is full now")
                self.session.end(LogoutCode.LOST)

    stage = Stage()
    stage.realm_answers.append(
        lambda a, m, *i: (Player, ref := Busy.start(a, m, stage.log), ref.stop)
    )
    stage.login().avatar.tell("go")

    assert stage.log[-2:] == [("logout", "ann", "lost"), ("stop", "ann")]
    assert living() == BASE


def test_an_actor_that_is_no_avatar_can_be_one(inline):
    class Bare(Actor, Player):
        def move(self, dx):
            return dx

    stage = Stage()
    stage.realm_answers.append(lambda a, m, *i: (Player, ref := Bare.start(), ref.stop))
    login = stage.login()

    assert login.avatar.proxy().move(1).get() == 1
    login.logout().get(timeout=10)
    assert living() == BASE


def test_a_plain_object_may_have_methods_that_an_actor_calls_of_itself(inline):
    class Spawning(Player):
        def __init__(self):
            self.now = "noon"

        def move(self, dx):
            return dx

        def spawn(self, monster):
            return f"a {monster}"

    stage = Stage()
    stage.realm_answers.append(lambda a, m, *i: (Player, Spawning(), lambda: None))
    avatar = stage.login().avatar.proxy()

    assert (avatar.spawn("troll").get(), avatar.now.get()) == ("a troll", "noon")


def test_a_client_that_does_not_keep_up_can_be_logged_out(inline):
    stage = Stage(outbox=OutboxLimit(3, OutboxOverflow.END_SESSION))
    stuck: Future[None] = Future()
    login = stage.login(mind=lambda *n: stuck)
    for _ in range(5):
        login.session.mind.notify("news")

    assert reasons(stage) == ["overflow"]
    assert living() == BASE


def test_a_client_whose_line_is_dead_is_logged_out(inline):
    def dead(*notification):
        raise ConnectionResetError

    stage = Stage()
    login = stage.login(mind=dead)
    login.avatar.proxy().move(1)

    assert reasons(stage) == ["lost"]


def test_when_the_actor_behind_a_mind_is_gone_the_session_is_lost(inline):
    class Client(Actor):
        def moved(self, x):
            return x

    stage = Stage()
    client = Client.start()
    login = stage.login(mind=client)
    login.avatar.proxy().move(1)
    assert login.session.is_open
    client.stop()
    login.avatar.proxy().move(1)

    assert reasons(stage) == ["lost"]


@pytest.mark.parametrize("what", [what for what in Revocation if what is not Revocation.CHANGED])
def test_a_revoked_account_loses_its_sessions_but_not_those_of_other_checkers(inline, what):
    stage = Stage(checkers=2)
    login = stage.login()
    stage.checkers[1].revoke("ann", what)
    assert login.session.is_open
    stage.checkers[0].revoke("ann", what)

    assert not login.session.is_open
    assert stage.named(LoggedOut)[0].detail == str(what)
    assert ("logged_out", "revoked", str(what)) in stage.notified


def test_a_checker_that_was_restarted_still_tells_of_revoked_accounts(inline):
    stage = Stage()
    login = stage.login()
    stage.checker_answers.append(RestartRole())
    with pytest.raises(CheckerUnavailable):
        stage.login()
    stage.checkers[0].proxy().disable("ann").get(timeout=10)

    assert not login.session.is_open


def test_a_new_password_may_only_be_told(inline):
    stage = Stage(on_password_change=PasswordChange.TELL)
    login = stage.login()
    stage.checkers[0].revoke("ann", Revocation.PASSWORD_CHANGED)
    assert login.session.is_open
    assert ("password_changed",) in stage.notified
    stage.checkers[0].revoke("ann", Revocation.DISABLED)
    assert not login.session.is_open


def test_an_account_that_is_revoked_during_its_login_does_not_get_in(inline):
    stage = Stage()
    grant: Future[object] = Future()
    stage.realm_answers.append(grant)
    login = stage.begin()
    stage.checkers[0].revoke("ann", Revocation.DISABLED)
    avatar = ArenaPlayer.start("ann", None, stage.log)
    grant.set((Player, avatar, avatar.stop))

    with pytest.raises(Exception, match="login refused"):
        login.get(timeout=0)
    assert not avatar.is_alive()


def test_a_revocation_reaches_no_portal_that_has_stopped(inline):
    stage = Stage()
    stage.portal.stop()
    stage.checkers[0].revoke("ann", Revocation.DELETED)

    assert stage.checkers[0].listeners == ()


def test_drain_ends_all_sessions_tells_the_minds_and_counts(dispatcher):
    stage = Stage()
    for number in range(50):
        stage.login(f"user {number}")
    pending: Future[str] = Future()
    stage.checker_answers.append(pending)
    under_way = stage.begin()

    assert stage.portal.drain(timeout=10).get(timeout=20) == 50
    with pytest.raises(LoginDenied):
        under_way.get(timeout=10)
    with pytest.raises(LoginDenied, match="try again in"):
        stage.login()
    assert stage.count() == 0
    stage.wait_for_minds()
    assert sum(entry == ("logged_out", "drained", "") for entry in stage.notified) == 50


def test_drain_does_not_wait_longer_than_its_time(inline):
    never: Future[None] = Future()

    class Stuck(ArenaPlayer):
        async def on_logout(self, reason):
            await never

    stage = Stage()
    stage.login("quick")
    stage.realm_answers.append(
        lambda a, m, *i: (Player, ref := Stuck.start(a, m, stage.log), ref.stop)
    )
    stage.login()
    drained = stage.portal.drain(timeout=5)
    inline.advance(4)
    assert not drained.done()
    inline.advance(2)
    assert drained.get(timeout=0) == 1
    never.set(None)


def test_a_portal_that_stops_logs_everybody_out(dispatcher):
    stage = Stage()
    logins = [stage.login(name) for name in ("ann", "bob")]
    stage.portal.stop()
    for login in logins:
        login.logout().get(timeout=10)
    stage.wait_for_minds()

    assert sorted(entry for entry in stage.log if entry[0] == "logout") == [
        ("logout", n, "drained") for n in ("ann", "bob")
    ]
    assert sorted(stage.notified)[-2:] == [("logged_out", "drained", "")] * 2


def test_an_actor_can_subscribe_to_events_and_leave(inline):
    class Auditor(Actor):
        def __init__(self):
            super().__init__()
            self.names = []

        def on_receive(self, event):
            self.names.append(event.name)

    stage = Stage()
    auditor = Auditor.start()
    stage.portal.subscribe(auditor).get()
    stage.login().logout()
    stage.portal.unsubscribe(auditor).get()
    stage.login()

    assert auditor.proxy().names.get() == ["login", "logout"]
    auditor.stop()
    failing = stage.portal.subscribe(lambda event: 1 / 0).get()
    stage.login()
    stage.portal.unsubscribe(failing).get()
    assert not failing.is_alive()


def test_the_event_of_a_logout_has_its_duration(inline):
    stage = Stage()
    login = stage.login()
    inline.advance(12.5)
    login.logout(LogoutCode.LOST)

    whose = (login.session.checker, login.session.client, login.session.identity)
    assert stage.named(LoggedOut) == [LoggedOut(login.session.id, "ann", "lost", "", 12.5, *whose)]
