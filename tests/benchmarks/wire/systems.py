"""The systems that are measured side by side."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator

from tests.benchmarks.measure import Missing, loop_name
from tests.benchmarks.wire import colyseus
from tests.benchmarks.wire.game import COUNTS, RAW_COUNTS
from tests.benchmarks.wire.processes import PORT, System, python

OURS = f"actorcred, {loop_name()}"
"""Our server and client on the loop on which our programs run."""

PB, COLYSEUS = "PB", "Colyseus"

JAVASCRIPT_WARM_UP = 6
"""Rounds after which V8 has compiled what it will: logins take half as long as in the first."""

RAW = "bytes to "
"""What the name of a system with the client that only sends bytes begins with."""


def floor(loop: str) -> str:
    """Return the name of the floor on a loop."""
    return f"{RAW}{loop} echo"


def echo(loop: str) -> str:
    """Return the name of the floor on a loop at both ends."""
    return f"echo, {loop}"


def bare(loop: str) -> str:
    """Return the name of our server on a loop, with the client that only sends bytes."""
    return f"{RAW}actorcred, {loop}"


def loops() -> list[str]:
    """Return the loops that can be measured here."""
    return ["asyncio", *(["uvloop"] if loop_name() == "uvloop" else [])]


def with_bytes() -> Iterator[System]:
    """Yield our server and the floors, with the client that only sends bytes."""
    client = python("client_raw", PORT)
    for kind in ("epoll", *loops()):
        server = python("server_echo", kind)
        yield System(floor(kind), server, (*client, "echo"), RAW_COUNTS)
    for loop in loops():
        server = python("server_actorcred", loop, "tcp")
        yield System(bare(loop), server, (*client, "cred"), RAW_COUNTS)


def echoes() -> Iterator[System]:
    """Yield the floors of systems with their own clients: both ends only echo."""
    for loop in loops():
        server, client = python("server_echo", loop), python("client_echo", PORT, loop)
        yield System(echo(loop), server, client, COUNTS)


def with_own_clients() -> Iterator[System | str]:
    """Yield each system with its own client, or a text that says what is missing."""
    for loop in loops():
        yield _ours(f"actorcred, {loop}", loop, "tcp")
    loop = loop_name()
    for scheme, name in (("tls", "TLS"), ("ws", "WebSocket"), ("wss", "WebSocket over TLS")):
        yield _ours(f"{OURS}, {name}", loop, scheme)
    for name, module, kind, words in (
        (PB, "twisted", "pb", ()),
        ("PB on CredPortal", "twisted", "pb", ("CredPortal",)),
        ("python-socketio", "socketio", "socketio", ()),
    ):
        if importlib.util.find_spec(module) is None:
            yield f"{name} is left out: {module} is not installed"
            continue
        yield System(name, python(f"server_{kind}", *words), python(f"client_{kind}", PORT), COUNTS)
    try:
        folder = colyseus.install()
    except Missing as missing:
        yield f"{COLYSEUS} is left out: {missing}"
        return
    server = ("node", str(folder / "server.mjs"))
    client = ("node", str(folder / "client.mjs"), PORT)
    yield System(COLYSEUS, server, client, COUNTS, JAVASCRIPT_WARM_UP)


def _ours(name: str, loop: str, scheme: str) -> System:
    words = (loop, scheme)
    client = python("client_actorcred", PORT, *words)
    return System(name, python("server_actorcred", *words), client, COUNTS)


def versions(systems: list[System]) -> str:
    """Return the versions of the peers that run."""
    names = {system.name for system in systems}
    found = []
    if PB in names:
        found.append(f"Twisted {importlib.metadata.version('twisted')}")
    if "python-socketio" in names:
        found.append(f"python-socketio {importlib.metadata.version('python-socketio')}")
    if COLYSEUS in names:
        found.append(colyseus.version())
    return ", ".join(found)
