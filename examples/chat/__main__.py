"""Serve the chat by browser, MessagePack-RPC, SSH and telnet."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import asyncssh

from actorcred import (
    Admission,
    Policy,
    Portal,
    PortalOptions,
    PortalRef,
    UsernamePassword,
    actors,
    rpc,
)
from actorcred.actors import AsyncioDispatcher
from actorcred.adapters.asyncssh import SSHServer
from actorcred.cli.lifetime import Life, drained
from examples.chat import telnet
from examples.chat.archive import Archive
from examples.chat.interface import MODERATOR, TextChatter
from examples.chat.realm import Chat
from examples.chat.text import show_event
from examples.common import add_arguments, seconds, serve, start_checkers
from examples.web import make_app

PAGE = Path(__file__).parent / "page"
DEMO = {"ann": (MODERATOR,), "bob": ()}
"""The demo accounts, with their roles."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    return serve("The chat", Servers.open, arguments)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.chat", description=__doc__)
    add_arguments(
        parser,
        {"web": 8081, "rpc": 9987, "ssh": 8022, "telnet": 8023},
        (UsernamePassword,),
        "chat-data",
    )
    parser.add_argument(
        "--grace",
        type=seconds,
        default=30.0,
        metavar="S",
        help="seconds a browser has to reconnect (%(default)s)",
    )
    return parser.parse_args(argv)


class Servers:
    """All servers of one portal; created by `open`."""

    def __init__(self, portal: PortalRef, archive: Archive, passwords: dict[str, str]) -> None:
        self.portal = portal
        self._archive = archive
        self._passwords = passwords

    @classmethod
    async def open(cls, arguments: argparse.Namespace) -> Servers:
        """Start everything.

        Raises:
            OSError: if a port is taken.
            ActorcredError: if a checker cannot be started.
        """
        actors.set_default_dispatcher(AsyncioDispatcher())
        checkers, passwords = await start_checkers(arguments, DEMO, DEMO)
        archive = Archive(arguments.data / "chat.sqlite")
        chat = Chat.start(archive)
        portal = Portal.start(
            chat,
            checkers,
            PortalOptions(policy=Policy.SHARE, admission=Admission(sessions_per_avatar=8)),
        )
        await chat.proxy().open_at(portal)
        made = cls(portal, archive, passwords)
        await made._listen(arguments)
        return made

    async def _listen(self, arguments: argparse.Namespace) -> None:
        host = arguments.host
        options = rpc.ServerOptions(resume=rpc.Resume(grace=arguments.grace))
        self.rpc = await rpc.serve(self.portal, f"tcp:{host}:{arguments.rpc}", options=options)
        await self.rpc.listen(f"ws:{host}:{arguments.web}", app=make_app(self.rpc, PAGE))
        self.ssh = SSHServer(self.portal, TextChatter, render=show_event)
        self._acceptor = await self.ssh.listen(
            host, arguments.ssh, server_host_keys=[str(_host_key(arguments.data))]
        )
        self._telnet = await telnet.listen(
            self.portal, host, arguments.telnet, TextChatter, render=show_event
        )

    def introduce(self) -> None:
        """Print how to connect."""
        tcp, web = self.rpc.addresses
        host, port = self._telnet.sockets[0].getsockname()[:2]
        for name, password in self._passwords.items():
            print(f"account: {name} with {password}")
        print(f"browser: http://{web.host}:{web.port}/")
        print(f"ssh:     ssh -p {self._acceptor.get_port()} {next(iter(DEMO))}@{host}")
        print(f"telnet:  telnet {host} {port}")
        print(
            f"rpc:     actorcred call tcp://{tcp.host}:{tcp.port} -u {next(iter(DEMO))} who lobby",
            flush=True,
        )

    async def close(self, life: Life) -> None:
        """Accept no more connections, and end all sessions."""
        self._acceptor.close()
        self._telnet.close()
        await life.wait_for(
            self.rpc.close(life.left()), self.ssh.close(), drained(self.portal, life.left())
        )
        await life.stop_actors()
        self._archive.close()


def _host_key(folder: Path) -> Path:
    """Return the server's SSH host key; generate it at the first start."""
    path = folder / "ssh_host_key"
    if not path.exists():
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(path))
        path.chmod(0o600)
    return path


if __name__ == "__main__":
    sys.exit(main())
