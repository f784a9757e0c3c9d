"""The transport of sockets without TLS, on both event loops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from actorcred.rpc.server.sockets import SocketTransport
from tests.adapters.front import reset
from tests.rpc.stage import on_both_loops

HIGH = 100_000


class Heard:
    """Records what a transport reports."""

    def __init__(self) -> None:
        self.data = b""
        self.paused: list[bool] = []
        self.lost: list[Exception | None] = []
        self.on_data: Callable[[], object] = lambda: None
        self.on_resume: Callable[[], object] = lambda: None
        self._news = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._news.set()
        self.on_data()

    def pause_writing(self) -> None:
        self.paused.append(True)
        self._news.set()

    def resume_writing(self) -> None:
        self.paused.append(False)
        self._news.set()
        self.on_resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has happened."""
        async with asyncio.timeout(30):
            while not condition():
                self._news.clear()
                await self._news.wait()


@contextmanager
def connected() -> Iterator[tuple[SocketTransport, Heard, socket.socket]]:
    """Provide a transport, what it reports, and the client's end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        sock, _ = listening.accept()
    sock.setblocking(False)
    client.setblocking(False)
    heard = Heard()
    transport = SocketTransport(asyncio.get_running_loop(), sock, heard, HIGH)
    assert not transport.is_reading()
    transport.resume_reading()
    with client:
        yield transport, heard, client
        transport.abort()


async def read(client: socket.socket, count: int) -> bytes:
    """Return so many bytes; fewer if the connection ends before."""
    loop, data = asyncio.get_running_loop(), b""
    async with asyncio.timeout(30):
        while len(data) < count and (more := await loop.sock_recv(client, 65536)):
            data += more
    return data


def say_last_words(transport: SocketTransport, client: socket.socket) -> None:
    """Have a reset come behind data that was not read."""
    transport.pause_reading()
    client.send(b"last words")
    reset(client)


@on_both_loops
async def test_what_arrives_is_passed_on_and_what_is_written_arrives() -> None:
    with connected() as (transport, heard, client):
        client.send(b"hello")
        await heard.until(lambda: heard.data == b"hello")
        transport.write(b"welcome")
        assert await read(client, 7) == b"welcome"
        assert transport.get_extra_info("socket").getpeername() == client.getsockname()
        assert transport.get_extra_info("ssl_object") is None


@on_both_loops
async def test_nothing_is_received_while_reading_is_paused() -> None:
    with connected() as (transport, heard, client):
        heard.on_data = transport.pause_reading
        client.send(b"one")
        await heard.until(lambda: heard.data == b"one")
        assert not transport.is_reading()
        transport.pause_reading()  # does nothing
        client.send(b"two")
        transport.write(b"still written")
        await read(client, 13)
        assert heard.data == b"one"
        transport.resume_reading()
        assert transport.is_reading()
        transport.resume_reading()  # does nothing
        await heard.until(lambda: heard.data == b"onetwo")


@on_both_loops
async def test_reading_that_is_paused_in_the_turn_in_which_data_arrives_waits() -> None:
    with connected() as (transport, heard, client):
        client.send(b"later")
        transport.pause_reading()
        transport._read()  # as by a loop that has seen the data before
        assert heard.data == b""
        transport.resume_reading()
        await heard.until(lambda: heard.data == b"later")
        transport._read()  # without data, which loops may do
        assert heard.lost == []


@on_both_loops
async def test_writing_pauses_while_a_client_does_not_read_and_all_arrives_in_order() -> None:
    with connected() as (transport, heard, client):
        parts = [bytes([number]) * 50_000 for number in range(200)]
        for part in parts:
            transport.write(part)
        assert heard.paused == [True]
        assert transport.get_write_buffer_size() > HIGH
        assert await read(client, 50_000 * 200) == b"".join(parts)
        await heard.until(lambda: heard.paused == [True, False])
        assert transport.get_write_buffer_size() == 0
        transport.write(b"more")
        assert await read(client, 4) == b"more"


@on_both_loops
async def test_a_connection_is_closed_when_everything_is_sent() -> None:
    with connected() as (transport, heard, client):
        data = b"x" * 10_000_000
        transport.write(data)
        transport.close()
        assert transport.is_closing()
        transport.close()  # does nothing
        transport.resume_reading()
        assert not transport.is_reading()
        assert heard.lost == []
        assert await read(client, len(data) + 1) == data
        await heard.until(lambda: heard.lost == [None])
        transport.write(b"late")
        assert transport.get_extra_info("socket").fileno() == -1


@on_both_loops
async def test_what_a_client_says_after_a_close_is_not_received() -> None:
    with connected() as (transport, heard, client):
        client.send(b"late")
        transport.close()
        assert heard.lost == []  # not while the caller does not expect it
        await heard.until(lambda: heard.lost == [None])
        assert heard.data == b""


@on_both_loops
async def test_an_abort_drops_what_waits_to_be_sent() -> None:
    with connected() as (transport, heard, client):
        transport.write(b"x" * 10_000_000)
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        assert heard.lost == []
        transport._write()  # as by a loop that had seen before that the client has read
        await heard.until(lambda: heard.lost == [None])
        assert len(await read(client, 10_000_000)) < 10_000_000
        transport.abort()
        await asyncio.sleep(0)
        assert heard.lost == [None]


@on_both_loops
async def test_the_end_of_a_client_ends_the_connection() -> None:
    with connected() as (_, heard, client):
        client.send(b"bye")
        client.shutdown(socket.SHUT_WR)
        await heard.until(lambda: heard.lost == [None])
        assert heard.data == b"bye"


@on_both_loops
async def test_a_client_that_sends_no_more_still_gets_everything() -> None:
    with connected() as (transport, heard, client):
        data = b"x" * 10_000_000
        transport.write(data)
        client.shutdown(socket.SHUT_WR)
        assert await read(client, len(data) + 1) == data
        await heard.until(lambda: heard.lost == [None])


@on_both_loops
async def test_a_reset_is_reported_with_its_error() -> None:
    with connected() as (_, heard, client):
        reset(client)
        await heard.until(lambda: bool(heard.lost))
        assert isinstance(heard.lost[0], ConnectionError)


@on_both_loops
async def test_a_write_to_a_client_that_is_gone_ends_the_connection_later() -> None:
    with connected() as (transport, heard, client):
        reset(client)
        transport.write(b"x")
        assert heard.lost == []
        await heard.until(lambda: bool(heard.lost))
        assert isinstance(heard.lost[0], OSError)


@on_both_loops
async def test_a_client_that_is_gone_while_much_waits_for_it_ends_the_connection() -> None:
    with connected() as (transport, heard, client):
        transport.write(b"x" * 10_000_000)
        transport.pause_reading()
        reset(client)
        await heard.until(lambda: bool(heard.lost))
        assert isinstance(heard.lost[0], OSError)
        assert transport.get_write_buffer_size() == 0


@on_both_loops
async def test_a_connection_that_ends_as_writing_resumes_is_not_watched_any_more() -> None:
    loop = asyncio.get_running_loop()
    with connected() as (transport, heard, client):
        sock = transport.get_extra_info("socket")
        heard.on_resume = transport.close
        transport.write(b"x" * 10_000_000)
        sent = 10_000_000 - transport.get_write_buffer_size()
        transport._unsent = bytearray(b"x")  # so little that the next attempt sends all
        client.settimeout(30)
        while sent:  # not by the loop, which would write meanwhile
            sent -= len(client.recv(sent))
        transport._write()
        assert heard.paused == [True, False]
        assert not loop.remove_writer(sock.fileno())  # it would be that of another connection soon
        await heard.until(lambda: heard.lost == [None])


@on_both_loops
async def test_a_reset_behind_data_is_noticed() -> None:
    with connected() as (transport, heard, client):
        say_last_words(transport, client)
        transport.resume_reading()
        await heard.until(lambda: bool(heard.lost))
        assert heard.data == b"last words"


@on_both_loops
async def test_a_reset_behind_data_is_noticed_when_reading_resumes() -> None:
    with connected() as (transport, heard, client):
        say_last_words(transport, client)
        heard.on_data = transport.pause_reading
        transport.resume_reading()
        await heard.until(lambda: heard.data == b"last words")
        transport.resume_reading()
        await heard.until(lambda: bool(heard.lost))
