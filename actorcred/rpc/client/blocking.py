"""The blocking client, for programs without an event loop.

It runs the asyncio client on an event loop in a thread of its own, uvloop's if it is installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from actorcred.errors import ConnectionLost
from actorcred.eventloops import loop_factory
from actorcred.rpc.client.client import Client, ClientOptions, connect
from actorcred.rpc.protocol.addresses import Address

__all__ = ["BlockingClient", "connect_blocking"]


R = TypeVar("R")


def connect_blocking(
    address: Address | str,
    username: str = "",
    password: str | None = None,
    *,
    token: str | None = None,
    authorize_as: str = "",
    handler: Any = None,
    options: ClientOptions | None = None,
) -> BlockingClient:
    """Connect to a server and log in; see `actorcred.rpc.connect` for arguments and errors.

    The handler is called on the client's own thread and must not make blocking calls to the client.
    """
    loop = loop_factory()()
    thread = threading.Thread(target=loop.run_forever, name="actorcred-client", daemon=True)
    thread.start()
    login = connect(
        address,
        username,
        password,
        token=token,
        authorize_as=authorize_as,
        handler=handler,
        options=options,
    )
    try:
        client = asyncio.run_coroutine_threadsafe(login, loop).result()
    except BaseException:
        _end(loop, thread)
        raise
    return BlockingClient(client, loop, thread)


class BlockingClient:
    """A logged-in client, as returned by `connect_blocking`.

    Use it as a context manager, or call `close`. It may be used from several threads at a time.

    Attributes:
        client: the asyncio client; its attributes describe the login.
    """

    def __init__(
        self, client: Client, loop: asyncio.AbstractEventLoop, thread: threading.Thread
    ) -> None:
        self.client = client
        self._loop = loop
        self._thread = thread
        self._waiting: set[_Answer] = set()
        self._closed = False
        self._closing = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def avatar_id(self) -> str | None:
        """Who is logged in; None for an anonymous guest."""
        return self.client.avatar_id

    def call(self, method: str, *args: Any, timeout: float | None = None) -> Any:
        """Call a method of the avatar.

        Args:
            method: the name of the method.
            args: its arguments.
            timeout: seconds to wait for the answer; None waits as long as the connection lasts.

        Raises:
            CallError: if the method failed; `code` says why.
            ConnectionLost: if the connection was lost before the answer arrived.
            TimeoutError: if there was no answer in time.
        """
        return self._ask(self.client.call, (method, *args), timeout)

    def notify(self, method: str, *args: Any) -> None:
        """Call a method of the avatar without waiting for an answer.

        Raises:
            ConnectionLost: if there is no connection.
        """
        self._ask(self.client.notify, (method, *args))

    def reauthenticate(self, password: str | None = None) -> None:
        """Prove the credentials again; see `Client.reauthenticate`."""
        self._run(self.client.reauthenticate(password))

    def sessions(self) -> list[dict[str, Any]]:
        """Return all sessions of the user, including this one."""
        return self._run(self.client.sessions())

    def end_session(self, session: str) -> bool:
        """End another session of the user; return whether it existed. Needs `reauthenticate`."""
        return self._run(self.client.end_session(session))

    def reconnect_now(self) -> bool:
        """Try to reconnect at once; see `Client.reconnect_now`."""
        return bool(self._ask(self.client.reconnect_now, ()))

    def close(self) -> None:
        """Log out and close the connection. Does nothing if it is already closed."""
        with self._closing:  # two threads can do so at the same time
            if self._thread.is_alive():
                self._run(self.client.close())
                self._closed = True
                _end(self._loop, self._thread)
                for answer in self._waiting.copy():
                    if not answer.settled:  # it was asked too late to be told by the client
                        answer.fail(_closed())

    def _ask(
        self, function: Callable[..., Any], args: tuple[Any, ...], timeout: float | None = None
    ) -> Any:
        """Call a function on the client's thread, and wait for its result, or that of its future.

        A coroutine would cost twice as much.
        """
        answer = _Answer()
        self._waiting.add(answer)
        try:
            self._on_loop(answer.ask, function, args)
            try:
                return answer.wait(timeout)
            except TimeoutError:
                self._on_loop(answer.give_up)
                raise
        finally:
            self._waiting.discard(answer)

    def _on_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called on the client's thread."""
        if not self._closed:
            with contextlib.suppress(RuntimeError):  # another thread has closed it meanwhile
                self._loop.call_soon_threadsafe(function, *args)
                return
        raise _closed()

    def _run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        if not self._thread.is_alive():
            coroutine.close()
            raise _closed()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class _Answer:
    """What a thread waits for, while the client's thread gets it.

    Attributes:
        settled: whether it is there.
    """

    __slots__ = ("_error", "_future", "_missing", "_result", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._missing = threading.Lock()
        self._missing.acquire()
        self._result: Any = None
        self._error: BaseException | None = None
        self._future: asyncio.Future[Any] | None = None

    def wait(self, timeout: float | None) -> Any:
        """Return the result, or raise the error.

        Args:
            timeout: seconds to wait; None waits without limit.

        Raises:
            TimeoutError: if there is none in time.
        """
        seconds = -1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        if not self._missing.acquire(timeout=seconds):
            raise TimeoutError
        if self._error is None:
            return self._result
        try:
            raise self._error
        finally:
            self._error = None  # otherwise they would refer to each other

    # -- on the client's thread --------------------------------------------------------------------

    def ask(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Call a function for its result, or for that of the future that it returns."""
        try:
            result = function(*args)
        except Exception as error:
            self.fail(error)
            return
        if isinstance(result, asyncio.Future):
            self._future = result
            result.add_done_callback(self._answered)
        else:
            self._settle(result)

    def _answered(self, future: asyncio.Future[Any]) -> None:
        if future.cancelled():
            self.fail(_closed())
            return
        error = future.exception()
        if error is None:
            self._settle(future.result())
        else:
            self.fail(error)

    def _settle(self, result: Any) -> None:
        self._result, self.settled = result, True
        self._missing.release()

    def fail(self, error: BaseException) -> None:
        """Have `wait` raise an error."""
        self._error, self.settled = error, True
        self._missing.release()

    def give_up(self) -> None:
        """Have the client no longer wait."""
        if self._future is not None:
            self._future.cancel()


def _closed() -> ConnectionLost:
    return ConnectionLost("the client is closed")


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    async def cancel() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await loop.shutdown_default_executor()

    asyncio.run_coroutine_threadsafe(cancel(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
