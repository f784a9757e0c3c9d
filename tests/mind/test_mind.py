"""The mind never blocks and never raises, keeps order, and forgets what is out of date."""

from __future__ import annotations

import logging

import pykka
import pytest

from actorcred import (
    CallError,
    Channel,
    ClientGone,
    Group,
    Notification,
    OutboxLimit,
    OutboxOverflow,
)
from actorcred.actors import Actor, ControlMessage, Future
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.mind import Mind
from actorcred.mind.outbox import Offer, Outbox
from tests.helpers import records_of

BYE = LogoutReason(LogoutCode.KICKED, "cheating")


class Client:
    """A client with methods, which can be slow."""

    def __init__(self):
        self.got = []
        self.gate = None

    def news(self, *args):
        self.got.append(args)
        return self.gate

    def question(self, number):
        return number + 1

    async def slow_question(self, answer):
        return await answer


def test_a_mind_may_be_nothing_a_callable_an_object_or_an_actor(dispatcher):
    class ClientActor(Actor):
        def __init__(self, got):
            super().__init__()
            self.got = got

        def news(self, *args):
            self.got.append(args)

        def question(self, number):
            return number + 1

    client, got, calls = Client(), [], []

    def function(name, *args):
        calls.append((name, *args))
        return 8

    minds = [Mind.start(target) for target in (None, client, ClientActor.start(got), function)]
    for mind in minds:
        mind.notify("news", 1)
        mind.notify("news", 2)
    with pytest.raises(ClientGone):
        minds[0].call("question", 7).get(timeout=10)
    assert [mind.call("question", 7).get(timeout=10) for mind in minds[1:]] == [8, 8, 8]
    assert client.got == got == [(1,), (2,)]
    assert calls == [("news", 1), ("news", 2), ("question", 7)]


def test_a_mind_may_be_an_actor_of_pykka(dispatcher):
    class Threaded(pykka.ThreadingActor):
        use_daemon_thread = True

        def question(self, number):
            return number + 1

    client = Threaded.start()
    try:
        assert Mind.start(client).call("question", 1).get(timeout=10) == 2
    finally:
        client.stop()


def test_a_client_that_is_busy_holds_back_what_follows_and_order_is_kept(inline):
    client = Client()
    mind = Mind.start(client)
    client.gate = Future()
    for number in range(3):
        mind.notify("news", number)
    assert client.got == [(0,)]
    gate, client.gate = client.gate, None
    gate.set(None)

    assert client.got == [(0,), (1,), (2,)]


def test_of_notifications_with_the_same_key_only_the_latest_waits(inline):
    client = Client()
    mind = Mind.start(client)
    gate = client.gate = Future()
    mind.notify("news", "first")
    for number in range(100):
        mind.notify("news", "ann", number, key="ann")
        mind.notify("news", "bob", number, key="bob")
    mind.notify("news", "last")
    client.gate = None
    gate.set(None)

    assert client.got == [("first",), ("ann", 99), ("bob", 99), ("last",)]
    assert mind.outbox.dropped == 0


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [(OutboxOverflow.DROP_OLDEST, [0, 4, 5]), (OutboxOverflow.DROP_NEWEST, [0, 1, 2])],
)
def test_an_outbox_that_is_full_drops_what_its_policy_says(inline, overflow, kept):
    client = Client()
    mind = Mind.start(client, OutboxLimit(2, overflow))
    gate = client.gate = Future()
    for number in range(6):
        mind.notify("news", number)
    client.gate = None
    gate.set(None)

    assert [args[0] for args in client.got] == kept
    assert mind.outbox.dropped == 3


def test_the_bound_holds_for_a_client_whose_method_blocks(inline):
    """Also what is sent from within the client's own method counts."""
    mind = None
    got = []

    def target(name, number):
        got.append(number)
        if number == 0:
            for more in range(1, 10):
                mind.notify("news", more)

    mind = Mind.start(target, OutboxLimit(3))
    mind.notify("news", 0)

    assert got == [0, 7, 8, 9]


def test_a_client_that_fails_is_logged_and_harms_nobody(inline, caplog):
    got = []

    def target(name, number):
        if number == 1:
            raise LookupError("a bug in the client")
        got.append(number)

    mind = Mind.start(target)
    for number in range(3):
        mind.notify("news", number)
    Mind.start(Client()).notify("unknown")

    assert got == [0, 2]
    assert "a bug in the client" in caplog.text
    assert "unknown" in caplog.text
    assert mind.is_alive()


