"""Users whose account is gone are logged out: rounds of questions to the checkers."""

from __future__ import annotations

import logging

import pytest

from actorcred import Avatar, Checker, Portal, Realm, Revocation, UsernamePassword
from actorcred.actors import Future
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.checkers.wrappers.renaming import RenamingChecker
from actorcred.errors import CheckerUnavailable, UnauthorizedLogin
from actorcred.identity import Identity
from actorcred.portal.events import IdentityChanged, LoggedOut
from actorcred.portal.options import PasswordChange, PortalOptions
from actorcred.portal.standing import SLICE, TIMEOUT
from actorcred.sessions.policies import Policy
from actorcred.standing import Standing
from tests.helpers import Player, Stage, records_of

ROUND = 67.0
"""Seconds in which a round surely begins, of an interval of 60 s."""


class Store(Checker):
    """Accepts every user. `said` is what it answers next: a value, or a function of the names."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, said=None, who=None):
        super().__init__()
        self.said = said if said is not None else {}
        self.asked = self.said.setdefault("asked", [])
        self.who = who or {}

    def request_avatar_id(self, credentials):
        answer = self.who.get(credentials.username, credentials.username)
        if not answer:
            raise UnauthorizedLogin("not here")
        return answer

    def standing(self, names):
        self.asked.append(names)
        answer = self.said.get("answer", Standing())
        return answer(names) if callable(answer) else answer


class Silent(Store):
    """A checker that cannot be asked."""

    standing = Checker.standing


class Case:
    def __init__(self, *checkers, **options):
        self.stage = Stage(PortalOptions(**options), checkers=0)
        self.portal = self.stage.portal
        for checker in checkers:
            self.portal.register_checker(checker).get(timeout=10)

    def login(self, name="ann", **more):
        login = self.portal.login(
            UsernamePassword(name, "right"), self.stage.mind, Player, **more
        ).get(timeout=10)
        self.stage._minds.append(login.session.mind)
        return login.session


def gone(*names, what=Revocation.DELETED):
    return Standing(gone=dict.fromkeys(names, what))


@pytest.fixture
def said():
    return {}


def test_who_is_gone_is_logged_out_at_the_next_round_and_nobody_else(inline, said):
    case = Case(Store.start(said))
    ann, bob = case.login("ann"), case.login("bob")
    inline.advance(50)
    assert said["asked"] == []

    said["answer"] = gone("bob", "nobody")
    inline.advance(17)
    assert said["asked"] == [("ann", "bob")]
    assert (ann.is_open, bob.is_open) == (True, False)
    (ended,) = case.stage.named(LoggedOut, 1)
    assert (ended.avatar_id, ended.reason, ended.detail) == ("bob", "revoked", "deleted")

    inline.advance(ROUND)
    assert said["asked"][1:] == [("ann",)]


def test_rounds_vary_so_that_servers_do_not_ask_at_once(inline, said, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: low)
    case = Case(Store.start(said))
    case.login()
    inline.advance(53.9)
    assert said["asked"] == []
    inline.advance(0.2)
    assert said["asked"] == [("ann",)]


def test_many_are_asked_in_batches_one_a_second(inline, said):
    case = Case(Store.start(said), standing_batch=2)
    for name in "abcde":
        case.login(name)
    case.login("a")
    said["answer"] = lambda names: gone("e") if "e" in names else Standing()
    times = []
    for _ in range(700):
        before = len(said["asked"])
        inline.advance(0.1)
        times += [inline.now()] * (len(said["asked"]) - before)
        if len(times) == 3:
            break
    assert said["asked"] == [("a", "b"), ("c", "d"), ("e",)]
    assert times[1] - times[0] >= 0.99
    assert times[2] - times[1] >= 0.99
    assert case.stage.count() == 5


def test_a_checker_without_standing_is_never_asked_and_costs_no_timer(inline):
    said = {"answer": gone("ann")}
    case = Case(Silent.start(said), idle_timeout=None, lifetime=None)
    session = case.login()
    timers = case.portal.actor_inbox.timers
    inline.advance(3 * ROUND)
    assert session.is_open
    assert (said["asked"], not timers) == ([], True)


def test_none_asks_only_about_what_a_checker_reports(inline, said):
    store = Store.start(said)
    case = Case(store, standing_interval=None)
    session = case.login()
    inline.advance(10 * ROUND)
    assert said["asked"] == []

    said["answer"] = gone("ann")
    store.revoke("bob", Revocation.CHANGED)
    assert session.is_open
    store.revoke("ann", Revocation.CHANGED)
    inline.advance(0)
    assert not session.is_open


@pytest.mark.parametrize(
    "answer",
    [
        lambda names: (_ for _ in ()).throw(CheckerUnavailable("the database failed")),
        lambda names: (_ for _ in ()).throw(OSError("no route")),
        lambda names: (_ for _ in ()).throw(KeyError("ann")),
        None,
        {"ann": Revocation.DELETED},
        Standing(gone=["ann"]),
        Standing(gone={"ann": "deleted"}),
        Standing(gone={"ann": Revocation.CHANGED}),
        Standing(identities={"ann": "ann"}),
    ],
    ids=["down", "os", "bug", "none", "dict", "list", "text", "changed", "no-identity"],
)
def test_a_store_that_fails_or_answers_nonsense_logs_nobody_out(inline, said, caplog, answer):
    case = Case(Store.start(said))
    session = case.login()
    said["answer"] = (lambda names: None) if answer is None else answer
    for _ in range(3):
        inline.advance(ROUND)
    assert len(said["asked"]) == 3
    assert session.is_open
    (complaint,) = [
        record for record in records_of(caplog, "actorcred.portal") if "nobody" in record.message
    ]
    assert complaint.levelno == logging.WARNING

    said["answer"] = gone("ann")
    inline.advance(ROUND)
    assert not session.is_open
    assert "Store can be asked again" in caplog.text


def test_a_store_that_does_not_answer_is_asked_again_and_delays_no_other(inline, said):
    never: Future = Future()
    slow, quick = {"answer": never}, {}
    case = Case(
        RenamingChecker.start(Store.start(slow), str.lower), Store.start(quick, {}), Silent.start()
    )
    # The first checker takes every user, so the second one is asked by its own portal.
    other = Case(Store.start(quick))
    session, fine = case.login("ann"), other.login("bob")
    inline.advance(ROUND)
    quick["answer"] = gone("bob")
    inline.advance(TIMEOUT + 1)
    assert never.cancelled()
    inline.advance(ROUND)
    assert not fine.is_open
    assert session.is_open
    slow["answer"] = gone("ann")
    inline.advance(2 * ROUND)
    assert not session.is_open


def test_a_stopped_checker_logs_nobody_out(inline, said):
    store = Store.start(said)
    case = Case(store)
    session = case.login()
    store.stop(block=False)
    inline.advance(2 * ROUND)
    assert session.is_open


WRAPPERS = {
    "rename": lambda checker: RenamingChecker.start(checker, "the-{}".format),
    "cache": CachingChecker.start,
    "first": lambda checker: FirstOf.start(Silent.start(who={"ann": "", "bob": ""}), checker),
    "all": lambda checker: AllOf.start(Silent.start(), checker),
    "nested": lambda checker: CachingChecker.start(
        RenamingChecker.start(AllOf.start(checker), str.upper)
    ),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_need_nothing_of_their_own(inline, said, wrapper):
    case = Case(WRAPPERS[wrapper](Store.start(said)))
    session, other = case.login("ann"), case.login("bob")
    said["answer"] = gone("ann")
    inline.advance(ROUND)
    assert said["asked"] == [("ann", "bob")]
    assert (session.is_open, other.is_open) == (False, True)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_report_through_a_wrapper_has_the_checker_asked_at_once(inline, said, wrapper):
    store = Store.start(said)
    case = Case(WRAPPERS[wrapper](store))
    session = case.login("ann")
    said["answer"] = gone("ann")
    store.revoke("ann", Revocation.CHANGED)
    inline.advance(0)
    assert not session.is_open


def test_a_checker_that_missed_changes_is_asked_about_all_its_users_and_no_other(inline, said):
    store, other = Store.start(said), {}
    case = Case(AllOf.start(store, Store.start(other)))
    session = case.login("ann")
    said["answer"] = gone("ann")
    store.recheck()
    inline.advance(0)
    assert not session.is_open
    assert other["asked"] == []


def test_who_acts_as_another_goes_with_the_account_that_was_proven(inline, said):
    store = Store.start(said)
    case = Case(store, may_act_as=lambda who, other: True)
    for end in (
        lambda: inline.advance(ROUND),
        lambda: store.revoke("root", Revocation.CHANGED),
        lambda: store.revoke("root", Revocation.DISABLED),
    ):
        said["answer"] = Standing()
        session, plain = case.login("root", authorize_as="ann"), case.login("ann")
        said["answer"] = gone("root")
        end()
        inline.advance(0)
        assert (session.avatar_id, session.is_open, plain.is_open) == ("ann", False, True)
        plain.end()
        inline.advance(2)


def test_a_changed_password_is_told_once_if_sessions_are_to_go_on(inline, said):
    case = Case(Store.start(said), on_password_change=PasswordChange.TELL)
    session = case.login()
    said["answer"] = gone("ann", what=Revocation.PASSWORD_CHANGED)
    for _ in range(3):
        inline.advance(ROUND)
    assert session.is_open
    assert case.stage.notified.count(("password_changed",)) == 1
    said["answer"] = gone("ann", what=Revocation.DISABLED)
    inline.advance(ROUND)
    assert not session.is_open


def test_many_sessions_are_looked_through_in_slices(inline, said, monkeypatch):
    monkeypatch.setattr("actorcred.portal.standing.SLICE", 3)
    assert SLICE == 2000
    case = Case(Store.start(said))
    for number in range(8):
        case.login(f"u{number}")
    inline.advance(ROUND)
    inline.advance(5)
    assert sorted(name for names in said["asked"] for name in names) == [
        f"u{number}" for number in range(8)
    ]


def test_anonymous_and_ended_sessions_are_not_asked_about(inline, said):
    from actorcred import ANONYMOUS

    case = Case(Store.start(said, {"guest": ANONYMOUS}))
    case.login("guest")
    case.login("ann").end()
    inline.advance(ROUND)
    assert said["asked"] == []


# -- identities that change ----------------------------------------------------------------------


class Watcher(Avatar, Player):
    seen: list = []

    def move(self, dx):
        return dx

    def on_identity_changed(self, identity):
        self.seen.append((identity, self.identity, self.mind.identity, self.session.identity))


class Watchers(Realm):
    interfaces = (Player,)

    def request_avatar(self, avatar_id, mind, *interfaces):
        avatar = Watcher.start(avatar_id, mind)
        return Player, avatar, avatar.stop


def serve(*checkers, realm=Watchers, **options):
    Watcher.seen = []
    events: list = []
    portal = Portal.start(realm.start(), checkers, PortalOptions(**options))
    portal.subscribe(events.append)
    session = portal.login(UsernamePassword("ann", "right"), None, Player).get(timeout=10).session
    return session, events


def staff(**more):
    return Identity("ann", groups=frozenset(["staff"]), **more)


def test_new_groups_count_at_once_and_the_login_stays_what_it_was(inline, said):
    session, events = serve(Store.start(said, {"ann": staff(methods=frozenset(["pwd", "otp"]))}))
    said["answer"] = Standing(
        identities={"ann": Identity("someone", groups=frozenset(["guests"]), attributes={"a": 1})}
    )
    for _ in range(2):
        inline.advance(ROUND)

    now = session.identity
    assert (now.avatar_id, now.groups, now.attributes) == ("ann", {"guests"}, {"a": 1})
    assert now.methods == {"pwd", "otp"}
    assert Watcher.seen == [(now, now, now, now)]
    (event,) = [event for event in events if isinstance(event, IdentityChanged)]
    assert (event.session_id, event.avatar_id, event.identity) == (session.id, "ann", now)


def test_of_several_checkers_only_the_words_of_one_change(inline, said):
    card = Identity("ann", groups=frozenset(["holders"]), methods=frozenset(["sc"]))
    first, second = Store.start(said, {"ann": staff()}), Silent.start({}, {"ann": card})
    session, _ = serve(RenamingChecker.start(AllOf.start(first, second), "corp-{}".format))
    assert session.identity.groups == {"staff", "holders"}
    for groups in (["admins"], [], ["staff", "more"]):
        said["answer"] = Standing(identities={"ann": Identity("ann", groups=frozenset(groups))})
        inline.advance(ROUND)
        assert session.identity.groups == {"holders", *groups}
        assert session.identity.avatar_id == "corp-ann"
        assert session.identity.methods >= {"pwd", "sc"}
    said["answer"] = gone("ann")
    inline.advance(ROUND)
    assert not session.is_open


def test_a_shared_avatar_and_a_plain_object_hear_of_it_too(inline, said):
    class Plain(Player):
        heard: list = []

        def move(self, dx):
            return dx

        def on_identity_changed(self, identity):
            self.heard.append(identity.groups)

    class Plains(Realm):
        interfaces = (Player,)

        def request_avatar(self, avatar_id, mind, *interfaces):
            return Player, Plain(), lambda: None

    said["answer"] = Standing(identities={"ann": Identity("ann", groups=frozenset(["new"]))})
    session, _ = serve(Store.start(said), realm=Plains)
    inline.advance(ROUND)
    assert Plain.heard == [{"new"}]
    session.end()

    shared, _ = serve(Store.start(said), policy=Policy.SHARE)
    inline.advance(ROUND)
    assert [one.groups for one in Watcher.seen[0]] == [{"new"}] * 4
    assert shared.identity.groups == {"new"}
