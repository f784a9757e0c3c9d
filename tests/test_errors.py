"""What an error tells a client, and what only the log."""

from __future__ import annotations

import pickle

import pytest

from actorcred import (
    CallCode,
    CallError,
    CheckerUnavailable,
    ConnectionLost,
    LoginDenied,
    LoginFailed,
    MissingExtra,
    NoInterface,
    UnauthorizedLogin,
    UnhandledCredentials,
)
from actorcred.errors import UnknownKey, login_error


class Player: ...


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UnauthorizedLogin("no user ann", known=False), "login refused"),
        (UnknownKey("another key"), "login refused"),
        (UnhandledCredentials("no checker"), "login refused"),
        (LoginDenied("two sessions"), "login denied"),
        (LoginDenied("penalty", retry_after=2.5), "login denied, try again in 2.5 s"),
        (NoInterface((Player,)), "no such interface"),
        (CheckerUnavailable("database down"), "login unavailable, try again later"),
    ],
)
def test_the_text_of_a_failed_login_holds_no_detail(error: LoginFailed, text: str) -> None:
    assert str(error) == text
    assert repr(error) == f"{type(error).__name__}()"
    assert error.detail


def test_the_detail_of_a_missing_interface_names_what_was_asked_for() -> None:
    assert NoInterface((Player, LoginFailed)).detail == "none of Player, LoginFailed"
    assert NoInterface().detail == "no interface was requested that the realm lists"


@pytest.mark.parametrize("kind", [UnauthorizedLogin, LoginDenied, NoInterface, CheckerUnavailable])
def test_a_code_of_the_wire_becomes_its_error_again(kind: type[LoginFailed]) -> None:
    assert type(login_error(kind.code)) is kind


def test_a_denial_keeps_its_time_and_a_code_of_a_call_is_no_login() -> None:
    denied = login_error("denied", 3.0)

    assert isinstance(denied, LoginDenied)
    assert denied.retry_after == 3.0
    assert login_error("unknown-method") is None


def test_a_failed_call_says_why_by_a_code_of_ours_or_of_the_application() -> None:
    plain, own = CallError("no"), CallError("no gold", "poor", retry_after=1.0)

    assert (plain.code, plain.message, plain.retry_after) == (CallCode.FAILED, "no", None)
    assert (own.code, own.retry_after) == ("poor", 1.0)


def test_a_lost_connection_is_an_error_of_the_system_too() -> None:
    lost = ConnectionLost("the server went away", "drained", 5.0)

    assert isinstance(lost, ConnectionError)
    assert (str(lost), lost.code, lost.retry_after) == ("the server went away", "drained", 5.0)


def test_a_missing_package_is_named_with_what_to_install() -> None:
    missing = MissingExtra("SQLChecker", "sql")

    assert isinstance(missing, ImportError)
    assert "pip install 'actorcred[sql]'" in str(missing)
    assert missing.extra == "sql"


def test_a_failed_login_can_be_sent_to_another_process() -> None:
    assert str(pickle.loads(pickle.dumps(UnauthorizedLogin("x")))) == "login refused"
