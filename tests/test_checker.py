"""What a checker offers, what its own mistakes become, and who is notified of a revocation."""

from __future__ import annotations

from typing import Any, Protocol

import pykka
import pytest

from actorcred import (
    ANONYMOUS,
    Checker,
    CheckerUnavailable,
    Revocation,
    UnauthorizedLogin,
    UsernamePassword,
)
from actorcred.actors import ControlMessage, Future
from actorcred.checker import (
    Check,
    RestartRole,
    require_checker,
    turn_of,
)
from actorcred.exchange import UsernameDigestHash
from actorcred.identity import Identity

PASSWORD = UsernamePassword("ann", "s3cret", source="192.0.2.1")


class Plain(Checker):
    """Does what a test says."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, kinds: tuple[type, ...] = (), method: Any = None) -> None:
        super().__init__()
        self.method = method
        if kinds:
            self.credential_interfaces = kinds

    def request_avatar_id(self, credentials: Any) -> Any:
        return self.method(self, credentials)


class Digests(Plain):
    credential_interfaces = (UsernameDigestHash,)


class Answer(Future[Any]):
    __slots__ = ()

    def started(self, work: Future[Any]) -> None: ...


def ask(method: Any) -> Answer:
    answer = Answer()
    Plain.start(method=method).tell(Check(answer, PASSWORD))
    return answer


def test_what_a_checker_takes_is_known_when_it_is_gone(inline: Any) -> None:
    checker = Plain.start()
    assert checker.credential_interfaces == checker.offered_interfaces == (UsernamePassword,)
    checker.stop()
    assert checker.credential_interfaces == checker.offered_interfaces == (UsernamePassword,)
    assert checker.digest_algorithms is None


@pytest.mark.parametrize(
    ("error", "kind", "detail"),
    [
        (LookupError("s3cret"), UnauthorizedLogin, "Plain: LookupError"),
        (OSError("s3cret"), CheckerUnavailable, "Plain: OSError"),
    ],
)
def test_a_mistake_refuses_one_login_and_its_text_is_not_logged(
    inline: Any, error: Exception, kind: type[Exception], detail: str, caplog: Any
) -> None:
    def method(checker: Any, credentials: Any) -> Any:
        raise error

    with pytest.raises(kind) as raised:
        ask(method).get(timeout=0)
    assert raised.value.detail == detail  # type: ignore[attr-defined]
    assert "Plain could not check UsernamePassword of the user in the audit log" in caplog.text
    assert "in method" in caplog.text
    assert "s3cret" not in caplog.text


class Later(Plain):
    """Goes on in its own context once something is done."""

    def request_avatar_id(self, credentials: Any) -> Any:
        decision: Future[str] = Future()
        self.cred_then(self.method, self.decide, credentials, decision)
        return decision

    def decide(self, done: Future[Any], credentials: Any, decision: Future[str]) -> None:
        decision.settle(f"{credentials.username} {done.get()}")


def begin(work: Future[Any]) -> tuple[Answer, Any]:
    checker, answer = Later.start(method=work), Answer()
    checker.tell(Check(answer, PASSWORD))
    assert not answer.done()
    return answer, checker


def test_a_checker_goes_on_when_its_work_in_the_background_is_done(inline: Any) -> None:
    work: Future[str] = Future()
    answer, _ = begin(work)
    work.set("again")

    assert answer.get(timeout=0) == "ann again"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnauthorizedLogin("no"), UnauthorizedLogin),
        (LookupError("a bug"), UnauthorizedLogin),
        (OSError("the disk"), CheckerUnavailable),
    ],
)
def test_what_a_step_raises_fails_the_request_and_not_the_checker(
    inline: Any, error: Exception, kind: type[Exception]
) -> None:
    work: Future[str] = Future()
    answer, checker = begin(work)
    work.settle_error(error)

    with pytest.raises(kind):
        answer.get(timeout=0)
    assert checker.is_alive()


def test_a_step_may_have_the_checker_made_anew(inline: Any) -> None:
    work: Future[str] = Future()
    answer, checker = begin(work)
    work.settle_error(RestartRole("the file is gone"))

    with pytest.raises(CheckerUnavailable) as raised:
        answer.get(timeout=0)
    assert raised.value.detail == "Later is restarted"
    assert not checker.is_alive()


def test_ctrl_c_in_a_step_ends_all(inline: Any) -> None:
    work: Future[str] = Future()
    answer, checker = begin(work)
    with pytest.raises(KeyboardInterrupt):
        work.settle_error(KeyboardInterrupt()) and inline.run_ready()

    with pytest.raises(UnauthorizedLogin):
        answer.get(timeout=0)
    assert not checker.is_alive()


def test_all_portals_are_told_of_a_revocation_and_dead_ones_forgotten(inline: Any) -> None:
    class Portal:
        def __init__(self, *, dead: bool = False) -> None:
            self.dead, self.told = dead, list[Any]()

        def revoke(self, checker: Any, avatar_id: Any, what: Revocation) -> None:
            if self.dead:
                raise pykka.ActorDeadError
            self.told.append((avatar_id, what))

    checker, portals = Plain.start(), (Portal(), Portal(dead=True), Portal())
    for portal in portals:
        checker.add_listener(portal)
    checker.revoke("ann", Revocation.DELETED)

    assert [portal.told for portal in portals] == [[("ann", "deleted")], [], [("ann", "deleted")]]
    assert checker.listeners == (portals[0], portals[2])


class Vague(Protocol):
    """Of which nothing can be said to be one: it is not checkable at run time."""

    name: str


@pytest.mark.parametrize(
    ("kinds", "error"),
    [
        (("password",), "must name the classes of credentials"),
        ((Vague,), "Vague does not support isinstance"),
        ((type(None),), "matches any object"),
    ],
)
def test_a_checker_says_which_classes_of_credentials_it_takes(
    inline: Any, kinds: Any, error: str
) -> None:
    with pytest.raises(TypeError, match=error):
        require_checker(Plain.start(kinds))


@pytest.mark.parametrize("checker", [Plain, None, "a checker"])
def test_what_is_no_started_checker_is_refused_with_what_to_write(checker: Any) -> None:
    with pytest.raises(TypeError, match=r"must be a ref, as MyChecker.start\(\) returns it"):
        require_checker(checker)


def test_a_checker_is_asked_about_what_it_takes_or_what_it_is_registered_for(inline: Any) -> None:
    checker = Plain.start()

    assert require_checker(checker) == (checker, (UsernamePassword,))
    assert require_checker(checker, (object,)) == (checker, (object,))


def test_logins_take_turns_by_checker_familiarity_source_and_account(inline: Any) -> None:
    turns = []
    answer = ask(lambda checker, credentials: turns.append(turn_of(checker, credentials)) or "ann")
    assert answer.get(timeout=0) == "ann"
    ((number, familiar, source, account),) = turns
    assert isinstance(number, int)
    assert (familiar, source, account) == (False, "192.0.2.1", "ann")


def test_a_message_that_no_checker_knows_is_an_error_of_the_sender(inline: Any) -> None:
    class Odd(ControlMessage): ...

    with pytest.raises(TypeError, match="does not handle a Odd"):
        Plain.start().ask(Odd())


def test_a_template_is_for_all_users_of_a_checker_and_none_that_is_anonymous(inline: Any) -> None:
    def answer_of(answer: Any, avatar_ids: str) -> Any:
        checker = Plain.start(method=lambda self, credentials: answer).named(avatar_ids=avatar_ids)
        future = Answer()
        checker.tell(Check(future, PASSWORD))
        return future.get(timeout=10)

    made = answer_of(Identity("ann", groups=frozenset({"x"})), "a/{name}")
    assert (made.avatar_id, made.groups) == ("a/ann", {"x"})
    assert [name for _, name in made.vouchers] == ["ann"]
    assert answer_of(ANONYMOUS, "a/{name}").avatar_id is ANONYMOUS
    assert answer_of(7, "a/{name}") == 7  # the portal says what is wrong with it
    with pytest.raises(UnauthorizedLogin):
        answer_of("a/b", "a/{name}")
    with pytest.raises(ValueError, match=r"needs \{name\}"):
        Plain.start().named(avatar_ids="corp/")


def test_work_in_progress_is_known_in_spite_of_a_template(inline: Any) -> None:
    work: Future[str] = Future()
    begun: list[Any] = []

    class Watched(Answer):
        __slots__ = ()

        def started(self, work: Future[Any]) -> None:
            begun.append(work)

    checker = Plain.start(method=lambda self, credentials: work).named(avatar_ids="a/{name}")
    answer = Watched()
    checker.tell(Check(answer, PASSWORD))
    assert begun == [work]
    work.settle_error(CheckerUnavailable("down"))
    with pytest.raises(CheckerUnavailable):
        answer.get(timeout=10)
