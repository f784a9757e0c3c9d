"""Users of the system, by a PAM service of the test's own."""

from __future__ import annotations

import re
import sys

import pytest

from actorcred import (
    AccountError,
    CheckerUnavailable,
    MissingExtra,
    UnauthorizedLogin,
)
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from actorcred.checkers.system_groups import full_name_of, groups_of
from actorcred.identity import Identity
from actorcred.portal.events import LoginRefused
from actorcred.standing import Revocation
from tests.backends.system import System
from tests.helpers import Stage

pytest.importorskip("pam", reason="python-pam is not installed: pip install 'actorcred[pam]'")


@pytest.fixture
def system(tmp_path):
    return System(tmp_path)


def test_the_right_password_lets_in_and_account_management_counts(system):
    pairs = {
        ("ann", "right"): "ann",
        ("ann", "wrong"): "refused",
        ("ann", ""): "refused",
        ("nobody-here", "right"): "refused",
        ("expired", "right"): "refused",
        ("aged", "right"): "refused",
        ("mustchange", "right"): "refused",
        ("locked", "right"): "refused",
        ("locked", "!"): "refused",
        ("empty", ""): "refused",
        ("empty", "x"): "refused",
    }
    assert system.check("unix:game", *pairs) == list(pairs.values())
    assert system.log.count("wrong password") == 4
    for name, why in [
        ("expired", "the account has expired"),
        ("aged", "the password has expired"),
        ("mustchange", "the password must be changed first"),
    ]:
        (line,) = [line for line in system.log.splitlines() if f"claimed={name} " in line]
        assert f"the account stack of the PAM service 'game' refused: {why}" in line
        assert "known=True" in line


def test_a_refusal_of_the_account_stack_is_logged_as_that(system):
    assert system.check("unix:closed", ("ann", "right"), ("bob", "right")) == ["refused", "refused"]
    assert (
        "the account stack of the PAM service 'closed' refused: the account may not be used"
        in system.log
    )
    assert "claimed=ann " in system.log


def test_an_empty_password_is_none_whatever_the_service_says(system):
    assert system.check("unix:lax", ("ann", "right"), ("empty", "")) == ["ann", "refused"]


def test_a_service_that_cannot_work_is_unavailable(system):
    assert system.check("unix:broken", ("ann", "right")) == ["unavailable"]
    assert "the auth stack of the PAM service 'broken' failed with " in system.log
    assert system.check("unix:odd", ("ann", "right")) == ["unavailable"]
    assert "the account stack of the PAM service 'odd' failed with " in system.log


def test_a_service_is_the_name_of_a_file_that_is_there():
    with pytest.raises(
        AccountError, match="no PAM service 'no-such-service'"
    ):  # and not the one called "other"
        from_string("unix:no-such-service")
    for text in ("unix:../../tmp/evil", "unix:a\nb"):
        with pytest.raises(DescriptorError, match="name of a file"):
            from_string(text)


class Stack:
    """Answers in the place of the system's PAM, which no test can have in its own process."""

    def __init__(self, code, *, account=False, reason="why"):
        self.code, self.reason, self._account = code, reason, account
        self.asked = None

    def __call__(self):
        return self

    def pam_acct_mgmt(self):
        return self.code

    def authenticate(self, username, password, service, resetcreds):
        self.asked = (username, password, service, resetcreds)
        if self._account:
            self.pam_acct_mgmt()
        return self.code == 0


@pytest.fixture
def game(tmp_path, monkeypatch, inline):
    """Return what starts a portal whose PAM answers so."""
    (tmp_path / "game").write_text("auth required pam_unix.so\n")
    monkeypatch.setattr("actorcred.checkers.unix.FOLDERS", (str(tmp_path),))

    def start(stack, options="threads=2"):
        monkeypatch.setattr("pam.PamAuthenticator", stack)
        stage = Stage(checkers=0)
        stage.portal.register_checker(from_string(f"unix[{options}]:game")).get(timeout=10)
        return stage

    return start


def test_pam_is_asked_once_and_without_touching_credentials(game):
    stack = Stack(0)

    assert game(stack).login("ann", "right").session.avatar_id == "ann"
    assert stack.asked == ("ann", "right", "game", False)
    with pytest.raises(UnauthorizedLogin):
        game(stack).login("ann", "")


