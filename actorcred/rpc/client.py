"""The asyncio client: it logs in, calls, is notified, and comes back to its session when the connection was lost."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from actorcred.errors import CallCode, CallError, ConnectionLost, LoginDenied, LoginFailed, ProtocolError, login_error
from actorcred.rpc.addresses import Address
from actorcred.rpc.client_wires import ClientWire, open_wire
from actorcred.rpc.codec import Answer, Notice, Request, WireLimits
from actorcred.rpc.connection import Connection
from actorcred.sasl.mechanism import Secrets
from actorcred.sasl.mechanisms import CLIENT_MECHANISMS, choose

__all__ = ["Client", "ClientOptions", "connect"]

logger = logging.getLogger("actorcred.rpc.client")

LIMITS = WireLimits(frame=16 * 1024 * 1024, string=16 * 1024 * 1024, items=1_000_000, keys=100_000, pending=10_000)
"""What is accepted from a server, which is trusted more than a client is."""

FINAL = frozenset({"logout", "kicked", "replaced", "revoked", "resumed", "idle", "expired", "protocol-error"})
"""Reasons of a goodbye after which a client does not come back by itself."""

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How a client behaves.

    Args:
        interface: what to use the avatar as: the name of an interface, or several, the dearest first; by default the
            first one of the realm.
        mechanism: the SASL mechanism; by default the strongest that both sides have.
        reconnect: come back after the connection was lost, to the same session if that is possible.
        max_pause: seconds between two attempts at most.
        timeout: seconds for connecting and logging in.
        client: name and version, for the user's list of sessions.
        context: for TLS; by default certificates are verified against those of the system.
        json: write JSON; on WebSocket only.
    """

    interface: str | list[str] | None = None
    mechanism: str | None = None
    reconnect: bool = False
    max_pause: float = 30.0
    timeout: float = 10.0
    client: tuple[str, str] = ("actorcred", "")
    context: ssl.SSLContext | None = None
    json: bool = False


async def connect(
    address: Address | str,
    username: str = "",
    password: str | None = None,
    *,
    token: str | None = None,
    authorize_as: str = "",
    handler: Any = None,
    options: ClientOptions | None = None,
    **settings: Any,
) -> Client:
    """Connect to a server and log in.

    Args:
        address: as `tcp://127.0.0.1:9986`, `tls:...`, `unix:...`, `ws:...` or `wss:...`.
        username: who logs in; without name, password and token as an anonymous guest.
        password: the password. It is sent as it is only where nobody can read along.
        token: a bearer token in place of a password.
        authorize_as: whom to act as, if that is somebody else.
        handler: is told what the server says and asks: a callable `handler(name, *args)`, or an object with methods.
        options: how the client behaves.
        settings: fields of `ClientOptions`, in place of `options`.

    Returns:
        The client, logged in.

    Raises:
        LoginFailed: if the login did not succeed.
        ConnectionLost: if there is no connection, or it did not come in time.
        ProtocolError: if the server does not speak this protocol, or cannot prove that it is the right one.
        ValueError: if the address is none.
    """
    where = Address.parse(address) if isinstance(address, str) else address
    client = Client(where, Secrets(username, password, token, authorize_as), handler, options or ClientOptions(**settings))
    await client._open()
    return client