def test_what_a_client_answers_forges_no_line_of_the_log(inline, caplog):
    def target(name):
        raise CallError("no\nINFO:actorcred.audit:login avatar_id=admin")

    Mind.start(target).notify("news")

    [record] = records_of(caplog, "actorcred.mind")
    assert "\n" not in logging.Formatter().format(record)
    assert "avatar_id=admin" in record.getMessage()


def test_calls_have_a_time_out_and_answer_late_ones_to_nobody(inline):
    mind = Mind.start(Client())
    answer: Future[int] = Future()
    in_time = mind.call("slow_question", answer, timeout=5)
    late = mind.call("slow_question", Future(), timeout=5)
    inline.advance(4)
    answer.set(3)
    inline.advance(2)

    assert in_time.get(timeout=0) == 3
    with pytest.raises(pykka.Timeout, match="did not answer 'slow_question' within 5 s"):
        late.get(timeout=0)
    assert inline.pending_timers == 0


def test_a_mind_that_closes_says_why_and_fails_open_calls(inline):
    client = Client()
    client.logged_out = lambda *args: client.got.append(args)
    mind = Mind.start(client)
    asked = mind.call("slow_question", Future())
    client.gate = Future()
    mind.notify("news", 1)
    mind.notify("news", "is held back and gets lost")
    behind = mind.call("question", 1)
    mind.close(BYE)

    assert client.got == [(1,), ("kicked", "cheating")]
    for future in (asked, behind, mind.call("question", 1)):
        with pytest.raises(ClientGone):
            future.get(timeout=0)
    mind.notify("news", "nobody hears this, and nobody is harmed")
    assert not mind.is_alive()
    assert inline.pending_timers == 0


def test_a_client_may_be_a_coroutine_function(dispatcher):
    got, heard = [], Future()

    async def target(name, *args):
        got.append((name, *args))
        if name == "logged_out":
            heard.set(None)

    mind = Mind.start(target)
    for number in range(3):
        mind.notify("news", number)
    mind.close(BYE)
    heard.get(timeout=10)

    assert got[-1] == ("logged_out", "kicked", "cheating")
    assert got[:1] == [("news", 0)]


def test_a_call_that_is_dropped_fails(inline):
    client = Client()
    client.gate = Future()
    mind = Mind.start(client, OutboxLimit(1))
    mind.notify("news", 0)
    dropped = mind.call("question", 1)
    mind.notify("news", 1)

    with pytest.raises(ClientGone):
        dropped.get(timeout=0)


def test_a_channel_gets_the_notification_itself_and_learns_of_the_end(inline):
    class Wire(Channel):
        def __init__(self):
            self.sent = []

        def notify(self, notification):
            self.sent.append(
                notification.encoded("text", lambda name, args: f"{name}{args}".encode())
            )

        def call(self, name, args):
            raise BrokenPipeError

        def close(self, reason):
            self.sent.append(str(reason))

    wire = Wire()
    mind = Mind.start(wire)
    mind.notify("news", 1)
    with pytest.raises(ClientGone):
        mind.call("question").get(timeout=0)
    mind.close(BYE)

    assert wire.sent == [b"news(1,)", "kicked: cheating"]


def test_a_group_encodes_once_for_all_and_forgets_minds_that_are_gone(inline):
    encodings = []

    def encode(name, args):
        encodings.append(name)
        return b"bytes"

    class Wire(Channel):
        def notify(self, notification):
            sent.append(notification.encoded("x", encode))

        def call(self, name, args):
            return None

    sent: list[bytes] = []
    group = Group()
    minds = [Mind.start(Wire()) for _ in range(10)]
    for mind in minds:
        group.add(mind)
    assert group.notify("news", 1) == 10
    assert sent == [b"bytes"] * 10
    assert encodings == ["news"]
    assert group.notify("news", 2, but=minds[0]) == 9
    minds[1].close(BYE)
    assert group.notify("news", 3) == 9
    group.discard(minds[2])
    assert minds[2] not in group
    assert len(group) == 8
    mind = None
    minds.clear()


