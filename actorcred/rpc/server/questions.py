"""Calls from the server to a client, and their answers."""

from __future__ import annotations

from typing import Any

from actorcred.actors import Future
from actorcred.errors import CallError, ClientGone
from actorcred.rpc.protocol.codec import Response
from actorcred.rpc.protocol.connection import Connection
from actorcred.rpc.protocol.faults import read_fault

__all__ = ["Questions"]


class Questions:
    """The calls to one client that wait for answers.

    Args:
        connection: the protocol's state.
    """

    __slots__ = ("_connection", "_futures")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._futures: dict[int, Future[Any]] = {}

    def ask(self, name: str, args: tuple[Any, ...]) -> tuple[Future[Any], bytes]:
        """Return a future of the answer to a call, and the bytes to send for it.

        Raises:
            ClientGone: if too many calls wait already.
        """
        if len(self._futures) >= self._connection.limits.pending:
            raise ClientGone(f"{len(self._futures)} calls already wait for answers of the client")
        number, data = self._connection.request(name, args)
        future: Future[Any] = Future()
        self._futures[number] = future
        future.add_done_callback(lambda done: self._forget(number) if done.cancelled() else None)
        return future, data

    def _forget(self, number: int) -> None:
        self._connection.forget(number)
        self._futures.pop(number, None)

    def answered(self, answer: Response) -> None:
        """Settle the future of an answer."""
        future = self._futures.pop(answer.id, None)
        if future is None:
            return
        if answer.error is None:
            future.settle(answer.result)
        else:
            future.settle_error(_error_of_client(answer.error))

    def give_up(self) -> None:
        """Fail all calls, since the connection is lost."""
        for future in list(self._futures.values()):
            future.settle_error(ClientGone("the connection was lost before the client answered"))


def _error_of_client(fault: Any) -> CallError:
    error = read_fault(fault)
    return CallError(error.message[:1000], error.code[:100])
