"""nats-py's client without those of its faults that are named below, and with fewer loop turns.

Uses private methods of nats-py, which the tests guard.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.errors import APIError, ServiceUnavailableError
from nats.protocol.command import pub_cmd

from actorcred.cluster._tasks import cancel_all
from actorcred.cluster.complaints import Complaints
from actorcred.cluster.errors import BusError
from actorcred.cluster.settings import NatsOptions, needs_tls

__all__ = ["FAULTS", "Client", "connect", "reason_of"]

logger = logging.getLogger("actorcred.cluster")

SETTINGS: dict[str, Any] = {
    # The order of servers is random already. nats-py would shuffle them at each reconnection, and
    # might go back to a server that has just been left.
    "dont_randomize": True,
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 0.25,
    "ping_interval": 2,
    "max_outstanding_pings": 2,
    "pending_size": 8 << 20,
}
"""What is the same for all clusters."""

FAULTS = (nats.errors.Error, asyncio.TimeoutError, ConnectionError)
"""What calls of nats-py raise if NATS does not do what it should."""

NO_JETSTREAM = frozenset({None, 10039, 10076})
"""Codes of a server, or an account, that keeps no streams; None is no answer at all."""

REFUSALS = ("violation", "exceeded", "expired", "revoked", "tls required", "not found")
"""Words in what NATS says when it refuses something, as opposed to being shut down."""


def reason_of(error: BaseException) -> str:
    """Return what a log should say of an error, and what to do where that is known."""
    if isinstance(error, ServiceUnavailableError) and error.err_code in NO_JETSTREAM:
        return "NATS must run with JetStream (nats-server -js), and permit it to this account"
    if isinstance(error, APIError):
        return f"NATS refuses it: {error.description} (its error {error.err_code})"
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"


async def connect(
    options: NatsOptions, node: str, back: Callable[[], object], away: Callable[[], object]
) -> Client:
    """Return a client of NATS that is connected, and that reconnects for ever.

    Args:
        options: where NATS is.
        node: the id of this node.
        back: called after a reconnection.
        away: called after a disconnection.

    Raises:
        BusError: if NATS cannot be reached in time.
        Exception: what nats-py makes of an address or a file of credentials.
    """
    last: Exception = TimeoutError()

    async def failed(error: Exception) -> None:
        nonlocal last
        if not isinstance(error, OSError) or isinstance(last, OSError):  # NATS itself says more
            last = error
        client.note(error)

    client = Client(options)
    # With wrong credentials nats-py tries for ever if it may reconnect, so the first connection
    # has a deadline of its own.
    connecting = client.connect(
        random.sample(options.servers, len(options.servers)),
        name=node,
        # With the default prefix, every user of the account could read all answers.
        inbox_prefix=f"_INBOX_ac.{node}",
        connect_timeout=options.timeout,  # type: ignore[arg-type]
        error_cb=failed,
        reconnected_cb=_as_callback(back),
        disconnected_cb=_as_callback(away),
        **SETTINGS,
        **_credentials(options),
    )
    try:
        await asyncio.wait_for(connecting, options.timeout * (len(options.servers) + 1))
    except BaseException as error:
        with contextlib.suppress(AssertionError):  # of nats-py, if it had not begun
            await client.close()
        if isinstance(error, asyncio.TimeoutError):
            raise BusError(f"NATS cannot be reached: {_why(last)}") from None
        raise
    return client


def _why(error: Exception) -> str:
    """Return why a first connection has failed."""
    why = reason_of(error)
    if isinstance(error, (BrokenPipeError, ConnectionResetError)):
        why += ". It ends connections at once: has it too many, or does it expect TLS?"
    return why


def _as_callback(function: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    async def callback() -> None:
        function()

    return callback


def _credentials(options: NatsOptions) -> dict[str, Any]:
    found = {
        "user": options.user,
        "password": options.password,
        "user_credentials": options.credentials and str(options.credentials),
        "tls": options.tls,
    }
    return {name: value for name, value in found.items() if value}


class Client(NatsClient):
    """A client that does not give up, and does not do without TLS.

    Args:
        options: says where TLS is needed.

    Attributes:
        complaints: warns of what NATS refuses.
        refusal: what NATS has last refused, in its words; "" if nothing.
    """

    def __init__(self, options: NatsOptions) -> None:
        super().__init__()
        self._cluster = options
        self._tokens = itertools.count()
        self._has_written = False
        self._attempts: set[asyncio.Task[Any]] = set()
        self._receivers: dict[int, Callable[[Msg], object]] = {}
        self.complaints = Complaints()
        self.refusal = ""

    def note(self, error: Exception) -> None:
        """Log an error of the connection; a warning if NATS refuses something."""
        text = str(error)
        logger.debug("NATS: %s: %s", type(error).__name__, text)
        refused = text.startswith("nats: ") and any(word in text.lower() for word in REFUSALS)
        if refused:
            self.refusal = text.removeprefix("nats: ")
            self.complaints.warn(text, f"NATS refuses node {self.options['name']}: {self.refusal}")

    async def change_server(self) -> asyncio.Task[None]:
        """Leave the server for the next one; return the task that goes there."""
        await self._process_op_err(nats.errors.Error("this server does not serve this node"))
        assert self._reconnection_task is not None
        return self._reconnection_task

    async def listen(self, subject: str, receive: Callable[[Msg], object]) -> Subscription:
        """Have a function called with each message of a subject, as soon as it is read.

        nats-py puts messages into a queue, and calls a coroutine in the next turn of the loop.
        """

        async def later(msg: Msg) -> None:
            receive(msg)

        subscription = await self.subscribe(subject, cb=later)
        self._receivers[subscription._id] = receive
        return subscription

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._receivers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        receive = self._receivers.get(sid)
        if receive is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        found = await self._process_headers(headers) if headers else None
        try:
            receive(self._build_message(sid, subject, reply, data, found))
        except Exception as error:
            await self._error_cb(error)

    async def _init_request_sub(self) -> None:
        await super()._init_request_sub()
        assert self._resp_sub_prefix is not None
        subject = f"{self._resp_sub_prefix.decode()}*"
        for sid, subscription in self._subs.items():
            if subscription.subject == subject:
                self._receivers[sid] = self._take_answer

    def _take_answer(self, msg: Msg) -> None:
        answer = self._resp_map.get(msg.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(msg)

    @property
    def is_idle(self) -> bool:
        """Whether nothing was written in this turn of the loop, and nothing waits to be."""
        if self._has_written or self._pending or not self.is_connected:
            return False
        writer: asyncio.StreamWriter | None = getattr(self._transport, "_io_writer", None)
        return writer is not None and not writer.transport.get_write_buffer_size()

    def publish_now(self, subject: str, data: bytes, reply: str) -> None:
        """Publish a message without a turn of the loop; only if `is_idle`."""
        self._begin_to_write()
        self._write([pub_cmd(subject, reply, data)])

    def _begin_to_write(self) -> None:
        self._has_written = True
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _write(self, data: list[bytes]) -> None:
        assert self._transport is not None
        # The task that reads finds that, too. RuntimeError: uvloop's, of a closed transport.
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.writelines(data)

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        # nats-py leaves all writing to a task, which comes in the next turn of the loop. Here the
        # first message of a turn does not wait for it; those that follow go together as before.
        if self._has_written or not self._pending or not self.is_connected:
            return await super()._flush_pending(force_flush)
        self._begin_to_write()
        pending, self._pending, self._pending_data_size = self._pending, [], 0
        self._write(pending)
        assert self._transport is not None
        with contextlib.suppress(OSError):
            await self._transport.drain()  # type: ignore[no-untyped-call]
        written = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written

    def _next_turn(self) -> None:
        self._has_written = False

    async def _request_new_style(
        self,
        subject: str,
        payload: bytes,
        timeout: float = 1,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        # nats-py's takes a turn of the loop more, for asyncio.wait_for.
        if not self._resp_sub_prefix:
            await self._init_request_sub()
        assert self._resp_sub_prefix is not None
        loop, token = asyncio.get_running_loop(), str(next(self._tokens))
        answer: asyncio.Future[Msg] = loop.create_future()
        self._resp_map[token] = answer
        timer = loop.call_later(timeout, _fail, answer, nats.errors.TimeoutError())
        try:
            inbox = self._resp_sub_prefix.decode() + token
            await self.publish(subject, payload, reply=inbox, headers=headers)
            return await answer
        finally:
            timer.cancel()
            del self._resp_map[token]

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # nats-py uses TLS only if the server asks for it, even at tls:// addresses. Whoever stands
        # between could say that it does not, and read the password, which is sent after this.
        assert self._current_server is not None
        address = self._current_server.uri
        if (
            initial_connection
            and needs_tls(self._cluster, address.scheme, address.hostname or "")
            and not info.get("tls_required")
        ):
            raise nats.errors.SecureConnWantedError
        await super()._process_info(info, initial_connection)

    async def _process_err(self, err_msg: str) -> None:
        # nats-py closes for ever, such as after a reload of the server's users.
        error = nats.errors.Error(f"nats: {err_msg}")
        self.note(error)
        if "permissions violation" not in err_msg:
            await self._process_op_err(error)

    async def flush(self, timeout: float = 10) -> None:
        # nats-py writes the PING at once, before subscriptions and messages that wait to be sent.
        await asyncio.wait_for(self._flush_pending(force_flush=True), timeout)
        await super().flush(timeout)  # type: ignore[arg-type]

    async def _connect_to_server(self, s: Any) -> None:
        # nats-py leaves each connection open that did not come so far as to be greeted.
        self._abort()
        await super()._connect_to_server(s)

    async def _process_op_err(self, e: Exception) -> None:
        # nats-py waits until a connection that is lost has sent everything.
        # Afterwards it would send what is no longer true, possibly to a NATS with an empty store.
        if not self.is_closed and not self.is_reconnecting:
            self._give_up_connection()
        await super()._process_op_err(e)

    async def _attempt_reconnect(self) -> None:
        # In nats-py an attempt that another one has cancelled settles the future of that one, and
        # goes on beside it if the cancellation is lost (see `cancel_all`), also after `close`.
        this = asyncio.current_task()
        assert this is not None
        earlier, self._attempts = self._attempts, {this}
        await cancel_all(earlier)
        with contextlib.suppress(asyncio.InvalidStateError):
            await super()._attempt_reconnect()

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        if not self.is_connected:
            self._give_up_connection()
        subscriptions = list(self._subs.values())
        await cancel_all(one for one in self._attempts if one is not asyncio.current_task())
        try:
            await super()._close(status, do_cbs)
        except BaseException:
            self._abort()
            raise
        finally:
            # nats-py leaves their tasks if the connection breaks, or is too slow, as it closes.
            for subscription in subscriptions:
                subscription._stop_processing()

    def _give_up_connection(self) -> None:
        self._abort()
        self._pending.clear()
        self._pending_data_size = 0
        # nats-py lets them wait for their timeout; what was on its way is lost with the connection.
        for answer in self._resp_map.values():
            _fail(answer, nats.errors.Error("the connection to NATS was lost"))

    def _abort(self) -> None:
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    async def _process_pong(self) -> None:
        # nats-py stops reading if the flush that waited for it has been given up.
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()


def _fail(answer: asyncio.Future[Msg], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
