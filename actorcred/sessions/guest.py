"""A guest: a client of another machine that shares an avatar of this one (policy SHARE)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from actorcred.identity import ClientInfo, Identity
from actorcred.mind.channel import Channel
from actorcred.sessions.session import Session

__all__ = ["Guest", "Newcomer"]


class Guest(Session):
    """The session of a client of another machine, which has the client's own session.

    It is not listed, and it has no deadlines: both belong to the client's own session.
    """

    __slots__ = ()

    is_guest = True


@dataclass(frozen=True, slots=True, eq=False)
class Newcomer:
    """A client of another machine that is to share an avatar of this one.

    Args:
        session_id: the id of the client's own session.
        channel: the way to the client.
        identity: who the user is.
        client: where the client comes from.
        info: what the protocol tells the realm.
        choose: returns the interface for the class of the avatar; None if that implements none
            that the client has requested.
    """

    session_id: str
    channel: Channel
    identity: Identity
    client: ClientInfo
    info: Mapping[str, Any]
    choose: Callable[[type], type | None]
