"""The client's end of one connection: calls both ways, notifications, and the heartbeat."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias, cast

from actorcred.errors import CallCode, CallError, ConnectionLost, ProtocolError
from actorcred.rpc.client.transports import ClientTransport
from actorcred.rpc.protocol.codec import NotificationMessage, Request, Response, WireLimits
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.protocol.faults import read_fault
from actorcred.rpc.protocol.goodbye import GoodbyeCode
from actorcred.sasl.scram import end_point_binding, has_scram

__all__ = ["Call", "ClientConnection", "Handle", "make_handle"]


logger = logging.getLogger("actorcred.rpc.client")

LIMITS = WireLimits(
    frame=16 * 1024 * 1024, string=16 * 1024 * 1024, items=1_000_000, keys=100_000, pending=10_000
)
"""Limits on what a server may send. It is trusted more than a client, so they are wider."""

Call: TypeAlias = "tuple[asyncio.Future[Any], str, tuple[Any, ...]]"
"""The future of a call, its method and its arguments."""

_NO_CALL: tuple[None, str, tuple[Any, ...]] = (None, "", ())

Handle = Callable[..., Any]

Lost = Callable[["ClientConnection", ConnectionLost], object]

_tasks: set[asyncio.Task[None]] = set()
"""The tasks of all connections: a loop itself keeps only weak references."""


class Counts(Protocol):
    """What counts the notifications of the server."""

    notifications: int


class ClientConnection:
    """One connection.

    Args:
        wire: the transport.
        handle: called with the name and the parameters of each notification and call of the server.
        counts: counts the notifications of the server except `cred.goodbye`.
        lost: called with this connection and the reason when it is lost.

    Attributes:
        connection: the protocol.
        again: the calls that the server has not carried out, since the session moves.
    """

    # A program can have thousands of clients.
    __slots__ = (
        "_calls",
        "_counts",
        "_goodbye",
        "_handle",
        "_heartbeat",
        "_loop",
        "_out",
        "_silent",
        "_when_lost",
        "_wire",
        "again",
        "connection",
    )

    def __init__(self, wire: ClientTransport, handle: Handle, counts: Counts, lost: Lost) -> None:
        self.connection = Connection(wire.codec, LIMITS, framed=wire.framed)
        self.again: tuple[Call, ...] = ()
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._handle = handle
        self._counts = counts
        self._when_lost: Lost | None = lost
        self._goodbye: ConnectionLost | None = None
        self._calls: dict[int, Call] = {}
        self._out: list[bytes] | None = None
        self._silent = 0  # how many beats ago the server was heard
        self._heartbeat: asyncio.TimerHandle | None = None
        wire.start(self)

    @property
    def open(self) -> bool:
        """Whether it can be used."""
        return self._when_lost is not None

    def request(self, method: str, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        """Call a method of the server; return a future of its result."""
        future = self._loop.create_future()
        if self._when_lost is None:
            future.set_exception(self._goodbye or ConnectionLost("the connection was lost"))
            return future
        number, data = self.connection.request(method, args)
        alone = not self._calls and self._out is None
        self._calls[number] = (future, method, args)
        if alone:
            write = self._wire.write  # no other message to gather it with
            write(data)
        else:
            self.send(data)
        return future

    def send(self, data: bytes) -> None:
        """Send a message, together with all others of this iteration of the loop."""
        if self._out is None:
            self._out = [data]
            self._loop.call_soon(self._flush)
        else:
            self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, None
        if out is not None and self._when_lost is not None:
            self._wire.writelines(out)

    def abort(self, reason: ConnectionLost | None = None) -> None:
        """Close immediately and ignore whatever still arrives."""
        self._goodbye = self._goodbye or reason
        self.lost("the connection was abandoned")
        self._wire.abort()

    def channel_binding(self) -> tuple[str, bytes] | None:
        """Return the channel binding of this connection; None without TLS or the extra "scram"."""
        der = self._wire.server_certificate()
        return None if der is None or not has_scram() else end_point_binding(der)

    def start_heartbeat(self, interval: float) -> None:
        """Ping the server every `interval` seconds, with the number of notifications received."""
        self._heartbeat = self._loop.call_later(interval, self._beat, interval)

    def _beat(self, interval: float) -> None:
        self._silent += 1
        if self._silent > 2:
            self.abort(ConnectionLost(f"the server was silent for {2 * interval:g} s"))
            return
        seen = self._counts.notifications
        self.request("cred.ping", (seen,)).add_done_callback(_forget_result)
        self.start_heartbeat(interval)

    # -- receiving ---------------------------------------------------------------------------------

    def lost(self, why: str) -> None:
        """Called when the connection is lost."""
        lost, self._when_lost = self._when_lost, None
        if lost is None:
            return
        goodbye = self._goodbye = self._goodbye or ConnectionLost(why)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        calls, self._calls = self._calls, {}
        again = []
        for number, call in calls.items():
            if goodbye.moved is not None and _is_later(number, goodbye.moved[1]):
                again.append(call)
            elif not call[0].done():
                call[0].set_exception(goodbye)
        self.again = tuple(again)
        lost(self, goodbye)

    def repeat(self, calls: Iterable[Call]) -> None:
        """Make calls that were not carried out on an earlier connection."""
        for future, method, args in calls:
            if not future.done():
                number, data = self.connection.request(method, args)
                self._calls[number] = (future, method, args)
                self.send(data)

    def received(self, data: bytes) -> None:
        """Process received data."""
        self._silent = 0
        try:
            for message in self.connection.receive(data):
                kind = type(message)
                if kind is Response:
                    future, _, _ = self._calls.pop(message.id, _NO_CALL)  # type: ignore[union-attr]
                    if future is None or future.done():
                        continue
                    if message.error is None:  # type: ignore[union-attr]
                        future.set_result(message.result)  # type: ignore[union-attr]
                    else:
                        future.set_exception(read_fault(message.error))  # type: ignore[union-attr]
                elif kind is NotificationMessage:
                    self._notice(message)  # type: ignore[arg-type]
                elif kind is Request:
                    self._spawn(self._answer(message))  # type: ignore[arg-type]
        except ProtocolError as error:
            self.abort(
                ConnectionLost(f"the server broke the protocol: {error}", ProtocolError.code)
            )

    def _notice(self, notice: NotificationMessage) -> None:
        if notice.method == "cred.goodbye":
            self._goodbye = _goodbye_of(notice.params)
            return
        self._counts.notifications += 1
        try:
            handle = self._handle
            result = handle(notice.method, *notice.params)
        except CallError:
            pass  # unknown to the handler, or refused by it: a notification has no answer
        except Exception:
            logger.exception("The handler of %r failed:", notice.method)
        else:
            if result is not None and inspect.iscoroutine(result):
                self._spawn(_finish_notice(notice.method, result))

    async def _answer(self, request: Request) -> None:
        try:
            result = self._handle(request.method, *request.params)
            if inspect.isawaitable(result):
                result = await result
            data = self.connection.answer(request.id, result)
        except CallError as error:
            data = self.connection.fail(request.id, error)
        except Exception:
            logger.exception("The handler of %r failed:", request.method)
            data = self.connection.fail(
                request.id, CallError("the client failed", CallCode.INTERNAL)
            )
        self.send(data)

    def _spawn(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


async def _finish_notice(name: str, result: Awaitable[Any]) -> None:
    try:
        await result
    except CallError:
        pass
    except Exception:
        logger.exception("The handler of %r failed:", name)


def _forget_result(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _goodbye_of(params: list[Any]) -> ConnectionLost:
    reason, retry_after = (*params, None, None)[:2]
    reason = reason if isinstance(reason, dict) else {}
    lost = ConnectionLost(
        str(reason.get("message") or "the server said goodbye"),
        str(reason.get("code", "")),
        retry_after,
    )
    last, token = reason.get("last"), reason.get("token")
    if lost.code == GoodbyeCode.MOVED and isinstance(last, int):
        lost.moved = (token if isinstance(token, str) else None, last)
    return lost


def _is_later(number: int, last: int) -> bool:
    """Return whether a request was sent after another one; their ids begin anew after 2**32."""
    return 0 < (number - last) % (1 << 32) < 1 << 31


def make_handle(target: Any) -> Handle:
    """Return a function `handle(name, *args)` for a handler: None, a callable or an object."""
    if target is None:
        return _nobody
    if callable(target):
        return cast("Handle", target)

    def call_method(name: str, *params: Any) -> Any:
        method = None if name.startswith("_") else getattr(target, name, None)
        return _nobody(name) if method is None else method(*params)

    return call_method


def _nobody(name: str, *params: Any) -> Any:
    raise CallError(f"no method {name[:60]!r}", CallCode.UNKNOWN_METHOD)
