"""Each thread has one buffer, into which all of its connections receive."""

from __future__ import annotations

import threading

from actorcred.rpc.protocol.buffer import SIZE, receive_buffer


def test_a_thread_has_one_buffer_and_another_thread_another_one() -> None:
    others: list[memoryview] = []
    thread = threading.Thread(target=lambda: others.append(receive_buffer()))
    thread.start()
    thread.join()

    assert receive_buffer() is receive_buffer()
    assert len(receive_buffer()) == SIZE
    receive_buffer()[:1] = b"x"
    assert others[0][:1] == b"\0"
