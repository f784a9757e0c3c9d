"""What the runtime knows of a message, and what it says of one in a log."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import pykka
import pytest
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, _ActorStop

from actorcred.actors import ControlMessage, Future, InlineDispatcher, Revocable
from actorcred.actors.messages import REVIVE, InContext, describe, is_control, reply_to
from tests.actors.helpers import Recorder


class Secret(ControlMessage):
    __slots__ = ("password",)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Secret(), "Secret"),
        (REVIVE, "Revive"),
        (ProxyCall(("part", "login"), ("s3cret",), {}), "ProxyCall part.login"),
        (ProxyGetAttr(("name",)), "ProxyGetAttr name"),
        ("s3cret", "a str"),
    ],
)
def test_a_log_names_a_message_without_its_contents(message: Any, text: str) -> None:
    assert describe(message) == text


def test_requests_to_stop_and_messages_between_parts_are_control_messages() -> None:
    assert all(is_control(item) for item in (REVIVE, Envelope(Secret()), Envelope(_ActorStop())))
    assert not any(is_control(item) for item in ("x", Envelope("x"), ProxyGetAttr(("name",))))


def test_only_an_envelope_has_somebody_who_waits() -> None:
    future: Future[Any] = Future()

    assert reply_to(Envelope("x", future)) is future
    assert reply_to("x") is None


def test_a_message_whose_sender_lost_the_right_to_send_it_is_refused_at_its_turn(
    inline: InlineDispatcher,
) -> None:
    class Sender:
        revoked = False

        def refusal(self) -> None:
            return None

    class Slow(Recorder):
        def on_receive(self, message: object) -> object:
            if message == "revoke":
                answers.extend(
                    self.actor_ref.ask(Revocable(text, one), block=False)
                    for text, one in (("kept", good), ("lost", bad))
                )
                bad.revoked = True
            return super().on_receive(message)

    answers: list[Future[Any]] = []
    good, bad, log = Sender(), Sender(), list[object]()
    Slow.start(log).tell("revoke")

    assert answers[0].get(timeout=0) == "kept"
    with pytest.raises(pykka.ActorDeadError, match="lost the right"):
        answers[1].get(timeout=0)
    assert log == ["start", "revoke", "kept"]


def test_a_message_whose_sender_may_not_send_it_for_now_is_refused_with_the_reason(
    inline: InlineDispatcher,
) -> None:
    class Sender:
        revoked = False
        error: Exception | None = LookupError("later")

        def refusal(self) -> Exception | None:
            return self.error

    sender, log = Sender(), list[object]()
    ref = Recorder.start(log)
    refused: Future[Any] = Future()
    ref.actor_inbox.put(Envelope(Revocable("unheard", sender), refused))
    sender.error = None
    heard: Future[Any] = Future()
    ref.actor_inbox.put(Envelope(Revocable("heard", sender), heard))

    with pytest.raises(LookupError, match="later"):
        refused.get(timeout=0)
    assert heard.get(timeout=0) == "heard"
    assert log == ["start", "heard"]


def test_a_message_in_a_context_is_described_like_any_other() -> None:
    assert describe(InContext(Secret(), copy_context())) == "Secret"
