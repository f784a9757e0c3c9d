"""The site and the game as one ASGI application: uvicorn website.asgi:application."""

import os

from django.core.asgi import get_asgi_application

from actorcred import rpc

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website.settings")
site = get_asgi_application()  # sets Django up, which the next import needs

from website.live import portal  # noqa: E402

game = rpc.WebApp(portal)


async def application(scope, receive, send):
    """Serve pages by Django, and everything below /rpc/ by the portal."""
    is_page = scope["type"] == "http" and not scope["path"].startswith("/rpc/")
    await (site if is_page else game)(scope, receive, send)
