"""What a client has not taken yet, in the program and in the system."""

from __future__ import annotations

import asyncio
import socket

from actorcred.rpc.server.output_queues import untaken


class Waiting(asyncio.Transport):
    """A transport in which some bytes wait."""

    def __init__(self, waiting: int, sock: socket.socket | None) -> None:
        super().__init__({"socket": sock})
        self.waiting = waiting

    def get_write_buffer_size(self) -> int:
        return self.waiting


def test_what_the_system_holds_counts_only_while_something_waits_here() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.send(b"x" * 1000)
        assert untaken(Waiting(0, here)) == 0
        assert untaken(Waiting(5, here)) >= 5 + 1000


def test_without_a_socket_that_can_tell_only_the_program_counts() -> None:
    here, there = socket.socketpair()
    here.close()
    there.close()
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    assert untaken(None) == 0
    assert untaken(Waiting(5, None)) == 5
    assert untaken(Waiting(5, here)) == 5
    with reading, writing, open("/dev/null", "rb") as no_socket:
        assert untaken(Waiting(5, no_socket)) == 5  # type: ignore[arg-type]
