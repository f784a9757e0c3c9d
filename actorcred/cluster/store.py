"""What a cluster keeps on NATS: the roster, leases, revocations, and what was used up.

On NATS, for a cluster C:

- stream `ACR_C`, subjects `acr.C.KEY`: the roster, one message per avatar id;
- stream `ACL_C`, subjects `acl.C.NODE`: leases; each write is published again as `ac.C.lease.NODE`;
- stream `ACV_C`, subjects `acv.C.KEY`: revocations of a day, published again as `ac.C.revoked.KEY`;
- stream `ACU_C`, subjects `acu.C.KEY`: what was used that can be used once, for an hour.

There are no consumers and no key-value watchers: these do not survive a restart of NATS.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from nats.js import api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from actorcred.cluster._client import FAULTS, reason_of
from actorcred.cluster._tasks import abreast
from actorcred.cluster.bus import Bus
from actorcred.cluster.errors import BusDown, BusError, StoreLost, TooLarge
from actorcred.cluster.streams import LEASES, REVOCATIONS, ROSTER, USED, configurations, ensure

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
        self._used = f"{USED}_{self._cluster}"

        self._known_to_be_new = ""
        """When the store of used keys was made, if no earlier one can have known some."""

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
                break
        if self.bus.options.is_new:
            self._known_to_be_new = str((await self._info(self._used)).created)

    # -- streams ---------------------------------------------------------------------------------

    async def ensure_streams(self) -> str:
        """Make the streams that are not there; return when the roster was made.

        Another time than before means that NATS has lost it.

        Raises:
            BusDown: if NATS does not answer.
        """
        created = ""
        try:
            wanted = configurations(self.bus.options)
            there = await abreast(wanted, partial(ensure, self._jetstream), len(wanted))
            for config, info in zip(wanted, there, strict=True):
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

    async def _put(
        self, subject: str, data: bytes, timeout: float, last: int | None = None
    ) -> int | None:
        """Write a message into its stream; return its number there.

        Args:
            subject: where.
            data: the message.
            timeout: seconds.
            last: the number that the last message of the subject must have, 0 for none. If it has
                another one, nothing is written, and the result is None.
        """
        if not self.bus.connected:
            raise BusDown("not connected to NATS")
        # NATS would end the connection, and with it all that this node does.
        if (size := len(data) + HEADERS) > (allowed := self.bus.client.max_payload):
            text = f"A message of node {self.bus.node} to {subject} is too large for NATS: {size} "
            text += f"bytes, {allowed} are allowed (its max_payload)"
            self.bus.client.complaints.warn(subject, text)
            raise TooLarge(text)
        headers = None if last is None else {LAST_SEQUENCE: str(last)}
        try:
            ack = await self._jetstream.publish(subject, data, timeout=timeout, headers=headers)
        except NoStreamResponseError:
            raise StoreLost("NATS has lost a stream, or no server leads it") from None
        except APIError as error:
            if last is not None and error.err_code in CONFLICTS:
                return None
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
        await self._put(f"acl.{self._cluster}.{self.bus.node}", data, timeout)

    async def log(self, key: str, data: bytes) -> None:
        """Add a revocation to the log; the latest one of a key is kept.

        Raises:
            BusDown: if NATS did not confirm it in time.
        """
        await self._put(f"acv.{self._cluster}.{key}", data, self._timeout)

    async def logged(self) -> int:
        """Return the number of the last revocation in the log.

        Raises:
            BusDown: if NATS does not answer.
        """
        return int((await self._info(self._revocations)).state.last_seq)

    async def _info(self, stream: str) -> api.StreamInfo:
        try:
            info: api.StreamInfo = await self._jetstream.stream_info(stream)
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None
        return info

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
        beat = await self._last(self._leases, f"acl.{self._cluster}.{self.bus.node}")
        taken: datetime = beat.time
        return taken

    async def _last(self, stream: str, subject: str) -> Any:
        try:
            return await self._jetstream.get_last_msg(stream, subject)
        except FAULTS as error:
            raise BusDown(reason_of(error)) from None

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
        return await self._put(f"acr.{self._cluster}.{key}", data, self._timeout, revision)

    async def use_up(self, key: str, use: bytes) -> float | None:
        """Create the key of something that can be used once.

        Args:
            key: the key.
            use: its value.

        Returns:
            How many seconds before that NATS had made the store of these keys, or infinity if there
            was none before; None if the key was there with another value.

        Raises:
            BusDown: if NATS did not confirm it in time; `StoreLost` if it has lost the keys.
        """
        subject = f"acu.{self._cluster}.{key}"
        await self._put(subject, use, self._timeout, 0)
        # Asked afterwards, so that it is the store which has the key.
        made = (await self._info(self._used)).created
        found = await self._last(self._used, subject)
        if (found.data or b"") != use:
            return None
        if str(made) == self._known_to_be_new:
            return math.inf
        age: timedelta = found.time - datetime.fromisoformat(str(made))
        return age.total_seconds()

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
