"""The message by which a node hands a session over; one of those in `messages`."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Adopt"]


class Adopt(msgspec.Struct, tag="adopt", frozen=True, array_like=True):
    """Take over a session; answered with the number of its place and what its client needs.

    Attributes:
        node: the node that has it.
        revision: of the roster; the place must be taken in it.
        portrait: the session, as any other node may know it; see `portable`.
        parcel: all else; see `actorcred.sessions.moving`.
    """

    node: str
    revision: int
    portrait: Any
    parcel: Any
