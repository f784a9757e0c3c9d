"""Back ends that block: how many requests are running, how long, and what becomes of them."""

from __future__ import annotations

import threading

import pytest

from actorcred import CheckerUnavailable, Portal, UsernamePassword, actors
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker
from actorcred.portal.standing import _Answer
from actorcred.standing import AskStanding, Revocation, Standing, with_proof
from actorcred.testing import Hall, Visitor
from tests.helpers import until
from tests.settings import portal_options

WAIT = 30.0
ANN = UsernamePassword("ann", "x")


class Backend:
    """What the test lets answer, and sees being let go."""

    def __init__(self):
        self.asked = threading.Semaphore(0)
        self.answers = threading.Semaphore(0)
        self.released = threading.Event()
        self.releases = 0

    def ask(self):
        self.asked.release()
        assert self.answers.acquire(timeout=WAIT)

    def release(self):
        self.releases += 1
        self.released.set()


class Slow(BlockingChecker):
    credential_interfaces = (UsernamePassword,)

    def __init__(self, backend, limits):
        super().__init__(limits)
        self.backend = backend

    def check(self, credentials):
        self.backend.ask()
        return credentials.username

    def release(self):
        self.backend.release()


@pytest.fixture
def backend():
    made = Backend()
    yield made
    for _ in range(100):
        made.answers.release()  # or a test that fails leaves its threads


def serve(backend, **limits):
    checker = Slow.start(backend, BackendLimits(**limits))
    return Portal.start(Hall.start(), [checker], portal_options(step=0)), checker


def test_no_more_are_under_way_and_wait_than_is_said(backend):
    portal, _ = serve(backend, threads=2, waiting=3)
    logins = [portal.login(ANN, None, Visitor) for _ in range(7)]
    for login in logins[5:]:
        with pytest.raises(CheckerUnavailable):
            login.get(timeout=WAIT)
    for _ in range(5):
        backend.answers.release()
    assert [login.get(timeout=WAIT).session.avatar_id for login in logins[:5]] == ["ann"] * 5


def test_a_crowd_of_one_source_neither_delays_nor_displaces_another_one(backend):
    portal, _ = serve(backend, threads=1, waiting=4)
    crowd = [
        portal.login(UsernamePassword(f"crowd{n}", "x", source="203.0.113.7"), None, Visitor)
        for n in range(5)
    ]
    assert backend.asked.acquire(timeout=WAIT)
    honest = portal.login(UsernamePassword("ann", "x", source="198.51.100.9"), None, Visitor)
    with pytest.raises(CheckerUnavailable):
        crowd[4].get(timeout=WAIT)  # the latest of the crowd made place
    backend.answers.release(2)
    assert honest.get(timeout=WAIT).session.avatar_id == "ann"
    assert not crowd[2].done()
    backend.answers.release(3)
    assert [login.get(timeout=WAIT).session.avatar_id for login in crowd[:4]] == [
        f"crowd{n}" for n in range(4)
    ]


def test_what_is_given_up_while_it_waits_makes_place(backend):
    portal, checker = serve(backend, threads=1, waiting=1)
    waiting = checker.actor_inbox.actor._waiting
    first = portal.login(ANN, None, Visitor)
    assert backend.asked.acquire(timeout=WAIT)
    given_up = portal.login(ANN, None, Visitor)
    until(lambda: len(waiting) == 1)
    given_up.cancel()
    until(lambda: not len(waiting))
    second = portal.login(ANN, None, Visitor)
    backend.answers.release(2)
    assert first.get(timeout=WAIT)
    assert second.get(timeout=WAIT)


def test_one_that_takes_too_long_is_given_up_and_counts_until_its_thread_is_free(inline, backend):
    portal, _ = serve(backend, threads=1, waiting=0, timeout=5.0)
    login = portal.login(ANN, None, Visitor)
    assert backend.asked.acquire(timeout=WAIT)
    inline.advance(5.1)
    with pytest.raises(CheckerUnavailable):
        login.get(timeout=WAIT)
    with pytest.raises(CheckerUnavailable):
        portal.login(ANN, None, Visitor).get(timeout=WAIT)
    assert not backend.asked.acquire(blocking=False)


def test_connections_are_closed_once_when_the_last_question_is_over(backend):
    portal, checker = serve(backend, threads=2)
    for _ in range(2):
        portal.login(ANN, None, Visitor)
    for _ in range(2):
        assert backend.asked.acquire(timeout=WAIT)
    checker.stop()
    assert checker.actor_stopped.wait(WAIT)
    assert not backend.released.is_set()
    backend.answers.release(2)
    assert backend.released.wait(WAIT)
    assert actors.shutdown(WAIT) == []
    assert backend.releases == 1


