"""A raw client connection: received messages are visible as sent, and sent ones share a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actorcred.rpc.client.connection import LIMITS
from actorcred.rpc.client.transports import open_wire
from actorcred.rpc.protocol.codec import Message, NotificationMessage, Request, Response
from actorcred.rpc.protocol.connection import Connection
from tests.rpc.stage import WireStage

PASSWORD = b"\0ann\0s3cret"


class Line:
    """A connection. `heard` has all received messages; `gone` is whether it is closed."""

    def __init__(self, wire: Any) -> None:
        self.connection = Connection(wire.codec, LIMITS, framed=wire.framed)
        self.heard: list[Message] = []
        self.gone = False
        self._wire = wire
        self._changed = asyncio.Event()
        wire.start(self)

    def received(self, data: bytes) -> None:
        self.heard.extend(self.connection.receive(data))  # type: ignore[arg-type]
        self._changed.set()

    def lost(self, why: str) -> None:
        self.gone = True
        self._changed.set()

    def send(self, *calls: tuple[Any, ...]) -> list[int]:
        """Send requests, each a method and its parameters, in one write; return their ids."""
        requests = [self.connection.request(method, params) for method, *params in calls]
        self._wire.writelines([data for _, data in requests])
        return [number for number, _ in requests]

    def tell(self, method: str, *params: Any) -> None:
        self._wire.write(self.connection.notify(method, params))

    def reply(self, number: int, result: Any) -> None:
        self._wire.write(self.connection.codec.encode((1, number, None, result)))

    async def until(self, condition: Callable[[], Any]) -> Any:
        async with asyncio.timeout(10):
            while not (value := condition()):
                self._changed.clear()
                await self._changed.wait()
        return value

    async def answer(self, number: int) -> Response:
        return await self.until(
            lambda: next(
                (m for m in self.heard if isinstance(m, Response) and m.id == number), None
            )
        )  # type: ignore[no-any-return]

    async def call(self, method: str, *params: Any) -> Response:
        """Call a method and wait for the answer, as received."""
        return await self.answer(*self.send((method, *params)))

    async def log_in(self, **options: Any) -> dict[str, Any]:
        answer = await self.call("cred.login", "PLAIN", PASSWORD, options)
        assert answer.error is None
        return answer.result  # type: ignore[no-any-return]

    @property
    def answered(self) -> list[int]:
        """The ids of the answers, in order of arrival."""
        return [message.id for message in self.heard if isinstance(message, Response)]

    @property
    def notices(self) -> list[NotificationMessage]:
        return [message for message in self.heard if isinstance(message, NotificationMessage)]

    @property
    def requests(self) -> list[Request]:
        return [message for message in self.heard if isinstance(message, Request)]

    def cut(self) -> None:
        """Close without a goodbye."""
        self._wire.abort()


async def line(game: WireStage) -> Line:
    """Connect by the stage's transport."""
    return Line(
        await open_wire(
            game.address, game.client_context(), json=game.transport == "websocket-json"
        )
    )
