"""Which logins are looked at: penalties, turns and limits, with a clock that the test moves."""

from __future__ import annotations

import itertools

import pytest

from actorcred import (
    Anonymous,
    BearerToken,
    Checker,
    CheckerUnavailable,
    ClientInfo,
    Identity,
    LoginDenied,
    Portal,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import Future
from actorcred.credentials import Combined, OneTimePassword
from actorcred.errors import LoginFailed, UnknownKey
from actorcred.exchange import Exchange, ExchangeState
from actorcred.portal.events import LoginRefused
from actorcred.portal.protection import Familiar
from actorcred.throttle import Failures, Familiarity
from tests.helpers import Arena, Player, Stage
from tests.settings import portal_options

HERE, THERE, ELSEWHERE = (ClientInfo(address=f"192.0.2.{last}") for last in (1, 2, 3))
SHORT = {"step": 10.0, "longest": 40.0, "free_failures": 2, "free_denials": 3}


class Keys(Checker):
    """The user has a token, or a key, that nobody can guess."""

    credential_interfaces = (BearerToken,)

    def request_avatar_id(self, credentials):
        if credentials.token == "unknown":
            raise UnknownKey("not a key of this user")
        if credentials.token != "right":
            raise UnauthorizedLogin("no such token")
        return credentials.username


class House(Stage):
    """A portal with short penalties; each login returns what came of it."""

    def __init__(self, **settings):
        super().__init__(portal_options(**{**SHORT, **settings}))
        self.portal.register_checker(Keys.start()).get(timeout=10)

    def try_out(self, credentials, client):
        try:
            return self.portal.verify(credentials, client=client).get(timeout=10)
        except LoginFailed as error:
            return error

    def guess(self, name, client=HERE, password="wrong"):
        return self.try_out(UsernamePassword(name, password), client)

    def enter(self, name, client=HERE):
        return self.guess(name, client, "right")

    def show(self, name, token="right", client=HERE):
        return self.try_out(BearerToken(token, name), client)


def failure_of(future):
    with pytest.raises(LoginFailed) as failed:
        future.get(timeout=10)
    return failed.value


def kinds(answers):
    return [type(answer).__name__ for answer in answers]


REFUSED, DENIED = "UnauthorizedLogin", "LoginDenied"


# -- penalties -----------------------------------------------------------------------------------


def test_a_source_waits_longer_with_each_failure_whatever_the_accounts(inline):
    house = House()
    answers = [house.guess(f"user{number}") for number in range(4)]
    assert kinds(answers) == [REFUSED] * 3 + [DENIED]
    assert (answers[3].retry_after, answers[3].seen, answers[3].close) == (10.0, False, False)
    inline.advance(10.0)
    assert kinds([house.guess("bob"), house.guess("bob")]) == [REFUSED, DENIED]
    assert house.guess("cy").retry_after == 20.0
    for _ in range(5):
        inline.advance(40.0)
        house.guess("bob")
    assert house.guess("bob").retry_after == 40.0
    assert house.enter("ann", THERE) == "ann"


def test_an_account_waits_whatever_the_sources(inline):
    house = House()
    for number in range(3):
        house.guess("ann", ClientInfo(address=f"198.51.100.{number}"))
    denied = house.enter("ann", THERE)
    assert (denied.retry_after, denied.close) == (10.0, False)
    assert house.enter("bob", THERE) == "bob"
    inline.advance(10.0)
    assert house.enter("ann", THERE) == "ann"


def test_who_does_not_exist_is_denied_like_who_does(inline):
    house, texts = House(), []
    for name in ("ann", "nobody"):
        network = len(texts)
        answers = [house.guess(name, ClientInfo(address=f"198.51.{network}.{n}")) for n in range(9)]
        texts.append([f"{type(answer).__name__} {answer}" for answer in answers])
    assert texts[0] == texts[1]


def test_a_source_that_does_not_stop_is_shut_out_until_its_penalty_is_over(inline):
    house = House()
    for _ in range(3):
        house.guess("ann")
    assert house.portal.must_wait(HERE).close is False
    closes = [house.guess("ann").close for _ in range(5)]
    assert closes == [False] * 3 + [True] * 2
    assert house.portal.is_shut_out(HERE) == 10.0
    assert house.portal.must_wait(HERE).close is True
    assert house.portal.is_shut_out(THERE) == 0.0
    inline.advance(10.0)
    assert house.portal.is_shut_out(HERE) == 0.0
    assert house.portal.must_wait(HERE) is None


def test_what_a_protocol_refuses_itself_counts_the_same(inline):
    house = House()
    assert house.portal.must_wait(HERE) is None
    for _ in range(3):
        house.portal.tell_refused(UnauthorizedLogin("bad name"), "SSH", "ann", HERE)
    denied = house.portal.must_wait(HERE)
    assert (denied.retry_after, denied.seen) == (10.0, False)
    assert kinds([house.enter("ann", THERE)]) == [DENIED]
    for _ in range(4):
        house.portal.tell_refused(denied, "resume", client=HERE)
    assert house.portal.is_shut_out(HERE) == 10.0
    house.portal.tell_refused(denied, "resume", client=THERE)
    assert house.portal.is_shut_out(THERE) == 0.0


def test_what_is_not_the_clients_fault_and_keys_of_others_do_not_count(inline):
    house = House()
    for _ in range(5):
        assert isinstance(house.show("ann", "unknown"), UnauthorizedLogin)
    house.checker_answers.extend([CheckerUnavailable("down")] * 5)
    for _ in range(5):
        assert isinstance(house.guess("ann"), CheckerUnavailable)
    assert house.enter("ann") == "ann"


def test_without_an_address_only_the_account_waits(inline):
    house = House()
    nowhere, loopback = ClientInfo(transport="unix"), ClientInfo(address="127.0.0.1")
    for number in range(9):
        for client in (nowhere, loopback, ClientInfo(address="::1")):
            assert kinds([house.guess(f"user{number}{client.address}", client)]) == [REFUSED]
    for _ in range(3):
        house.guess("ann", nowhere)
    assert kinds([house.enter("ann", nowhere), house.enter("ann", loopback)]) == [DENIED] * 2
    assert house.portal.is_shut_out(loopback) == 0.0
    assert house.portal.source_of(loopback) == ""
    assert House(limit_loopback=True).portal.source_of(loopback) == "127.0.0.1"


def test_penalties_can_be_switched_off(inline):
    house = House(step=0.0)
    assert kinds([house.guess("ann") for _ in range(20)]) == [REFUSED] * 20
    assert house.portal.must_wait(HERE) is None


def test_a_login_forgets_the_failures_of_its_account_and_not_those_of_its_source(inline):
    house = House()
    house.guess("ann")
    house.guess("ann")
    assert house.enter("ann") == "ann"
    assert kinds([house.guess("ann"), house.guess("ann")]) == [REFUSED, DENIED]
    assert house.enter("ann", THERE) == "ann"


def test_another_spelling_is_another_user_who_cannot_clear_the_failures(inline):
    """Names that some store takes for one share the penalty, but not what ends it."""
    house = House()
    for last, name in enumerate(("ann", "ANN", "\u00e4nn"), 10):
        house.guess(name, ClientInfo(address=f"192.0.2.{last}"))
    assert kinds([house.enter("Ann", THERE)]) == [DENIED]
    house = House()
    for last in (10, 11):
        house.guess("ann", ClientInfo(address=f"192.0.2.{last}"))
    assert house.enter("\u00e4nn", THERE) == "\u00e4nn"
    house.guess("ann", ClientInfo(address="192.0.2.12"))
    assert kinds([house.enter("ann", ELSEWHERE)]) == [DENIED]
    assert kinds([house.guess("ann", THERE)]) == [DENIED]  # familiar to the other one only


def test_bots_on_this_machine_do_not_penalise_a_browser_on_it(inline):
    """There are 2,000 bots, of which every tenth has a wrong password."""
    house = House()
    inside = ClientInfo()
    for number in range(2000):
        password = "wrong" if number % 10 == 0 else "right"
        house.guess(f"bot{number}", inside, password)
        house.guess(f"bot{number}", ClientInfo(address="127.0.0.1"), password)
    browser = ClientInfo(address="127.0.0.1", protocol="rpc", transport="websocket")
    assert house.portal.must_wait(browser) is None
    assert house.enter("ann", browser) == "ann"


# -- owners --------------------------------------------------------------------------------------


def attacked(house, name="ann"):
    for last in range(50, 53):
        house.guess(name, ClientInfo(address=f"192.0.2.{last}"))


def test_who_comes_from_where_the_account_has_logged_in_passes_its_penalty(inline):
    house = House(familiar_for=100.0)
    house.enter("ann", THERE)
    attacked(house)
    assert kinds([house.enter("ann", HERE)]) == [DENIED]
    assert house.enter("ann", THERE) == "ann"
    assert kinds([house.enter("ann", HERE)]) == [DENIED]  # the penalty stays for all others
    inline.advance(101.0)
    attacked(house)
    assert kinds([house.enter("ann", THERE)]) == [DENIED]


def test_the_penalty_of_a_source_holds_for_familiar_ones_and_keys_as_well(inline):
    house = House()
    house.enter("ann", HERE)
    for number in range(3):
        house.guess(f"user{number}", HERE)
    assert kinds([house.enter("ann", HERE), house.show("ann")]) == [DENIED] * 2


def test_a_proof_that_cannot_be_guessed_passes_the_penalty_of_the_account(inline):
    house = House()
    attacked(house)
    assert house.show("ann", client=HERE) == "ann"
    assert kinds([house.show("ann", "wrong", ELSEWHERE) for _ in range(4)]) == [REFUSED] * 3 + [
        DENIED
    ]
    assert house.show("ann", client=THERE) == "ann"  # nor does it count for the account


def test_a_name_that_comes_with_a_token_makes_nothing_familiar_and_forgets_no_failures(inline):
    house = House()
    for _ in range(3):
        house.guess("ann", THERE)
    assert house.show("ann", client=HERE) == "ann"  # the token of another user, with her name
    assert isinstance(house.guess("ann", HERE), LoginDenied)


def test_a_password_beside_a_code_can_be_guessed(inline):
    house = House()
    attacked(house)
    both = Combined((UsernamePassword("ann", "right"), OneTimePassword("ann", "123456")))

    class Both(Checker):
        credential_interfaces = (Combined,)

        def request_avatar_id(self, credentials):
            return credentials.username

    house.portal.register_checker(Both.start()).get(timeout=10)
    assert kinds([house.try_out(both, HERE)]) == [DENIED]


def test_nothing_is_familiar_behind_a_front_that_is_not_trusted(inline):
    house = House()
    behind = ClientInfo(address=THERE.address, untrusted_front=True)
    house.enter("ann", behind)
    attacked(house)
    assert kinds([house.enter("ann", THERE)]) == [DENIED]
    house = House()
    house.enter("ann", THERE)
    attacked(house)
    assert kinds([house.enter("ann", behind)]) == [DENIED]
    assert house.enter("ann", THERE) == "ann"


def test_familiar_sources_are_bounded_and_the_oldest_are_forgotten():
    familiar = Familiar(100.0, accounts=2, sources=2)
    for now, source in enumerate(("a", "b", "a", "c")):
        familiar.note("ann", source, float(now))
    assert [familiar.knows("ann", source, 4.0) for source in "abc"] == [True, False, True]
    assert not familiar.knows("ann", "", 4.0)
    assert not familiar.knows("bob", "a", 4.0)
    assert not familiar.knows("ann", "a", 102.0)
    familiar.note("bob", "a", 5.0)
    familiar.note("ann", "a", 6.0)
    familiar.note("cy", "a", 7.0)
    assert [familiar.knows(name, "a", 8.0) for name in ("ann", "bob", "cy")] == [True, False, True]
    assert len(familiar) == 2


# -- turns ---------------------------------------------------------------------------------------


class Slow(Checker):
    """Answers when the test wants it to."""

    credential_interfaces = (UsernamePassword, Anonymous)

    def __init__(self, asked):
        super().__init__()
        self.asked = asked

    def request_avatar_id(self, credentials):
        answer = Future()
        self.asked.append((credentials.username, answer))
        return answer


def slow_portal(**settings):
    asked = []
    portal = Portal.start(
        Arena.start([]), [Slow.start(asked)], portal_options(**{**SHORT, **settings})
    )
    return portal, asked


def begin(portal, name, client, password="wrong"):
    return portal.verify(UsernamePassword(name, password), client=client)


def refuse(asked, at=0):
    asked.pop(at)[1].settle_error(UnauthorizedLogin("wrong"))


@pytest.mark.parametrize(
    ("names", "sources", "most"),
    [
        # Those that are allowed anyway, one more, and those that were looked at meanwhile.
        (["ann"] * 190, 190, 3 + 1),
        ([f"user{number}" for number in range(190)], 1, 3 + 15),
        (["ann"] * 190, 1, 3 + 1),
    ],
    ids=["one account", "one source", "both"],
)
def test_of_many_guesses_at_a_time_few_are_looked_at(inline, names, sources, most):
    portal, asked = slow_portal()
    clients = itertools.cycle(
        [ClientInfo(address=f"198.51.{n // 100}.{n % 100}") for n in range(sources)]
    )
    futures = [begin(portal, name, next(clients)) for name in names]
    looked_at = 0
    while asked:
        refuse(asked)
        looked_at += 1
    assert looked_at == most
    outcomes = [failure_of(future) for future in futures]
    assert kinds(outcomes).count(DENIED) == 190 - most


def test_a_crowd_at_one_account_delays_no_other_and_not_its_owner(inline):
    portal, asked = slow_portal()
    owner = begin(portal, "ann", THERE, "right")
    asked.pop()[1].settle("ann")
    assert owner.get(timeout=10) == "ann"
    for number in range(50):
        begin(portal, "ann", ClientInfo(address=f"198.51.100.{number}"))
    assert [name for name, _ in asked] == ["ann"] * 2
    begin(portal, "bob", HERE)
    begin(portal, "ann", THERE)
    assert [name for name, _ in asked[2:]] == ["bob", "ann"]


def test_a_name_cannot_stand_in_the_line_of_an_owner(inline):
    portal, asked = slow_portal()
    owner = begin(portal, "ann", THERE, "right")
    asked.pop()[1].settle("ann")
    assert owner.get(timeout=10) == "ann"
    for number in range(20):
        begin(portal, f"ann from {THERE.address}", ClientInfo(address=f"198.51.100.{number}"))
    begin(portal, "ann", THERE)
    assert asked[-1][0] == "ann"


def test_logins_that_are_over_leave_the_line(inline):
    portal, _ = slow_portal()
    for number in range(500):
        begin(portal, "ann", ClientInfo(address=f"198.51.{number // 250}.{number % 250}")).cancel()
    by_account, by_source = portal.protection._by_account, portal.protection._by_source

    def waiting():
        return sum(len(line) for one in (by_account, by_source) for line in one._waiting.values())

    first = [begin(portal, "ann", HERE) for _ in range(2)]
    given_up = [begin(portal, "ann", THERE) for _ in range(100)]
    assert waiting() == 100
    for future in given_up[1:]:
        future.cancel()
    assert waiting() == 1
    given_up[0].cancel()
    assert waiting() == 0
    for future in first:
        future.cancel()
    assert (len(by_account), len(by_source)) == (0, 0)


class Riddle(Exchange):
    """Asks for a word."""

    def __init__(self, username, source=""):
        self.username, self.source, self.decided = username, source, None

    def begin(self, decided):
        self.decided, self.state = decided, ExchangeState.CHALLENGED
        self.on_challenge(b"?")

    def pretend(self, decided):
        self.begin(decided)

    def respond(self, data):
        self.state = ExchangeState.OVER
        self.decided(data == b"right")


class Sphinx(Checker):
    credential_interfaces = (Riddle,)

    def __init__(self, answered):
        super().__init__()
        self.answered = answered

    def request_avatar_id(self, credentials):
        decision = Future()

        def decided(right):
            self.answered.append(credentials.username)
            if right:
                decision.settle(credentials.username)
            else:
                decision.settle_error(UnauthorizedLogin("wrong"))

        credentials.begin(decided)
        return decision


def test_who_thinks_about_a_challenge_holds_nobody_up_and_gets_no_more_guesses(inline):
    answered = []
    portal = Portal.start(Arena.start([]), [Sphinx.start(answered)], portal_options(**SHORT))
    challenged, riddles = [], []
    for _ in range(100):
        riddle = Riddle("ann")
        riddle.on_challenge = challenged.append
        riddles.append((riddle, portal.verify(riddle, client=HERE)))
    assert len(challenged) == 100
    other = Riddle("ann")
    other.on_challenge = challenged.append
    owner = portal.verify(other, client=THERE)
    other.answer(b"right")
    assert owner.get(timeout=10) == "ann"
    for riddle, _ in riddles:
        riddle.answer(b"wrong")
    assert answered == ["ann"] * 4
    outcomes = [failure_of(future) for _, future in riddles]
    assert kinds(outcomes) == [REFUSED] * 3 + [DENIED] * 97


# -- limits --------------------------------------------------------------------------------------


def test_logins_in_progress_are_limited_by_source(inline):
    portal, asked = slow_portal(logins_per_source=3)
    for number in range(3):
        begin(portal, f"user{number}", HERE)
    denied = failure_of(begin(portal, "bob", HERE))
    assert (denied.retry_after, denied.seen) == (5.0, False)
    begin(portal, "bob", THERE)
    asked[0][1].settle("user0")
    begin(portal, "cy", HERE)
    assert [name for name, _ in asked] == ["user0", "user1", "user2", "bob", "cy"]


@pytest.mark.parametrize(
    ("limit", "credentials"),
    [
        ("sessions_per_source", UsernamePassword("ann", "right")),
        ("anonymous_per_source", Anonymous()),
    ],
    ids=["sessions", "anonymous"],
)
def test_sessions_are_limited_by_source_until_they_end(inline, limit, credentials):
    stage = Stage(portal_options(**{limit: 2}))

    def enter(client=HERE):
        return stage.portal.login(credentials, None, Player, client=client).get(timeout=10)

    first = enter()
    enter()
    with pytest.raises(LoginDenied) as denied:
        enter()
    assert denied.value.retry_after == 5.0
    assert "from this source" in stage.named(LoginRefused, 1)[0].detail
    enter(THERE)
    first.logout().get(timeout=10)
    enter()
    for _ in range(3):
        enter(ClientInfo(address="127.0.0.1"))


def test_a_session_that_could_not_be_opened_is_not_counted(inline):
    stage = Stage(portal_options(sessions_per_source=1))
    stage.realm_answers.append(lambda *_: 1 / 0)
    credentials = UsernamePassword("ann", "right")
    for _ in range(2):
        login = stage.portal.login(credentials, None, Player, client=HERE)
        if stage.realm_answers or login.done():
            break
    with pytest.raises(LoginFailed):
        login.get(timeout=10)
    assert stage.portal.login(credentials, None, Player, client=HERE).get(timeout=10)


# -- sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "credentials",
    [
        UsernamePassword("ann", "right"),
        BearerToken("right", "ann"),
        OneTimePassword("ann", "123456"),
        Combined((UsernamePassword("ann", "right"), OneTimePassword("ann", "123456"))),
    ],
    ids=lambda credentials: type(credentials).__name__,
)
def test_credentials_of_a_protocol_that_forgot_it_have_the_clients_address(inline, credentials):
    seen = []

    class Watching(Checker):
        credential_interfaces = (type(credentials),)

        def request_avatar_id(self, asked):
            seen.append(asked)
            return Identity("ann")

    portal = Portal.start(Arena.start([]), [Watching.start()])
    assert portal.verify(credentials, client=HERE).get(timeout=10) == "ann"
    assert seen[0].source == HERE.address
    assert seen[0] == credentials
    assert credentials.source == ""  # it is the caller's, who may use it for another client


