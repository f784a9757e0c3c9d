"""The life of a session, from the first message of a login to the end of its avatar: all states and transitions."""

from __future__ import annotations

from enum import Enum

__all__ = ["TRANSITIONS", "SessionEvent", "State", "step"]


class State(Enum):
    """Where a session stands."""

    __hash__ = (
        object.__hash__
    )  # each member is one object, and the one of Enum costs more than the whole step

    CHECKING = "checking"
    """A checker has the credentials."""

    WAITING = "waiting"
    """Proven, but an earlier session of the same avatar id must be gone first."""

    OPENING = "opening"
    """The realm is making the avatar."""

    OPEN = "open"
    """Logged in."""

    ENDING = "ending"
    """Out of the directory; the avatar runs `on_logout`."""

    ENDED = "ended"
    """Nothing is left."""


class SessionEvent(Enum):
    """What moves a session on."""

    __hash__ = object.__hash__

    VERIFIED = "verified"
    """Proven, and that was all that was asked for."""

    PROVEN = "proven"
    ADMITTED = "admitted"
    OPENED = "opened"
    FAILED = "failed"
    END = "end"
    GONE = "gone"


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
        ValueError: if the event cannot happen in this state; that is a mistake in this package.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ValueError(f"a session that is {state.value} cannot be {event.value}") from None
