"""The times of a login's steps: what a login did not do has no time, and the sum is the whole."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

import pytest

from actorcred import Future, LoginFailed, Portal, PortalOptions, UsernamePassword
from actorcred.actors import Future as AnyFuture
from actorcred.checkers.memory import MemoryChecker
from actorcred.credentials import (
    Combined,
    HashTimes,
    OneTimePassword,
    note_hashing,
    with_source,
)
from actorcred.portal.events import LoggedIn, LoginRefused
from actorcred.portal.steps import NO_TIMES, StepTimes, times_of
from actorcred.throttle import Penalty
from tests.helpers import Arena, Player, Stage, until


@dataclass
class Login:
    began: float | None = 10.0
    looked: float | None = None
    proven_at: float | None = None
    hashed: HashTimes | None = None


@pytest.mark.parametrize(
    ("login", "now", "checked", "expected"),
    [
        (Login(None), 20.0, False, NO_TIMES),
        (Login(), 10.5, False, StepTimes(0.0, 500.0, None, None)),
        (Login(looked=40.0), 13.0, False, StepTimes(3000.0, 0.0, None, None)),
        (Login(looked=11.0, proven_at=13.0), 14.0, True, StepTimes(1000.0, 2000.0, None, 1000.0)),
        (
            Login(proven_at=13.0, hashed=HashTimes(1.0, 0.5)),
            13.0,
            True,
            StepTimes(1000.0, 1500.0, 500.0, 0.0),
        ),
        (Login(), 13.0, True, StepTimes(0.0, None, None, None)),
    ],
)
def test_the_steps_add_up_to_the_whole(
    login: Login, now: float, checked: bool, expected: StepTimes
) -> None:
    assert times_of(login, now, checked=checked) == expected


def test_a_step_that_was_not_taken_is_no_field_of_the_log() -> None:
    assert dict(StepTimes(1.0, 2.0, None, 3.0).audit_fields()) == {
        "queue_ms": 1.0,
        "check_ms": 2.0,
        "realm_ms": 3.0,
    }


def test_the_steps_of_a_login_that_waits_are_measured_on_the_portals_clock(inline):
    stage = Stage(PortalOptions(penalty=Penalty(step=1.0, free_failures=1)))
    first: Future[Any] = Future()
    second: Future[Any] = Future()
    stage.checker_answers.extend([lambda: first, lambda: second])
    pending = [stage.begin(), stage.begin()]
    inline.advance(2)
    first.settle("ann")
    inline.advance(3)
    stage.realm_answers.append(place := AnyFuture[Any]())
    second.settle("ann")
    inline.advance(4)
    from actorcred import NoInterface

    place.settle_error(NoInterface((Player,)))
    pending[0].get(timeout=10)
    with pytest.raises(LoginFailed):
        pending[1].get(timeout=10)
    assert stage.named(LoggedIn)[0].steps == StepTimes(0.0, 2000.0, None, 0.0)
    assert stage.named(LoginRefused)[0].steps == StepTimes(2000.0, 3000.0, None, 4000.0)


def test_hashing_and_its_queue_are_not_part_of_the_check():
    users = MemoryChecker.start({"ann": "s3cret"}, rounds=6)
    told: list[Any] = []
    portal = Portal.start(Arena.start([]), [users])
    portal.subscribe(told.append).get(timeout=10)
    with pytest.raises(LoginFailed):
        portal.login(UsernamePassword("ann", "wrong"), None, Player).get(timeout=30)
    portal.login(UsernamePassword("ann", "s3cret"), None, Player).get(timeout=30)
    portal.drain().get(timeout=30)
    until(lambda: len(told) >= 2)  # subscribers are told later
    refused, granted, *_ = told
    for event in (refused, granted):
        assert event.steps.hash > 0
    assert refused.steps.realm is None
    assert granted.steps.realm is not None


def test_the_hashing_of_several_checkers_and_of_several_parts_is_added_up() -> None:
    password = UsernamePassword("ann", "s3cret")
    code = OneTimePassword("ann", "123456")
    assert Combined((password, code)).hashing is None
    note_hashing(password, 1.0, 2.0)
    note_hashing(password, 1.0, 2.0)
    note_hashing(code, 5.0, 5.0)  # nothing is hashed for it
    assert password.hashing == HashTimes(2.0, 4.0)
    other = UsernamePassword("ann", "hush")
    note_hashing(other, 1.0, 1.0)
    assert Combined((password, code, other)).hashing == HashTimes(3.0, 5.0)


def test_credentials_with_a_time_are_equal_and_copied_as_before() -> None:
    password = UsernamePassword("ann", "s3cret")
    note_hashing(password, 1.0, 2.0)
    fresh = UsernamePassword("ann", "s3cret")
    assert password == fresh
    assert repr(password) == repr(fresh)
    assert copy.copy(fresh) == fresh
    assert pickle.loads(pickle.dumps(password)) == fresh


def test_the_hashing_of_copied_credentials_is_noted_as_well() -> None:
    password = UsernamePassword("ann", "s3cret")
    for made in (copy.copy(password), with_source(password, "192.0.2.1")):
        note_hashing(made, 1.0, 2.0)
        assert Combined((made,)).hashing == HashTimes(1.0, 2.0)
