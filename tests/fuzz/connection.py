"""Fuzz the protocol with atheris: `make fuzz FUZZ=-max_total_time=60`. Only the documented error may come out."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports():
    from actorcred.errors import ProtocolError
    from actorcred.rpc.codec import JSON, MSGPACK, Request, WireLimits
    from actorcred.rpc.connection import Connection

LIMITS = WireLimits(frame=4096, nesting=8, string=1024, items=64, keys=16, pending=8)


def one_input(data: bytes) -> None:
    """Feed one input, cut into pieces by its first byte."""
    if not data:
        return
    step, framed = 1 + data[0] % 64, bool(data[0] & 128)
    connection = Connection(JSON if framed else MSGPACK, LIMITS, framed=framed)
    pieces = [data[1:]] if framed else [data[begin : begin + step] for begin in range(1, len(data), step)]
    try:
        for piece in pieces:
            for message in connection.receive(piece):
                if isinstance(message, Request):
                    connection.answer(message.id, None)
            assert len(connection._tail) <= LIMITS.frame
    except ProtocolError:
        pass


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
