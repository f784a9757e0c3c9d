"""The page of the example: where each user is, and buttons that kill, drain and start nodes."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from actorcred import NoInterface, PortalRef, Realm
from examples.chat.interface import Chatter
from examples.cluster.node import LEASE, Node

__all__ = ["Observer", "make_overview", "state_of"]

PAGE = Path(__file__).parent / "page"

HEADER = "x-cluster-page"
"""Sent by the page with each order. Pages of other sites cannot send it without permission."""


class Observer(Realm):
    """The realm of a node that lets nobody in: it sees the others' sessions."""

    interfaces = (Chatter,)

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        """Refuse."""
        raise NoInterface(interfaces)


async def state_of(nodes: list[Node], portal: PortalRef) -> dict[str, Any]:
    """Return what the page shows."""
    sessions = await portal.sessions()
    return {
        "lease": LEASE,
        "nodes": [
            {
                "number": node.number,
                "state": node.state,
                "port": node.port,
                "pid": node.pid,
                "users": [
                    str(session.avatar_id)
                    for session in sessions
                    if getattr(session, "node", "") == node.id
                ],
            }
            for node in nodes
        ],
    }


def make_overview(
    nodes: list[Node], portal: PortalRef, start: Callable[[Node], Awaitable[object]]
) -> Starlette:
    """Return the application.

    Args:
        nodes: the nodes.
        portal: the portal that sees their sessions.
        start: starts a node again.
    """
    orders: dict[str, Callable[[Node], Awaitable[object]]] = {
        "kill": _kill,
        "drain": _drain,
        "start": start,
    }

    async def state(request: Request) -> Response:
        return JSONResponse(await state_of(nodes, portal))

    async def order(request: Request) -> Response:
        number, what = request.path_params["number"], request.path_params["what"]
        if HEADER not in request.headers:
            return JSONResponse({"error": "only the page itself may do that"}, 403)
        if what not in orders or not 1 <= number <= len(nodes):
            return JSONResponse({"error": "there is no such node or order"}, 404)
        await orders[what](nodes[number - 1])
        return JSONResponse(await state_of(nodes, portal))

    return Starlette(
        routes=[
            Route("/state", state),
            Route("/nodes/{number:int}/{what}", order, methods=["POST"]),
            Mount("/", StaticFiles(directory=PAGE, html=True)),
        ],
        # A name that leads here by a trick of DNS is refused.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
    )


async def _kill(node: Node) -> None:
    node.send(signal.SIGKILL)


async def _drain(node: Node) -> None:
    node.drain()
