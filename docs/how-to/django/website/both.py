"""The site with clients of both kinds: those of Django Channels, and those of actorcred.

Serve it in place of asgi.py while clients of the old protocol are left.
"""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website.settings")
site = get_asgi_application()

import msgspec  # noqa: E402
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import path  # noqa: E402
from pykka import ActorDeadError  # noqa: E402

from actorcred import CallError, ClientInfo, LoginFailed, LogoutCode, rpc  # noqa: E402
from actorcred.actors import AsyncioDispatcher  # noqa: E402
from actorcred.credentials import BearerToken  # noqa: E402
from actorcred.methods import methods_of  # noqa: E402
from website import tickets  # noqa: E402
from website.game import Player  # noqa: E402
from website.live import portal  # noqa: E402

METHODS = methods_of(Player)


class OldClient(AsyncJsonWebsocketConsumer):
    """A client of the old protocol, `{"type": METHOD, "args": [...]}`, with an avatar."""

    login = None

    async def connect(self):
        """Log the user of Django's session in at the portal."""
        user, (host, port) = self.scope["user"], self.scope["client"]
        if not user.is_authenticated:
            await self.close()
            return
        loop = AsyncioDispatcher()
        client = ClientInfo(address=host, port=port, protocol="channels", transport="websocket")
        try:
            self.login = await portal.login(
                BearerToken(tickets.make(user.get_username())),
                lambda name, *args: loop.spawn(self.told(name, args)),  # on the loop of Channels
                Player,
                client=client,
            )
        except LoginFailed:
            await self.close()
        else:
            await self.accept()

    async def told(self, name, args):
        """Send what the avatar has told its mind; in place of the handlers of a channel layer."""
        if name == "logged_out":
            await self.close(4001)
        else:
            await self.send_json({"type": name, "args": args})

    async def receive_json(self, content):
        """Call the avatar."""
        self.login.session.touch()
        try:
            method = METHODS[content["type"]]
            arguments = method.arguments(content.get("args", []), msgspec.convert)
            await getattr(self.login.avatar.proxy(), method.name)(*arguments)
        except (KeyError, TypeError, AttributeError, CallError) as error:
            await self.send_json({"type": "error", "args": [type(error).__name__]})
        except ActorDeadError:
            await self.close(4001)

    async def disconnect(self, code):
        """End the session."""
        if self.login is not None:
            self.login.logout(LogoutCode.LOST)


sockets = rpc.WebApp(portal)
old_sockets = AllowedHostsOriginValidator(
    AuthMiddlewareStack(URLRouter([path("ws/game/", OldClient.as_asgi())]))
)


async def websocket(scope, receive, send):
    """Serve clients of actorcred below /rpc/, and those of Channels everywhere else."""
    is_new = scope["path"].startswith("/rpc/")
    await (sockets if is_new else old_sockets)(scope, receive, send)


async def http(scope, receive, send):
    """Serve pages by Django, and the client for browsers below /rpc/."""
    await (sockets if scope["path"].startswith("/rpc/") else site)(scope, receive, send)


application = ProtocolTypeRouter({"websocket": websocket, "http": http, "lifespan": sockets})
