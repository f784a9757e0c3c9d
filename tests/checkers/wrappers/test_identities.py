"""What a checker says of a user passes all that wraps it; what it cannot say is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from actorcred import Checker, LoginFailed, UnauthorizedLogin, UsernamePassword
from actorcred.checkers.memory import MemoryChecker
from actorcred.checkers.wrappers.all_of import AllOf
from actorcred.checkers.wrappers.caching import CachingChecker
from actorcred.checkers.wrappers.first_of import FirstOf
from actorcred.checkers.wrappers.listing import AllowingChecker, DenyingChecker
from actorcred.checkers.wrappers.renaming import RenamingChecker
from actorcred.checkers.wrappers.throttling import ThrottlingChecker
from actorcred.identity import Identity
from tests.helpers import Stage

ANN = Identity(
    "ann",
    issuer="https://issuer.example",
    subject="4711",
    attributes={"mail": "ann@example.org"},
    groups=frozenset({"staff"}),
    methods=frozenset({"pwd"}),
    authenticated=datetime.now(UTC) - timedelta(minutes=5),
    expires=datetime.now(UTC) + timedelta(hours=1),
    last_login=datetime.now(UTC) - timedelta(days=1),
)


class Directory(Checker):
    """Answers as a test says."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, answer: Callable[[], Any]) -> None:
        super().__init__()
        self.answer = answer

    def request_avatar_id(self, credentials: UsernamePassword) -> Any:
        if credentials.username != "ann":
            raise UnauthorizedLogin("no such user")
        return self.answer()


def users(name: str = "ann") -> Any:
    return MemoryChecker.start({name: "right"}, plaintext=True)


AROUND: dict[str, Callable[[Any], Any]] = {
    "alone": lambda checker: checker,
    "first": lambda checker: FirstOf.start(checker, users("bob")),
    "all": lambda checker: AllOf.start(checker, users()),
    "cache": CachingChecker.start,
    "throttle": ThrottlingChecker.start,
    "allow": lambda checker: AllowingChecker.start(checker, ["ann"]),
    "deny": lambda checker: DenyingChecker.start(checker, ["eve"]),
    "rename": lambda checker: RenamingChecker.start(checker, lambda name: name),
}


def stage_of(checker: Any) -> Stage:
    stage = Stage(checkers=0)
    stage.portal.register_checker(checker).get(timeout=10)
    return stage


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_what_is_known_of_a_user_passes_a_wrapper(inline: Any, around: Any) -> None:
    stage = stage_of(around(Directory.start(lambda: ANN)))

    assert [stage.login().session.identity for _ in range(2)] == [ANN, ANN]


def test_a_new_name_changes_the_name_alone(inline: Any) -> None:
    stage = stage_of(RenamingChecker.start(Directory.start(lambda: ANN), str.upper))
    session = stage.login().session

    assert session.avatar_id == "ANN"
    assert session.identity == ANN.replaced(avatar_id="ANN")
    assert [name for _, name in session.identity.vouchers] == ["ann"]


WRONG: dict[str, list[Any]] = {
    "avatar_id": [None, 5, "", "a\nb", b"\xff", ["ann"]],
    "issuer": [5, b"x", ["x"]],
    "subject": [5, b"x", 1.5],
    "attributes": [None, "mail", [("mail", "x")], {5: "x"}],
    "groups": [None, "staff", b"staff", 5, [5], {""}, {"staff": 1}],
    "methods": [None, "pwd", 5, [b"pwd"], {""}],
    "authenticated": [0, "now", datetime(2026, 1, 1)],
    "expires": [1e10, "never", datetime(2099, 1, 1)],
    "last_login": [0, "yesterday", datetime(2026, 1, 1)],
}


@pytest.mark.parametrize("around", ["alone", "first", "all", "cache", "rename"])
@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, values in WRONG.items() for value in values],
    ids=repr,
)
def test_a_wrong_field_refuses_the_login_and_is_named(
    inline: Any, caplog: Any, around: str, field: str, value: Any
) -> None:
    words = {"avatar_id": "ann", field: value}

    def answer() -> Identity:
        return Identity(words.pop("avatar_id"), **words)

    stage = stage_of(AROUND[around](Directory.start(answer)))
    with pytest.raises(UnauthorizedLogin) as refused:
        stage.login()
    assert str(refused.value) == "login refused"
    assert (
        "Directory could not check UsernamePassword of the user in the audit log: "
        f"InvalidIdentity: {field}" in caplog.text
    )
    words.pop(field, None)
    words["avatar_id"] = "ann"
    assert stage.login().session.avatar_id == "ann"  # the checker goes on


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("answer", [None, 5, ["ann"], {"avatar_id": "ann"}, object(), b"\xff"])
def test_what_is_neither_a_name_nor_an_identity_lets_nobody_in(
    inline: Any, caplog: Any, around: str, answer: Any
) -> None:
    stage = stage_of(AROUND[around](Directory.start(lambda: answer)))
    with pytest.raises(LoginFailed):
        stage.login()
    assert "Directory.request_avatar_id() returned no avatar id: avatar_id" in caplog.text
