"""What a checker says of a user and a protocol of its client reaches realm, session and avatar."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorcred import (
    ANONYMOUS,
    Avatar,
    BearerToken,
    CallCode,
    CallError,
    Checker,
    ClientInfo,
    Identity,
    LoginDenied,
    LoginFailed,
    NoInterface,
    Portal,
    PortalRef,
    Realm,
    UnauthorizedLogin,
    UsernamePassword,
    reauthenticated,
    requires,
)
from actorcred.credentials import Anonymous, OneTimePassword
from actorcred.errors import RefusalCause
from actorcred.logout import LogoutCode
from actorcred.portal.events import LoggedIn, LoginRefused, Reauthenticated
from tests.helpers import Player, Stage

STAFF = frozenset({"staff"})
HERE = ClientInfo(address="192.0.2.7", port=5000, protocol="rpc", transport="tcp", name="bot")


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_a_name_is_an_identity_for_realm_session_and_avatar(dispatcher: Any) -> None:
    stage, seen = Stage(), []

    def grant(avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        seen.append((mind.identity, mind.client, dict(mind.info)))
        raise NoInterface

    stage.realm_answers.append(grant)
    with pytest.raises(NoInterface):
        stage.login("ann")
    assert seen == [(Identity("ann"), ClientInfo(), {})]
    login = stage.login("ann")
    assert login.session.identity == login.session.mind.identity == Identity("ann")
    assert login.avatar.proxy().identity.get(timeout=10) == Identity("ann")


def test_an_identity_a_client_and_more_reach_the_realm_before_there_is_an_avatar(
    dispatcher: Any,
) -> None:
    ann = Identity("ann", issuer="https://issuer.example", subject="17", groups=STAFF)
    stage, seen = Stage(), []
    info = {"language": "de"}

    def grant(avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        seen.append((avatar_id, mind.identity, mind.client, mind.info))
        raise NoInterface

    stage.realm_answers.append(grant)
    stage.checker_answers += [ann, ann]
    for _ in range(2):
        login = stage.portal.login(
            UsernamePassword("ann", "right"), None, Player, client=HERE, info=info
        )
        try:
            session = login.get(timeout=10).session
        except LoginFailed:
            info["language"] = "en"  # nothing that the realm has seen changes
    avatar_id, identity, client, told = seen[0]
    assert (avatar_id, identity, client) == ("ann", ann, HERE)
    assert told == {"language": "de"}
    with pytest.raises(TypeError):
        told["language"] = "fr"
    assert (session.identity, session.client) == (ann, HERE)
    logged_in = stage.named(LoggedIn, 1)[0]
    assert (logged_in.client, logged_in.identity) == (HERE, ann)


def test_a_name_counts_as_proven_by_what_the_client_has_presented(dispatcher: Any) -> None:
    class Codes(Checker):
        credential_interfaces = (OneTimePassword, Anonymous)

        def request_avatar_id(self, credentials: Any) -> Any:
            return ANONYMOUS if isinstance(credentials, Anonymous) else credentials.username

    stage = Stage(checkers=0)
    stage.portal.register_checker(Codes.start()).get(timeout=10)

    code = stage.portal.login(OneTimePassword("ann", "123456"), None, Player).get(timeout=10)
    nobody = stage.portal.login(Anonymous(), None, Player).get(timeout=10)

    assert code.session.identity == Identity("ann", methods=frozenset({"otp"}))
    assert nobody.session.identity == Identity(ANONYMOUS, methods=frozenset())


def test_who_acts_as_another_user_is_still_known(dispatcher: Any) -> None:
    stage = Stage(may_act_as=lambda proven, wanted: proven == "root")

    login = stage.portal.login(
        UsernamePassword("root", "right"), None, Player, authorize_as="ann"
    ).get(timeout=10)

    assert login.session.avatar_id == "ann"
    assert login.session.identity.avatar_id == "root"


def test_a_wrong_answer_of_a_checker_names_its_field_and_fails_that_login_only(
    dispatcher: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    wrong: Any = "s3cret-group"
    stage.checker_answers += [lambda: Identity("ann", groups=wrong), 17]

    with pytest.raises(UnauthorizedLogin):
        stage.login("ann")
    with pytest.raises(LoginFailed):
        stage.login("bob")

    assert "PlainChecker could not check UsernamePassword" in caplog.text
    assert "groups must be a frozenset of strings, not a str" in caplog.text
    assert "s3cret-group" not in caplog.text
    assert stage.login("cal").session.is_open


@pytest.mark.parametrize("name", ["client", "info"])
def test_what_a_protocol_gives_is_checked_where_it_is_given(name: str) -> None:
    stage = Stage()
    arguments: dict[str, Any] = {name: "192.0.2.7"}

    with pytest.raises(TypeError, match=f"{name} must be a"):
        stage.portal.login(UsernamePassword("ann", "right"), None, Player, **arguments)


# -- proofs that end ------------------------------------------------------------------------------


def test_a_session_ends_with_its_proof_and_the_client_is_told_a_minute_before(inline: Any) -> None:
    stage = Stage(idle_timeout=None, lifetime=None)
    stage.checker_answers.append(lambda: Identity("ann", expires=soon(100)))
    session = stage.login("ann").session

    inline.advance(35)
    assert stage.notified == []
    inline.advance(10)
    [(name, seconds)] = stage.notified
    assert name == "proof_expires"
    assert 50 < seconds <= 60
    inline.advance(50)
    assert session.is_open
    inline.advance(10)

    assert session.reason is not None
    assert session.reason.code is LogoutCode.PROOF_EXPIRED
    assert [notice[0] for notice in stage.notified] == ["proof_expires", "bye", "logged_out"]


def test_a_client_is_told_once_of_the_end_of_its_proof_however_active_it_is(inline: Any) -> None:
    stage = Stage(idle_timeout=8.0, lifetime=None)
    stage.checker_answers.append(lambda: Identity("ann", expires=soon(100)))
    session = stage.login("ann").session
    for _ in range(19):
        inline.advance(5)
        session.touch()

    assert session.is_open
    assert [notice[0] for notice in stage.notified] == ["proof_expires"]


def test_a_proof_that_has_ended_already_opens_no_session_and_verifies_nothing(
    dispatcher: Any,
) -> None:
    stage = Stage()
    stage.checker_answers += [lambda: Identity("ann", expires=soon(-5))] * 2

    with pytest.raises(UnauthorizedLogin):
        stage.login("ann")
    with pytest.raises(UnauthorizedLogin):
        stage.portal.verify(UsernamePassword("ann", "right")).get(timeout=10)


def test_what_one_checker_says_is_forgotten_when_another_accepts(dispatcher: Any) -> None:
    stage = Stage(checkers=2)
    stage.checker_answers += [lambda: Identity("ann", expires=soon(-5), groups=STAFF), "ann"]

    assert stage.login("ann").session.identity == Identity("ann")


def test_a_checker_with_too_much_to_do_keeps_the_users_of_others_in(dispatcher: Any) -> None:
    stage = Stage(checkers=2)
    full = LoginDenied("too many passwords", retry_after=5, seen=False).because(RefusalCause.FULL)
    stage.checker_answers += [full, "ann"]
    assert stage.login("ann").session.is_open

    stage.checker_answers += [full, UnauthorizedLogin("no")]
    with pytest.raises(LoginDenied) as caught:
        stage.login("bob")
    assert caught.value.retry_after == 5


def test_a_token_without_a_time_is_no_recent_proof(dispatcher: Any) -> None:
    class Tokens(Checker):
        credential_interfaces = (BearerToken,)

        def request_avatar_id(self, credentials: BearerToken) -> Identity:
            return Identity("ann", methods=frozenset({"otp"}))

    stage = Stage()
    stage.portal.register_checker(Tokens.start()).get(timeout=10)
    session = stage.login("ann").session
    stage.portal.reauthenticate(session, BearerToken("stolen")).get(timeout=10)

    with pytest.raises(CallError):
        session.demand(60, frozenset({"otp"}))


def test_who_proves_as_somebody_elses_deputy_leaves_no_groups(dispatcher: Any) -> None:
    stage = Stage(may_act_as=lambda proven, wanted: True)
    session = stage.login("ann").session
    stage.checker_answers.append(Identity("root", groups=STAFF))
    stage.portal.reauthenticate(session, UsernamePassword("root", "right"), authorize_as="ann").get(
        timeout=10
    )

    assert session.identity.groups == frozenset()
    assert session.identity.avatar_id == "ann"


def test_failures_of_a_reauthentication_count_for_the_sessions_client(dispatcher: Any) -> None:
    stage = Stage()
    session = (
        stage.portal.login(UsernamePassword("ann", "right"), None, Player, client=HERE)
        .get(timeout=10)
        .session
    )
    with pytest.raises(UnauthorizedLogin):
        stage.portal.reauthenticate(session, UsernamePassword("ann", "wrong")).get(timeout=10)

    refused = stage.named(LoginRefused, 1)[0]
    assert refused.client == HERE
    assert (refused.session_id, refused.avatar_id) == (session.id, "ann")
    stage.portal.reauthenticate(session, UsernamePassword("ann", "right")).get(timeout=10)
    (proven,) = stage.named(Reauthenticated, 1)
    assert (proven.session_id, proven.avatar_id, proven.client) == (session.id, "ann", HERE)
    assert proven.checker == session.checker


def test_a_newer_proof_moves_the_end_of_the_session(dispatcher: Any) -> None:
    stage = Stage()
    later = soon(3600)
    stage.checker_answers += [
        lambda: Identity("ann", expires=soon(3600), groups=STAFF),
        lambda: Identity("ann", expires=later + timedelta(hours=1), groups=STAFF),
    ]
    session = stage.login("ann").session
    before = session.expiry
    again = UsernamePassword("ann", "right")

    assert stage.portal.reauthenticate(session, again).get(timeout=10) == "ann"

    assert before is not None
    assert session.expiry is not None
    assert session.expiry.at > before.at + 3000
    assert session.identity.expires == later + timedelta(hours=1)
    # A proof that says nothing of an end leaves it where it is.
    stage.portal.reauthenticate(session, again).get(timeout=10)
    assert session.identity.groups == STAFF
    assert session.identity.expires == later + timedelta(hours=1)


def test_the_proof_must_be_of_the_same_user(dispatcher: Any) -> None:
    stage = Stage()
    session = stage.login("ann").session

    with pytest.raises(UnauthorizedLogin):
        stage.portal.reauthenticate(session, UsernamePassword("bob", "right")).get(timeout=10)
    with pytest.raises(CallError):
        session.demand(60)


# -- roles ----------------------------------------------------------------------------------------


class Room(ABC):
    @abstractmethod
    def say(self, text: str) -> str: ...

    @requires("moderator")
    @abstractmethod
    def kick(self, name: str) -> str: ...

    @reauthenticated(within=60)
    @abstractmethod
    def delete(self) -> str: ...

    @reauthenticated(within=60, methods=("otp",))
    @abstractmethod
    def pay(self) -> str: ...


class Guest(Avatar, Room):
    called: list[str]

    def on_start(self) -> None:
        self.called = []

    def say(self, text: str) -> str:
        return text

    def kick(self, name: str) -> str:
        self.called.append("kick")
        return f"{name} is out"

    def delete(self) -> str:
        return "deleted"

    def pay(self) -> str:
        return "paid"


class House(Realm):
    interfaces = (Room,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Guest.start(avatar_id, mind)
        return Room, avatar, avatar.stop


class Said(Checker):
    """Answers with the groups that the password lists."""

    credential_interfaces = (UsernamePassword, OneTimePassword)

    def request_avatar_id(self, credentials: Any) -> Any:
        if isinstance(credentials, OneTimePassword):
            return credentials.username
        return Identity(credentials.username, groups=frozenset(credentials.password.split()))


def house() -> PortalRef:
    return Portal.start(House.start(), [Said.start()])


def test_a_method_that_requires_a_role_is_refused_before_the_avatar_sees_the_call(
    dispatcher: Any,
) -> None:
    portal = house()
    ann = portal.login(UsernamePassword("ann", "moderator"), None, Room).get(timeout=10).avatar
    bob = portal.login(UsernamePassword("bob", "reader"), None, Room).get(timeout=10).avatar

    assert ann.proxy().kick("bob").get(timeout=10) == "bob is out"
    assert bob.proxy().say("hi").get(timeout=10) == "hi"
    with pytest.raises(CallError, match="not permitted") as caught:
        bob.proxy().kick("ann").get(timeout=10)
    assert caught.value.code == CallCode.FORBIDDEN
    assert bob.proxy().called.get(timeout=10) == []


def test_other_actors_of_the_program_need_no_role(dispatcher: Any) -> None:
    login = house().login(UsernamePassword("bob", "reader"), None, Room).get(timeout=10)
    own = login.avatar.actor_inbox.actor.actor_ref

    assert own.proxy().kick("ann").get(timeout=10) == "ann is out"


def test_a_recent_proof_can_be_demanded_in_the_program_too(dispatcher: Any) -> None:
    portal = house()
    login = portal.login(UsernamePassword("ann", "reader"), None, Room).get(timeout=10)
    proxy = login.avatar.proxy()

    with pytest.raises(CallError) as caught:
        proxy.delete().get(timeout=10)
    assert caught.value.code == CallCode.REAUTHENTICATE
    portal.reauthenticate(login.session, UsernamePassword("ann", "reader")).get(timeout=10)
    assert proxy.delete().get(timeout=10) == "deleted"
    with pytest.raises(CallError, match="by otp"):
        proxy.pay().get(timeout=10)
    portal.reauthenticate(login.session, OneTimePassword("ann", "123456")).get(timeout=10)
    assert proxy.pay().get(timeout=10) == "paid"
    assert login.session.identity.methods == {"pwd", "otp"}


def test_an_old_token_is_no_recent_proof(dispatcher: Any) -> None:
    stage = Stage()
    old = Identity("ann", authenticated=soon(-3600))
    stage.checker_answers += ["ann", old]
    session = stage.login("ann").session

    stage.portal.reauthenticate(session, UsernamePassword("ann", "right")).get(timeout=10)

    with pytest.raises(CallError):
        session.demand(60)
    session.demand(4000)


def test_a_session_of_a_live_proof_is_not_named_in_a_warning(
    dispatcher: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage()
    stage.checker_answers.append(lambda: Identity("ann", expires=soon(3600)))
    stage.login("ann")

    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
