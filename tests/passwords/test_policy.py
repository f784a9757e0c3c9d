"""A new password that breaks a rule is refused with the rule, and not shown."""

from __future__ import annotations

import builtins
from collections.abc import Iterator

import pytest

from actorcred import MissingExtra, PasswordRejected
from actorcred.passwords.policy import PasswordPolicy, _common_passwords, prepare_new_password


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("short", "at least 8 characters"),
        ("x" * 1025, "at most 1024 characters"),
        ("Password123", "most common ones"),
        ("with\0a NUL", "NUL characters"),
        ("a tab\tin it", "not allowed"),
    ],
)
def test_each_rule_is_named_and_the_password_is_not(password: str, rule: str) -> None:
    with pytest.raises(PasswordRejected, match=rule) as raised:
        PasswordPolicy().check(password=password)
    assert password not in str(raised.value)


def test_a_long_password_of_any_characters_is_good() -> None:
    PasswordPolicy().check(password="\u2603 snow on the \u00e9t\u00e9")


def test_the_list_of_common_passwords_can_be_ones_own() -> None:
    policy = PasswordPolicy(min_length=1, common={"hunter2"})
    policy.check(password="password")
    with pytest.raises(PasswordRejected, match="common"):
        policy.check(password="HUNTER2")


@pytest.fixture
def without_the_list(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    load = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("zxcvbn"):
            raise ImportError(name)
        return load(name, *args, **kwargs)  # type: ignore[arg-type]

    _common_passwords.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "__import__", refuse)
        yield
    _common_passwords.cache_clear()


def test_without_the_list_of_common_passwords_it_says_what_to_install(
    without_the_list: None,
) -> None:
    with pytest.raises(MissingExtra, match=r"actorcred\[accounts\]"):
        PasswordPolicy().check(password="long enough")
    PasswordPolicy(common=()).check(password="long enough")


@pytest.mark.parametrize(
    ("password", "rule"),
    [("", "must not be empty"), (b"\xff", "UTF-8"), ("a\0b", "NUL"), (b"a\0b", "NUL")],
)
def test_what_cannot_be_kept_is_refused(password: str | bytes, rule: str) -> None:
    with pytest.raises(PasswordRejected, match=rule):
        prepare_new_password(password=password)


def test_a_password_is_kept_in_its_prepared_form() -> None:
    assert prepare_new_password(password="cafe\u0301\u00a0noir".encode()) == "caf\u00e9 noir"
