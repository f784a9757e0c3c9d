"""The streams that a cluster keeps on NATS."""

from __future__ import annotations

from typing import Any

from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from actorcred.cluster.settings import NatsOptions
from actorcred.listeners import LONGEST_USE

__all__ = ["LEASES", "REVOCATIONS", "ROSTER", "USED", "configurations", "ensure"]

ROSTER, LEASES, REVOCATIONS, USED = "ACR", "ACL", "ACV", "ACU"
"""The streams, whose names are followed by that of the cluster."""

LEASE_AGE = 120.0
REVOCATION_AGE = 24 * 3600.0

USED_MOST = 1_000_000
"""Keys of that kind. Beyond them nothing more can be used up, rather than something twice."""


def configurations(options: NatsOptions) -> list[api.StreamConfig]:
    """Return how the streams of a cluster are made.

    Each keeps one message per subject. Leases and revocations are published again, below the topic
    of the cluster, to whoever listens at the moment.
    """
    cluster, memory = options.cluster, api.StorageType.MEMORY
    storage = memory if options.in_memory else api.StorageType.FILE
    common: dict[str, Any] = {
        "max_msgs_per_subject": 1,
        "discard": api.DiscardPolicy.OLD,
        "allow_direct": True,
        "num_replicas": options.replicas,
    }

    def again(subject: str, name: str) -> api.RePublish:
        return api.RePublish(
            src=f"{subject}.{cluster}.*", dest=f"ac.{cluster}.{name}.{{{{wildcard(1)}}}}"
        )

    return [
        api.StreamConfig(
            name=f"{ROSTER}_{cluster}", subjects=[f"acr.{cluster}.*"], storage=storage, **common
        ),
        api.StreamConfig(
            name=f"{LEASES}_{cluster}",
            subjects=[f"acl.{cluster}.*"],
            storage=memory,
            max_age=LEASE_AGE,
            republish=again("acl", "lease"),
            **common,
        ),
        api.StreamConfig(
            name=f"{REVOCATIONS}_{cluster}",
            subjects=[f"acv.{cluster}.*"],
            storage=storage,
            max_age=REVOCATION_AGE,
            republish=again("acv", "revoked"),
            **common,
        ),
        api.StreamConfig(
            name=f"{USED}_{cluster}",
            subjects=[f"acu.{cluster}.*"],
            storage=storage,
            max_age=LONGEST_USE,
            max_msgs=USED_MOST,
            **{**common, "discard": api.DiscardPolicy.NEW},
        ),
    ]


async def ensure(jetstream: JetStreamContext, config: api.StreamConfig) -> api.StreamInfo:
    """Make a stream if it is not there; return what NATS says of it.

    Raises:
        nats.errors.Error: if NATS does not answer, or does not make it.
    """
    name = str(config.name)
    try:
        return await jetstream.stream_info(name)
    except NotFoundError:
        pass
    try:
        return await jetstream.add_stream(config)
    except APIError as error:
        try:
            return await jetstream.stream_info(name)  # another node was faster
        except NotFoundError:
            raise error from None