# -- other machines --------------------------------------------------------------------------------


def told_by(house):
    """Return the list of what a portal tells other machines from now on."""
    told = []
    house.portal.protection.tell = told.append
    return told


def test_other_machines_are_told_of_failures_and_of_what_a_login_forgives(inline):
    house = House(step=10.0)
    told = told_by(house)
    house.guess("Ann", ClientInfo(address="192.0.2.1"))
    assert told == [Failures("from 192.0.2.1", 1, ""), Failures("as ann", 1, "Ann")]
    told.clear()
    house.enter("Ann", ClientInfo(address="192.0.2.1"))
    house.enter("Ann", ClientInfo(address="192.0.2.1"))
    assert told == [Failures("as ann", 0, "Ann"), Familiarity("Ann", "192.0.2.1")]
    inline.advance(2 * 86400)
    house.enter("Ann", ClientInfo(address="192.0.2.1"))
    assert told[2:] == [Familiarity("Ann", "192.0.2.1")], "again on another day"


@pytest.mark.parametrize("here", ["127.0.0.1", "127.0.0.9", "::1"])
def test_other_machines_are_not_told_of_this_one_as_a_source(inline, here):
    house = House(step=10.0, limit_loopback=True)
    told = told_by(house)
    house.guess("ann", ClientInfo(address=here))
    assert told == [Failures("as ann", 1, "ann")]
    house.enter("bob", ClientInfo(address=here))
    assert house.portal.protection.standing(10) == [Failures("as ann", 1, "ann")]
    assert len(told) == 1


