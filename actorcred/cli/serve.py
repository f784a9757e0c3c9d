"""`actorcred serve`: serve a realm on the network."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import click

from actorcred.actors import (
    ActorRef,
    AsyncioDispatcher,
    ThreadDispatcher,
    set_default_dispatcher,
    tune_gc,
)
from actorcred.audit import PERSONAL
from actorcred.auth.options import auth_options
from actorcred.auth.registry import from_string
from actorcred.cli.classes import find_class
from actorcred.cli.clusters import Join, cluster_options, clustered
from actorcred.cli.errors import ExitCode, fail, usage
from actorcred.cli.lifetime import Interrupted, Life, drained, run
from actorcred.cli.logs import LogFormat, start_logging
from actorcred.cli.parameters import ADDRESS, METRICS, Seconds
from actorcred.cli.proxies import proxy_options
from actorcred.cli.role import Role
from actorcred.cli.workers import MOST_WORKERS, supervise
from actorcred.errors import ActorcredError
from actorcred.eventloops import describe, loop_factory
from actorcred.fronts.trusted import TrustedProxy
from actorcred.metrics import Metrics
from actorcred.portal.actor import Portal
from actorcred.portal.observing import Counts
from actorcred.portal.options import PortalOptions, UnknownNames
from actorcred.portal.ref import PortalRef
from actorcred.realm import Realm
from actorcred.rpc.protocol.addresses import Address
from actorcred.rpc.server.options import Resume, ServerOptions
from actorcred.rpc.server.server import Server
from actorcred.rpc.server.server import serve as serve_portal
from actorcred.sasl.mechanisms import LEGACY, SERVER_MECHANISMS
from actorcred.sessions.policies import Policy
from actorcred.sessions.registry import MakeRegistry
from actorcred.throttle import Admission

__all__ = ["serve", "serve_alone"]

logger = logging.getLogger("actorcred.cli")


@click.command(short_help="Serve a realm on the network.")
@click.option(
    "--realm",
    required=True,
    metavar="MODULE:CLASS",
    help="The realm: a subclass of actorcred.Realm.",
)
@click.option(
    "--listen",
    "addresses",
    multiple=True,
    type=ADDRESS,
    metavar="ADDRESS",
    default=("tcp:127.0.0.1:9986",),
    show_default=True,
    help="Where to listen: tcp:HOST:PORT, tls:HOST:PORT?cert=FILE&key=FILE[&client_ca=FILE], "
    "unix:PATH, ws:HOST:PORT[/PATH], wss:HOST:PORT?cert=FILE&key=FILE. "
    "With the option proxy=v1, v2 or any, trusted proxies send a PROXY header. "
    "Port 0 picks a free port. May be repeated.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=1,
    show_default=True,
    help="Processes that serve together, for all cores of a machine (Linux only). They share the "
    "addresses: the kernel spreads connections to a port over them, and at a unix: address they "
    "take turns. They share sessions by a nats-server, which must be on the PATH and is started "
    "for them, or by --cluster. The policy and the limit of sessions per user hold for all "
    "together; the limits of connections, of logins and per source hold for each. One that dies "
    "is started again.",
)
@auth_options(
    (kind for mechanism in SERVER_MECHANISMS.values() for kind in mechanism.kinds()), required=True
)
@click.option(
    "--policy",
    type=click.Choice([str(policy) for policy in Policy]),
    default=str(Policy.ALLOW),
    show_default=True,
    help="What happens when a user logs in a second time.",
)
@click.option(
    "--max-sessions",
    type=click.IntRange(1),
    help="Maximum number of sessions; with --cluster or --workers of all together, and a few more "
    "may get in at once.  [default: no limit]",
)
@click.option(
    "--grace",
    type=Seconds(0),
    default=30.0,
    show_default=True,
    help="Seconds to reconnect after a lost connection.",
)
@click.option(
    "--passwords-in-clear",
    is_flag=True,
    help="Accept passwords even if others on the network can read them.",
)
@click.option(
    "--legacy-mechanism",
    "legacy_mechanisms",
    multiple=True,
    type=click.Choice(LEGACY),
    help="A SASL mechanism for old clients to be allowed. May be repeated.",
)
@proxy_options
@cluster_options
@click.option(
    "--origin",
    "origins",
    multiple=True,
    help="The origin of pages from which browsers may connect, such as https://play.example.org. "
    "May be repeated.  "
    "[default: any; with --identity-header, the host that the request names]",
)
@click.option(
    "--limit-loopback",
    is_flag=True,
    help="Also apply limits and penalties by address to clients on this machine; each worker "
    "counts for itself.",
)
@click.option(
    "--limits",
    "shows_limits",
    is_flag=True,
    help="Print the limits of connections, logins and sessions that these options make, and exit. "
    "Those of connections and logins, and those per source, hold for each worker.",
)
@click.option(
    "--drain-timeout",
    type=Seconds(0),
    default=10.0,
    show_default=True,
    help="Seconds for the whole shutdown; a second signal cuts it short.",
)
@click.option(
    "--move/--no-move",
    default=True,
    show_default=True,
    help="In a cluster, move sessions to other servers during the shutdown, if their avatars have "
    "a snapshot() and their clients can resume.",
)
@click.option(
    "--sleep-after",
    type=Seconds(0.1),
    default=None,
    help="Seconds without activity of the client after which avatars with a snapshot() sleep.  "
    "[default: never]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Minimum level of log messages.",
)
@click.option(
    "--log-format",
    type=click.Choice([str(form) for form in LogFormat]),
    default=str(LogFormat.TEXT),
    show_default=True,
    help="The format of the log on stderr. If stderr is systemd's journal, text gets fields.",
)
@click.option(
    "--log-omit",
    "log_omit",
    multiple=True,
    type=click.Choice(PERSONAL),
    help="A field with personal data that is left out of the records of events. May be repeated.",
)
@click.option(
    "--log-unknown-names",
    type=click.Choice([str(how) for how in UnknownNames]),
    default=str(PortalOptions().log_unknown_names),
    show_default=True,
    help="What the log shows of an unknown name, which might be a password typed into the wrong "
    "field.",
)
@click.option(
    "--metrics",
    type=METRICS,
    metavar="[HOST:]PORT",
    help="Where to serve metrics for Prometheus, at /metrics; the host is 127.0.0.1 by default. "
    "Worker 2 has the next port, and so on.  [default: nowhere]",
)
@click.option(
    "--uvloop/--no-uvloop",
    default=None,
    help='Whether the event loop is uvloop, which takes the extra "uvloop".  '
    "[default: if it is installed]",
)
def serve(workers: int, **settings: Any) -> None:
    """Serve a realm on the network until SIGTERM, SIGINT or SIGHUP, then end all sessions.

    \b
    Exit codes: 0 after a signal, 2 cannot serve as requested, 5 the portal has crashed.
    Example: actorcred serve --realm examples.arena.realm:Arena --auth file:players.htpasswd \\
        --auth anonymous --listen tcp:127.0.0.1:9986 --listen ws:127.0.0.1:8080
    """  # noqa: D301  # click does not rewrap a paragraph that begins with \b
    if workers > 1 and not settings["shows_limits"]:
        start_logging(settings["log_level"], LogFormat(settings["log_format"]))
        raise click.exceptions.Exit(supervise(workers, settings))
    raise click.exceptions.Exit(serve_alone(Role(), settings))


def serve_alone(role: Role, settings: Mapping[str, Any]) -> int:
    """Serve in this process until a signal.

    Args:
        role: what it serves, and where it reports.
        settings: the parameters of `serve`, without the workers.

    Returns:
        The exit code.

    Raises:
        Exit: of click, if it cannot be served as requested.
    """
    start_logging(settings["log_level"], LogFormat(settings["log_format"]), role.worker)
    realm_class = _find_realm(settings["realm"])
    metrics = settings["metrics"]
    portal_options = _portal_options(None if metrics is None else Metrics(), **settings)
    if settings["shows_limits"]:
        click.echo(portal_options.describe())
        return 0
    with usage():
        make_loop = loop_factory(settings["uvloop"])
        server_options = _server_options(role, **settings)
        _serve_metrics(role, portal_options.metrics, metrics)
    served = Served(
        role, realm_class, settings["auth"], settings["addresses"], portal_options, server_options
    )
    main = partial(
        _main,
        served=served,
        join=settings["cluster"],
        drain_timeout=settings["drain_timeout"],
        move=settings["move"],
    )
    return run(main, make_loop)


@dataclass(frozen=True, slots=True)
class Served:
    """What a process serves.

    Args:
        role: where it reports.
        realm: the class of the realm.
        auth: descriptions of checkers.
        addresses: where it listens.
        portal: the settings of the portal.
        server: the settings of the server.
    """

    role: Role
    realm: type[Realm]
    auth: tuple[str, ...]
    addresses: tuple[Address, ...]
    portal: PortalOptions
    server: ServerOptions


def _portal_options(
    metrics: Metrics | None,
    /,
    *,
    policy: str,
    max_sessions: int | None,
    sleep_after: float | None,
    limit_loopback: bool,
    log_omit: tuple[str, ...],
    log_unknown_names: str,
    **_: Any,
) -> PortalOptions:
    return PortalOptions(
        policy=Policy(policy),
        admission=Admission(sessions=max_sessions, limit_loopback=limit_loopback),
        sleep_after=sleep_after,
        log_unknown_names=UnknownNames(log_unknown_names),
        log_omit=frozenset(log_omit),
        metrics=metrics,
    )


def _server_options(
    role: Role,
    /,
    *,
    grace: float,
    passwords_in_clear: bool,
    legacy_mechanisms: tuple[str, ...],
    proxy: TrustedProxy | None,
    origins: tuple[str, ...],
    **_: Any,
) -> ServerOptions:
    return ServerOptions(
        resume=Resume(grace=grace),
        passwords_in_clear=passwords_in_clear,
        legacy_mechanisms=legacy_mechanisms,
        proxy=proxy,
        origins=origins or None,
        reuse_port=role.worker > 0,
    )


async def _main(life: Life, served: Served, join: Join, drain_timeout: float, move: bool) -> int:
    set_default_dispatcher(AsyncioDispatcher())
    life.drain_timeout = drain_timeout
    try:
        with usage():
            async with clustered(life, join, served.role) as registry:
                portal, server = await life.opened(_open(served, registry))
                life.clean_up(server.clean_up)
                return await _serve(life, portal, server, served.role, move=move)
    except Interrupted:
        if served.role.worker:
            return 0  # its supervisor says so
        raise


def _serve_metrics(role: Role, metrics: Counts | None, where: tuple[str, int] | None) -> None:
    """Serve metrics until the process ends, if that is requested."""
    if isinstance(metrics, Metrics) and where is not None:
        host = f"[{where[0]}]" if ":" in where[0] else where[0]
        try:
            port, _ = metrics.serve(*where)
        except OSError as error:
            why = f"cannot serve metrics on {host}:{where[1]}: {error.strerror or error}"
            raise ActorcredError(f"{why}; use another --metrics [HOST:]PORT") from None
        role.shows_metrics(f"http://{host}:{port}/metrics")


async def _open(served: Served, registry: MakeRegistry) -> tuple[PortalRef, Server]:
    blocking = ThreadDispatcher("checkers", 2)
    refs = [from_string(text, dispatcher=blocking) for text in served.auth]
    options = replace(served.portal, registry=registry)
    portal = Portal.start(_start(served.realm), refs, options)
    server = await serve_portal(portal, options=served.server)
    try:
        for address in served.addresses:
            await server.listen(address, sock=served.role.sockets.get(str(address)))
    except BaseException:
        await server.close()
        raise
    return portal, server


async def _serve(life: Life, portal: PortalRef, server: Server, role: Role, *, move: bool) -> int:
    """Serve until a signal arrives or the portal ends, then end or move all sessions.

    Returns:
        The exit code.
    """
    code = 0
    loop = asyncio.get_running_loop()

    def gone(cause: BaseException | None) -> None:
        nonlocal code
        if life.asked:
            return
        code = ExitCode.CRASHED
        why = (
            "was stopped"
            if cause is None
            else f"has crashed ({type(cause).__name__}), which is a bug in actorcred"
        )
        logger.critical(
            "The portal %s: no client can log in, so the server exits. Restart it and report this.",
            why,
        )
        life.end()

    portal.watch(lambda cause: loop.call_soon_threadsafe(gone, cause))
    tune_gc()
    role.opened(server.addresses)
    logger.info("The event loop is %s", describe(loop))
    await life.until_asked()
    role.closing()
    # Workers end together, so there is nowhere to move to.
    count, move = 0, move and bool(server.hub.node) and not role.worker
    if move:
        [moved] = await life.wait_for(server.close(life.left(), move=True))
        count = moved or 0
    ended, _ = await life.wait_for(server.close(life.left()), drained(portal, life.left()))
    if ended is not None:
        role.closed(count + ended, move=move)
    return code


def _find_realm(path: str) -> type[Realm]:
    try:
        found = find_class(path)
    except ValueError as error:
        fail(f"--realm {error}", ExitCode.USAGE)
    if not issubclass(found, Realm):
        fail(f"--realm {path!r} is not a subclass of actorcred.Realm", ExitCode.USAGE)
    return found


def _start(realm_class: type[Realm]) -> ActorRef[Realm]:
    try:
        inspect.signature(realm_class).bind()
    except TypeError as error:
        raise TypeError(
            f"the realm {realm_class.__name__} cannot be created without arguments ({error}); "
            "give them defaults"
        ) from None
    return realm_class.start()
