"""Errors cross over between Twisted's side and ours, and none takes a text along."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from twisted.cred import error as theirs

from actorcred import errors as ours
from actorcred.adapters.twisted.errors import our_error, their_error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (theirs.LoginDenied("s3cret"), ours.LoginDenied),
        (theirs.UnhandledCredentials("s3cret"), ours.UnhandledCredentials),
        (theirs.UnauthorizedLogin("s3cret"), ours.UnauthorizedLogin),
        (theirs.Unauthorized("s3cret"), ours.UnauthorizedLogin),
    ],
)
def test_a_refusal_of_twisteds_is_ours(
    error: Exception, kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    made = our_error(error, object())

    assert type(made) is kind
    assert "s3cret" not in made.detail
    assert caplog.text == ""


def test_an_error_of_ours_stays_and_a_fault_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused = ours.UnauthorizedLogin("x")
    assert our_error(refused, object()) is refused
    made = our_error(LookupError("s3cret"), "a checker")

    assert isinstance(made, ours.CheckerUnavailable)
    assert made.detail == "str failed: LookupError"
    assert "str failed: LookupError" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ours.LoginDenied("x", retry_after=2.0), theirs.LoginDenied),
        (ours.UnhandledCredentials("x"), theirs.UnhandledCredentials),
        (ours.UnauthorizedLogin("x"), theirs.UnauthorizedLogin),
        (ours.NoInterface(), NotImplementedError),
    ],
)
def test_a_refusal_of_ours_is_twisteds(error: Exception, kind: type[Exception]) -> None:
    made = their_error(error)

    assert isinstance(made, kind)
    assert getattr(made, "retry_after", 2.0) == 2.0


def test_what_is_no_refusal_stays_what_it_is() -> None:
    for error in (ours.CheckerUnavailable("x"), LookupError("x")):
        assert their_error(error) in {error, getattr(error, "original", error)}
