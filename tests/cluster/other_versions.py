"""Makes a node process speak as one of another version would.

A newer one numbers its messages and the values of the roster higher, appends a field to each, and
sends kinds that are unknown today. An older one sends no field that has a default, and does not
know one of today's questions.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from actorcred.cluster import messages, roster
from actorcred.cluster.bus import Bus
from actorcred.cluster.errors import BusError

UNKNOWN = "annotate"
"""What the older node does not know."""

NEW_KIND = msgspec.msgpack.encode((messages.VERSION + 1, ["dance", "somebody", {"of": "tomorrow"}]))

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def speak(which: str) -> None:
    """Speak from now on as "newer" or "older"."""
    if which == "newer":
        messages._encode = _newer
        roster.pack_entries = _newer_entries
    else:
        messages._encode = _older
        messages._decode = _decode_older


def _newer(message: tuple[int, Any]) -> bytes:
    version, fields = _decode(_encode(message))
    return _encode((version + 1, [*fields, {"of": "tomorrow"}]))


def _newer_entries(avatar_id: str, entries: list[roster.Entry]) -> bytes:
    more = [[*_decode(_encode(entry)), "tomorrow"] for entry in entries]
    return _encode([roster.VERSION + 1, avatar_id, more, {"of": "tomorrow"}])


def _older(message: tuple[int, Any]) -> bytes:
    version, fields = _decode(_encode(message))
    defaults = message[1].__struct_defaults__
    kept = len(fields)
    while defaults and kept > len(fields) - len(defaults):
        if fields[kept - 1] != defaults[len(defaults) - (len(fields) - kept) - 1]:
            break
        kept -= 1
    if type(message[1]) is messages.Beat:  # whatever it has to say of newer fields
        kept = min(kept, 5)
    return _encode((version, fields[:kept]))


_known = messages._decode


def _decode_older(data: Any) -> Any:
    if _decode(data)[1][0] == UNKNOWN:
        raise msgspec.ValidationError(f"Invalid value '{UNKNOWN}'")
    return _known(data)


async def dance(bus: Bus) -> None:
    """Send all nodes kinds of messages that are unknown today, again and again."""
    while True:
        await asyncio.sleep(0.05)
        if bus.connected:
            try:
                bus.tell_all(NEW_KIND)
                await bus.gather(NEW_KIND, {"nobody"}, 0.01)
            except BusError:
                return
