"""Checkers around checkers.

Who is let in, what is remembered, and that what happened to an account gets through.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actorcred import (
    AccountError,
    Anonymous,
    BearerToken,
    Checker,
    CheckerUnavailable,
    LoginDenied,
    Portal,
    RestartRole,
    Revocation,
    UnauthorizedLogin,
    UsernamePassword,
    actors,
)
from actorcred.actors import Future
from actorcred.auth.registry import from_string
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.bases.polling import POLL
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.checkers.wrappers.listing import AllowingChecker, DenyingChecker
from actorcred.checkers.wrappers.renaming import RenamingChecker, renaming
from actorcred.checkers.wrappers.throttling import ThrottlingChecker
from actorcred.credentials import Combined, OneTimePassword
from actorcred.exchange import ExchangeState, UsernameScram
from actorcred.identity import Identity
from actorcred.sasl.scram import ScramSHA256
from tests.helpers import Arena, Player

ANN = UsernamePassword("ann", "right")


def users(**passwords):
    return MemoryChecker.start(passwords or {"ann": "right"}, plaintext=True)


def serve(*checkers):
    return Portal.start(Arena.start([]), checkers)


def login(portal, credentials=ANN):
    return portal.login(credentials, None, Player).get(timeout=10).session


class Counting(Checker):
    """Says yes, and counts; crashes, hangs or is down when told so."""

    credential_interfaces = (UsernamePassword, BearerToken)

    def __init__(self, asked):
        super().__init__()
        self.asked = asked

    def request_avatar_id(self, credentials):
        self.asked.append(credentials)
        if credentials.username == "crash":
            raise RestartRole("as ordered")
        if credentials.username == "down":
            raise CheckerUnavailable("down")
        if getattr(credentials, "password", "") == "wrong":
            raise UnauthorizedLogin("wrong")
        return credentials.username


class Codes(Checker):
    """A second factor."""

    credential_interfaces = (OneTimePassword,)

    def request_avatar_id(self, credentials):
        if credentials.code != "123456":
            raise UnauthorizedLogin("wrong code")
        return credentials.username


def test_the_first_of_several_that_says_yes(dispatcher):
    portal = serve(FirstOf.start(users(ann="right"), users(bob="hush"), AnonymousChecker.start()))
    assert login(portal).avatar_id == "ann"
    assert login(portal, UsernamePassword("bob", "hush")).avatar_id == "bob"
    assert login(portal, Anonymous())
    with pytest.raises(UnauthorizedLogin):
        login(portal, UsernamePassword("bob", "right"))


def test_one_that_is_down_is_no_way_in_and_no_way_out(dispatcher):
    portal = serve(FirstOf.start(Counting.start([]), users(down="right")))
    assert login(portal, UsernamePassword("down", "right")).avatar_id == "down"
    with pytest.raises(CheckerUnavailable):
        login(portal, UsernamePassword("down", "wrong"))


@pytest.mark.parametrize(
    ("credentials", "who"),
    [
        (UsernamePassword("ann", "right123456"), "ann"),
        (Combined((ANN, OneTimePassword("ann", "123 456"))), "ann"),
        (ANN, None),
        (UsernamePassword("ann", "right123457"), None),
        (UsernamePassword("ann", "wrong123456"), None),
        (UsernamePassword("ann", "123456"), None),
        (Combined((ANN,)), None),
        (Combined((OneTimePassword("ann", "123456"),)), None),
        (Combined((ANN, OneTimePassword("bob", "123456"))), None),
    ],
)
def test_all_of_several_must_say_yes_and_agree(dispatcher, credentials, who):
    portal = serve(AllOf.start(users(), Codes.start()))
    if who is None:
        with pytest.raises(UnauthorizedLogin):
            login(portal, credentials)
    else:
        assert login(portal, credentials).avatar_id == who


def test_a_yes_is_remembered_for_a_while_and_a_no_never(inline):
    asked = []
    portal = serve(CachingChecker.start(Counting.start(asked), 60.0, 2))
    for _ in range(3):
        assert login(portal).avatar_id == "ann"
    assert len(asked) == 1
    for _ in range(2):
        with pytest.raises(UnauthorizedLogin):
            login(portal, UsernamePassword("ann", "wrong"))
    assert len(asked) == 3
    inline.advance(61)
    login(portal)
    assert len(asked) == 4
    for name in ("bob", "eve"):
        login(portal, UsernamePassword(name, "x"))
    login(portal)  # two are remembered, and ann was the oldest
    assert len(asked) == 7
    login(portal, BearerToken("right", "ann"))
    assert len(asked) == 8  # a token is no password


class Brief(Counting):
    """Says of its answers how long they are good, or that they are good once."""

    def __init__(self, asked, seconds):
        super().__init__(asked)
        self.said = {"methods": frozenset({"pwd", "otp"})}
        if seconds is not None:
            self.said = {"expires": datetime.now(UTC) + timedelta(seconds=seconds)}

    def request_avatar_id(self, credentials):
        return Identity(super().request_avatar_id(credentials), **self.said)


AROUND = {
    "alone": lambda checker: checker,
    "first": lambda checker: FirstOf.start(users(bob="x"), checker),
    "all": lambda checker: AllOf.start(users(ann="right"), checker),
    "rename": lambda checker: RenamingChecker.start(checker, lambda name: name.upper().lower()),
    "throttle": ThrottlingChecker.start,
    "allow": lambda checker: AllowingChecker.start(checker, ["ann"]),
    "cache": CachingChecker.start,
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_what_is_good_once_or_for_a_time_is_not_remembered_longer(dispatcher, around):
    """Whatever stands between the checker and the cache."""
    for seconds, times in ((None, 3), (3600, 1), (1e10, 1)):
        asked = []
        portal = serve(CachingChecker.start(around(Brief.start(asked, seconds))))
        for _ in range(3):
            session = login(portal)
            assert (session.avatar_id, type(session.avatar_id)) == ("ann", str)
        assert len(asked) == times


def test_a_yes_is_remembered_until_its_proof_ends(inline):
    asked = []
    portal = serve(CachingChecker.start(Brief.start(asked, 30), 60.0))
    for seconds, times in ((0, 1), (20, 1), (20, 2)):
        inline.advance(seconds)
        login(portal)
        assert len(asked) == times


def test_codes_after_a_password_are_not_remembered(dispatcher):
    """Neither those of a checker that says nothing of it."""
    asked = []
    portal = serve(CachingChecker.start(AllOf.start(Counting.start(asked), Codes.start())))
    for _ in range(3):
        login(portal, UsernamePassword("ann", "right123456"))
    assert len(asked) == 3


def test_what_a_wrapped_checker_revokes_is_forgotten_and_ends_sessions(inline):
    checker = users(ann="right")
    portal = serve(
        RenamingChecker.start(CachingChecker.start(checker), renaming(add="example.org"))
    )
    session = login(portal)
    assert session.avatar_id == "ann@example.org"
    checker.remove("ann")
    assert not session.is_open
    with pytest.raises(UnauthorizedLogin):
        login(portal)


def test_accounts_and_sources_wait_after_failures(inline):
    portal = serve(ThrottlingChecker.start(users(ann="right", bob="hush"), 10.0, 2, 60.0))
    for _ in range(3):
        with pytest.raises(UnauthorizedLogin):
            login(portal, UsernamePassword("ann", "wrong", source="192.0.2.1"))
    with pytest.raises(LoginDenied) as denied:
        login(portal, UsernamePassword("ann", "right", source="192.0.2.9"))
    assert denied.value.retry_after == 10
    with pytest.raises(LoginDenied):
        login(portal, UsernamePassword("bob", "hush", source="192.0.2.1"))
    assert login(portal, UsernamePassword("bob", "hush", source="192.0.2.9"))
    inline.advance(11)
    assert login(portal)


@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_list_is_one_or_refused_by_name(tmp_path, data):
    path = tmp_path / "list"
    path.write_bytes(data)
    inner = users()
    try:
        AllowingChecker.start(inner, path).stop()
    except AccountError as error:
        assert "cannot read" in str(error)


def test_the_last_checker_that_is_asked_goes_through_an_exchange_with_somebody_unknown(inline):
    """So that neither the words nor the time of the challenge tell."""
    first, second = (
        MemoryChecker.start({name: "right"}, plaintext=True, scram_iterations=4096)
        for name in ("ann", "bob")
    )
    for checkers in (
        [first, second],
        [FirstOf.start(first, second)],
        [first, CachingChecker.start(FirstOf.start(second))],
    ):
        portal = serve(*checkers)
        for name in ("ann", "bob", "eve"):
            exchange = ScramSHA256(f"n,,n={name},r=abcdefghijklmnopqrstuvwx")
            challenges = []
            exchange.on_challenge = challenges.append
            refused = portal.verify(exchange)
            assert b",i=4096" in challenges[0]
            exchange.respond(b"c=biws,r=" + challenges[0].split(b",")[0][2:] + b",p=AAAA")
            with pytest.raises(UnauthorizedLogin):
                refused.get(timeout=10)
            assert exchange.state is ExchangeState.OVER


def test_a_proof_is_offered_if_every_checker_of_passwords_takes_it(inline):
    plain, hashed = users(), MemoryChecker.start({"bob": "hush"}, rounds=4)

    def offers(*checkers):
        return (
            UsernameScram in serve(*checkers).list_credentials_interfaces(for_everybody=True).get()
        )

    assert offers(plain, AnonymousChecker.start())
    assert not offers(plain, hashed)
    assert offers(FirstOf.start(users(), AnonymousChecker.start()))
    assert not offers(FirstOf.start(users(), MemoryChecker.start({"bob": "hush"}, rounds=4)))
    assert UsernameScram in serve(plain, hashed).list_credentials_interfaces().get()


class Slow(Checker):
    """Says nothing until the test does."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, asked):
        super().__init__()
        self.asked = asked

    def request_avatar_id(self, credentials):
        decision = Future()
        self.asked.append((credentials, decision))
        return decision