@pytest.mark.parametrize(
    ("stack", "kind", "detail", "known"),
    [
        (Stack(7), UnauthorizedLogin, "wrong password", False),
        (Stack(10), UnauthorizedLogin, "no such user", False),
        (Stack(7, account=True), UnauthorizedLogin, "the account may not be used", True),
        (Stack(13, account=True), UnauthorizedLogin, "refused: the account has expired", True),
        (Stack(28), CheckerUnavailable, "the auth stack .* failed with 28: why", None),
        (Stack(28, account=True, reason=b"\xff"), CheckerUnavailable, "account stack", None),
    ],
)
def test_what_pam_says_is_a_refusal_or_a_fault_of_its_own(game, stack, kind, detail, known):
    stage = game(stack)
    with pytest.raises(kind):
        stage.login("ann", "right")
    (refused,) = stage.named(LoginRefused, 1)

    assert re.search(detail, refused.detail)
    assert known is None or refused.known is known


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pam", None)
    with pytest.raises(MissingExtra, match=r"actorcred\[pam\]"):
        from_string("unix:game")


def test_an_account_is_in_its_groups_and_a_stranger_to_the_system_in_none(game, monkeypatch):
    ann = game(Stack(0)).login("root", "right").session.identity
    assert ann == Identity("root", groups=groups_of("root"))
    assert game(Stack(0)).login("no-such-user", "right").session.identity == Identity(
        "no-such-user"
    )


def test_options_say_what_is_looked_up(tmp_path, game, inline):
    for options, expected in (
        ("groups=no", Identity("root")),
        ("groups=no,name=yes", Identity("root", attributes={"name": full_name_of("root")})),
    ):
        stage = game(Stack(0), options)
        assert stage.login("root", "right").session.identity == expected


def test_groups_that_cannot_be_known_make_it_unavailable_and_too_many_are_none(
    game, monkeypatch, caplog
):
    def fail(name):
        raise OSError(110, "Connection timed out")

    monkeypatch.setattr("actorcred.checkers.unix.groups_of", fail)
    with pytest.raises(CheckerUnavailable) as failed:
        game(Stack(0)).login("ann", "right")
    assert "the system's groups cannot be read: Connection timed out" in failed.value.detail

    def too_many(name):
        raise ValueError("there are more than 1000 groups")

    monkeypatch.setattr("actorcred.checkers.unix.groups_of", too_many)
    assert game(Stack(0)).login("ann", "right").session.identity == Identity("ann")
    assert "unix: the list of groups of 'ann' is ignored: there are more than" in caplog.text


def test_what_the_system_says_now_is_known_without_a_login(game):
    from_string("unix:game").actor_inbox.actor.current_identity("root")
    current = from_string("unix:game").actor_inbox.actor.current_identity

    assert current("root").groups == groups_of("root")
    assert current("no-such-user") == Identity("no-such-user")


class Accounts:
    """Answers what the account stack of PAM says of each user."""

    codes: dict[str, int] = {}

    def __init__(self):
        self.code = None

    def pam_authenticate(self, *_):
        raise AssertionError("nobody is asked for a password")

    def authenticate(self, username, password, service, resetcreds):
        assert self.pam_authenticate() == 0
        self.code = self.codes.get(username, 0)
        return self.code == 0


def test_who_is_unknown_or_has_expired_may_not_stay_and_all_else_ends_no_session(game):
    Accounts.codes = {"gone": 10, "over": 13, "aged": 27, "nologin": 7, "down": 9, "change": 12}
    stage = game(Stack(0))
    from actorcred.checkers.unix import UnixChecker

    checker = UnixChecker("game", None, groups=False, full_name=False)
    checker._authenticator = Accounts
    said = checker.check_standing(("ann", *Accounts.codes))
    checker.on_stop()
    assert said.gone == {
        "gone": Revocation.DELETED,
        "over": Revocation.DISABLED,
        "aged": Revocation.DISABLED,
    }
    assert set(said.identities) == {"ann"}
    assert stage.login("ann", "right").session.is_open