def test_connections_of_an_idle_checker_are_closed_at_its_end(backend):
    _, checker = serve(backend)
    checker.stop()
    assert backend.released.wait(WAIT)
    assert backend.releases == 1


def test_what_waited_for_a_thread_at_the_end_is_not_asked_any_more(backend):
    portal, checker = serve(backend, threads=1)
    first, *others = [portal.login(ANN, None, Visitor) for _ in range(3)]
    assert backend.asked.acquire(timeout=WAIT)
    checker.stop()
    assert checker.actor_stopped.wait(WAIT)
    backend.answers.release()
    assert backend.released.wait(WAIT)
    for login in (first, *others):
        with pytest.raises(CheckerUnavailable):
            login.get(timeout=WAIT)
    assert not backend.asked.acquire(blocking=False)


def test_limits_that_make_no_sense_are_refused():
    for wrong in ({"threads": 0}, {"waiting": -1}, {"timeout": 0}):
        with pytest.raises(ValueError, match="must be"):
            BackendLimits(**wrong)


class Store(BlockingChecker):
    """Tells that everybody is gone, three names at a time."""

    credential_interfaces = (UsernamePassword,)
    standing_batch = 3

    def __init__(self, asked):
        super().__init__(BackendLimits(threads=1))
        self.asked = asked

    def check(self, credentials):
        return self.proven_by("hash", credentials.username, credentials)

    def check_standing(self, names):
        self.asked.append((names, threading.current_thread().name))
        if "broken" in names:
            raise CheckerUnavailable("the store is down")
        return Standing(dict.fromkeys(names, Revocation.DELETED))


def ask_standing(checker, *names):
    answer = _Answer()
    checker.tell(AskStanding(answer, names))
    return answer


def test_who_may_stay_is_asked_on_the_threads_some_names_at_a_time():
    asked = []
    checker = Store.start(asked)
    assert checker.tells_standing
    said = ask_standing(checker, *"abcde").get(timeout=WAIT)
    assert said.gone == dict.fromkeys("abcde", Revocation.DELETED)
    assert [names for names, _ in asked] == [("a", "b", "c"), ("d", "e")]
    assert all("actorcred-Store" in thread for _, thread in asked)
    assert ask_standing(checker).get(timeout=WAIT) == Standing()


def test_who_may_stay_is_asked_in_turn_like_one_more_source(backend):
    order = []

    class Ordered(Slow):
        def check(self, credentials):
            order.append(credentials.username)
            return super().check(credentials)

        def check_standing(self, names):
            order.append("standing")
            self.backend.ask()
            return Standing()

    checker = Ordered.start(backend, BackendLimits(threads=1, waiting=9))
    portal = Portal.start(Hall.start(), [checker])
    waiting = checker.actor_inbox.actor._waiting

    def log_in(number):
        name = UsernamePassword(f"user{number}", "x", source=f"203.0.113.{number}")
        return portal.login(name, None, Visitor)

    logins = [log_in(0)]
    assert backend.asked.acquire(timeout=WAIT)
    for number in (1, 2, 3):
        logins.append(log_in(number))
        until(lambda number=number: len(waiting) == number)
    answer = ask_standing(checker, "ann")
    until(lambda: len(waiting) == 4)
    backend.answers.release(5)

    assert answer.get(timeout=WAIT) == Standing()
    for login in logins:
        login.get(timeout=WAIT)
    assert order == ["user0", "user1", "user2", "user3", "standing"]


def test_if_some_names_cannot_be_asked_about_nothing_is_known():
    asked = []
    checker = Store.start(asked)
    with pytest.raises(CheckerUnavailable):
        ask_standing(checker, "a", "b", "c", "broken", "d", "e", "f").get(timeout=WAIT)
    assert len(asked) == 2


def test_a_login_says_what_it_was_proven_by():
    checker = Store.start([])
    portal = Portal.start(Hall.start(), [checker])
    session = portal.login(ANN, None, Visitor).get(timeout=WAIT).session
    assert session.identity.vouchers == ((checker, with_proof("ann", "hash")),)
    assert session.identity.methods == {"pwd"}


def test_a_store_that_tells_nothing_is_not_asked(backend):
    _, checker = serve(backend)
    assert not checker.tells_standing
    assert ask_standing(checker, "ann").get(timeout=WAIT) == Standing()
