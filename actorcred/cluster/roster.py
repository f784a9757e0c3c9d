"""The roster: where the sessions of each avatar id are. One key per avatar id holds all of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from time import monotonic
from typing import Protocol

import msgspec

from actorcred.cluster.errors import BusDown, BusError, StoreLost

__all__ = ["Entry", "Roster", "RosterStore", "key_of", "pack_entries", "unpack_entries"]

logger = logging.getLogger("actorcred.cluster")

VERSION = 1


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A session.

    Attributes:
        id: the session's id.
        node: the node that has it.
        since: when its place was claimed, in seconds since the epoch, for the order only.
        avatar_at: the node of its avatar, if that is another one (policy SHARE); else "".
    """

    id: str
    node: str
    since: float = 0.0
    avatar_at: str = ""

    @property
    def host(self) -> str:
        """The node of its avatar."""
        return self.avatar_at or self.node


class _Value(msgspec.Struct, frozen=True, array_like=True):
    version: int
    avatar_id: str
    entries: list[Entry]


_decode = msgspec.msgpack.Decoder(_Value).decode


def key_of(avatar_id: str) -> str:
    """Return the key of an avatar id, which tells nobody who it is."""
    # Not of OpenSSL, whose hashes take ten times as long for a few bytes.
    return hashlib.blake2b(avatar_id.encode(), digest_size=20).hexdigest()


def pack_entries(avatar_id: str, entries: list[Entry]) -> bytes:
    """Return a value of the roster."""
    return msgspec.msgpack.encode(_Value(VERSION, avatar_id, entries))


def unpack_entries(data: bytes | None) -> tuple[str, list[Entry]]:
    """Return the avatar id and the sessions in a value of the roster; ("", []) for None.

    Raises:
        BusError: if it is none.
    """
    if data is None:
        return "", []
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BusError(f"not a value of the roster: {error}") from None
    return value.avatar_id, value.entries


class RosterStore(Protocol):
    """What the roster needs of NATS."""

    async def read(self, key: str) -> tuple[int, bytes | None]:
        """Return the revision and the value of a key."""

    async def write(self, key: str, revision: int, data: bytes) -> int | None:
        """Set a key if it still has a revision; return the new one."""

    async def remove(self, revision: int) -> bool:
        """Remove the value with a revision."""

    async def ensure_streams(self) -> str:
        """Make what is not there; return when the roster was made."""

    def roster(self) -> AsyncIterator[tuple[int, bytes]]:
        """Return all values with their revisions."""


class Roster:
    """The roster as one node sees it, which knows when NATS might have lost it.

    Args:
        store: keeps it on NATS.
        hold: seconds for which nobody claims a place in a roster that is new, so that the owners
            can tell it what they have.
    """

    def __init__(self, store: RosterStore, hold: float) -> None:
        self._store = store
        self._hold = hold
        self._hold_until = 0.0
        self._made = ""
        self._newest = 0
        self.verified = False
        """Whether it is known to be the roster that it was."""
        self.certain = False
        """Whether it is known to be the same one, or, if it is not, to have what this node has."""
        self._doubted = self._untold = False

    @property
    def made(self) -> str:
        """When the roster was made; another one is made if NATS has lost it."""
        return self._made

    @property
    def usable(self) -> bool:
        """Whether places can be claimed: it is the roster that it was, and is complete."""
        return self.verified and not self.is_new

    @property
    def is_new(self) -> bool:
        """Whether owners may have yet to tell it what they have, so that no place is claimed."""
        return monotonic() < self._hold_until

    def doubt(self) -> None:
        """Note that NATS might have lost the roster; `verify` must be called."""
        self.verified = self.certain = False
        self._doubted = True

    async def verify(self) -> bool:
        """Make the roster if it is lost; return whether it was, which `complete` must follow.

        Raises:
            BusDown: if NATS does not answer.
        """
        self._doubted = False
        made = await self._store.ensure_streams()
        lost, self._made = bool(self._made) and made != self._made, made
        if lost:
            self._newest = 0
            self._hold_until = monotonic() + self._hold
            self._untold = True
            logger.warning("NATS has lost the roster; the nodes tell it again what they have")
        self.certain = not self._doubted and not self._untold
        return lost

    def join(self, now: datetime) -> None:
        """Begin to use the roster, as a node that has come just now.

        If it is new, NATS might have lost another one, whose owners have yet to tell it what they
        have. A node that was not there cannot know that.

        Args:
            now: the time on the clock of NATS, which has dated the roster, too.
        """
        age = (now - datetime.fromisoformat(self._made)).total_seconds()
        self._hold_until = monotonic() + self._hold - age

    def complete(self) -> None:
        """Note that the roster is as it should be, unless it was doubted since `verify` began."""
        self.verified = self.certain = not self._doubted
        self._untold &= self._doubted

    def fence(self, revision: int) -> int:
        """Return a number that is larger for later revisions, also of a roster that is newer."""
        made = datetime.fromisoformat(self._made) if self._made else _FIRST
        minutes = int((made - _FIRST).total_seconds() // 60)
        return (minutes << _REVISION_BITS) + revision

    async def read(self, key: str) -> tuple[int, list[Entry]]:
        """Return the revision and the sessions of a key; (0, []) if there are none.

        Raises:
            BusDown: if NATS does not answer, or not with a value of the roster.
        """
        revision, data = await self._store.read(key)
        try:
            return revision, unpack_entries(data)[1]
        except BusError as error:
            # Not "nobody is logged in", which would let in a second one.
            logger.error("The roster is damaged at %s; remove that key: %s", key, error)
            raise BusDown("the roster is damaged") from None

    async def write(
        self, key: str, revision: int, avatar_id: str, entries: list[Entry]
    ) -> int | None:
        """Set the sessions of a key if it still has a revision.

        Returns:
            The new revision; None if another node was faster.

        Raises:
            BusDown: if NATS did not confirm it. It might come to be nevertheless.
        """
        try:
            written = await self._store.write(key, revision, pack_entries(avatar_id, entries))
        except StoreLost:
            self.doubt()
            raise
        if written is not None:
            if written <= self._newest:  # the numbers begin anew: it is another roster
                self.doubt()
            self._newest = max(self._newest, written)
        return written

    async def remove(self, revision: int) -> bool:
        """Remove a revision if it is still the latest of its key; return whether it was.

        Raises:
            BusDown: if NATS did not confirm it.
        """
        return await self._store.remove(revision)

    async def all(self) -> AsyncIterator[tuple[int, str, list[Entry]]]:
        """Return the revision, avatar id and sessions of all keys.

        Raises:
            BusDown: if NATS does not answer.
        """
        async for revision, data in self._store.roster():
            try:
                yield revision, *unpack_entries(data)
            except BusError as error:
                logger.error("The roster is damaged: %s", error)


_FIRST = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
_REVISION_BITS = 38  # with the minutes, a fence fits into a BIGINT