def test_many_guesses_at_once_are_no_way_around(inline):
    asked = []
    portal = serve(ThrottlingChecker.start(Slow.start(asked), 10.0, 2, 60.0))
    names = ["ann", "ANN", "Ann"] * 10
    guesses = [
        portal.login(UsernamePassword(name, str(number)), None, Player)
        for number, name in enumerate(names)
    ]
    other = portal.login(UsernamePassword("bob", "x"), None, Player)
    assert len(asked) == 3
    asked[2][1].settle("bob")
    assert other.get().session.avatar_id == "bob"
    guesses[0].cancel()  # whoever is gone makes room
    assert len(asked) == 4
    for number in (1, 3, 4):
        asked[number][1].settle_error(UnauthorizedLogin("wrong"))
    assert len(asked) == 6
    for guess in guesses[5:]:
        with pytest.raises(LoginDenied):
            guess.get()


def test_those_who_wait_for_their_turn_get_in(inline):
    asked = []
    portal = serve(ThrottlingChecker.start(Slow.start(asked), 10.0, 2, 60.0))
    logins = [portal.login(ANN, None, Player) for _ in range(9)]
    for number in range(9):
        asked[number][1].settle("ann")
    assert [login.get().session.avatar_id for login in logins] == ["ann"] * 9


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("rename[names=ann>anna bob>rob]:(memory:ann:right)", "anna"),
        ("rename[strip=example.org]:(memory:ann@example.org:right)", "ann"),
        ("rename[add=example.org,lower=yes]:(memory:Ann:right)", "ann@example.org"),
    ],
)
def test_names_by_a_text(dispatcher, text, who):
    portal = serve(from_string(text))
    name = text.split("(memory:")[1].split(":")[0]
    assert login(portal, UsernamePassword(name, "right")).avatar_id == who


