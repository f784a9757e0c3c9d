"""The life of an exchange between a client and a server: all states and transitions."""

from __future__ import annotations

from enum import Enum

from actorcred.errors import ProtocolError

__all__ = ["TRANSITIONS", "Event", "State", "step"]


class State(Enum):
    """Where an exchange stands."""

    NEW = "new"
    CHALLENGED = "challenged"
    """The client has been asked, and has not answered yet."""

    OVER = "over"
    """Nothing that the client says counts any more."""


class Event(Enum):
    """What moves an exchange on."""

    CHALLENGE = "challenge"
    """The server asks."""

    ANSWER = "answer"
    """The client answers what it was asked."""

    PRESENT = "present"
    """The client has said all."""

    FAIL = "fail"
    """The client said what cannot be understood."""


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.NEW: {Event.CHALLENGE: State.CHALLENGED, Event.PRESENT: State.OVER, Event.FAIL: State.OVER},
    State.CHALLENGED: {Event.ANSWER: State.OVER, Event.PRESENT: State.OVER, Event.FAIL: State.OVER},
    State.OVER: {},
}


def step(state: State, event: Event) -> State:
    """Return the state after `event`.

    Raises:
        ProtocolError: if the event is out of order.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ProtocolError(f"out of order: {event.value} in an exchange that is {state.value}") from None