def test_what_failed_elsewhere_counts_and_what_is_forgiven_there_does_not(inline):
    house = House(step=10.0)
    protection = house.portal.protection
    protection.hear([Failures("from 192.0.2.1", 9), Failures("as ann", 9, "ann")])
    assert protection.wait("192.0.2.1") > 0
    assert protection.penalised() == {"source": 1, "account": 1}
    protection.hear([Failures("as ann", 0, "Ann")])
    assert protection.penalised() == {"source": 1, "account": 1}
    protection.hear([Failures("as ann", 0, "ann")])
    assert protection.penalised() == {"source": 1, "account": 0}
    protection.merge([Failures("as ann", 9, "ann", 1.0)])
    assert protection.penalised() == {"source": 1, "account": 1}


def test_who_is_familiar_elsewhere_passes_the_penalty_of_the_account_here(inline):
    house = House(step=10.0)
    protection = house.portal.protection
    protection.hear([Failures("as ann", 9, "ann")])
    assert kinds([house.enter("ann")]) == [DENIED]
    protection.hear([Familiarity("ann", HERE.address)])
    protection.merge([Familiarity("ann", THERE.address, 5.0)])
    assert protection.standing(10) == [
        Failures("as ann", 9, "ann", 0.0),
        Familiarity("ann", HERE.address, 0.0),
        Familiarity("ann", THERE.address, 5.0),
    ]
    answers = [house.enter("ann", client) for client in (HERE, THERE, ELSEWHERE)]
    assert kinds(answers)[2] == DENIED
    assert DENIED not in kinds(answers)[:2]


def test_what_others_say_of_a_source_makes_it_no_more_familiar_than_it_is():
    known = Familiar(seconds=100.0)
    known.note("ann", "home", 50.0)
    known.learn(Familiarity("ann", "home", 60.0), 60.0)
    known.learn(Familiarity("ann", "work", 100.0), 60.0)
    assert known.latest(60.0, 10) == [Familiarity("ann", "home", 10.0)]
    known.learn(Familiarity("ann", "work", 99.0), 60.0)
    assert known.knows("ann", "work", 60.0)
    assert not known.knows("ann", "work", 61.0)
