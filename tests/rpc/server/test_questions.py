"""Calls to a client wait for their answers, so many at most, and fail when none will come."""

from __future__ import annotations

from typing import Any

import pytest

from actorcred import CallError, ClientGone
from actorcred.rpc.protocol.codec import MSGPACK, Response, WireLimits
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.server.questions import Questions


@pytest.fixture
def questions() -> Questions:
    return Questions(Connection(MSGPACK, WireLimits(pending=2)))


def test_each_answer_goes_to_its_question(questions: Questions) -> None:
    (first, asked), (second, _) = (questions.ask("name?", (number,)) for number in range(2))
    request = MSGPACK.decode(asked[4:] if asked[0] == 0 else asked)
    number = request.id  # type: ignore[union-attr]
    questions.answered(Response(number + 1, None, "second"))
    questions.answered(Response(number, {"code": "c" * 200, "message": "m" * 2000}, None))
    questions.answered(Response(number, None, "again, which nobody waits for"))

    assert second.get(timeout=0) == "second"
    with pytest.raises(CallError) as failed:
        first.get(timeout=0)
    assert (len(failed.value.code), len(failed.value.message)) == (100, 1000)


def test_too_many_questions_are_refused_and_cancelled_ones_make_room(questions: Questions) -> None:
    futures = [questions.ask("name?", ())[0] for _ in range(2)]
    with pytest.raises(ClientGone, match="2 calls already wait for answers of the client"):
        questions.ask("name?", ())
    futures[0].cancel()
    assert not questions.ask("name?", ())[0].done()


def test_a_lost_connection_fails_all_that_wait(questions: Questions) -> None:
    futures: list[Any] = [questions.ask("name?", ())[0] for _ in range(2)]
    questions.give_up()

    for future in futures:
        with pytest.raises(ClientGone, match="the connection was lost"):
            future.get(timeout=0)
