"""A portal that is served by three protocols, and clients that stay logged in by them."""

from __future__ import annotations

import smtplib
from typing import Any

import asyncssh

from actorcred import Portal, PortalOptions, rpc
from actorcred.actors import AsyncioDispatcher
from actorcred.adapters.aiosmtpd import SMTPServer
from actorcred.adapters.asyncssh import SSHServer
from actorcred.portal.events import LoggedIn, LoggedOut
from tests.adapters.front import LOCALHOST, Guest, House
from tests.adapters.loops import in_loop, loop
from tests.helpers import until

PROTOCOLS = {"rpc", "ssh", "smtp"}


class ThreeProtocols:
    """Servers of the wire, of SSH and of SMTP.

    Attributes:
        ended: protocol, avatar id, reason and detail of each session that has ended.
    """

    def __init__(self, *checkers: Any, **options: Any) -> None:
        dispatcher = AsyncioDispatcher(loop(), "three")
        self.ended: list[tuple[str, str, str, str]] = []
        self.opened: list[str] = []
        self.portal = Portal.start(
            House.start([], dispatcher=dispatcher),
            checkers,
            PortalOptions(**{"standing_interval": 0.2, **options}),
            dispatcher=dispatcher,
        )
        self.portal.subscribe(self._book).get(timeout=10)
        self.clients: list[Any] = []
        self._smtp = SMTPServer(self.portal, Guest, hostname="mail.example.org")
        self._ssh = SSHServer(self.portal, Guest)
        keys = [asyncssh.generate_private_key("ssh-ed25519")]
        in_loop(self._listen(keys))

    async def _listen(self, keys: list[Any]) -> None:
        self._wire = await rpc.serve(self.portal, f"tcp:{LOCALHOST}:0")
        self._mail = await self._smtp.listen(LOCALHOST, 0)
        self._shell = await self._ssh.listen(LOCALHOST, 0, server_host_keys=keys)

    def _book(self, event: Any) -> None:
        if isinstance(event, LoggedIn):
            self.opened.append(event.client.protocol)
        elif isinstance(event, LoggedOut):
            whose = event.client.protocol, str(event.avatar_id)
            self.ended.append((*whose, event.reason, event.detail))

    def log_in(self, name: str, password: str) -> None:
        """Log a user in by each protocol; the sessions go on."""
        self.clients.append(in_loop(rpc.connect(str(self._wire.addresses[0]), name, password)))
        self.ssh(name, password=password, client_keys=None)
        client = smtplib.SMTP(LOCALHOST, self._mail.sockets[0].getsockname()[1], timeout=10)
        client.login(name, password)
        self.clients.append(client)
        until(lambda: len(self.opened) >= len(self.clients))

    def ssh(self, name: str, **options: Any) -> Any:
        """Log a user in by SSH."""
        options = {"known_hosts": None, "config": None, "agent_path": None, **options}

        async def connect() -> Any:
            port = self._shell.get_port()
            return await asyncssh.connect(LOCALHOST, port, username=name, **options)

        made = in_loop(connect())
        self.clients.append(made)
        return made

    def wait_for(self, *expected: tuple[str, str, str, str]) -> None:
        """Wait until exactly these sessions have ended."""
        until(lambda: len(self.ended) >= len(expected))
        assert sorted(self.ended) == sorted(expected)

    def open(self) -> int:
        """Return the number of open sessions."""
        return self.portal.count().get(timeout=10)

    def stop(self) -> None:
        """Close clients and servers."""

        async def end() -> None:
            for client in self.clients:
                if isinstance(client, asyncssh.SSHClientConnection):
                    client.close()
                elif not isinstance(client, smtplib.SMTP):
                    await client.close()
            self._mail.close()
            self._shell.close()
            await self._smtp.close()
            await self._ssh.close()
            await self._wire.close(1)

        in_loop(end())
        for client in self.clients:
            if isinstance(client, smtplib.SMTP):
                client.close()
