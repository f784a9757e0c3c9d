"""An exchange goes its steps in order, and does not show whether its user exists."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actorcred import ProtocolError, ScramVerifier, UnauthorizedLogin, UsernameScram
from actorcred.exchange import TRANSITIONS, ExchangeEvent, ExchangeState, step

VERIFIER = ScramVerifier(b"salt", b"stored", b"server", 4096)


class Scram(UsernameScram):
    """Notes which way it was taken."""

    def __init__(self, *, last: bool) -> None:
        self.username, self.last = "ann", last
        self.way = ""

    def verify(self, verifier: ScramVerifier, decided: Callable[[bool], object]) -> None:
        self.way = "verified"
        decided(True)

    def pretend(self, decided: Callable[[bool], object]) -> None:
        self.way = "pretended"
        decided(False)

    def respond(self, data: bytes) -> None: ...


def test_each_event_leads_on_and_nothing_follows_the_end() -> None:
    state = step(ExchangeState.NEW, ExchangeEvent.CHALLENGE)
    assert step(state, ExchangeEvent.ANSWER) is ExchangeState.OVER
    assert set(TRANSITIONS) == set(ExchangeState)
    for event in ExchangeEvent:
        with pytest.raises(ProtocolError, match=f"out of order: {event.value} in an exchange"):
            step(ExchangeState.OVER, event)


def test_an_answer_before_a_question_is_out_of_order() -> None:
    with pytest.raises(ProtocolError, match="answer in an exchange that is new"):
        step(ExchangeState.NEW, ExchangeEvent.ANSWER)


def test_a_known_user_is_verified_and_an_unknown_one_is_not_told_so_by_the_last_checker() -> None:
    verdicts: list[bool] = []
    known, unknown = Scram(last=False), Scram(last=True)
    known.check(VERIFIER, verdicts.append)
    unknown.check(None, verdicts.append)

    assert (known.way, unknown.way, verdicts) == ("verified", "pretended", [True, False])


def test_another_checker_is_asked_before_anybody_pretends() -> None:
    exchange = Scram(last=False)
    with pytest.raises(UnauthorizedLogin) as raised:
        exchange.check(None, print)
    assert raised.value.detail == "no such user, or no SCRAM verifier"
    assert exchange.way == ""


def test_what_a_server_keeps_of_a_password_does_not_show() -> None:
    assert repr(VERIFIER) == "ScramVerifier(iterations=4096)"
