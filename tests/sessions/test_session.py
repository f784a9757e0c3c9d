"""A session for its user: it is used while it is open, and ended from anywhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pykka
import pytest
from pykka.messages import _ActorStop

from actorcred import LogoutCode, reauthenticated
from actorcred.actors import Actor, AsyncioDispatcher, Future
from actorcred.actors.cell import NOT_CALLED
from actorcred.errors import CallCode, CallError
from actorcred.sessions.session import AvatarRef, Session
from actorcred.sessions.states import State


class Owner:
    """The portal, as a session sees it."""

    def __init__(self) -> None:
        self.time, self.ended, self.told = 1.0, list[str](), list[Any]()

    def now(self) -> float:
        return self.time

    def end_session(self, session: Session, reason: Any) -> Future[None]:
        self.ended.append(str(reason))
        return Future()

    def avatar_opened(self, session: Session) -> None:
        session.succeed()
        self.told.append("opened")

    def avatar_gone(self, session: Session, cause: BaseException | None) -> None:
        self.told.append(cause)


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        return message


@pytest.fixture
def owner() -> Owner:
    return Owner()


@pytest.fixture
def session(owner: Owner) -> Session:
    return Session("0123456789", "ann", object, checker="Checker", mind=None, owner=owner)  # type: ignore[arg-type]


@pytest.fixture
def avatar(inline: Any, session: Session) -> AvatarRef[Echo]:
    session.state = State.OPEN
    return AvatarRef(Echo.start(), session)


def test_its_text_names_the_user_and_shows_its_id_in_part(session: Session) -> None:
    assert repr(session) == "<Session 012345... of 'ann', opening>"


def test_notes_are_added_and_taken_away_and_cannot_be_changed_otherwise(session: Session) -> None:
    session.annotate({"room": "hall", "team": "red"})
    session.annotate({"team": None})

    assert session.notes == {"room": "hall"}
    with pytest.raises(TypeError):
        session.notes["room"] = "cellar"  # type: ignore[index]
    session.annotate({"room": None})
    assert session.notes == {}


def test_its_end_has_a_code_and_a_text(session: Session, owner: Owner) -> None:
    session.end()
    session.end("kicked", "spam")  # type: ignore[arg-type]

    assert owner.ended == ["logout", "kicked: spam"]
    with pytest.raises(ValueError, match="nonsense"):
        session.end("nonsense")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a string, not a int"):
        session.end(LogoutCode.KICKED, 5)  # type: ignore[arg-type]


def test_the_login_succeeds_once(session: Session, owner: Owner) -> None:
    session.announce()
    session.announce()
    session(None)

    assert owner.told == ["opened", None]


def test_what_a_client_does_with_its_avatar_is_a_sign_of_life(
    avatar: AvatarRef[Echo], session: Session, owner: Owner
) -> None:
    for number, use in enumerate((
        lambda: avatar.tell("x"),
        lambda: avatar.ask("x"),
        lambda: avatar.deliver("x", Future()),
        session.touch,
    )):  # fmt: skip
        owner.time = 10.0 + number
        use()
        assert session.last_seen == owner.time
    assert avatar.ask("question") == "question"


def test_the_avatar_cannot_be_reached_when_the_session_is_over(
    avatar: AvatarRef[Echo], session: Session
) -> None:
    assert avatar.is_alive()
    session.state = State.ENDING
    answer: Future[Any] = Future()
    avatar.deliver("x", answer)

    assert not avatar.is_alive()
    for use in (
        lambda: avatar.tell("x"),
        lambda: avatar.ask("x"),
        lambda: avatar.ask("x", block=False).get(timeout=0),
        lambda: answer.get(timeout=0),
    ):
        with pytest.raises(pykka.ActorDeadError):
            use()


def test_what_waits_for_the_avatar_is_not_handled_when_the_right_is_lost(
    inline: Any, session: Session
) -> None:
    handled, gate = list[Any](), Future[None]()

    class Busy(Actor):
        async def on_receive(self, message: Any) -> None:
            handled.append(message)
            await gate

    session.state = State.OPEN
    avatar = AvatarRef(Busy.start(), session)
    avatar.tell("first")
    answer = avatar.ask("second", block=False)
    session.revoke()
    gate.settle()

    assert handled == ["first"]
    with pytest.raises(pykka.ActorDeadError, match="lost the right"):
        answer.get(timeout=0)
    assert avatar.stop(timeout=1)


def test_a_suspended_session_refuses_messages_for_now_and_goes_on_afterwards(
    inline: Any, session: Session, owner: Owner
) -> None:
    wait = 2.5
    session.state, session.suspension = State.OPEN, lambda: wait
    avatar = AvatarRef(Echo.start(), session)
    owner.time = 50.0
    delivered = Future[Any]()
    for use in (
        lambda: avatar.ask("x", timeout=0),
        lambda: avatar.tell("x"),
        lambda: avatar.deliver("x", delivered),
    ):
        with pytest.raises(CallError) as refused:
            use()
        assert (refused.value.code, refused.value.retry_after) == (CallCode.SUSPENDED, 2.5)
    assert session.is_open
    assert session.last_seen == 50.0, "a client that tries is not idle"
    wait = 0.0
    assert avatar.ask("x", timeout=0) == "x"
    wait = 2.5
    assert avatar.stop(timeout=1)


def test_a_call_at_once_is_for_what_the_client_may_simply_call(
    session: Session, owner: Owner
) -> None:
    class Bank:
        def balance(self) -> int: ...
        @reauthenticated(within=60)
        def pay(self) -> str: ...

    class Account(Actor, Bank):
        def balance(self) -> int:
            return 5

        def pay(self) -> str:
            return "paid"

    def call(name: str) -> Any:
        running: Any = asyncio._get_running_loop()
        return avatar.call_now(name, (), lambda request: request, None, running)

    async def main() -> None:
        nonlocal avatar
        avatar = AvatarRef(Account.start(dispatcher=AsyncioDispatcher()), session)
        assert call("balance") is NOT_CALLED  # not open yet
        session.state, owner.time = State.OPEN, 50.0
        assert call("balance") == 5
        assert session.last_seen == 50.0
        assert call("pay") is NOT_CALLED
        wait = 2.5
        session.suspension = lambda: wait
        assert call("balance") is NOT_CALLED
        wait = 0.0
        assert call("balance") == 5
        here = await asyncio.to_thread(call, "balance")
        assert here is NOT_CALLED  # another thread
        with avatar.actor_inbox.busy:
            assert call("balance") is NOT_CALLED
        session.state = State.ENDING
        assert call("balance") is NOT_CALLED
        avatar.actor_inbox.put(_ActorStop())
        while not avatar.actor_inbox.stopped:
            await asyncio.sleep(0)
        session.state = State.OPEN
        assert call("balance") is NOT_CALLED

    avatar: Any = None
    session.interface = Bank
    asyncio.run(main())


def test_an_avatar_on_another_dispatcher_is_not_called_at_once(
    avatar: AvatarRef[Echo],
) -> None:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        return avatar.call_now("on_receive", ("x",), lambda request: request, None, loop)

    assert asyncio.run(main()) is NOT_CALLED
    assert avatar.ask("x", timeout=0) == "x"


def test_what_waits_for_the_avatar_is_refused_if_the_session_is_suspended_at_its_turn(
    inline: Any, session: Session
) -> None:
    handled, gate, wait = list[Any](), Future[None](), 0.0

    class Busy(Actor):
        async def on_receive(self, message: Any) -> None:
            handled.append(message)
            await gate

    session.state, session.suspension = State.OPEN, lambda: wait
    avatar = AvatarRef(Busy.start(), session)
    avatar.tell("first")
    answer = avatar.ask("second", block=False)
    wait = 1.0
    gate.settle()

    assert handled == ["first"]
    with pytest.raises(CallError, match="lost touch"):
        answer.get(timeout=0)