class Client:
    """A logged-in client, as `connect` returns it. Use it as an asynchronous context manager, or call `close`.

    Attributes:
        avatar_id: who is logged in; None for an anonymous guest.
        interface: the name of the interface that the avatar is used as.
        session: the id of the session.
        limits: what the server says of its limits.
        notifications: how many have come in this session.
        on_reconnect: called with True after the session went on, with False after a new login or when notifications were
            missed for good: what the client knows of the world may be out of date then.
    """

    def __init__(self, address: Address, secrets: Secrets, handler: Any, options: ClientOptions) -> None:
        self.address = address
        self.avatar_id: str | None = None
        self.interface = ""
        self.session = ""
        self.limits: dict[str, Any] = {}
        self.notifications = 0
        self.on_reconnect: Callable[[bool], object] | None = None
        self._secrets = secrets
        self._handle = _handler(handler)
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._wire: ClientWire | None = None
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._out: list[bytes] = []
        self._token: str | None = None
        self._goodbye: ConnectionLost | None = None
        self._logged_in = False
        self._heard = 0.0
        self._heartbeat: asyncio.TimerHandle | None = None
        self._comeback: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._finished: asyncio.Future[None] = self._loop.create_future()

    def __repr__(self) -> str:
        state = "closed" if self._finished.done() else "connected" if self._wire is not None else "disconnected"
        return f"<Client of {self.address}, {state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # -- what users do ------------------------------------------------------------------------------------------------

    def call(self, method: str, *args: Any) -> Awaitable[Any]:
        """Call a method of the avatar. The request is on its way when this returns; await the answer.

        Raises, when awaited:
            CallError: if the method failed; `code` says why.
            ConnectionLost: if the connection was lost before the answer came; nobody knows if the method ran.
        """
        if self._connection is not None:
            return self._request(method, args)
        return self._loop.create_task(self._call_later(method, args))

    async def _call_later(self, method: str, args: tuple[Any, ...]) -> Any:
        if self._comeback is None:
            raise self._why_lost()
        await asyncio.shield(self._comeback)
        if self._connection is None:
            raise self._why_lost()
        return await self._request(method, args)

    def notify(self, method: str, *args: Any) -> None:
        """Have a method of the avatar run, without an answer.

        Raises:
            ConnectionLost: if there is no connection.
        """
        if self._connection is None:
            raise self._why_lost()
        self._send(self._connection.notify(method, args))

    async def reauthenticate(self, password: str | None = None) -> None:
        """Prove the credentials again, as some methods demand with the error "reauthenticate".

        Args:
            password: the password that the user typed; by default that of the login.

        Raises:
            LoginFailed: if that was not right.
        """
        secrets = self._secrets
        if password is not None:
            secrets = Secrets(secrets.username, password, secrets.token, secrets.authorize_as)
        await self._authenticate("cred.reauthenticate", secrets)

    async def sessions(self) -> list[dict[str, Any]]:
        """Return the user's own sessions, this one and others."""
        return list(await self.call("cred.sessions"))

    async def end_session(self, session: str) -> bool:
        """End another session of the user, after `reauthenticate`; return whether there was one."""
        return bool(await self.call("cred.end", session))

    async def close(self) -> None:
        """Log out and close the connection. Returns when it is closed; it is no error if it is already."""
        if self._comeback is not None:
            self._comeback.cancel()
            self._finish()
        if self._finished.done():
            return
        self._options = _without_reconnect(self._options)
        with contextlib.suppress(ConnectionLost, CallError, TimeoutError):
            async with asyncio.timeout(self._options.timeout):
                await self._request("cred.logout", ())
                await asyncio.shield(self._finished)
        if self._wire is not None:
            self._wire.close()
        await self.wait_closed()

    async def wait_closed(self) -> ConnectionLost:
        """Wait until the client is disconnected for good; return why."""
        await asyncio.shield(self._finished)
        return self._why_lost()

    # -- connecting ---------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self._options.timeout):
                await self._connect()
                await self._log_in()
        except TimeoutError:
            self._abort()
            raise ConnectionLost(f"no login at {self.address} within {self._options.timeout:g} s") from None
        except BaseException:
            self._abort()
            raise
        self._start_heartbeat()

    async def _connect(self) -> None:
        self._goodbye = None
        wire = await open_wire(self.address, self._options.context, json=self._options.json)
        self._connection = Connection(wire.codec, LIMITS, framed=wire.framed)
        self._wire = wire
        self._heard = self._loop.time()
        wire.start(self._received, self._lost)

    async def _log_in(self) -> None:
        options = self._options
        wishes: dict[str, Any] = {"client": list(options.client), "resume": options.reconnect, "heartbeat": True}
        if options.interface is not None:
            wishes["interface"] = options.interface
        self.notifications = 0  # from here on, since the first may come together with the answer
        self._entered(await self._authenticate("cred.login", self._secrets, wishes))

    async def _authenticate(self, method: str, secrets: Secrets, *more: Any) -> dict[str, Any]:
        name = self._options.mechanism
        if name is None:
            offers = await self._request("cred.mechanisms", ())
            mechanism = choose(offers, secrets, private=self.address.private)
            if mechanism is None:
                raise LoginFailed(f"the server offers {', '.join(offers) or 'no mechanism'}, none of which is of use here")
        elif name in CLIENT_MECHANISMS:
            mechanism = CLIENT_MECHANISMS[name](secrets)
        else:
            raise ValueError(f"the mechanism {name!r} is unknown; use one of {', '.join(CLIENT_MECHANISMS)}")
        try:
            # PBKDF2 takes its time, which is not the event loop's.
            answer = await self._request(method, (mechanism.name, self._bytes_out(mechanism.start()), *more))
            while "challenge" in answer:
                proof = await asyncio.to_thread(mechanism.answer, self._bytes_in(answer["challenge"]))
                answer = await self._request("cred.respond", (self._bytes_out(proof),))
            data = answer.get("data")
            mechanism.finish(None if data is None else self._bytes_in(data))
        except CallError as error:
            raise login_error(error.code, error.retry_after) or error from None
        return dict(answer)

    def _bytes_out(self, data: bytes | None) -> Any:
        return data  # the codec makes them base64 in JSON

    def _bytes_in(self, data: Any) -> bytes:
        assert self._connection is not None
        try:
            result: bytes = self._connection.codec.convert(data, bytes)
        except ValueError:
            raise ProtocolError("the server's SASL data are no bytes") from None
        return result

    def _entered(self, answer: dict[str, Any]) -> None:
        try:
            self.avatar_id, self.interface, self.session = answer["avatar_id"], answer["interface"], answer["session"]
            self._token, self.limits = answer["token"], answer["limits"]
        except KeyError as error:
            raise ProtocolError(f"the server's answer to the login lacks {error}") from None
        self._logged_in = True

    def _why_lost(self) -> ConnectionLost:
        return self._goodbye or ConnectionLost("there is no connection")

    # -- coming back --------------------------------------------------------------------------------------------------

    def _lost(self, why: str) -> None:
        """Learn that the connection is gone."""
        goodbye = self._goodbye = self._goodbye or ConnectionLost(why)
        self._connection = None
        self._wire = None
        self._out.clear()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        calls, self._calls = self._calls, {}
        for future in calls.values():
            if not future.done():
                future.set_exception(goodbye)
        if self._comeback is not None or self._finished.done():
            return
        if self._logged_in and self._options.reconnect and goodbye.code not in FINAL:
            self._comeback = self._loop.create_task(self._come_back(goodbye.retry_after or 0.05))
        elif self._logged_in:
            self._finish()

    def _finish(self) -> None:
        if not self._finished.done():
            self._finished.set_result(None)

    async def _come_back(self, pause: float) -> None:
        try:
            while True:
                await asyncio.sleep(random.uniform(0.5, 1) * pause)
                pause = min(self._options.max_pause, 2 * max(pause, 0.1))
                try:
                    async with asyncio.timeout(self._options.timeout):
                        await self._connect()
                        whole = await self._resume_or_log_in()
                except (OSError, TimeoutError, ProtocolError) as error:
                    logger.info("%s cannot be reached: %s", self.address, error)
                except LoginDenied as error:
                    pause = max(pause, error.retry_after or 0.0)
                except (LoginFailed, CallError) as error:
                    self._goodbye = ConnectionLost(f"the server does not take the client back: {error}", "refused")
                    self._finish()
                    return
                else:
                    self._start_heartbeat()
                    if self.on_reconnect is not None:
                        self.on_reconnect(whole)
                    return
                self._abort()
                if self._why_lost().code in FINAL:
                    self._finish()
                    return
        except BaseException:
            self._finish()
            raise
        finally:
            self._comeback = None
            if self._finished.done():
                self._abort()

    async def _resume_or_log_in(self) -> bool:
        """Go on with the session, or begin a new one; return whether nothing was missed."""
        if self._token is not None:
            token, self._token = self._token, None
            seen = self.notifications
            try:
                answer = await self._request("cred.resume", (token, seen, True))
            except CallError as error:
                if error.code != "refused":
                    self._token = token
                    raise login_error(error.code, error.retry_after) or error from None
            else:
                self._entered(answer)
                self.notifications += answer["notifications"] - seen  # some may have come since
                return not answer["refresh"]
        await self._log_in()
        return False

    def _abort(self) -> None:
        self._connection = None
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    def _start_heartbeat(self) -> None:
        interval = float(self.limits.get("heartbeat") or 20.0)
        self._heartbeat = self._loop.call_later(interval, self._beat, interval)

    def _beat(self, interval: float) -> None:
        """Ask the server for a sign of life."""
        if self._connection is None or self._wire is None:
            return
        if self._loop.time() - self._heard > 2 * interval:
            self._goodbye = ConnectionLost(f"the server was silent for {2 * interval:g} s")
            self._wire.abort()
            return
        self._request("cred.ping", (self.notifications,)).add_done_callback(_forget_result)
        self._heartbeat = self._loop.call_later(interval, self._beat, interval)

    # -- messages -----------------------------------------------------------------------------------------------------

    def _request(self, method: str, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        if self._connection is None:
            future.set_exception(self._why_lost())
            return future
        number, data = self._connection.request(method, args)
        alone = not self._calls and not self._out
        self._calls[number] = future
        if alone and self._wire is not None:
            self._wire.write([data])  # nothing is under way with which it could be gathered
        else:
            self._send(data)
        return future

    def _send(self, data: bytes) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._wire is not None and out:
            self._wire.write(out)

    def _received(self, data: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        self._heard = self._loop.time()
        try:
            for message in connection.receive(data):
                kind = type(message)
                if kind is Answer:
                    self._answered(message)  # type: ignore[arg-type]
                elif kind is Notice:
                    self._notified(message)  # type: ignore[arg-type]
                elif kind is Request:
                    self._asked(message)  # type: ignore[arg-type]
        except ProtocolError as error:
            self._goodbye = ConnectionLost(f"the server broke the protocol: {error}", ProtocolError.code)
            self._abort()
            self._lost(str(error))

    def _answered(self, answer: Answer) -> None:
        future = self._calls.pop(answer.id, None)
        if future is None or future.done():
            return
        if answer.error is None:
            future.set_result(answer.result)
        else:
            future.set_exception(_error_of(answer.error))

    def _notified(self, notice: Notice) -> None:
        if notice.method == "cred.goodbye":
            reason, retry_after = (*notice.params, None, None)[:2]
            reason = reason if isinstance(reason, dict) else {}
            text = reason.get("message") or "the server said goodbye"
            self._goodbye = ConnectionLost(str(text), str(reason.get("code", "")), retry_after)
            return
        self.notifications += 1
        try:
            result = self._handle(notice.method, notice.params)
        except CallError:
            pass  # the handler does not know it, or says no: nobody waits for an answer
        except Exception:
            logger.exception("The handler of %r failed:", notice.method)
        else:
            if inspect.iscoroutine(result):
                self._spawn(self._finish_notice(notice.method, result))

    async def _finish_notice(self, name: str, result: Awaitable[Any]) -> None:
        try:
            await result
        except CallError:
            pass
        except Exception:
            logger.exception("The handler of %r failed:", name)

    def _asked(self, request: Request) -> None:
        self._spawn(self._answer(request))

    def _spawn(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> None:
        connection = self._connection
        try:
            result = self._handle(request.method, request.params)
            if inspect.isawaitable(result):
                result = await result
            data = connection.answer(request.id, result) if connection is not None else b""
        except CallError as error:
            data = connection.fail(request.id, error) if connection is not None else b""
        except Exception:
            logger.exception("The handler of %r failed:", request.method)
            failure = CallError("the client failed", CallCode.INTERNAL)
            data = connection.fail(request.id, failure) if connection is not None else b""
        if connection is not None and connection is self._connection:
            self._send(data)


def _forget_result(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


def _without_reconnect(options: ClientOptions) -> ClientOptions:
    return ClientOptions(
        **{name: getattr(options, name) for name in ClientOptions.__slots__ if name != "reconnect"}, reconnect=False
    )


def _error_of(fault: Any) -> CallError:
    if isinstance(fault, dict):
        return CallError(
            str(fault.get("message", "")), str(fault.get("code", CallCode.FAILED)), retry_after=fault.get("retry_after")
        )
    return CallError(str(fault))


def _handler(target: Any) -> Callable[[str, list[Any]], Any]:
    """Return a function of name and parameters for what a user gave as handler."""
    if target is None:
        return _nobody
    if callable(target):
        return lambda name, params: target(name, *params)

    def call_method(name: str, params: list[Any]) -> Any:
        method = None if name.startswith("_") else getattr(target, name, None)
        if method is None:
            raise CallError(f"no method {name[:60]!r}", CallCode.UNKNOWN_METHOD)
        return method(*params)

    return call_method


def _nobody(name: str, params: list[Any]) -> Any:
    raise CallError(f"no method {name[:60]!r}", CallCode.UNKNOWN_METHOD)
