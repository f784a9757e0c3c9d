"""The asyncio client: logins, calls, notifications, and resuming sessions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from actorcred.audit import printable
from actorcred.errors import (
    CallError,
    CheckerUnavailable,
    ConnectionLost,
    LoginDenied,
    LoginFailed,
    ProtocolError,
    login_error,
)
from actorcred.rpc.client.connection import Call, ClientConnection, make_handle
from actorcred.rpc.client.options import ClientOptions
from actorcred.rpc.client.patience import Patience
from actorcred.rpc.client.reconnecting import Pause, tell
from actorcred.rpc.client.transports import open_wire
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.protocol.goodbye import FINAL
from actorcred.sasl.mechanism import ClientMechanism, Secrets
from actorcred.sasl.mechanisms import LEGACY, choose, named

__all__ = ["Client", "ClientOptions", "connect"]


logger = logging.getLogger("actorcred.rpc.client")

T = TypeVar("T")

SLOW_LOGIN = 3.0
"""Seconds after which a login is reported as slow."""

OPTIONS = ClientOptions()


async def connect(
    address: Address | str,
    username: str = "",
    password: str | None = None,
    *,
    token: str | None = None,
    authorize_as: str = "",
    handler: Any = None,
    options: ClientOptions | None = None,
) -> Client:
    """Connect to a server and log in.

    Args:
        address: for example `tcp://127.0.0.1:9986`, `tls:...`, `unix:...`, `ws:...` or `wss:...`.
        username: the user's name; without name, password and token the login is anonymous.
        password: the password. It is sent in clear only over a private connection.
        token: a bearer token in place of a password.
        authorize_as: the user to act as, if not the one who logs in.
        handler: handles the server's notifications and calls: a callable `handler(name, *args)`, or
            an object with methods.
        options: the client's settings.

    Returns:
        The client, logged in.

    Raises:
        LoginFailed: if the login failed; `CheckerUnavailable` also if there was no answer in time.
        ConnectionLost: if the connection could not be made, or not in time.
        ProtocolError: if the server does not speak this protocol, or cannot prove its identity.
        ValueError: if the address is not valid.
    """
    where = Address.parse(address) if isinstance(address, str) else address
    client = Client(
        where,
        Secrets(username, password, token, authorize_as),
        handler,
        options or OPTIONS,
    )
    await client._open()
    return client


class Client:
    """A logged-in client, as returned by `connect`.

    Use it as an asynchronous context manager, or call `close`.

    Attributes:
        avatar_id: who is logged in; None for an anonymous guest.
        interface: the name of the interface that the avatar is used as.
        session: the id of the session.
        limits: the limits that the server announced.
        notifications: the number of notifications received in this session.
        on_reconnecting: called with the error and the seconds until the next attempt, whenever the
            client begins to wait for one; `reconnect_now` ends the wait.
        on_reconnect: called with True after the session was resumed, with False after a new login
            or if notifications were lost: the client's state might be out of date then.
    """

    def __init__(
        self, address: Address, secrets: Secrets, handler: Any, options: ClientOptions
    ) -> None:
        self.address = address
        self.avatar_id: str | None = None
        self.interface = ""
        self.session = ""
        self.limits: dict[str, Any] = {}
        self.notifications = 0
        self.on_reconnecting: Callable[[Exception, float], object] | None = None
        self.on_reconnect: Callable[[bool], object] | None = None
        self._secrets = secrets
        self._handle = make_handle(handler)
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._line: ClientConnection | None = None
        self._token: str | None = None
        self._goodbye: ConnectionLost | None = None
        self._trouble: Exception | None = None  # why there is still no connection
        self._logged_in = False
        self._closing = False
        self._comeback: asyncio.Task[None] | None = None
        self._again: tuple[Call, ...] = ()
        """Calls to make at the server to which the session has moved."""
        self._pause: Pause | None = None
        self._over = False
        """Whether the client is disconnected and will not reconnect."""
        self._finished: asyncio.Future[None] | None = None  # of those who wait for that

    def __repr__(self) -> str:
        state = (
            "closed" if self._over else "connected" if self._line is not None else "disconnected"
        )
        return f"<Client of {self.address}, {state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # -- public methods ----------------------------------------------------------------------------

    def call(self, method: str, *args: Any) -> Awaitable[Any]:
        """Call a method of the avatar. The request is sent when this returns; await the answer.

        Raises:
            CallError: when awaited, if the method failed; `code` says why.
            ConnectionLost: when awaited, if the connection was lost before the answer arrived; the
                method might or might not have run.
        """
        if self._line is not None and self._comeback is None:
            return self._line.request(method, args)
        return self._loop.create_task(self._call_later(method, args))

    async def _call_later(self, method: str, args: tuple[Any, ...]) -> Any:
        if self._comeback is not None:
            # Not for its result: whoever closes the client cancels it, but not this call.
            await asyncio.wait([self._comeback])
        return await self._request(method, args)

    def notify(self, method: str, *args: Any) -> None:
        """Call a method of the avatar without waiting for an answer.

        Raises:
            ConnectionLost: if there is no connection.
        """
        line = self._connected()
        line.send(line.connection.notify(method, args))

    async def reauthenticate(self, password: str | None = None) -> None:
        """Prove the credentials again, as some methods require with the error "reauthenticate".

        Args:
            password: the password that the user typed; by default that of the login.

        Raises:
            LoginFailed: if the credentials were refused.
        """
        secrets = self._secrets if password is None else replace(self._secrets, password=password)
        await self._authenticate("cred.reauthenticate", secrets)

    async def sessions(self) -> list[dict[str, Any]]:
        """Return all sessions of the user, including this one."""
        return list(await self.call("cred.sessions"))

    async def end_session(self, session: str) -> bool:
        """End another session of the user; return whether it existed. Needs `reauthenticate`."""
        return bool(await self.call("cred.end", session))

    def reconnect_now(self) -> bool:
        """Try to reconnect at once, if the client waits for that, such as when a user asks for it.

        Returns:
            Whether it did wait.
        """
        return self._pause is not None and self._pause.end()

    async def close(self) -> None:
        """Log out, close the connection, and wait until it is closed.

        Does nothing if it is already closed.
        """
        if self._comeback is not None:
            self._comeback.cancel()
            self._finish()
        if self._over:
            return
        self._closing = True
        with contextlib.suppress(ConnectionLost, CallError, TimeoutError):
            async with asyncio.timeout(self._options.timeout):
                await self._request("cred.logout", ())
                await self.wait_closed()
        self._abort()
        self._finish()

    async def wait_closed(self) -> ConnectionLost:
        """Wait until the client is disconnected and will not reconnect; return why."""
        if not self._over:
            if self._finished is None:
                self._finished = self._loop.create_future()
            await asyncio.shield(self._finished)
        return self._why()

    # -- connecting --------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            await self._connect()
            await self._patiently(self._log_in())
        except BaseException:
            self._abort()
            raise
        self._start_heartbeat()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._options.timeout):
                wire = await open_wire(self.address, self._options.context, json=self._options.json)
        except TimeoutError:
            raise ConnectionLost(
                f"cannot connect to {self.address} within {self._options.timeout:g} s"
            ) from None
        self._line = ClientConnection(wire, self._handle, self, self._lost)

    async def _patiently(self, login: Coroutine[Any, Any, T]) -> T:
        """Wait for a login. A time-out here is `CheckerUnavailable`: the server can be reached."""
        seconds = self._options.login_timeout
        # Without its connection, a login can only fail.
        patience = Patience(self._loop, SLOW_LOGIN, seconds, self._tell_slow_login, self._abort)
        try:
            result = await login
            if not patience.over:  # an answer that came with the end has no connection any more
                return result
        except ConnectionLost:
            if not patience.over:
                raise
        finally:
            patience.end()
        raise CheckerUnavailable(
            f"{self.address} can be reached, but did not answer the login within {seconds:g} s"
        )

    def _tell_slow_login(self) -> None:
        if self._options.on_slow_login is not None:
            self._options.on_slow_login()
        else:
            logger.info("%s is slow: still waiting for the answer to the login", self.address)

    def _start_heartbeat(self) -> None:
        if self._line is not None:
            self._line.start_heartbeat(float(self.limits.get("heartbeat") or 20.0))

    def _connected(self) -> ClientConnection:
        """Return the connection.

        Raises:
            ConnectionLost: if there is none.
        """
        if self._line is None:
            raise self._why()
        return self._line

    def _why(self) -> ConnectionLost:
        """Return why there is no connection."""
        return self._goodbye or ConnectionLost("there is no connection")

    def _request(self, method: str, args: tuple[Any, ...]) -> asyncio.Future[Any]:
        return self._connected().request(method, args)

    async def _log_in(self) -> None:
        options = self._options
        wishes: dict[str, Any] = {
            "client": list(options.client),
            "resume": options.reconnect,
            "heartbeat": True,
            "move": options.reconnect,
        }
        wishes["notifications"] = options.notifications
        if options.interface is not None:
            wishes["interface"] = options.interface
        if options.info:
            wishes["info"] = options.info
        self.notifications = 0  # reset now, as the first one can arrive together with the answer
        self._entered(await self._authenticate("cred.login", self._secrets, wishes))

    async def _authenticate(self, method: str, secrets: Secrets, *more: Any) -> dict[str, Any]:
        if self.address.encrypted and (binding := self._connected().channel_binding()) is not None:
            secrets = replace(secrets, binding=binding)
        name = self._options.mechanism
        mechanism = await self._choose_mechanism(secrets) if name is None else named(name, secrets)
        try:
            answer = await self._request(method, (mechanism.name, mechanism.start(), *more))
            while "challenge" in answer:
                # PBKDF2 is slow and would block the event loop.
                proof = await asyncio.to_thread(mechanism.answer, self._bytes(answer["challenge"]))
                answer = await self._request("cred.respond", (proof,))
            data = answer.get("data")
            mechanism.finish(None if data is None else self._bytes(data))
        except CallError as error:
            raise _as_login_error(error) from None
        return dict(answer)

    async def _choose_mechanism(self, secrets: Secrets) -> ClientMechanism:
        offers = await self._first_answer("cred.mechanisms")
        mechanism = choose(offers, secrets, private=self.address.private)
        if mechanism is None:
            raise LoginFailed(
                f"the server offers {', '.join(offers) or 'no mechanism'}, none of which can be "
                f"used here; legacy mechanisms ({', '.join(LEGACY)}) must be asked for by name"
            )
        return mechanism

    async def _first_answer(self, method: str) -> Any:
        """Request something that a server answers immediately, to find out whether one is there."""
        try:
            async with asyncio.timeout(self._options.timeout):
                return await self._request(method, ())
        except TimeoutError:
            text = (
                f"{self.address} accepts connections, "
                f"but does not answer within {self._options.timeout:g} s"
            )
            raise ConnectionLost(text) from None

    def _bytes(self, data: Any) -> bytes:
        """Return binary data from the server; in JSON it is base64."""
        try:
            return bytes(self._connected().connection.codec.convert(data, bytes))
        except ValueError:
            raise ProtocolError("the server's SASL data is not binary") from None

    def _entered(self, answer: dict[str, Any]) -> None:
        try:
            self.avatar_id, self.interface, self.session = (
                answer["avatar_id"],
                answer["interface"],
                answer["session"],
            )
            self._token, self.limits = answer["token"], answer["limits"]
        except KeyError as error:
            raise ProtocolError(f"the server's answer to the login lacks {error}") from None
        self._logged_in = True

    # -- reconnecting ------------------------------------------------------------------------------

    def _lost(self, line: ClientConnection, goodbye: ConnectionLost) -> None:
        """Called when a connection was lost."""
        if line is not self._line:
            return  # it was already abandoned
        self._line = None
        self._goodbye = self._trouble = goodbye
        self._again += line.again
        if goodbye.moved is not None and goodbye.moved[0] is not None:
            self._token = goodbye.moved[0]
        if self._comeback is not None or not self._logged_in:
            return  # handled by the attempt to connect that is in progress
        if self._options.reconnect and not self._closing and goodbye.code not in FINAL:
            self._comeback = self._loop.create_task(self._come_back(goodbye.retry_after or 0.05))
        else:
            self._finish()

    def _finish(self) -> None:
        again, self._again = self._again, ()
        for future, _, _ in again:
            if not future.done():
                future.set_exception(self._why())
        self._over = True
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    async def _come_back(self, pause: float) -> None:
        try:
            while not self._over:
                await self._wait_to_reconnect(random.uniform(0.5, 1) * pause)
                pause = await self._try_to_come_back(
                    min(self._options.max_pause, 2 * max(pause, 0.1))
                )
                if self._line is not None:
                    return
        except BaseException:
            self._finish()
            raise
        finally:
            self._comeback = None
            if self._over:
                self._abort()

    async def _wait_to_reconnect(self, seconds: float) -> None:
        """Wait, but only until `reconnect_now`."""
        self._pause = self._pause or Pause()
        self._tell("on_reconnecting", self._trouble, seconds)
        await self._pause.wait(seconds)

    async def _try_to_come_back(self, pause: float) -> float:
        """Connect and resume or log in, or give up if that cannot succeed.

        Returns the seconds until the next attempt, if there is no connection.
        """
        try:
            await self._connect()
            whole = await self._patiently(self._resume_or_log_in())
        except (OSError, ProtocolError) as error:
            logger.info("No connection to %s: %s", self.address, printable(error))
            self._trouble = error
            final = self._goodbye is not None and self._goodbye.code in FINAL
        except LoginDenied as error:
            pause, final = max(pause, error.retry_after or 0.0), False
            self._trouble = error
        except CheckerUnavailable as error:
            logger.info(
                "No login at %s for now: %s", self.address, printable(error.detail or error)
            )
            self._trouble, final = error, False
        except (LoginFailed, CallError) as error:
            self._abort()
            self._goodbye, final = (
                ConnectionLost(f"the server refused the new login: {error}", "refused"),
                True,
            )
        else:
            self._start_heartbeat()
            self._repeat()
            self._tell("on_reconnect", whole)
            return pause
        self._abort()
        if final:
            self._finish()
        return pause

    def _repeat(self) -> None:
        """Make the calls that the server which the session has left has not carried out."""
        again, self._again = self._again, ()
        if self._line is not None:
            self._line.repeat(again)

    def _tell(self, name: str, *args: object) -> None:
        tell(name, getattr(self, name), *args)

    async def _resume_or_log_in(self) -> bool:
        """Resume the session, or begin a new one; return whether no notification was lost."""
        if self._token is not None:
            token, self._token = self._token, None
            seen = self.notifications
            try:
                answer = await self._request("cred.resume", (token, seen, True))
            except CallError as error:
                if error.code != "refused":
                    self._token = token
                    raise _as_login_error(error) from None
            else:
                self._entered(answer)
                # Some might have arrived since.
                self.notifications += answer["notifications"] - seen
                return not answer["refresh"]
        await self._log_in()
        return False

    def _abort(self) -> None:
        """Abandon the connection."""
        line, self._line = self._line, None
        if line is not None:
            line.abort()


def _as_login_error(error: CallError) -> LoginFailed | CallError:
    return login_error(error.code, error.retry_after) or error
