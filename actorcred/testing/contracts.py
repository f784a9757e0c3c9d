"""The contracts of checkers and realms, as test classes to subclass.

Write a class whose name begins with `Test`, override the fixture that starts your checker, and list
right and wrong credentials::

    class TestMyChecker(CheckerContract):
        right = [(UsernamePassword("ann", "s3cret"), "ann")]
        wrong = [UsernamePassword("ann", "x"), UsernamePassword("nobody", "s3cret")]

        @pytest.fixture
        def checker(self):
            return MyChecker.start()
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from actorcred import actors
from actorcred.actors import ActorRef, Future
from actorcred.checker import CheckerRef
from actorcred.credentials import LoginCredentials, UsernamePassword
from actorcred.errors import CheckerUnavailable, LoginFailed, NoInterface, UnauthorizedLogin
from actorcred.names import ANONYMOUS
from actorcred.portal.options import PortalOptions
from actorcred.portal.ref import PortalRef
from actorcred.standing import AskStanding, Standing
from actorcred.testing.fakes import HOSTILE_NAMES, RecordingMind, Visitor
from actorcred.throttle import Penalty

__all__ = ["CheckerContract", "RealmContract"]

WAIT = 30.0
"""Maximum time for one login, in seconds."""

StartPortal = Callable[..., PortalRef]


class CheckerContract:
    """The contract of a checker.

    Attributes:
        right: pairs of valid credentials and the avatar id.
        wrong: invalid credentials of kinds that the checker accepts: a wrong secret, an unknown
            user, ...
        secrets: strings that must not appear in a log.
        reusable: whether the right credentials are valid more than once.
    """

    right: ClassVar[list[tuple[LoginCredentials, object]]] = []
    wrong: ClassVar[list[LoginCredentials]] = []
    secrets: ClassVar[list[str]] = []
    reusable: ClassVar[bool] = True

    @pytest.fixture
    def checker(self) -> CheckerRef:
        """Return the started checker; must be overridden."""
        pytest.fail(f"{type(self).__name__} must override the fixture `checker`")

    @pytest.fixture
    def portal(self, checker: CheckerRef, start_portal: StartPortal) -> PortalRef:
        """Return a portal with the checker, and without penalties for failed logins."""
        return start_portal(checker, options=PortalOptions(penalty=Penalty(step=0.0)))

    @staticmethod
    def log_in(portal: PortalRef, credentials: LoginCredentials) -> Any:
        """Log in, and return the session."""
        return portal.login(credentials, None, Visitor).get(timeout=WAIT).session

    def test_the_suite_has_something_to_try(self) -> None:
        """`right` and `wrong` are filled in."""
        assert self.right, "`right` must list valid credentials"
        assert self.wrong, "`wrong` must list invalid credentials"

    def test_it_says_what_it_takes(self, checker: CheckerRef) -> None:
        """All credentials in `right` and `wrong` are of a kind that the checker states."""
        for credentials in [*(credentials for credentials, _ in self.right), *self.wrong]:
            assert isinstance(credentials, checker.credential_interfaces), (
                f"{credentials!r} is not in credential_interfaces"
            )

    def test_the_right_credentials_let_in(self, portal: PortalRef) -> None:
        """Right credentials return the right avatar id, each time."""
        for _ in range(2 if self.reusable else 1):
            for credentials, avatar_id in self.right:
                session = self.log_in(portal, credentials)
                assert session.avatar_id == avatar_id
                assert avatar_id is not ANONYMOUS or session.avatar_id is ANONYMOUS

    def test_everything_else_is_refused_in_the_same_words(self, portal: PortalRef) -> None:
        """Neither text nor code reveals whether a user exists."""
        for credentials in self.wrong:
            with pytest.raises(UnauthorizedLogin) as refused:
                self.log_in(portal, credentials)
            assert (str(refused.value), refused.value.code) == ("login refused", "refused")

    def test_hostile_names_let_nobody_in(self, checker: CheckerRef, portal: PortalRef) -> None:
        """Names made to break a query, a path or a log belong to no user and cause no crash."""
        if not issubclass(UsernamePassword, checker.credential_interfaces):
            return
        for name in HOSTILE_NAMES:
            with pytest.raises(UnauthorizedLogin):
                self.log_in(portal, UsernamePassword(name, "nobody's password"))

    def test_many_at_once_are_answered_each_its_own_way(self, portal: PortalRef) -> None:
        """No login gets the answer of another one."""
        times = 10 if self.reusable else 1
        rights = [
            (portal.login(credentials, None, Visitor), who)
            for credentials, who in self.right * times
        ]
        wrongs = [portal.login(credentials, None, Visitor) for credentials in self.wrong * times]
        for future, who in rights:
            assert future.get(timeout=WAIT).session.avatar_id == who
        for future in wrongs:
            with pytest.raises(UnauthorizedLogin):
                future.get(timeout=WAIT)

    def test_a_login_that_is_given_up_harms_no_other(self, portal: PortalRef) -> None:
        """Cancelled logins do not hold up others."""
        for credentials in self.wrong * 20:
            portal.login(credentials, None, Visitor).cancel()
        credentials, who = self.right[0]
        assert self.log_in(portal, credentials).avatar_id == who

    def test_no_secret_gets_into_a_log(
        self, portal: PortalRef, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither logs at any level nor error texts contain secrets."""
        caplog.set_level(logging.DEBUG)
        texts = []
        for credentials in [*(credentials for credentials, _ in self.right), *self.wrong]:
            texts.append(repr(credentials))
            try:
                self.log_in(portal, credentials)
            except LoginFailed as error:
                texts += [str(error), repr(error), error.detail]
        for secret in self.secrets:
            assert secret not in caplog.text
            assert secret not in " ".join(texts)

    def test_who_has_just_logged_in_may_stay_and_strangers_are_no_fault(
        self, checker: CheckerRef, portal: PortalRef
    ) -> None:
        """`standing`, if the checker has one, revokes no account that is as it was at the login."""
        if not checker.tells_standing:
            return
        names = []
        for credentials, avatar_id in self.right:
            identity = self.log_in(portal, credentials).identity
            own = [name for voucher, name in identity.vouchers if voucher == checker]
            names += own or ([] if avatar_id is ANONYMOUS else [identity.avatar_id])
        strangers = [name for name in HOSTILE_NAMES if isinstance(name, str)]
        answer = Asked(checker, (*names, *strangers)).get(timeout=WAIT)
        assert isinstance(answer, Standing), f"standing() returned {answer!r}"
        assert answer.mistake() == ""
        assert not set(answer.gone) & set(names), "an account that is unchanged is revoked"
        assert set(answer.gone) | set(answer.identities) <= {*names, *strangers}
        assert Asked(checker, ()).get(timeout=WAIT) == Standing()

    def test_when_it_has_stopped_nobody_gets_in(
        self, checker: CheckerRef, portal: PortalRef
    ) -> None:
        """Logins with a stopped checker fail as unavailable, and its actor has ended."""
        checker.stop(timeout=WAIT)
        assert checker.actor_stopped.wait(WAIT)
        with pytest.raises(CheckerUnavailable):
            self.log_in(portal, self.right[0][0])


