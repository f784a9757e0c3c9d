"""One end of a pipe between nodes: what it sends, what it has got, and how much is under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from actorcred.cluster.messages import Message
from actorcred.cluster.pipe_messages import ClosePipe, PipeData, PipeTaken
from actorcred.sessions.routing import PipeEnd

__all__ = ["BACKLOG", "CHUNK", "CONFIRMED", "SLOW", "WINDOW", "NodePipe", "PipeHolder"]

WINDOW = 64 * 1024
"""Bytes of a pipe, in one direction, that the other end has not confirmed."""

CONFIRMED = WINDOW // 4
"""Bytes that are confirmed together."""

CHUNK = 32 * 1024
"""Bytes of a message between nodes, about: longer ones are sent in parts."""

BACKLOG = 16 * 1024 * 1024
"""Bytes that may wait in one end of a pipe; the largest message that clients accept."""

ENTRY = 64
"""Bytes of memory of a message that waits, besides its own."""

SLOW = "NATS is disconnected or too slow"


class PipeHolder(Protocol):
    """What a pipe needs of the pipes of its node."""

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the cluster's event loop. Thread-safe."""

    def tell(self, node: str, message: Message) -> bool:
        """Send a node a message; return whether it is on its way."""

    def forget(self, pipe: NodePipe) -> None:
        """Remove a pipe that is over."""


class NodePipe:
    """One end of a pipe; see `Pipe`. Private methods run on the cluster's event loop.

    Args:
        pipes: the pipes of this node.
        pipe_id: its id, which both ends use.
        node: the other node.
        end: the user of this end; None until it is known.

    Attributes:
        opened: whether both ends have it.
        heard: whether the other end has said something since the last beat.
        over: why it is closed; None while it is open.
    """

    __slots__ = (
        "_backlog",
        "_confirmed",
        "_end",
        "_got",
        "_handled",
        "_offered",
        "_partial",
        "_pipes",
        "_queue",
        "_sent",
        "_under_way",
        "heard",
        "id",
        "node",
        "opened",
        "over",
    )

    def __init__(self, pipes: PipeHolder, pipe_id: str, node: str, end: PipeEnd | None) -> None:
        self.id = pipe_id
        self.node = node
        self.opened, self.heard = False, True
        self.over: str | None = None
        self._pipes = pipes
        self._end = end
        self._queue: deque[tuple[bytes, bool]] = deque()
        """Messages and parts of them that wait, and whether a further part follows."""
        self._backlog = self._under_way = 0
        self._sent = self._got = 0
        self._offered = self._confirmed = self._handled = 0
        self._partial: list[bytes] = []

    # -- for the user of this end ----------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """About how many bytes the other end has not taken; 0 if they are only a few."""
        return max(0, self._offered - self._confirmed - CONFIRMED)

    def send(self, messages: list[bytes]) -> None:
        """Send messages."""
        self._offered += sum(map(len, messages))
        self._pipes.post(self._enqueue, messages)

    def taken(self, size: int) -> None:
        """Let the other end send more."""
        self._pipes.post(self._confirm, size)

    def close(self) -> None:
        """Close the pipe when everything is sent."""
        self._pipes.post(self._close)

    def abort(self) -> None:
        """Close the pipe at once."""
        self._pipes.post(self.break_off)

    # -- sending ---------------------------------------------------------------------------------

    def _enqueue(self, messages: list[bytes]) -> None:
        if self.over is not None:
            return
        for message in messages:
            self._backlog += len(message)
            begin = 0
            while len(message) - begin > CHUNK:
                self._queue.append((message[begin : begin + CHUNK], True))
                begin += CHUNK
            self._queue.append((message[begin:] if begin else message, False))
        self._pump()
        if self._backlog + ENTRY * len(self._queue) > BACKLOG:
            self.break_off(f"more than {BACKLOG} bytes waited for the other node")

    def _pump(self, *, everything: bool = False) -> None:
        while self._queue and (everything or self._under_way < WINDOW):
            size, parts, more = 0, [], False
            while self._queue and size < CHUNK:
                part, more = self._queue.popleft()
                parts.append(part)
                size += len(part)
            self._under_way += size
            self._backlog -= size
            self._sent += 1
            if not self._pipes.tell(self.node, PipeData(self.id, self._sent, parts, more)):
                self.break_off(SLOW)
                return

    def _close(self) -> None:
        if self.over is None:
            self._pump(everything=True)
            self.break_off()

    def break_off(self, why: str = "") -> None:
        """Close both ends at once."""
        if self.over is None:
            # If this does not arrive, the other end learns of it when it asks.
            self._pipes.tell(self.node, ClosePipe(self.id))
            self.finish(why)

    # -- receiving -------------------------------------------------------------------------------

    def attach(self, end: PipeEnd) -> None:
        """Set the user of this end, which is told at once if it is closed already."""
        self._end, self.opened = end, True
        if self.over is not None:
            end.closed(self.over)

    def receive(self, message: PipeData | PipeTaken | ClosePipe) -> None:
        """Handle what the other end has sent."""
        self.heard = True
        match message:
            case PipeData():
                self._received(message)
            case PipeTaken(_, size):
                self._go_on(size)
            case ClosePipe():
                self.finish("")

    def _received(self, data: PipeData) -> None:
        end = self._end
        if data.number != self._got + 1 or end is None:
            self.break_off("a message between the nodes was lost")
            return
        self._got = data.number
        messages = data.parts
        if self._partial and not (data.more and len(messages) == 1):
            messages[0] = b"".join((*self._partial, messages[0]))
            self._partial.clear()
        if data.more:
            self._keep(messages.pop())
        if messages:
            end.received(messages)

    def _keep(self, part: bytes) -> None:
        """Keep the beginning of a message; it is confirmed now, so that the rest can come."""
        self._partial.append(part)
        if sum(map(len, self._partial)) > BACKLOG:
            self.break_off(f"a message is longer than {BACKLOG} bytes")
        else:
            self._handled -= len(part)  # `taken` counts the whole message
            self._tell_taken(len(part))

    def _go_on(self, size: int) -> None:
        """Send more, since the other end has handled some bytes."""
        self._under_way -= size
        self._confirmed += size
        self._pump()
        if self._end is not None and self.over is None:
            self._end.drained()

    def _confirm(self, size: int) -> None:
        self._handled += size
        if self._handled >= CONFIRMED and self.over is None:
            size, self._handled = self._handled, 0
            self._tell_taken(size)

    def _tell_taken(self, size: int) -> None:
        if not self._pipes.tell(self.node, PipeTaken(self.id, size)):
            self.break_off(SLOW)

    def cancel(self) -> None:
        """Close a pipe that was not opened, at the other end only if that has accepted it."""
        self._end = None
        self.break_off()

    def finish(self, why: str) -> None:
        """Close this end only, since the other one is closed or cannot be reached."""
        if self.over is None:
            self.over = why
            self._queue.clear()
            self._partial.clear()
            self._pipes.forget(self)
            if self._end is not None:
                self._end.closed(why)
