"""The web page of an example: static files, and the portal's sockets on the same port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from actorcred import rpc


def make_app(server: rpc.Server, page: Path) -> Any:
    """Return the ASGI application: the files of `page` at `/`, the portal at `/rpc`."""
    return Starlette(
        routes=[Mount("/rpc", server.web_app()), Mount("/", StaticFiles(directory=page, html=True))]
    )
