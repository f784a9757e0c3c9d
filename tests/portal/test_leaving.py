"""What is left of sessions that have ended, and how avatars without hooks leave."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from typing import Any

import pykka
import pytest

from actorcred import (
    Avatar,
    Checker,
    Policy,
    Portal,
    PortalRef,
    Realm,
    Session,
    UsernamePassword,
    actors,
)
from actorcred.actors import AsyncioDispatcher, set_default_dispatcher
from tests.helpers import Player, until
from tests.settings import portal_options


class Plain(Avatar, Player):
    """An avatar without hooks."""

    def move(self, dx: float) -> float:
        return dx


class Hooked(Plain):
    """An avatar with hooks, which talks to its client."""

    def on_login(self) -> None:
        self.mind.notify("welcome")

    async def on_logout(self, reason: Any) -> None:
        await asyncio.sleep(0)


class Counting(Plain):
    """Notes what it handles."""

    def __init__(self, avatar_id: Any, mind: Any, log: list[float]) -> None:
        super().__init__(avatar_id, mind)
        self.log = log

    def move(self, dx: float) -> float:
        self.log.append(dx)
        return dx


class Hall(Realm):
    """Its avatars are of one class."""

    interfaces = (Player,)

    def __init__(self, avatar_class: Any, *args: Any) -> None:
        super().__init__()
        self.make = lambda avatar_id, mind: avatar_class.start(avatar_id, mind, *args)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = self.make(avatar_id, mind)
        return Player, avatar, avatar.stop


class Everyone(Checker):
    """Lets everyone in."""

    credential_interfaces = (UsernamePassword,)

    def request_avatar_id(self, credentials: UsernamePassword) -> str:
        return credentials.username


def open_portal(avatar_class: Any, *args: Any, **options: Any) -> PortalRef:
    return Portal.start(
        Hall.start(avatar_class, *args), [Everyone.start()], portal_options(**options)
    )


def login(portal: PortalRef, name: str = "ann", mind: Any = None) -> Any:
    return portal.login(UsernamePassword(name, "right"), mind, Player)


def kinds() -> Counter[str]:
    """Return the numbers of objects that the garbage collector knows, by their class."""
    return Counter(type(one).__qualname__ for one in gc.get_objects())


async def _in_and_out(portal: PortalRef, count: int, mind: Any) -> None:
    for number in range(count):
        session = (await login(portal, f"user{number}", mind)).session
        await session.end()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("avatar_class", [Plain, Hooked])
def test_ten_thousand_sessions_leave_nothing_for_the_garbage_collector(avatar_class: Any) -> None:
    async def main() -> Counter[str]:
        set_default_dispatcher(AsyncioDispatcher())
        portal = open_portal(avatar_class)
        told: list[None] = []
        await _in_and_out(portal, 100, lambda *_: told.append(None))
        gc.collect()
        before = kinds()
        gc.disable()
        try:
            await _in_and_out(portal, 10_000, lambda *_: told.append(None))
            return kinds() - before
        finally:
            gc.enable()
            await asyncio.to_thread(actors.shutdown, 10)

    left = asyncio.run(main())

    assert {kind: count for kind, count in left.items() if count > 100} == {}


def test_a_session_can_still_be_asked_for_its_avatar_when_it_has_ended(dispatcher: Any) -> None:
    portal = open_portal(Plain)
    session: Session = login(portal).get(timeout=10).session
    avatar = session.avatar
    session.end().get(timeout=10)

    assert session.avatar.actor_urn == avatar.actor_urn
    assert not session.avatar.is_alive()
    assert not session.asleep
    with pytest.raises(pykka.ActorDeadError):
        session.avatar.tell("late")


def test_who_watches_an_avatar_without_hooks_learns_of_its_end_once(dispatcher: Any) -> None:
    portal = open_portal(Plain)
    session = login(portal).get(timeout=10).session
    ends: list[Any] = []
    session.avatar.watch(ends.append)
    session.avatar.watch(ends.append)
    session.end().get(timeout=10)

    assert ends == [None, None]
    assert portal.count().get(timeout=10) == 0


def test_what_the_client_sent_before_its_logout_is_handled(dispatcher: Any) -> None:
    log: list[float] = []
    portal = open_portal(Counting, log)
    session = login(portal).get(timeout=10).session
    moves = [session.avatar.call(Player.move, number) for number in range(100)]
    session.end().get(timeout=10)

    assert [move.get(timeout=10) for move in moves] == log == list(range(100))


def test_timers_of_an_avatar_without_hooks_end_with_it(inline: Any) -> None:
    portal = open_portal(Plain)
    session = login(portal).get(timeout=0).session
    session.avatar.send_every(1.0, "tick")
    before = actors.statistics().dead_letters
    session.end().get(timeout=0)
    inline.advance(5)

    assert actors.statistics().dead_letters == before


def test_a_second_login_takes_the_place_of_an_avatar_without_hooks(dispatcher: Any) -> None:
    portal = open_portal(Plain, policy=Policy.REPLACE)
    first = login(portal).get(timeout=10)
    second = login(portal).get(timeout=10)

    assert not first.avatar.is_alive()
    assert second.avatar.call(Player.move, 2).get(timeout=10) == 2
    assert portal.count().get(timeout=10) == 1


def test_sessions_end_on_all_threads_at_once(dispatcher: Any) -> None:
    portal = open_portal(Plain)
    sessions = [login(portal, f"user{n}").get(timeout=10).session for n in range(200)]
    told: list[Any] = []

    def end(some: list[Session]) -> None:
        told.extend(session.end() for session in some)

    threads = [threading.Thread(target=end, args=(sessions[n::4] * 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for done in told:
        done.get(timeout=10)

    assert portal.count().get(timeout=10) == 0
    until(lambda: actors.statistics().actors <= 3)
