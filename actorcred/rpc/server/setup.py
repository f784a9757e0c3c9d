"""Setting up the hub of a server."""

from __future__ import annotations

from actorcred.methods import methods_of
from actorcred.portal.ref import PortalRef
from actorcred.rpc.server.commands import COMMANDS
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.options import ServerOptions
from actorcred.rpc.server.relay import SERVICE
from actorcred.rpc.server.relayed import Relayed
from actorcred.rpc.server.session_channel import SessionChannel

__all__ = ["open_hub"]


async def open_hub(portal: PortalRef, options: ServerOptions | None) -> Hub:
    """Return a hub for a server on the running loop.

    Raises:
        TypeError: if an interface of the realm has methods that cannot be called over the network.
        ValueError: if the realm lists no interfaces, or two of the same name.
    """
    hub = Hub(portal, options or ServerOptions(), COMMANDS)
    hub.interfaces = await portal.list_interfaces()
    if not hub.interfaces:
        raise ValueError(
            "the realm lists no interfaces; set its class attribute `interfaces`, "
            "which clients request by name"
        )
    names = [interface.__name__ for interface in hub.interfaces]
    if len(set(names)) < len(names):
        raise ValueError(
            f"two interfaces of the realm have the same name: {', '.join(sorted(names))}"
        )
    for interface in hub.interfaces:
        methods_of(interface)
    hub.when_closed.append(portal.router.serve(SERVICE, Relayed(hub).accept))
    portal.landings[SessionChannel.kind] = hub.land
    hub.when_closed.append(lambda: portal.landings.pop(SessionChannel.kind, None))
    return hub
