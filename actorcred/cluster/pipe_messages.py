"""The messages of pipes between nodes; see `messages` for their form."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

__all__ = [
    "CheckPipes",
    "ClosePipe",
    "LosePipes",
    "OpenPipe",
    "PipeData",
    "PipeMessage",
    "PipeTaken",
]


class _Piped(msgspec.Struct, frozen=True, array_like=True):
    pass


class OpenPipe(_Piped, tag="open", frozen=True):
    """Open a pipe; answered with what it was accepted with, or None.

    Attributes:
        pipe: its id, which both ends use.
        node: who opens it.
        service: what it is for.
        greeting: the first message.
    """

    pipe: str
    node: str
    service: str
    greeting: bytes


class PipeData(_Piped, tag="data", frozen=True):
    """Messages in a pipe.

    Attributes:
        pipe: its id.
        number: counts these in one direction, so that a loss is noticed.
        parts: the messages.
        more: whether the last one is continued in the next of these.
    """

    pipe: str
    number: int
    parts: list[bytes]
    more: bool = False


class PipeTaken(_Piped, tag="taken", frozen=True):
    """The receiver of a pipe has handled some bytes, so more may be sent."""

    pipe: str
    size: int


class ClosePipe(_Piped, tag="close", frozen=True):
    """One end of a pipe is gone."""

    pipe: str


class CheckPipes(_Piped, tag="pipes", frozen=True):
    """Pipes that are open at a node, and silent; answered by `LosePipes`.

    Also sent without any: NATS tells the sender if no node hears it.
    """

    node: str
    pipes: list[str]


class LosePipes(_Piped, tag="lose", frozen=True):
    """Pipes that a node does not have any more."""

    pipes: list[str]


PipeMessage: TypeAlias = OpenPipe | PipeData | PipeTaken | ClosePipe | CheckPipes | LosePipes
