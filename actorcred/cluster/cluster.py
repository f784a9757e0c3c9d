"""The public face of a cluster: connecting a portal to the others."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from typing import Any

from actorcred.actors import AsyncioDispatcher, Future
from actorcred.actors.event_loop import background_loop
from actorcred.cluster.errors import BusError
from actorcred.cluster.node import ClusterNode
from actorcred.cluster.registry import ClusterRegistry
from actorcred.cluster.settings import CutOff, NatsOptions
from actorcred.sessions.directory import Directory
from actorcred.sessions.policies import Limits
from actorcred.sessions.registry import SessionHost

__all__ = ["Cluster"]

LEASE = 15.0
"""Seconds. A NATS of three servers stops for seven when one of them dies."""


class Cluster:
    """A node of a cluster of portals, which share their sessions by NATS.

    Give it to one portal, as `PortalOptions(registry=cluster)`. All portals of a cluster must have
    the same policy and the same limits, and checkers with the same names.

    Attributes:
        node: the id of this node, new at each start.
    """

    def __init__(self, node: ClusterNode) -> None:
        self._node = node
        self._in_use = False
        self.node = node.id

    def __repr__(self) -> str:
        return f"<Cluster, node {self.node}>"

    @classmethod
    def connect(
        cls,
        servers: str | Sequence[str],
        *,
        name: str = "default",
        node: str = "node",
        lease: float = LEASE,
        on_cut_off: CutOff | str = CutOff.END,
        **nats: Any,
    ) -> Future[Cluster]:
        """Connect to NATS and join a cluster.

        On an event loop, the cluster runs there; otherwise on a loop in a thread of its own.

        Args:
            servers: the addresses of NATS, such as "nats://127.0.0.1:4222".
            name: the name of the cluster.
            node: the beginning of this node's id, for logs and metrics.
            lease: seconds after which a node that is not heard is taken for dead, times 1.25. At
                least twice as long as NATS may pause.
            on_cut_off: what happens to the sessions of a node that is cut off.
            nats: further settings of `NatsOptions`, such as `user` and `password`, `credentials`,
                `tls` and `replicas`.

        Returns:
            A future of the cluster. It fails with `BusError` if NATS cannot be reached.

        Raises:
            BusError: if an argument is malformed.
            TypeError: if a setting is unknown or has a wrong type.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", node):
            raise BusError(f"a node is named by 1 to 32 letters, digits, _ and -, not {node!r}")
        if not lease > 0:
            raise BusError(f"the lease must be more than 0 seconds, not {lease!r}")
        addresses = (servers,) if isinstance(servers, str) else tuple(servers)
        options = NatsOptions(servers=addresses, cluster=name, **nats)
        loop = asyncio._get_running_loop()
        dispatcher = background_loop() if loop is None else AsyncioDispatcher(loop, "cluster")
        unique = f"{node}-{secrets.token_hex(6)}"
        made = ClusterNode(unique, options, lease, CutOff(on_cut_off), dispatcher)
        return dispatcher.spawn(cls._open(made))

    @classmethod
    async def _open(cls, node: ClusterNode) -> Cluster:
        await node.open()
        return cls(node)

    def __call__(self, limits: Limits, directory: Directory, host: SessionHost) -> ClusterRegistry:
        """Make the registry of a portal; see `PortalOptions.registry`.

        Raises:
            BusError: if a portal has it already.
        """
        if self._in_use:
            raise BusError("a cluster serves one portal; connect once for each")
        self._in_use = True
        self._node.serve(limits, host)
        return ClusterRegistry(limits, directory, host, self._node)

    def nodes(self) -> frozenset[str]:
        """Return the ids of the nodes that are not known to be dead, this one included."""
        return frozenset(self._node.members.others() | {self.node})

    def close(self, timeout: float = 10.0) -> Future[None]:
        """Leave the cluster. Drain the portal first.

        Args:
            timeout: seconds to tell NATS what sessions have ended.
        """
        return self._node.run(self._node.close(timeout))
