"""The options of `actorcred serve` about a cluster."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from actorcred.cli.lifetime import Life
from actorcred.cli.parameters import Seconds, as_utf8, read_password
from actorcred.cli.role import Role
from actorcred.errors import MissingExtra
from actorcred.sessions.registry import MakeRegistry, MemoryRegistry

if TYPE_CHECKING:
    from actorcred.cluster import Cluster

__all__ = ["Join", "cluster_options", "clustered"]

PASSWORD_VARIABLE = "ACTORCRED_CLUSTER_PASSWORD"

_OF_WORKERS: Final = frozenset({"--cluster-name", "--cluster-node", "--cluster-lease", "--cut-off"})
"""Options that count for the workers of one machine, too, whose nats-server is their own."""

_OPTIONS: Final = (
    click.option(
        "--cluster",
        "cluster_servers",
        multiple=True,
        metavar="NATS",
        help="Share sessions with other servers by NATS: nats://HOST:PORT, or tls://HOST:PORT. "
        "May be repeated, for the servers of one NATS.  "
        "[default: none; with --workers, a nats-server of its own]",
    ),
    click.option(
        "--cluster-name",
        default="default",
        show_default=True,
        help="The name of the cluster. Servers with the same name share their sessions.",
    ),
    click.option(
        "--cluster-node",
        default="node",
        show_default=True,
        help="The beginning of this server's id in the cluster, for logs.",
    ),
    click.option(
        "--cluster-user",
        default="",
        help=f"The user at NATS; the password comes from ${PASSWORD_VARIABLE} or from "
        "--cluster-password-file.",
    ),
    click.option(
        "--cluster-password-file",
        type=click.Path(dir_okay=False),
        help="A file whose first line is the password at NATS.",
    ),
    click.option(
        "--cluster-credentials",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A credentials file of NATS, instead of a user and a password.",
    ),
    click.option(
        "--cluster-insecure",
        is_flag=True,
        help="Permit connections without TLS to a NATS on another machine.",
    ),
    click.option(
        "--cluster-lease",
        type=Seconds(0.1),
        default=15.0,
        show_default=True,
        help="Seconds after which a silent server is taken for dead, times 1.25. "
        "At least twice as long as NATS may pause.",
    ),
    click.option(
        "--cut-off",
        type=click.Choice(["end", "keep", "hold"]),
        default="end",
        show_default=True,
        help="What happens to sessions while this server is cut off from the others: those that "
        "may exist once end, all are kept until it is back, or all are kept and the calls of those "
        "that may exist once are refused (hold).",
    ),
    click.option(
        "--cluster-replicas",
        type=click.IntRange(1, 5),
        default=1,
        show_default=True,
        help="On how many servers NATS keeps what it is told; 3 for a NATS of three servers.",
    ),
)


@dataclass(frozen=True, slots=True)
class Join:
    """How to join a cluster.

    Args:
        servers: the addresses of NATS; none without a cluster.
        settings: those of `Cluster.connect`.
    """

    servers: tuple[str, ...]
    settings: Mapping[str, Any] = field(repr=False)

    def __call__(self) -> Awaitable[Cluster]:
        """Join the cluster; see `Cluster.connect`.

        Raises:
            MissingExtra: without the extra "cluster".
        """
        try:
            from actorcred.cluster import Cluster
        except ModuleNotFoundError as error:
            if error.name != "nats":
                raise
            raise MissingExtra("--cluster", "cluster") from None
        return Cluster.connect(self.servers, **self.settings)


def cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets a `Join` as `cluster`."""

    @functools.wraps(function)
    def command(
        *,
        cluster_servers: tuple[str, ...],
        cluster_name: str,
        cluster_node: str,
        cluster_user: str,
        cluster_password_file: str | None,
        cluster_credentials: Path | None,
        cluster_insecure: bool,
        cluster_lease: float,
        cut_off: str,
        cluster_replicas: int,
        **others: Any,
    ) -> Any:
        if not cluster_servers:
            _check_unused(click.get_current_context())
        if cluster_password_file is not None and not cluster_user:
            raise click.UsageError("--cluster-password-file needs --cluster-user")
        settings = {
            "name": cluster_name,
            "node": cluster_node,
            "user": cluster_user,
            "password": _password(cluster_password_file) if cluster_user else "",
            "credentials": cluster_credentials,
            "insecure": cluster_insecure,
            "lease": cluster_lease,
            "on_cut_off": cut_off,
            "replicas": cluster_replicas,
        }
        return function(cluster=Join(cluster_servers, settings), **others)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextlib.asynccontextmanager
async def clustered(life: Life, join: Join, role: Role) -> AsyncIterator[MakeRegistry]:
    """Join a cluster, if there is one, and leave it at the end, once all sessions have ended."""
    if not join.servers:
        yield MemoryRegistry
        return

    async def joining() -> Cluster:
        return await join()

    cluster = await life.opened(joining())
    role.joined(cluster.node)
    try:
        yield cluster
    finally:
        await cluster.close(life.left())


def _check_unused(context: click.Context) -> None:
    """Refuse options that would be without effect, since there is no cluster."""
    of_workers = _OF_WORKERS if context.params["workers"] > 1 else frozenset()
    for option in context.command.params:
        name = option.opts[0]
        if not name.startswith(("--cluster-", "--cut-off")) or name in of_workers:
            continue
        if context.get_parameter_source(str(option.name)) is not ParameterSource.DEFAULT:
            also = " or --workers" if name in _OF_WORKERS else ""
            raise click.UsageError(f"{name} needs --cluster{also}")


def _password(file: str | None) -> str:
    if file is not None:
        return read_password(file)
    return as_utf8(os.environ.get(PASSWORD_VARIABLE, ""))
