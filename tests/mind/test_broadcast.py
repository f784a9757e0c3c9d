"""A broadcast to very many goes out in slices, and each client notices only the order of it all."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from actorcred import Group, LogoutReason
from actorcred.logout import LogoutCode
from actorcred.mind import broadcast
from actorcred.mind.channel import Channel
from actorcred.mind.mind import Mind, MindRef
from actorcred.mind.outbox import Notification

MANY = 3 * broadcast.AT_ONCE


class Client(Channel):
    """A client that can be sent to at once, and notes what it gets."""

    __slots__ = ("_then", "got")

    def __init__(self, then: Callable[[], object] | None = None) -> None:
        self.got: list[Any] = []
        self._then = then

    def ready(self) -> bool:
        return True

    def notify(self, notification: Notification) -> None:
        self.got.append(notification.args[0])
        if self._then is not None:
            self._then()

    def call(self, name: str, args: tuple[Any, ...]) -> Any:
        self.got.append(name)
        return None

    def close(self, reason: LogoutReason) -> None:
        self.got.append(str(reason))


@pytest.fixture(autouse=True)
def slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """End each slice at the first look at the clock."""
    monkeypatch.setattr(broadcast, "SLICE", -1.0)


def room_of(count: int) -> tuple[Group, list[MindRef], list[Client]]:
    room, clients = Group(), [Client() for _ in range(count)]
    minds = [Mind.start(client) for client in clients]
    for mind in minds:
        room.add(mind)
    return room, minds, clients


async def all_sent() -> None:
    while broadcast.under_way:
        await asyncio.sleep(0)


def on_loop(test: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@on_loop
async def test_a_broadcast_to_many_lets_the_loop_serve_others_in_between() -> None:
    room, _minds, clients = room_of(MANY)

    assert room.notify("said", "hello") == MANY
    seen = [sum(len(client.got) for client in clients)]
    while broadcast.under_way:
        await asyncio.sleep(0)
        seen.append(sum(len(client.got) for client in clients))

    assert seen[0] == broadcast.CHUNK
    assert len(seen) >= MANY / broadcast.CHUNK
    assert all(client.got == ["hello"] for client in clients)


@on_loop
async def test_a_broadcast_to_few_is_sent_at_once() -> None:
    room, _minds, clients = room_of(broadcast.AT_ONCE)
    room.notify("said", "hello")
    assert all(client.got == ["hello"] for client in clients)
    assert not broadcast.under_way


def test_without_a_loop_all_is_sent_at_once(inline: Any) -> None:
    room, _minds, clients = room_of(MANY)
    room.notify("said", "hello")
    assert all(client.got == ["hello"] for client in clients)


@on_loop
async def test_what_else_a_client_is_sent_comes_after_the_broadcasts_before_it() -> None:
    room, minds, clients = room_of(MANY)
    for text in ("first", "second"):
        room.notify("said", text)
    last, other, ended = minds[-1], minds[-2], minds[-3]
    assert clients[-1].got == []
    last.notify("said", "to you")
    assert clients[-1].got == ["first", "second", "to you"]
    room.notify("said", "third")
    other.call("question")
    ended.close(LogoutReason(LogoutCode.KICKED))
    await all_sent()
    while len(clients[-2].got) < 4 or len(clients[-3].got) < 4:
        await asyncio.sleep(0)

    assert clients[-1].got == ["first", "second", "to you", "third"]
    assert clients[-2].got == ["first", "second", "third", "question"]
    assert clients[-3].got == ["first", "second", "third", "kicked"]
    assert all(client.got == ["first", "second", "third"] for client in clients[:-3])


@on_loop
async def test_a_broadcast_goes_to_those_who_are_there_when_it_begins() -> None:
    room, minds, clients = room_of(MANY)
    late = Client()
    room.notify("said", "hello")
    first, second = [number for number, client in enumerate(clients) if not client.got][:2]
    gone, left = minds[first], minds[second]
    newcomer = Mind.start(late)
    room.add(newcomer)
    gone.abandon()
    room.discard(left)
    await all_sent()

    assert late.got == []
    assert clients[first].got == []
    assert clients[second].got == ["hello"]


@on_loop
async def test_a_fault_of_one_client_is_logged_and_the_others_get_the_broadcast() -> None:
    room, minds, clients = room_of(MANY)

    def fail(notification: Notification) -> bool:
        raise MemoryError("a fault that nobody foresaw")

    class Broken(MindRef):
        __slots__ = ()
        pass_on = staticmethod(fail)  # type: ignore[assignment]

    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("actorcred.mind").addHandler(handler)
    minds[-1].__class__ = Broken
    room.notify("said", "hello")
    await all_sent()
    logging.getLogger("actorcred.mind").removeHandler(handler)

    assert all(client.got == ["hello"] for client in clients[:-1])
    assert [record.levelname for record in records] == ["ERROR"]


@on_loop
async def test_only_so_many_broadcasts_wait() -> None:
    room, _minds, clients = room_of(MANY)
    for number in range(broadcast.MOST + 1):
        room.notify("said", number)

    assert all(client.got[:1] == [0] for client in clients)  # the oldest was completed
    assert len(broadcast.under_way) <= broadcast.MOST
    await all_sent()
    assert all(client.got == list(range(broadcast.MOST + 1)) for client in clients)


@on_loop
async def test_as_many_broadcasts_as_may_wait_do_so_however_many_are_begun() -> None:
    room, _minds, clients = room_of(MANY)
    total = 3 * broadcast.MOST
    for number in range(total):
        room.notify("said", number)

    assert len(broadcast.under_way) <= broadcast.MOST
    await all_sent()
    assert all(client.got == list(range(total)) for client in clients)


@on_loop
async def test_a_broadcast_that_is_interrupted_and_those_after_it_are_sent() -> None:
    """For example, a client's own code can raise `CancelledError`."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    _, minds, clients = room_of(MANY)

    def interrupt() -> None:
        raise asyncio.CancelledError

    minds.append(Mind.start(Client(interrupt)))
    for text in ("first", "second"):
        broadcast.broadcast(Notification("said", (text,)), minds)
    await all_sent()

    assert all(client.got == ["first", "second"] for client in clients)


