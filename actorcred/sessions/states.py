"""The states of a session and their transitions, from the login to the end of the avatar."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["CHECKING", "OPEN", "OPENING", "TRANSITIONS", "SessionEvent", "State", "step"]


class State(Enum):
    """The state of a session."""

    # Members are singletons, and `Enum.__hash__` costs more than a whole step.
    __hash__ = object.__hash__

    CHECKING = "checking"
    """A checker examines the credentials."""

    WAITING = "waiting"
    """The credentials are proven, but an earlier session of the avatar id must end first."""

    OPENING = "opening"
    """The realm is making the avatar."""

    OPEN = "open"
    """The client is logged in."""

    ENDING = "ending"
    """The session cannot be found any more; the avatar runs `on_logout`."""

    ENDED = "ended"
    """The session has ended completely."""


class SessionEvent(Enum):
    """What changes the state of a session."""

    __hash__ = object.__hash__

    VERIFIED = "verified"
    """The credentials are proven, and no session was requested."""

    PROVEN = "proven"
    ADMITTED = "admitted"
    OPENED = "opened"
    FAILED = "failed"
    END = "end"
    GONE = "gone"


# For the code that each login and each call passes: in Python 3.11, an attribute of an enum takes
# six times as long as a name.
CHECKING: Final = State.CHECKING
OPENING: Final = State.OPENING
OPEN: Final = State.OPEN

TRANSITIONS: dict[State, dict[SessionEvent, State]] = {
    State.CHECKING: {
        SessionEvent.VERIFIED: State.ENDED,
        SessionEvent.PROVEN: State.WAITING,
        SessionEvent.FAILED: State.ENDED,
    },
    State.WAITING: {SessionEvent.ADMITTED: State.OPENING, SessionEvent.FAILED: State.ENDED},
    State.OPENING: {SessionEvent.OPENED: State.OPEN, SessionEvent.FAILED: State.ENDED},
    State.OPEN: {SessionEvent.END: State.ENDING},
    State.ENDING: {SessionEvent.GONE: State.ENDED},
    State.ENDED: {},
}


def step(state: State, event: SessionEvent) -> State:
    """Return the state after `event`.

    Raises:
        ValueError: if the event cannot happen in this state; that is a bug in this package.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ValueError(f"a session that is {state.value} cannot be {event.value}") from None
