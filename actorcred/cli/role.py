"""What one process serves, and what it reports: a server alone, or one of several workers."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping

import click

from actorcred.rpc.protocol.addresses import Address

__all__ = ["Role"]


class Role:
    """A process that serves alone. It reports to the terminal.

    Attributes:
        worker: its number among the workers, from 1 on; 0 alone.
        sockets: by the path of a Unix socket, one that listens there already.
    """

    def __init__(self, worker: int = 0, sockets: Mapping[str, socket.socket] | None = None) -> None:
        self.worker = worker
        self.sockets = sockets or {}

    def shows_metrics(self, url: str) -> None:
        """Called when it serves metrics."""
        click.echo(f"metrics at {url}")

    def joined(self, node: str) -> None:
        """Called when it has joined a cluster as a node."""
        click.echo(f"node {node} has joined the cluster")

    def opened(self, addresses: list[Address]) -> None:
        """Called when it listens."""
        for address in addresses:
            click.echo(f"listening on {address}")
        sys.stdout.flush()

    def closing(self) -> None:
        """Called when the shutdown begins."""
        click.echo("going down: ending all sessions")

    def closed(self, count: int, *, move: bool = False) -> None:
        """Called when all sessions have ended, or moved.

        Args:
            count: how many there were.
            move: whether those that could were moved to other servers.
        """
        done = "moved or logged out" if move else "logged out"
        click.echo(f"{done} {count} session{'' if count == 1 else 's'}")