@on_loop
async def test_a_thread_that_sends_to_a_client_does_not_overtake_the_broadcast() -> None:
    room, minds, clients = room_of(MANY)
    room.notify("said", "all")
    thread = threading.Thread(target=lambda: [mind.notify("said", "one") for mind in minds])
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0)
    await all_sent()

    assert all(client.got == ["all", "one"] for client in clients)


def test_a_broadcast_that_its_loop_never_finished_is_forgotten() -> None:
    room, minds, _ = room_of(MANY)

    async def begin() -> None:
        assert room.notify("said", "hello") == len(minds)
        assert broadcast.under_way

    asyncio.run(begin())
    other, others, clients = room_of(MANY)

    async def another() -> None:
        assert other.notify("said", "hello") == len(others)
        await all_sent()

    asyncio.run(another())
    assert all(client.got == ["hello"] for client in clients)
    assert not broadcast.under_way


@on_loop
async def test_a_client_that_broadcasts_when_it_is_sent_something_is_heard_by_all() -> None:
    room, minds, clients = room_of(MANY)
    said: list[bool] = []

    def answer() -> None:
        if not said:
            said.append(True)
            room.notify("said", "echo")

    speaker = Client(answer)
    mind = Mind.start(speaker)
    room.add(mind)
    room.notify("said", "hello")
    await all_sent()

    assert speaker.got == ["hello", "echo"]
    assert all(client.got == ["hello", "echo"] for client in clients)
    assert len(minds) == MANY


@on_loop
async def test_a_broadcast_that_the_last_client_begins_is_sent_to_all() -> None:
    _, minds, clients = room_of(MANY)
    said: list[bool] = []

    def answer() -> None:
        if not said:
            said.append(True)
            broadcast.broadcast(Notification("said", ("echo",)), minds)

    speaker = Client(answer)
    minds.append(Mind.start(speaker))
    broadcast.broadcast(Notification("said", ("hello",)), minds)
    await all_sent()

    assert all(client.got == ["hello", "echo"] for client in (*clients, speaker))