def test_an_outbox_is_empty_when_idle_and_closed_for_good():
    outbox = Outbox(OutboxLimit(2))
    assert outbox.offer(Notification("a", ())) is Offer.WAKE
    assert outbox.offer(Notification("b", (), key=1)) is Offer.QUEUED
    assert [outbox.take().name, outbox.take().name, outbox.take()] == ["a", "b", None]
    assert outbox._items is None
    assert outbox.offer(Notification("c", ())) is Offer.WAKE
    assert [item.name for item in outbox.close()] == ["c"]
    assert outbox.offer(Notification("d", ())) is Offer.DROPPED
    with pytest.raises(ValueError, match="at least 1"):
        OutboxLimit(0)


class Session:
    """Notes what becomes of it."""

    def __init__(self):
        self.ends, self.announced = [], 0

    def end(self, code, detail):
        self.ends.append((code, detail))

    def announce(self):
        self.announced += 1


def test_a_mind_has_the_attributes_that_it_has(inline):
    mind = Mind.start(None)
    with pytest.raises(AttributeError, match="'MindRef' object has no attribute 'nonsense'"):
        mind.nonsense  # noqa: B018
    assert not mind.is_started
    mind.actor_inbox  # noqa: B018
    assert mind.is_started


def test_a_client_that_is_asked_is_in_and_one_that_is_too_slow_is_out(inline):
    client, session = Client(), Session()
    mind = Mind.start(client, OutboxLimit(1, OutboxOverflow.END_SESSION))
    mind.session = session
    assert mind.call("question", 1).get(timeout=0) == 2
    assert session.announced == 1
    client.gate = Future()
    for number in range(3):
        mind.notify("news", number)

    assert session.ends == [(LogoutCode.OVERFLOW, "1 notifications waiting")]
    client.gate.set()
    mind.session = None
    mind.end_session(LogoutCode.LOST)  # it is over, so nothing happens
    assert len(session.ends) == 1


class Ready(Channel):
    """A way to the client that takes what comes at once."""

    def __init__(self, error=None):
        self.error, self.told = error, []

    def ready(self):
        return True

    def notify(self, notification):
        if self.error is not None:
            raise self.error
        self.told.append(notification.name)

    def call(self, name, args):
        raise ConnectionResetError

    def close(self, reason):
        raise ConnectionResetError


def test_a_channel_that_is_ready_is_told_without_an_actor(inline):
    channel = Ready()
    mind = Mind.start(channel)
    mind.notify("news")

    assert channel.told == ["news"]
    assert not mind.is_started
    mind.abandon()
    with pytest.raises(ClientGone):
        mind.call("question").get(timeout=0)


def test_a_client_whose_connection_is_broken_is_lost(inline):
    session = Session()
    mind = Mind.start(Ready(ConnectionResetError()))
    mind.session = session
    mind.notify("news")

    assert session.ends == [(LogoutCode.LOST, "ConnectionResetError")]
    with pytest.raises(ClientGone, match="the client has disconnected"):
        mind.call("question").get(timeout=0)
    mind.close(BYE)
    assert not mind.is_alive()


def test_what_fails_later_is_logged_and_does_not_hold_back_the_rest(inline, caplog):
    client = Client()
    client.gate = Future()
    mind = Mind.start(client)
    mind.notify("news", 1)
    mind.notify("news", 2)
    assert client.got == [(1,)]
    gate, client.gate = client.gate, Future()
    client.gate.settle_error(LookupError("at once"))
    gate.settle_error(LookupError("later"))

    assert client.got == [(1,), (2,)]
    assert [record.exc_info[1].args for record in records_of(caplog, "actorcred.mind")] == [
        ("later",),
        ("at once",),
    ]


def test_a_mind_without_a_client_is_abandoned_at_its_end(inline):
    mind = Mind.start(None)
    mind.close(BYE)
    assert not mind.is_started
    mind.actor_inbox  # noqa: B018  # somebody who comes too late
    assert not mind.is_alive()
    told = Mind.start(Client())
    told.call("question", 1).get(timeout=0)
    told.abandon()
    assert not told.is_alive()


def test_a_message_that_no_mind_knows_is_an_error_of_the_sender(inline):
    class Odd(ControlMessage): ...

    with pytest.raises(TypeError, match="does not handle a Odd"):
        Mind.start(None).ask(Odd())


def test_a_call_that_timed_out_before_its_turn_is_not_made(inline):
    client = Client()
    client.gate = Future()
    mind = Mind.start(client)
    mind.notify("news", 1)
    call = mind.call("news", 2, timeout=5.0)
    inline.advance(6.0)
    client.gate.set()

    with pytest.raises(pykka.Timeout, match="did not answer 'news' within 5 s"):
        call.get(timeout=0)
    assert client.got == [(1,)]