class Asked(Future[Any]):
    """The answer to a question about who may stay logged in."""

    __slots__ = ()

    def __init__(self, checker: CheckerRef, names: tuple[str, ...]) -> None:
        super().__init__()
        checker.tell(AskStanding(self, names))

    def started(self, work: Future[Any]) -> None:
        """Nothing: the test waits for the answer."""


class Unwanted:
    """An interface that no realm provides."""


class RealmContract:
    """The contract of a realm.

    Attributes:
        avatar_ids: the ids for which avatars are requested; can include `ANONYMOUS`.
    """

    avatar_ids: ClassVar[list[Any]] = ["ann"]

    @pytest.fixture
    def realm(self) -> ActorRef[Any]:
        """Return the started realm; must be overridden."""
        pytest.fail(f"{type(self).__name__} must override the fixture `realm`")

    @pytest.fixture
    def portal(self, realm: ActorRef[Any], start_portal: StartPortal) -> PortalRef:
        """Return a portal with the realm, and a checker that accepts every user."""
        from actorcred.checker import Checker

        class Everybody(Checker):
            credential_interfaces = (_Name,)

            def request_avatar_id(self, credentials: _Name) -> Any:
                return credentials.avatar_id

        return start_portal(Everybody.start(), realm=realm)

    @staticmethod
    def log_in(portal: PortalRef, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        """Log in."""
        return portal.login(_Name(avatar_id), mind, *interfaces).get(timeout=WAIT)

    def test_it_lists_its_interfaces(self, realm: ActorRef[Any]) -> None:
        """The realm states which interfaces clients can request."""
        assert realm.actor_class.interfaces
        assert all(isinstance(interface, type) for interface in realm.actor_class.interfaces)

    def test_each_interface_has_an_avatar_that_implements_it(
        self, realm: ActorRef[Any], portal: PortalRef
    ) -> None:
        """The realm provides each interface that it lists, even if it is not the first choice."""
        for avatar_id in self.avatar_ids:
            for interface in realm.actor_class.interfaces:
                assert self.log_in(portal, avatar_id, None, interface).interface is interface
                assert (
                    self.log_in(portal, avatar_id, None, Unwanted, interface).interface is interface
                )

    def test_what_it_does_not_have_is_no_interface(self, portal: PortalRef) -> None:
        """A login with an unknown interface fails and leaves nothing behind."""
        for avatar_id in self.avatar_ids:
            with pytest.raises(NoInterface):
                self.log_in(portal, avatar_id, None, Unwanted)
        assert portal.count().get(timeout=WAIT) == 0

    def test_logout_ends_the_avatar_and_tells_the_client_once(
        self, realm: ActorRef[Any], portal: PortalRef
    ) -> None:
        """Logging out a second time does nothing."""
        mind = RecordingMind()
        login = self.log_in(portal, self.avatar_ids[0], mind, realm.actor_class.interfaces[0])
        for _ in range(2):
            login.logout()
        mind.wait_for("logged_out")
        assert login.avatar.actor_stopped.wait(WAIT)
        assert portal.count().get(timeout=WAIT) == 0
        assert len(mind.named("logged_out")) == 1

    def test_the_end_of_one_avatar_ends_no_other_session(
        self, realm: ActorRef[Any], portal: PortalRef
    ) -> None:
        """The end of one user's avatar does not affect other users."""
        interface = realm.actor_class.interfaces[0]
        first, second = RecordingMind(), RecordingMind()
        gone = self.log_in(portal, self.avatar_ids[0], first, interface)
        stays = self.log_in(portal, self.avatar_ids[-1], second, interface)
        gone.avatar.stop(timeout=WAIT)
        first.wait_for("logged_out")
        if stays.session.avatar_id != gone.session.avatar_id:
            assert stays.session.is_open
        stays.logout()
        second.wait_for("logged_out")

    def test_a_drain_leaves_nothing(self, realm: ActorRef[Any], portal: PortalRef) -> None:
        """When the server shuts down, all sessions end."""
        for avatar_id in self.avatar_ids:
            self.log_in(portal, avatar_id, None, realm.actor_class.interfaces[0])
        assert portal.drain(WAIT).get(timeout=WAIT) == len(self.avatar_ids)
        portal.stop(timeout=WAIT)
        realm.stop(timeout=WAIT)
        assert actors.shutdown(WAIT) == []
        assert actors.statistics().actors == 0


class _Name:
    """Credentials that the test's checker accepts unchecked."""

    proves: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, avatar_id: Any) -> None:
        self.avatar_id = avatar_id
