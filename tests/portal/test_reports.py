"""Each refusal says its cause, by what and how the client came, and each event has what it can."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from actorcred import (
    CheckerUnavailable,
    Future,
    Identity,
    LoginDenied,
    LoginFailed,
    NoInterface,
    Policy,
    PortalOptions,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.errors import RefusalCause, UnknownKey
from actorcred.identity import ClientInfo
from actorcred.portal.events import LoggedIn, LoggedOut, LoginRefused, SessionKicked
from actorcred.throttle import Admission, Penalty
from tests.helpers import Nothing, Player, Stage, records_of

RPC = ClientInfo(address="192.0.2.7", protocol="rpc", transport="tcp", name="arena-bot")


def login(stage: Stage, password: str = "right", **more: Any) -> Any:
    more = {"client": RPC, **more}
    return stage.portal.login(UsernamePassword("ann", password), None, Player, **more)


def refused(stage: Stage, password: str = "right", **more: Any) -> LoginRefused:
    with pytest.raises(LoginFailed):
        login(stage, password, **more).get(timeout=10)
    return stage.named(LoginRefused, 1)[-1]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (UnauthorizedLogin("no"), RefusalCause.WRONG_CREDENTIALS),
        (UnknownKey("no"), RefusalCause.UNKNOWN_KEY),
        (CheckerUnavailable("no"), RefusalCause.UNAVAILABLE),
        (LoginDenied("no"), RefusalCause.POLICY),
        (LoginDenied("no").because(RefusalCause.FULL), RefusalCause.FULL),
        (
            UnauthorizedLogin("no").because(RefusalCause.NOT_PERMITTED),
            RefusalCause.NOT_PERMITTED,
        ),
        (ValueError("a bug"), RefusalCause.WRONG_CREDENTIALS),
    ],
)
def test_a_refusal_says_its_cause_and_the_client_is_not_told(inline, error, cause):
    stage = Stage()
    stage.checker_answers.append(error)
    event = refused(stage)
    assert event.cause is cause
    assert str(cause) not in str(error) or isinstance(error, CheckerUnavailable)


def test_of_several_checkers_a_wrong_password_is_the_cause(inline):
    stage = Stage(checkers=2)
    stage.checker_answers.extend([UnauthorizedLogin("no"), UnknownKey("no")])
    assert refused(stage).cause is RefusalCause.WRONG_CREDENTIALS
    stage.checker_answers.extend([UnknownKey("no"), UnknownKey("no")])
    assert refused(stage).cause is RefusalCause.UNKNOWN_KEY


def test_penalties_say_whether_they_are_the_sources_or_the_accounts(inline):
    stage = Stage(PortalOptions(penalty=Penalty(step=60.0, free_failures=1)))
    for _ in range(2):
        refused(stage, "wrong")
    assert refused(stage).cause is RefusalCause.PENALTY_SOURCE
    elsewhere = ClientInfo(address="198.51.100.1")
    assert refused(stage, client=elsewhere).cause is RefusalCause.PENALTY_ACCOUNT
    denied = stage.portal.must_wait(RPC)
    assert denied is not None
    assert denied.cause is RefusalCause.PENALTY_SOURCE


def test_limits_say_which_they_are(inline):
    def stuck() -> Any:
        return Future()

    stage = Stage(PortalOptions(admission=Admission(logins=1)))
    stage.checker_answers.append(stuck)
    waiting = login(stage)
    assert refused(stage).cause is RefusalCause.FULL
    waiting.cancel()
    assert stage.named(LoginRefused)[-1].cause is RefusalCause.GIVEN_UP

    stage = Stage(PortalOptions(admission=Admission(logins_per_source=1)))
    stage.checker_answers.append(stuck)
    login(stage)
    assert refused(stage).cause is RefusalCause.SOURCE_FULL

    stage = Stage(PortalOptions(policy=Policy.REJECT))
    login(stage).get(timeout=10)
    assert refused(stage).cause is RefusalCause.SESSION_LIMIT


def test_time_revocation_and_the_end_of_the_server_are_causes(inline):
    stage = Stage(PortalOptions(login_timeout=5.0))
    stage.checker_answers.append(Future)
    late = login(stage)
    inline.advance(6)
    assert stage.named(LoginRefused)[-1].cause is RefusalCause.TIMEOUT
    with pytest.raises(LoginFailed):
        late.get(timeout=10)

    stage.realm_answers.append(Future())
    waiting = login(stage)
    stage.checkers[0].proxy().disable("ann").get(timeout=10)
    assert stage.named(LoginRefused)[-1].cause is RefusalCause.REVOKED
    with pytest.raises(LoginFailed):
        waiting.get(timeout=10)

    stage.portal.drain().get(timeout=10)
    assert refused(stage).cause is RefusalCause.DRAINING


@pytest.mark.parametrize("error", [NoInterface((Player,)), UnauthorizedLogin("banned")])
def test_the_realms_refusal_has_the_identity_and_the_session(inline, error):
    stage = Stage()
    identity = Identity("ann", issuer="https://id.example", methods=frozenset({"hwk"}))
    stage.checker_answers.append(lambda: identity)

    def refuse(*_: Any) -> Any:
        raise error

    stage.realm_answers.append(refuse)
    event = refused(stage)
    assert event.cause is RefusalCause.REALM_REFUSED
    assert (event.avatar_id, event.identity, event.known) == ("ann", identity, True)
    assert event.session_id
    assert event.checker == "PlainChecker"


def test_kinds_that_no_checker_takes_other_users_and_acting_as_are_causes(inline):
    stage = Stage(PortalOptions(may_act_as=lambda proven, wanted: False))
    with pytest.raises(LoginFailed):
        stage.portal.login(object(), None, Player).get(timeout=10)
    assert stage.named(LoginRefused)[-1].cause is RefusalCause.UNHANDLED
    assert refused(stage, authorize_as="bob").cause is RefusalCause.NOT_PERMITTED
    assert refused(stage, authorize_as="\n").cause is RefusalCause.NOT_PERMITTED
    session = login(stage).get(timeout=10).session
    with pytest.raises(LoginFailed):
        stage.portal.reauthenticate(session, UsernamePassword("bob", "right")).get(timeout=10)
    assert stage.named(LoginRefused)[-1].cause is RefusalCause.ANOTHER_USER


def test_what_a_protocol_refuses_is_malformed_unless_it_says_more(inline):
    stage = Stage()
    stage.portal.tell_refused(UnauthorizedLogin("a bad name"), "PLAIN", client=RPC)
    other = UnauthorizedLogin("no such token").because(RefusalCause.WRONG_CREDENTIALS)
    stage.portal.tell_refused(other, "SSH", client=RPC, mechanism="publickey")
    events = stage.named(LoginRefused, 2)
    assert [(event.cause, event.mechanism) for event in events] == [
        (RefusalCause.MALFORMED, "PLAIN"),
        (RefusalCause.WRONG_CREDENTIALS, "publickey"),
    ]


def test_a_session_is_told_with_its_client_its_identity_and_its_mechanism(inline):
    stage = Stage()
    session = login(stage, mechanism="SCRAM-SHA-256").get(timeout=10).session
    stage.portal.kick(session_id=session.id).get(timeout=10)
    (opened,), (kicked,), (ended,) = map(stage.named, (LoggedIn, SessionKicked, LoggedOut))
    assert (opened.claimed, opened.credentials) == ("ann", "UsernamePassword")
    assert opened.mechanism == "SCRAM-SHA-256"
    for event in (opened, kicked, ended):
        assert (event.client, event.identity, event.checker) == (
            RPC,
            Identity("ann"),
            "PlainChecker",
        )
    assert login(stage).get(timeout=10)
    assert stage.named(LoggedIn)[-1].mechanism == "UsernamePassword"


def test_the_log_has_what_the_event_has_and_leaves_out_what_it_must(inline, caplog):
    caplog.set_level(logging.INFO, "actorcred.audit")
    stage = Stage(PortalOptions(log_omit=frozenset({"address", "claimed"})))
    login(stage, mechanism="PLAIN").get(timeout=10)
    (record,) = records_of(caplog, "actorcred.audit")
    assert not hasattr(record, "address")
    (event,) = stage.named(LoggedIn)
    assert event.client.address == "192.0.2.7"
    assert record.created == event.time
    fields = record.event_fields
    assert fields.pop("session_id") == event.session_id
    assert {name: fields.pop(name) >= 0 for name in ("queue_ms", "check_ms", "realm_ms")}
    assert fields == {
        "avatar_id": "ann",
        "interface": "Player",
        "checker": "PlainChecker",
        "credentials": "UsernamePassword",
        "mechanism": "PLAIN",
        "protocol": "rpc",
        "transport": "tcp",
        "encrypted": False,
        "client": "arena-bot",
        "issuer": None,
        "methods": "pwd",
    }


def test_a_set_of_fields_is_no_string() -> None:
    with pytest.raises(TypeError, match="log_omit"):
        PortalOptions(log_omit="address")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'adress' is none of address"):
        PortalOptions(log_omit=frozenset({"adress"}))


def test_no_event_is_made_that_no_one_wants(inline, caplog):
    caplog.set_level(logging.ERROR, "actorcred.audit")
    stage = Stage()
    for subscriber in list(stage.portal.actor_inbox.actor._events._subscribers):
        stage.portal.unsubscribe(subscriber).get(timeout=10)
    stage.begin("ann", "right", Player).get(timeout=10)
    with pytest.raises(LoginFailed):
        stage.begin("ann", "wrong", Nothing).get(timeout=10)
    assert stage.events == []
    assert records_of(caplog, "actorcred.audit") == []