def test_a_wrapper_that_cannot_be_started_leaves_nothing(inline):
    for text in (
        "cache[seconds=-1]:(memory:ann:right)", "throttle[step=0]:(anonymous)",
        "allow[file=/no/such]:(anonymous)", "rename[names=ann]:(anonymous)", "allow:(anonymous)",
        "deny[names=\x01]:(memory:ann:right)",
    ):  # fmt: skip
        with pytest.raises(AccountError):
            from_string(text)
        assert actors.statistics().actors == 0


def test_a_domain_is_taken_from_its_own_people_only():
    rename = renaming(strip="example.org", lower=True, names={"root": "admin"})
    assert [
        rename(name) for name in ("Ann@Example.ORG", "ann@evil.org", "@example.org", "root", "bob")
    ] == ["ann", "ann@evil.org", "@example.org", "admin", "bob"]


def test_a_name_that_is_none_after_renaming_lets_nobody_in(dispatcher):
    portal = serve(RenamingChecker.start(users(), lambda name: ""))
    with pytest.raises(CheckerUnavailable):
        login(portal)


def test_lists_say_who_may_come_in(dispatcher):
    both = {"ann": "right", "bob": "right"}
    allowed = serve(AllowingChecker.start(users(**both), ["ann"]))
    denied = serve(DenyingChecker.start(users(**both), ["ann"]))
    bob = UsernamePassword("bob", "right")
    assert login(allowed).avatar_id == "ann"
    assert login(denied, bob).avatar_id == "bob"
    for portal, credentials in ((allowed, bob), (denied, ANN)):
        with pytest.raises(UnauthorizedLogin):
            login(portal, credentials)


