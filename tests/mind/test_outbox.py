"""What waits for a client has a bound, and what is out of date makes room."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import Notification, OutboxLimit, OutboxOverflow
from actorcred.mind.outbox import Offer, Outbox


class Item:
    """An item that notes that it was dropped."""

    def __init__(self, name: str, key: Any = None) -> None:
        self.name, self.key, self.gone = name, key, False

    def dropped(self) -> None:
        self.gone = True


def names(outbox: Outbox) -> list[str]:
    taken = []
    while (item := outbox.take()) is not None:
        taken.append(item.name)  # type: ignore[attr-defined]
    return taken


def test_the_owner_is_woken_once_and_sleeps_when_nothing_is_left() -> None:
    outbox = Outbox(OutboxLimit())
    assert outbox.idle
    assert [outbox.offer(Item(name)) for name in "ab"] == [Offer.WAKE, Offer.QUEUED]
    assert (len(outbox), outbox.idle) == (2, False)
    assert names(outbox) == ["a", "b"]
    assert outbox.idle
    assert outbox.offer(Item("c")) is Offer.WAKE


def test_the_latest_with_a_key_takes_the_place_of_the_one_that_waits() -> None:
    outbox = Outbox(OutboxLimit(2))
    outbox.offer(Item("old", "place"))
    outbox.offer(Item("other"))
    outbox.offer(Item("new", "place"))
    assert names(outbox) == ["new", "other"]
    outbox.offer(Item("again", "place"))
    assert names(outbox) == ["again"]
    assert outbox.dropped == 0


@pytest.mark.parametrize(
    ("overflow", "verdict", "left", "dropped"),
    [
        (OutboxOverflow.DROP_OLDEST, Offer.QUEUED, ["b", "c"], 1),
        (OutboxOverflow.DROP_NEWEST, Offer.DROPPED, ["a", "b"], 1),
        (OutboxOverflow.END_SESSION, Offer.OVERFLOW, ["a", "b"], 1),
    ],
)
def test_a_full_outbox_does_what_its_policy_says(
    overflow: OutboxOverflow, verdict: Offer, left: list[str], dropped: int
) -> None:
    outbox = Outbox(OutboxLimit(2, overflow))
    first = Item("a", "key")
    for item in (first, Item("b")):
        outbox.offer(item)

    assert outbox.offer(Item("c")) is verdict
    assert first.gone is (overflow is OutboxOverflow.DROP_OLDEST)
    assert outbox.dropped == dropped
    assert names(outbox) == left


def test_bytes_are_bounded_but_for_one_message() -> None:
    outbox = Outbox(OutboxLimit(10, OutboxOverflow.DROP_OLDEST, 100))
    assert outbox.offer(Item("huge"), 1000) is Offer.WAKE
    outbox.offer(Item("small", "key"), 10)
    outbox.offer(Item("more"), 80)
    outbox.offer(Item("bigger", "key"), 50)

    assert names(outbox) == ["more"]
    assert outbox.dropped == 2


def test_a_closed_outbox_returns_what_waits_and_takes_nothing() -> None:
    outbox = Outbox(OutboxLimit())
    waiting = Item("waiting", "key")
    outbox.offer(waiting)

    assert outbox.close() == [waiting]
    assert outbox.offer(Item("late")) is Offer.DROPPED
    assert outbox.close() == []
    assert (outbox.closed, outbox.idle, outbox.take()) == (True, False, None)


@pytest.mark.parametrize("bounds", [{"bound": 0}, {"size": 0}, {"overflow": "never heard of"}])
def test_bounds_that_make_no_sense_are_refused(bounds: Any) -> None:
    with pytest.raises(ValueError, match=r"at least 1, not 0|never heard of"):
        OutboxLimit(**bounds)


def test_a_notification_is_encoded_once_for_all_who_share_a_codec() -> None:
    calls: list[Any] = []

    def encode(name: str, args: tuple[Any, ...]) -> bytes:
        calls.append((name, args))
        return b"bytes"

    news = Notification("news", (1,))
    for codec in ("msgpack", "msgpack", "json"):
        assert news.encoded(codec, encode) == b"bytes"
    news.dropped()  # nobody waits for it

    assert calls == [("news", (1,))] * 2
    assert repr(news) == "<Notification news>"
