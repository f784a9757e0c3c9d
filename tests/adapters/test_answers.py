"""What an avatar answers to an adapter: at once, by a future, or by a future of a future."""

from __future__ import annotations

import asyncio
from typing import Any

import pykka
import pytest

from actorcred.actors import Actor, Future
from actorcred.adapters._answers import ask, call, flat


class Guest(Actor):
    def greet(self, name: str, *, loud: bool = False) -> str:
        return f"hello {name}{'!' if loud else ''}"

    def later(self, future: Any) -> Any:
        return future

    def fail(self) -> None:
        raise LookupError("no")


def theirs(value: Any) -> Any:
    future: Any = pykka.ThreadingFuture()
    future.set(value)
    return future


def test_a_method_is_called_with_its_arguments(inline: Any) -> None:
    assert call(Guest.start(), "greet", "ann", loud=True).get(timeout=0) == "hello ann!"


def test_futures_are_followed_to_their_end(inline: Any) -> None:
    guest, gate = Guest.start(), Future[Any]()
    answer = flat(call(guest, "later", gate))
    assert not answer.done()
    gate.set(theirs("in the end"))

    assert answer.get(timeout=10) == "in the end"
    assert asyncio.run(ask(guest, "later", theirs(theirs("in the end")))) == "in the end"


def test_what_fails_on_the_way_is_the_answer(inline: Any) -> None:
    guest, gate = Guest.start(), Future[Any]()
    failed = flat(call(guest, "fail"))
    later = flat(call(guest, "later", gate))
    gate.settle_error(LookupError("no"))

    for answer in (failed, later):
        with pytest.raises(LookupError, match="no"):
            answer.get(timeout=0)
    with pytest.raises(LookupError, match="no"):
        asyncio.run(ask(guest, "fail"))
