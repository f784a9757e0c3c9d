"""The arena's page: static files, and the sockets of the game beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from actorcred import rpc

PAGE = Path(__file__).parent / "page"


def make_app(server: rpc.Server) -> Any:
    """Return the ASGI application: the page at `/`, the game at `/rpc`."""
    return Starlette(routes=[Mount("/rpc", rpc.WebApp(server)), Mount("/", StaticFiles(directory=PAGE, html=True))])
