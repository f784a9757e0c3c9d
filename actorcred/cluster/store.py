"""What a cluster keeps on NATS: the roster, leases and revocations.

On NATS, for a cluster C:

- stream `ACR_C`, subjects `acr.C.KEY`: the roster, one message per avatar id;
- stream `ACL_C`, subjects `acl.C.NODE`: leases; each write is published again as `ac.C.lease.NODE`;
- stream `ACV_C`, subjects `acv.C.KEY`: revocations of a day, published again as `ac.C.revoked.KEY`.

There are no consumers and no key-value watchers: these do not survive a restart of NATS.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from nats.js import api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from actorcred.cluster._client import FAULTS, reason_of
from actorcred.cluster.bus import Bus
from actorcred.cluster.errors import BusDown, BusError, StoreLost, TooLarge
from actorcred.cluster.streams import LEASES, REVOCATIONS, ROSTER, configurations, ensure

__all__ = ["Store"]

LAST_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
HEADERS = 256
"""Bytes at most of the headers of a message, which NATS counts, too."""

CONFLICTS = frozenset({10071, 10164})
"""Codes of NATS for a lost compare-and-set; the second one comes from servers in a cluster."""


class Store:
    """What is kept on NATS, by compare-and-set where several nodes write.

    Args:
        bus: the connection, which must be open.

    Attributes:
        bus: the same.
    """

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._cluster = bus.options.cluster
        self._timeout = bus.options.timeout
        self._roster = f"{ROSTER}_{self._cluster}"
        self._leases = f"{LEASES}_{self._cluster}"
        self._revocations = f"{REVOCATIONS}_{self._cluster}"

        self._jetstream: Any = None
        self._replicas = bus.options.replicas

    async def open(self) -> None:
        """Make the streams that are not there.

        Raises:
            BusError: if NATS cannot keep anything.
        """
        self._jetstream = self.bus.client.jetstream(timeout=self._timeout)
        # A server that has lost touch with the others keeps nothing.
        for left in reversed(range(len(self.bus.options.servers))):
            try:
                await self.ensure_streams()
            except BusDown as error:
                if not left or not self.bus.connected:
                    raise BusError(str(error)) from None
                going = await self.bus.client.change_server()
                await asyncio.wait([going], timeout=self._timeout)
            else:
                return

    # -- streams ---------------------------------------------------------------------------------

    async def ensure_streams(self) -> str:
        """Make the streams that are not there; return when the roster was made.

        Another time than before means that NATS has lost it.

        Raises:
            BusDown: if NATS does not answer.
        """
        created = ""
        try:
            for config in configurations(self.bus.options):
                info = await ensure(self._jetstream, config)
                self._compare(config, info)
                if config.name == self._roster:
                    created = str(info.created)
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None
        return created

    def _compare(self, wanted: api.StreamConfig, info: api.StreamInfo) -> None:
        self._replicas = there = info.config.num_replicas or 1
        if there != wanted.num_replicas:
            text = f"{wanted.name} is kept on {there} servers of NATS, not on the"
            text += f" {wanted.num_replicas} of this node; `nats stream edit` changes that"
            self.bus.client.complaints.warn(text, text)

    async def _store(
        self, subject: str, data: bytes, timeout: float, headers: dict[str, str] | None = None
    ) -> int:
        """Write a message into its stream; return its number there."""
        if not self.bus.connected:
            raise BusDown("not connected to NATS")
        # NATS would end the connection, and with it all that this node does.
        if (size := len(data) + HEADERS) > (allowed := self.bus.client.max_payload):
            text = f"A message of node {self.bus.node} to {subject} is too large for NATS: {size} "
            text += f"bytes, {allowed} are allowed (its max_payload)"
            self.bus.client.complaints.warn(subject, text)
            raise TooLarge(text)
        try:
            ack = await self._jetstream.publish(subject, data, timeout=timeout, headers=headers)
        except NoStreamResponseError:
            raise StoreLost("NATS has lost a stream, or no server leads it") from None
        except APIError as error:
            if error.err_code in CONFLICTS:
                raise
            why = reason_of(error)
            text = f"Node {self.bus.node} cannot write to NATS: {why}"
            self.bus.client.complaints.warn(why, text)
            raise BusDown(why) from None
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None
        return int(ack.seq)

    async def beat(self, data: bytes, timeout: float) -> None:
        """Write this node's lease.

        Raises:
            BusDown: if NATS did not confirm it in time; `StoreLost` if it has lost the leases.
        """
        await self._store(f"acl.{self._cluster}.{self.bus.node}", data, timeout)

    async def log(self, key: str, data: bytes) -> None:
        """Add a revocation to the log; the latest one of a key is kept.

        Raises:
            BusDown: if NATS did not confirm it in time.
        """
        await self._store(f"acv.{self._cluster}.{key}", data, self._timeout)

    async def logged(self) -> int:
        """Return the number of the last revocation in the log.

        Raises:
            BusDown: if NATS does not answer.
        """
        try:
            info = await self._jetstream.stream_info(self._revocations)
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None
        return int(info.state.last_seq)

    def log_after(self, number: int) -> AsyncIterator[tuple[int, bytes]]:
        """Return the revocations after a number, with their numbers."""
        return self._messages(self._revocations, f"acv.{self._cluster}.*", number)

    def roster(self) -> AsyncIterator[tuple[int, bytes]]:
        """Return all values of the roster, with their revisions."""
        return self._messages(self._roster, f"acr.{self._cluster}.*", 0)

    async def _messages(
        self, stream: str, subjects: str, number: int
    ) -> AsyncIterator[tuple[int, bytes]]:
        while True:
            try:
                raw = await self._jetstream.get_msg(
                    stream, seq=number + 1, subject=subjects, next=True, direct=True
                )
            except NotFoundError:
                return
            except FAULTS as error:
                raise BusDown(reason_of(error)) from None
            number = raw.seq
            yield number, raw.data or b""

    async def time(self) -> datetime:
        """Return when NATS took this node's last lease, on its own clock.

        Raises:
            BusDown: if NATS does not answer.
        """
        try:
            beat = await self._jetstream.get_last_msg(
                self._leases, f"acl.{self._cluster}.{self.bus.node}"
            )
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None
        taken: datetime = beat.time
        return taken

    # -- compare and set -------------------------------------------------------------------------

    async def read(self, key: str) -> tuple[int, bytes | None]:
        """Return the revision and the value of a key; (0, None) if there is none.

        Raises:
            BusDown: if NATS does not answer.
        """
        if not self.bus.connected:
            raise BusDown("not connected to NATS")
        try:
            # A replica may lag, so with several the leader is asked.
            raw = await self._jetstream.get_last_msg(
                self._roster, f"acr.{self._cluster}.{key}", direct=self._replicas == 1
            )
        except NotFoundError:
            return 0, None
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None
        return raw.seq, raw.data or b""

    async def write(self, key: str, revision: int, data: bytes) -> int | None:
        """Set a key if it still has a revision; return the new one, or None if it has not.

        Raises:
            BusDown: if NATS did not confirm it in time; `StoreLost` if it has lost the roster.
            TooLarge: if NATS does not take a value of this size.
        """
        try:
            return await self._store(
                f"acr.{self._cluster}.{key}",
                data,
                self._timeout,
                {LAST_SEQUENCE: str(revision)},
            )
        except APIError:  # another node was faster
            return None

    async def remove(self, revision: int) -> bool:
        """Remove the value with a revision, and leave no tombstone; return whether it was there.

        Raises:
            BusDown: if NATS did not confirm it in time.
        """
        if not self.bus.connected:
            raise BusDown("not connected to NATS")
        request = json.dumps({"seq": revision, "no_erase": True}).encode()
        try:
            answer = await self.bus.client.request(
                f"$JS.API.STREAM.MSG.DELETE.{self._roster}", request, timeout=self._timeout
            )
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None
        return bool(json.loads(answer.data).get("success"))
