"""What every checker and every realm promises, as tests to subclass.

Write a class whose name begins with `Test`, give it the fixture that makes yours, and say what is right and wrong::

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
from actorcred.actors import ActorRef
from actorcred.checker import CheckerRef
from actorcred.credentials import UsernamePassword
from actorcred.errors import CheckerUnavailable, LoginFailed, NoInterface, UnauthorizedLogin
from actorcred.names import ANONYMOUS
from actorcred.portal.ref import PortalRef
from actorcred.testing.fakes import HOSTILE_NAMES, RecordingMind, Visitor

__all__ = ["CheckerContract", "RealmContract"]

WAIT = 30.0
"""Seconds that one login may take."""

StartPortal = Callable[..., PortalRef]


class CheckerContract:
    """The contract of a checker.

    Attributes:
        right: pairs of credentials that let somebody in, and the avatar id.
        wrong: credentials of a kind that the checker takes, which let nobody in: a wrong secret, an unknown user, ...
        secrets: texts that must not get into a log.
        reusable: whether the right credentials are good more than once.
    """

    right: ClassVar[list[tuple[object, object]]] = []
    wrong: ClassVar[list[object]] = []
    secrets: ClassVar[list[str]] = []
    reusable: ClassVar[bool] = True

    @pytest.fixture
    def checker(self) -> CheckerRef:
        """Return the checker, started; to be overridden."""
        pytest.fail(f"{type(self).__name__} has to override the fixture `checker`")

    @pytest.fixture
    def portal(self, checker: CheckerRef, start_portal: StartPortal) -> PortalRef:
        """Return a portal with the checker."""
        return start_portal(checker)

    @staticmethod
    def log_in(portal: PortalRef, credentials: object) -> Any:
        """Log in, and return the session."""
        return portal.login(credentials, None, Visitor).get(timeout=WAIT).session

    def test_the_suite_has_something_to_try(self) -> None:
        """`right` and `wrong` are filled in."""
        assert self.right, "say in `right` what lets in"
        assert self.wrong, "say in `wrong` what does not"

    def test_it_says_what_it_takes(self, checker: CheckerRef) -> None:
        """All that it is tried with is of a kind that it states."""
        for credentials in [*(credentials for credentials, _ in self.right), *self.wrong]:
            assert isinstance(credentials, checker.credential_interfaces), (
                f"{credentials!r} is not in credential_interfaces"
            )

    def test_the_right_credentials_let_in(self, portal: PortalRef) -> None:
        """Whoever is right is who they claim to be, each time."""
        for _ in range(2 if self.reusable else 1):
            for credentials, avatar_id in self.right:
                session = self.log_in(portal, credentials)
                assert session.avatar_id == avatar_id
                assert avatar_id is not ANONYMOUS or session.avatar_id is ANONYMOUS

    def test_everything_else_is_refused_in_the_same_words(self, portal: PortalRef) -> None:
        """Nobody learns whether a user exists, by text or code."""
        for credentials in self.wrong:
            with pytest.raises(UnauthorizedLogin) as refused:
                self.log_in(portal, credentials)
            assert (str(refused.value), refused.value.code) == ("login refused", "refused")

    def test_hostile_names_let_nobody_in(self, checker: CheckerRef, portal: PortalRef) -> None:
        """Names made to break a query, a path or a log are those of nobody, and no crash."""
        if not issubclass(UsernamePassword, checker.credential_interfaces):
            return
        for name in HOSTILE_NAMES:
            with pytest.raises(UnauthorizedLogin):
                self.log_in(portal, UsernamePassword(name, "nobody's password"))

    def test_many_at_once_are_answered_each_its_own_way(self, portal: PortalRef) -> None:
        """No answer gets to another login."""
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
        """Credentials that nobody waits for any more do not hold up those who wait."""
        for credentials in self.wrong * 20:
            portal.login(credentials, None, Visitor).cancel()
        credentials, who = self.right[0]
        assert self.log_in(portal, credentials).avatar_id == who

    def test_no_secret_gets_into_a_log(
        self, portal: PortalRef, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Logs at any level are free of secrets, and so are texts of errors."""
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

    def test_when_it_has_stopped_nobody_gets_in(
        self, checker: CheckerRef, portal: PortalRef
    ) -> None:
        """A checker that is gone is unavailable, and its actor is gone for good."""
        checker.stop(timeout=WAIT)
        assert checker.actor_stopped.wait(WAIT)
        with pytest.raises(CheckerUnavailable):
            self.log_in(portal, self.right[0][0])


class Unwanted:
    """An interface that no realm has."""


class RealmContract:
    """The contract of a realm.

    Attributes:
        avatar_ids: for whom avatars are asked; `ANONYMOUS` may be among them.
    """

    avatar_ids: ClassVar[list[Any]] = ["ann"]

    @pytest.fixture
    def realm(self) -> ActorRef[Any]:
        """Return the realm, started; to be overridden."""
        pytest.fail(f"{type(self).__name__} has to override the fixture `realm`")

    @pytest.fixture
    def portal(self, realm: ActorRef[Any], start_portal: StartPortal) -> PortalRef:
        """Return a portal with the realm, and a checker that lets everybody in."""
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
        """What clients may ask for is stated."""
        assert realm.actor_class.interfaces
        assert all(isinstance(interface, type) for interface in realm.actor_class.interfaces)

    def test_each_interface_has_an_avatar_that_implements_it(
        self, realm: ActorRef[Any], portal: PortalRef
    ) -> None:
        """The realm keeps what it lists, also when it is not the first choice."""
        for avatar_id in self.avatar_ids:
            for interface in realm.actor_class.interfaces:
                assert self.log_in(portal, avatar_id, None, interface).interface is interface
                assert (
                    self.log_in(portal, avatar_id, None, Unwanted, interface).interface is interface
                )

    def test_what_it_does_not_have_is_no_interface(self, portal: PortalRef) -> None:
        """Such a login fails, and leaves nothing."""
        for avatar_id in self.avatar_ids:
            with pytest.raises(NoInterface):
                self.log_in(portal, avatar_id, None, Unwanted)
        assert portal.count().get(timeout=WAIT) == 0

    def test_logout_ends_the_avatar_and_tells_the_client_once(
        self, realm: ActorRef[Any], portal: PortalRef
    ) -> None:
        """Calling it again does nothing."""
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
        """Users have nothing of each other's ends."""
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
        """When the server goes down, everybody is logged out."""
        for avatar_id in self.avatar_ids:
            self.log_in(portal, avatar_id, None, realm.actor_class.interfaces[0])
        assert portal.drain(WAIT).get(timeout=WAIT) == len(self.avatar_ids)
        portal.stop(timeout=WAIT)
        realm.stop(timeout=WAIT)
        assert actors.shutdown(WAIT) == []
        assert actors.statistics().actors == 0


class _Name:
    """Credentials of somebody whom the test believes."""

    def __init__(self, avatar_id: Any) -> None:
        self.avatar_id = avatar_id
