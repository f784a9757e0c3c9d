"""The web page of an example: static files, and the portal's sockets on the same port."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from actorcred import rpc

COMMON = Path(__file__).parent / "page"
"""What several pages use."""


def make_app(server: rpc.Server, page: Path) -> Any:
    """Return the ASGI application.

    The files of `page` are at `/`, those that the pages share at `/common`, the portal at `/rpc`.
    """
    return Starlette(
        routes=[
            Mount("/rpc", server.web_app()),
            Mount("/common", StaticFiles(directory=COMMON)),
            Mount("/", StaticFiles(directory=page, html=True)),
        ]
    )
