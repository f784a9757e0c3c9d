"""Snapshots of avatars, and what is kept of an avatar that sleeps."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import lru_cache
from types import CoroutineType
from typing import Any, cast

import msgspec

from actorcred.actors import Actor, Dispatcher, Future
from actorcred.actors.actor import NO_KEYWORDS
from actorcred.actors.cell import Cell
from actorcred.actors.future import error_of
from actorcred.actors.lifecycle import Blueprint, Lifecycle, Living
from actorcred.actors.mailbox import Mailbox
from actorcred.sessions.session import Session

__all__ = ["Dormant", "SnapshotTooLarge", "after", "attempt", "pack", "packed_in", "unpack"]


class SnapshotTooLarge(ValueError):
    """A snapshot exceeds the limit of the portal."""


def pack(snapshot: object, limit: int) -> bytes:
    """Return a snapshot as MessagePack.

    Args:
        snapshot: what an avatar returned.
        limit: the most bytes that it may have.

    Raises:
        TypeError: if it cannot be encoded.
        SnapshotTooLarge: if it is larger.
    """
    try:
        data = msgspec.msgpack.encode(snapshot)
    except (ValueError, OverflowError, RecursionError) as error:
        raise TypeError(f"the snapshot cannot be encoded as MessagePack: {error}") from None
    if len(data) > limit:
        raise SnapshotTooLarge(
            f"the snapshot has {len(data)} bytes, and PortalOptions.snapshot_size allows {limit}"
        )
    return data


def packed_in(done: Future[bytes | None]) -> bytes | None:
    """Return the snapshot that was awaited; None if there is none, or the wait was cancelled."""
    return None if error_of(done) is not None else done.get()


def unpack(data: bytes) -> Any:
    """Return the snapshot in some bytes: lists for tuples and sets, and maps for dataclasses."""
    return msgspec.msgpack.decode(data)


def after(result: Any, step: Callable[[Any], Any]) -> Any:
    """Do a step with a result, which may be a coroutine; then this returns one, too."""
    return _after(result, step) if type(result) is CoroutineType else step(result)


async def _after(first: Coroutine[Any, Any, Any], step: Callable[[Any], Any]) -> Any:
    result = step(await first)
    return await result if type(result) is CoroutineType else result


async def attempt(
    first: Coroutine[Any, Any, Any],
    step: Callable[[Any], Any],
    failed: Callable[[Exception], Any],
) -> Any:
    """Do a step with what a coroutine returns; if one of them fails, return `failed(error)`."""
    try:
        return step(await first)
    except Exception as error:
        return failed(error)


class Dormant:
    """A sleeping avatar: what its next instance is made of.

    Args:
        session: the session.
        mailbox: the avatar's mailbox, whose blueprint has the arguments of its `start`.
        data: the snapshot.
    """

    __slots__ = ("_kind", "_more", "data", "session")

    def __init__(self, session: Session, mailbox: Lifecycle, data: bytes) -> None:
        made = cast("Blueprint", mailbox.blueprint)
        self.session = session
        self.data = bytes(memoryview(data))  # the encoder's own has spare room
        actor_class: Any = mailbox.actor_class
        self._kind = _kind(actor_class, mailbox.dispatcher)
        # Most avatars are started with their id and their mind, which the session has anyway.
        args = made.args
        if args[:2] != (session.avatar_id, session.mind) or made.kwargs:
            self._more: Blueprint | tuple[Any, ...] = Blueprint(args, made.kwargs)
        else:
            self._more = args[2:]

    def construct(self, mailbox: Mailbox) -> Living:
        """Construct an instance, which restores the snapshot before its first message."""
        session, more = self.session, self._more
        if not isinstance(more, Blueprint):
            more = Blueprint((session.avatar_id, session.mind, *more), NO_KEYWORDS)
        actor: Any = more.construct(mailbox)
        cast("Lifecycle", mailbox).blueprint = more  # for the next time
        actor._cred_wake(session, self.data)
        return cast("Living", actor)

    def mailbox(self) -> Cell:
        """Return a new mailbox for the avatar, which wakes with its first message."""
        actor_class, dispatcher = self._kind
        return actor_class.asleep(self, dispatcher).actor_inbox


@lru_cache(64)
def _kind(actor_class: Any, dispatcher: Dispatcher) -> tuple[type[Actor], Dispatcher]:
    """Return a pair that all sleeping avatars of a class share."""
    return actor_class, dispatcher