def test_a_list_is_read_again_and_ends_sessions(inline, tmp_path):
    path = tmp_path / "denied"
    path.write_text("# nobody yet\n")
    portal = serve(from_string(f"deny[file={path}]:(memory:ann:right)"))
    session = login(portal)
    path.write_text("ann\n")
    inline.advance(2 * POLL)
    assert not session.is_open
    with pytest.raises(UnauthorizedLogin):
        login(portal)
    path.unlink()
    with pytest.raises(CheckerUnavailable):
        login(portal)


def test_a_wrapped_checker_that_crashes_is_restarted_and_one_that_is_down_is_unavailable(
    dispatcher,
):
    inner = Counting.start([])
    portal = serve(CachingChecker.start(inner))
    with pytest.raises(CheckerUnavailable):
        login(portal, UsernamePassword("crash", "x"))
    assert login(portal).avatar_id == "ann"
    inner.stop()
    with pytest.raises(CheckerUnavailable):
        login(portal, UsernamePassword("bob", "x"))


def test_what_is_wrapped_stops_with_the_wrapper(dispatcher):
    outer = from_string("throttle:(cache:(first:(memory:ann:right)(anonymous)))")
    assert actors.statistics().actors == 5
    outer.stop()
    assert outer.actor_stopped.wait(10)
    left = [mailbox for mailbox in list(dispatcher.mailboxes) if not mailbox.stopped]
    for mailbox in left:
        gone = actors.Future()
        mailbox.watch(lambda _, gone=gone: gone.settle())
        gone.get(timeout=10)
    assert actors.statistics().actors == 0


def test_revocations_get_through_all_wrappers(inline):
    inner = users()
    told = []

    class Listener:
        def revoke(self, checker, avatar_id, what):
            told.append((avatar_id, what))

    outer = ThrottlingChecker.start(FirstOf.start(AllowingChecker.start(inner, ["ann"])))
    outer.add_listener(Listener())
    inner.revoke("ann", Revocation.DISABLED)
    assert told == [("ann", Revocation.DISABLED)]
