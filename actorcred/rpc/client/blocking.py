"""The blocking client, for programs without an event loop.

It runs the asyncio client on an event loop in a thread of its own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from actorcred.errors import ConnectionLost
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
    loop = asyncio.new_event_loop()
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

        async def call() -> Any:
            async with asyncio.timeout(timeout):
                return await self.client.call(method, *args)

        return self._run(call())

    def notify(self, method: str, *args: Any) -> None:
        """Call a method of the avatar without waiting for an answer.

        Raises:
            ConnectionLost: if there is no connection.
        """

        async def notify() -> None:
            self.client.notify(method, *args)

        self._run(notify())

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

        async def hurry() -> bool:
            return self.client.reconnect_now()

        return self._run(hurry())

    def close(self) -> None:
        """Log out and close the connection. Does nothing if it is already closed."""
        if self._thread.is_alive():
            self._run(self.client.close())
            _end(self._loop, self._thread)

    def _run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        if not self._thread.is_alive():
            coroutine.close()
            raise ConnectionLost("the client is closed")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


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
