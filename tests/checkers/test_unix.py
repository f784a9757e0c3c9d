"""Users of the system, by a PAM service of the test's own."""

from __future__ import annotations

import pytest

from actorcred import AccountError
from actorcred.auth.descriptors import DescriptorError
from actorcred.auth.registry import from_string
from tests.backends.system import System

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
