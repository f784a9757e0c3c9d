"""One SASL login at a server, step by step, without I/O."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorcred.credentials import BearerToken, UsernamePassword
from actorcred.errors import LoginDenied, ProtocolError, UnauthorizedLogin
from actorcred.exchange import Exchange, ExchangeState, UsernameScram
from actorcred.identity import ClientInfo, TLSInfo
from actorcred.sasl.mechanism import (
    Challenge,
    Credentials,
    Secrets,
    ServerMechanism,
    Step,
)
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS, SERVER_MECHANISMS
from actorcred.sasl.scram import ScramSHA256, make_verifier
from actorcred.sasl.stepper import (
    TRANSITIONS,
    WAIT,
    Accepted,
    Failed,
    LoginEvent,
    LoginState,
    Stepper,
)

CLIENT = ClientInfo(encrypted=True)
VERIFIER = make_verifier("pencil", 4096)
PLAIN = b"\0ann\0s3cret"
TOKEN = b"n,,\x01auth=Bearer vF9dft4qmT\x01\x01"


def stepper(name: str, *, replies_carry_data: bool = False) -> Stepper:
    return Stepper(SERVER_MECHANISMS[name](CLIENT), replies_carry_data=replies_carry_data)


class Scram:
    """A SCRAM login whose checker knows the password "pencil"."""

    def __init__(self, password: str = "pencil", *, replies_carry_data: bool = False) -> None:
        self.client = CLIENT_MECHANISMS["SCRAM-SHA-256"](Secrets("ann", password))
        self.stepper = stepper("SCRAM-SHA-256", replies_carry_data=replies_carry_data)
        step = self.stepper.receive(self.client.start())
        assert isinstance(step, Credentials)
        assert isinstance(step.credentials, UsernameScram)
        self.exchange = step.credentials
        self.verdicts: list[bool] = []
        self.challenges: list[bytes] = []
        self.exchange.on_challenge = self.challenges.append

    def examined(self) -> Stepper:
        """Have the checker challenge the client."""
        self.exchange.verify(VERIFIER, self.verdicts.append)
        assert self.stepper.challenged(self.challenges[0]) == Challenge(self.challenges[0])
        return self.stepper

    def answered(self) -> Stepper:
        """Have the client answer."""
        self.examined()
        assert self.stepper.receive(self.client.answer(self.challenges[0])) is WAIT
        return self.stepper


def explained() -> Stepper:
    made = stepper("OAUTHBEARER")
    made.receive(TOKEN)
    assert isinstance(made.refused(UnauthorizedLogin()), Challenge)
    return made


def pretending() -> tuple[Stepper, bytes]:
    login = Scram()
    assert login.stepper.refused(UnauthorizedLogin("who?")) is WAIT
    return login.stepper, login.challenges[0]


def pretended() -> Stepper:
    made, challenge = pretending()
    made.challenged(challenge)
    return made


def proven() -> Stepper:
    made = Scram().answered()
    assert isinstance(made.succeeded(), Challenge)
    return made


def after(name: str, *messages: bytes | None) -> Callable[[], Stepper]:
    def make() -> Stepper:
        made = stepper(name)
        for message in messages:
            made.receive(message)
        return made

    return make


IN_STATE: dict[LoginState, Callable[[], Stepper]] = {
    LoginState.NEW: after("PLAIN"),
    LoginState.CHALLENGED: after("PLAIN", None),
    LoginState.DECIDING: after("PLAIN", PLAIN),
    LoginState.EXAMINED: lambda: Scram().examined(),
    LoginState.PRETENDING: lambda: pretending()[0],
    LoginState.PRETENDED: pretended,
    LoginState.EXPLAINED: explained,
    LoginState.PROVEN: proven,
    LoginState.OVER: after("PLAIN", b"rubbish"),
}


# -- the table ---------------------------------------------------------------------------


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(LoginState) == set(IN_STATE)
    for state, make in IN_STATE.items():
        assert make().state is state
    reached = {state for row in TRANSITIONS.values() for state in row.values()}
    assert reached | {LoginState.NEW} == set(LoginState)
    assert {event for row in TRANSITIONS.values() for event in row} == set(LoginEvent)


@pytest.mark.parametrize("state", LoginState)
def test_a_login_can_fail_in_every_state_but_the_last(state: LoginState) -> None:
    made = IN_STATE[state]()
    assert (LoginEvent.FAIL in TRANSITIONS[state]) == (state is not LoginState.OVER)
    if state is not LoginState.OVER:
        assert isinstance(made.failed(ProtocolError("aborted")), Failed)
        assert made.over


@pytest.mark.parametrize("state", LoginState)
def test_the_client_is_read_in_states_that_wait_for_it_only(state: LoginState) -> None:
    made = IN_STATE[state]()
    waits = state not in {LoginState.DECIDING, LoginState.PRETENDING, LoginState.OVER}
    assert made.waits_for_client == waits
    if waits:
        made.receive(PLAIN)
    else:
        with pytest.raises(ProtocolError, match=f"out of order: answer .* is {state}"):
            made.receive(PLAIN)
        assert made.state is state


@pytest.mark.parametrize("state", LoginState)
@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (lambda made: made.challenged(b"?"), {LoginState.DECIDING, LoginState.PRETENDING}),
        (lambda made: made.succeeded(), {LoginState.DECIDING, LoginState.EXAMINED}),
        (lambda made: made.refused(UnauthorizedLogin()), {*LoginState} - {LoginState.OVER}),
        (lambda made: made.failed(LoginDenied()), {*LoginState} - {LoginState.OVER}),
    ],
    ids=["challenged", "succeeded", "refused", "failed"],
)
def test_a_call_out_of_order_is_an_error_and_changes_nothing(
    state: LoginState, call: Any, allowed: set[LoginState]
) -> None:
    made = Scram().stepper if state is LoginState.DECIDING else IN_STATE[state]()
    if state in allowed:
        call(made)
        return
    with pytest.raises(ProtocolError, match="out of order"):
        call(made)
    assert made.state is state


# -- credentials in one message ----------------------------------------------------------


def test_credentials_with_the_choice_of_the_mechanism() -> None:
    made = stepper("PLAIN")
    assert made.receive(PLAIN) == Credentials(UsernamePassword("ann", "s3cret"))
    assert made.exchange is None
    assert made.succeeded() == Accepted()
    assert made.over


def test_no_checker_can_ask_about_credentials_that_are_complete() -> None:
    made = stepper("PLAIN")
    made.receive(PLAIN)
    with pytest.raises(ProtocolError, match="out of order"):
        made.challenged(b"?")
    assert made.succeeded() == Accepted()


def test_a_client_that_sends_nothing_first_is_challenged_with_nothing() -> None:
    made = stepper("PLAIN")
    assert made.receive(None) == Challenge(b"")
    assert made.receive(PLAIN) == Credentials(UsernamePassword("ann", "s3cret"))


def test_a_mechanism_may_challenge_several_times() -> None:
    class Chatty(ServerMechanism):
        name = "CHATTY"
        credentials = UsernamePassword
        questions = (b"name?", b"password?")

        def step(self, data: bytes | None) -> Step:
            if data is None or len(data) < 2:
                return Challenge(self.questions[len(data or b"")])
            return Credentials(UsernamePassword("ann", "x"))

        take = step

    made = Stepper(Chatty(CLIENT))
    assert made.receive(None) == Challenge(b"name?")
    assert made.receive(b"a") == Challenge(b"password?")
    assert isinstance(made.receive(b"ann"), Credentials)


@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("error", [UnauthorizedLogin(), LoginDenied(retry_after=3)])
def test_a_refusal_ends_the_login(carried: bool, error: Exception) -> None:
    made = stepper("PLAIN", replies_carry_data=carried)
    made.receive(PLAIN)
    assert made.refused(error) == Failed(error)
    assert made.over


@pytest.mark.parametrize("initial", [b"rubbish", b"\0\0x", b"\0ann\0\xff", b""])
def test_what_the_mechanism_does_not_define_ends_the_login(initial: bytes) -> None:
    made = stepper("PLAIN")
    step = made.receive(initial)
    assert isinstance(step, Failed)
    assert isinstance(step.error, ProtocolError)
    assert not step.unseen
    assert made.over


@pytest.mark.parametrize(
    ("name", "initial"),
    [("CRAM-MD5", b"a\0b " + b"0" * 32), ("SCRAM-SHA-256", b"n,,n=a\x07b,r=rOprNGfwEb")],
)
def test_a_name_that_no_user_can_have_is_to_be_reported(name: str, initial: bytes) -> None:
    made = stepper(name)
    if name == "CRAM-MD5":
        made.receive(None)
    step = made.receive(initial)
    assert isinstance(step, Failed)
    assert isinstance(step.error, UnauthorizedLogin)
    assert step.unseen


def test_a_client_that_aborts_fails_with_the_error_that_the_protocol_gives() -> None:
    made = stepper("PLAIN")
    made.receive(None)
    error = ProtocolError("aborted by the client")
    assert made.failed(error) == Failed(error)


# -- the mechanism's own error -----------------------------------------------------------


@pytest.mark.parametrize("ending", ["answers", "aborts"])
def test_the_mechanisms_own_error_is_sent_before_the_refusal(ending: str) -> None:
    made = stepper("OAUTHBEARER")
    assert isinstance(made.receive(TOKEN), Credentials)
    refusal = UnauthorizedLogin("expired")
    step = made.refused(refusal)
    assert isinstance(step, Challenge)
    assert b"invalid_token" in step.challenge
    end = made.receive(b"\x01") if ending == "answers" else made.failed(ProtocolError("aborted"))
    assert end == Failed(refusal)
    assert made.over


def test_the_mechanisms_own_error_is_not_sent_where_replies_say_it_all() -> None:
    made = stepper("OAUTHBEARER", replies_carry_data=True)
    made.receive(TOKEN)
    refusal = UnauthorizedLogin("expired")
    assert made.refused(refusal) == Failed(refusal)


def test_the_mechanisms_own_error_is_not_sent_for_any_other_failure() -> None:
    made = stepper("OAUTHBEARER")
    step = made.receive(TOKEN)
    assert isinstance(step, Credentials)
    assert isinstance(step.credentials, BearerToken)
    denied = LoginDenied()
    assert made.failed(denied) == Failed(denied)


# -- exchanges with a checker ------------------------------------------------------------


def test_the_servers_proof_is_the_last_challenge() -> None:
    login = Scram()
    made = login.answered()
    assert made.exchange is login.exchange
    assert login.verdicts == [True]
    step = made.succeeded()
    assert isinstance(step, Challenge)
    login.client.finish(step.challenge)
    assert not made.over
    assert made.receive(b"") == Accepted()
    assert made.over


def test_the_servers_proof_is_in_the_reply_if_it_has_a_place_for_it() -> None:
    login = Scram(replies_carry_data=True)
    step = login.answered().succeeded()
    assert isinstance(step, Accepted)
    login.client.finish(step.data)
    assert login.stepper.over


def test_a_client_that_does_not_take_the_servers_proof_fails() -> None:
    error = ProtocolError("aborted by the client")
    assert proven().failed(error) == Failed(error)


def test_a_wrong_password_is_refused() -> None:
    login = Scram("pencils")
    made = login.answered()
    assert login.verdicts == [False]
    refusal = UnauthorizedLogin()
    assert made.refused(refusal) == Failed(refusal)


def test_a_refusal_while_the_client_is_asked_does_not_wait_for_its_answer() -> None:
    made = Scram().examined()
    refusal = UnauthorizedLogin("the account was locked meanwhile")
    assert made.refused(refusal) == Failed(refusal)


def test_a_user_that_no_checker_knows_is_asked_all_the_same() -> None:
    login = Scram()
    refusal = UnauthorizedLogin("who?")
    assert login.stepper.refused(refusal) is WAIT
    made, (challenge,) = login.stepper, login.challenges
    assert made.challenged(challenge) == Challenge(challenge)
    assert made.receive(login.client.answer(challenge)) == Failed(refusal)
    assert login.exchange.state is ExchangeState.OVER
    assert login.exchange.outcome is None


def test_a_user_that_no_checker_knows_may_abort_like_any_other() -> None:
    error = ProtocolError("aborted by the client")
    assert pretended().failed(error) == Scram().examined().failed(error) == Failed(error)


def test_a_user_that_no_checker_knows_is_not_asked_at_a_denial() -> None:
    login = Scram()
    denied = LoginDenied()
    assert login.stepper.failed(denied) == Failed(denied)
    assert login.challenges == []


def test_an_answer_without_data_is_an_empty_one() -> None:
    login = Scram()
    assert login.examined().receive(None) is WAIT
    assert login.verdicts == [False]


def test_a_checker_may_ask_several_times_and_decide_within_the_answer() -> None:
    class Twice(Exchange):
        username = "ann"
        answers: list[bytes]

        def __init__(self) -> None:
            self.answers = []

        def pretend(self, decided: Callable[[bool], object]) -> None:
            raise AssertionError("the client was asked")

        def respond(self, data: bytes) -> None:
            self.answers.append(data)
            if len(self.answers) == 1:
                made.challenged(b"two?")
            else:
                made.succeeded()

    class Quiz(ServerMechanism):
        name = "QUIZ"
        credentials = Twice

        def take(self, data: bytes | None) -> Step:
            return Credentials(Twice())

    made = Stepper(Quiz(CLIENT))
    step = made.receive(None)
    assert isinstance(step, Credentials)
    made.challenged(b"one?")
    assert made.receive(b"1") is WAIT
    assert made.state is LoginState.EXAMINED
    assert made.receive(b"2") is WAIT
    assert made.over


@pytest.mark.parametrize("error", [ProtocolError("no answer"), UnauthorizedLogin("no user")])
def test_an_exchange_may_reject_an_answer(error: Exception) -> None:
    class Strict(ScramSHA256):
        def respond(self, data: bytes) -> None:
            raise error

    login = Scram()
    login.stepper.exchange = Strict("n,,n=ann,r=rOprNGfwEb")
    step = login.examined().receive(b"x")
    assert step == Failed(error, unseen=isinstance(error, UnauthorizedLogin))
    assert login.stepper.over


# -- any client, any order ---------------------------------------------------------------

MESSAGES = st.sampled_from(
    [None, b"", b"*", PLAIN, TOKEN, b"ann " + b"0" * 32, b"n,,n=ann,r=abcdefghijkl", b"\xff\0"]
) | st.binary(max_size=40)
CALLS = st.one_of(
    st.tuples(st.just("receive"), MESSAGES),
    st.tuples(st.just("challenged"), st.binary(max_size=8)),
    st.tuples(st.just("succeeded")),
    st.tuples(st.sampled_from(["refused", "failed"]), st.just(UnauthorizedLogin())),
    st.tuples(st.just("failed"), st.just(ProtocolError("aborted"))),
)


@given(st.sampled_from(sorted(SERVER_MECHANISMS)), st.booleans(), st.lists(CALLS, max_size=6))
@settings(max_examples=500, deadline=None)
def test_no_sequence_of_calls_raises_anything_but_a_protocol_error(
    name: str, carried: bool, calls: list[Any]
) -> None:
    client = ClientInfo(
        encrypted=True, tls=TLSInfo(binding=("tls-server-end-point", b"certificate"))
    )
    made = Stepper(SERVER_MECHANISMS[name](client), replies_carry_data=carried)
    for method, *args in calls:
        over = made.over
        step = None
        with contextlib.suppress(ProtocolError):
            step = getattr(made, method)(*args)
        assert step is None or not over
        assert made.over == (over or isinstance(step, Accepted | Failed))
