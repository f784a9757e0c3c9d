"""Who may connect and try to log in. The test controls time and chance."""

from __future__ import annotations

import pytest

from actorcred.network import source_of
from actorcred.rpc.server.guard import ConnectionLimiter, Place, RateLimit
from actorcred.throttle import Penalties, Penalty


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("rubbish", "rubbish"),
        ("ru:bbish", "ru:bbish"),
        ("", ""),
        ("127.0.0.1", ""),
        ("127.8.9.10", ""),
        ("::1", ""),
        ("::ffff:127.0.0.1", ""),
    ],
)
def test_an_ipv6_customer_is_one_source(address: str, source: str) -> None:
    assert source_of(address) == source


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1"])
def test_loopback_is_a_source_where_it_is_asked_for(address: str) -> None:
    assert source_of(address, loopback=True).removesuffix("/64") in {address, "::"}


def test_one_source_cannot_take_all_places() -> None:
    admission = ConnectionLimiter(10, 2)
    assert admission.enter("a", 1.0) is None
    assert admission.enter("a", 1.0) is None
    assert "this source" in str(admission.enter("a", 1.0))
    assert admission.enter("b", 1.0) is None
    admission.leave("a")
    assert admission.enter("a", 1.0) is None


def test_refusals_at_random_begin_at_half_and_are_certain_when_it_is_full() -> None:
    admission = ConnectionLimiter(10, 100)
    for number in range(5):
        assert admission.enter(str(number), 0.0) is None
    assert admission.enter("x", 0.0) is None  # above half the chance rises from zero
    assert "at random" in str(admission.enter("y", 0.1))
    for _ in range(4):
        assert admission.enter("z", 0.99) is None
    assert "10 connections" in str(admission.enter("z", 1.0))
    assert len(admission) == 10


def test_chance_decides_nothing_below_half_unless_all_connections_are_taken() -> None:
    admission = ConnectionLimiter(10, 100, 30)
    for number in range(6):
        assert admission.is_crowded(0.0) is None
        assert admission.enter(str(number), 0.0) is None
    assert admission.is_crowded(0.0) is not None
    admission.leave("0")
    assert admission.is_crowded(0.0) is None
    for _ in range(24):
        assert admission.enter("a", 0.0) is None
        admission.leave("a")
    assert admission.is_crowded(0.0) is not None


def test_a_unix_socket_has_no_limit_of_its_own() -> None:
    admission = ConnectionLimiter(100, 1)
    assert admission.enter("", 1.0) is None
    assert admission.enter("", 1.0) is None


def test_penalties_begin_after_some_failures_and_double() -> None:
    penalties = Penalties(Penalty(step=1.0, free_failures=2, longest=8.0))
    waits = []
    now = 0.0
    for _ in range(8):
        penalties.failed("ann", now)
        waits.append(penalties.wait("ann", now))
    assert waits == [0, 0, 1, 2, 4, 8, 8, 8]
    assert penalties.wait("bob", now) == 0


def test_penalties_pass_by_and_are_forgotten_with_time() -> None:
    penalties = Penalties(Penalty(step=1.0, free_failures=2, longest=8.0))
    for _ in range(4):
        penalties.failed("ann", 0.0)
    assert penalties.wait("ann", 0.0) == 2.0
    assert penalties.wait("ann", 1.5) == 0.5
    assert penalties.wait("ann", 2.0) == 0.0
    penalties.failed("ann", 1000.0)
    assert penalties.wait("ann", 1000.0) == 0.0


def test_a_success_forgets_the_failures() -> None:
    penalties = Penalties(Penalty(step=1.0, free_failures=0, longest=8.0))
    penalties.failed("ann", 0.0)
    penalties.succeeded("ann")
    assert penalties.wait("ann", 0.0) == 0.0
    assert len(penalties) == 0


def test_penalties_remember_so_many_and_no_more() -> None:
    penalties = Penalties(Penalty(step=1.0, free_failures=0, longest=8.0), remember=10)
    for number in range(1000):
        penalties.failed(str(number), 0.0)
    assert len(penalties) == 10
    assert penalties.wait("999", 0.0) == 1.0


def test_a_rate_limit_allows_bursts_and_holds_the_average() -> None:
    limit = RateLimit(10.0, 3, 0.0)
    assert [limit.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.take(0.0) == pytest.approx(0.1)
    assert limit.take(0.1) == 0.0
    assert limit.take(0.1) > 0
    assert [limit.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limit.take(100.0) > 0


@pytest.mark.parametrize("now", [0.0, 5.0])
def test_the_burst_is_never_more_than_it_is(now: float) -> None:
    limit = RateLimit(10.0, 2, 0.0)
    assert sum(limit.take(now) == 0.0 for _ in range(10)) == 2


def test_connections_without_a_login_have_half_of_all_places() -> None:
    admission = ConnectionLimiter(1000, 1000, connections=10)
    for number in range(5):
        assert admission.enter(str(number), 1.0) is None
    assert "without a login" in str(admission.enter("x", 1.0))
    for number in range(5):
        admission.leave(str(number))
    for number in range(5):
        assert admission.enter(str(number), 1.0) is None
    for number in range(4):
        admission.leave(str(number))
    assert admission.enter("z", 1.0) == "10 connections"
    admission.gone()
    assert admission.enter("z", 1.0) is None


def test_where_there_are_few_places_one_source_has_no_more_than_half() -> None:
    admission = ConnectionLimiter(1000, 200, connections=16)
    for _ in range(4):
        assert admission.enter("a", 1.0) is None
    assert "this source" in str(admission.enter("a", 1.0))
    assert admission.enter("b", 1.0) is None


def test_a_place_is_given_back_once() -> None:
    admission = ConnectionLimiter(10, 10)
    assert admission.enter("a", 1.0) is None
    place = Place(admission, "a", 0.0)
    place.recognise()
    assert (len(admission), admission.connections) == (0, 1)
    place.leave()
    place.leave()
    place.recognise()
    assert (len(admission), admission.connections) == (0, 0)


def test_who_goes_on_during_a_penalty_is_counted_until_it_is_over() -> None:
    penalties = Penalties(Penalty(step=1.0, free_failures=0, longest=8.0), remember=2)
    assert penalties.denied("ann") == 0
    penalties.failed("ann", 0.0)
    assert [penalties.denied("ann") for _ in range(3)] == [1, 2, 3]
    assert penalties.denials("ann", 0.5) == 3
    assert penalties.denials("ann", 1.5) == 0
    penalties.failed("ann", 1.5)
    assert penalties.denials("ann", 1.5) == 0
    penalties.denied("ann")
    for name in ("bob", "eve"):
        penalties.failed(name, 2.0)
    assert penalties._denials == {}
