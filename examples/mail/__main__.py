"""Serve mail by POP3, IMAP4 and SMTP submission."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from typing import Any

from twisted.internet import asyncioreactor
from twisted.internet.error import CannotListenError

from actorcred import Portal, UsernameHashedPassword, UsernamePassword, UsernameScram
from actorcred.adapters.aiosmtpd import SMTPServer
from actorcred.checkers.sqlite import SQLiteCheckerRef
from actorcred.cli.lifetime import Life, drained
from actorcred.network import is_loopback
from examples.common import add_arguments, serve, start_checkers
from examples.mail.interface import Mailbox, Maildrop, Outgoing
from examples.mail.realm import PostOffice
from examples.mail.store import Store

DEMO = ("ann", "bob")
"""The demo accounts."""

MESSAGES = ("Lunch on Friday?", "Your book is ready", "Minutes of Monday")


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    return serve("The post office", Servers.open, arguments, CannotListenError)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.mail", description=__doc__)
    add_arguments(
        parser,
        {"pop3": 8110, "imap": 8143, "smtp": 8587},
        (UsernamePassword, UsernameHashedPassword, UsernameScram),
        "mail-data",
    )
    parser.add_argument(
        "--database",
        metavar="URL",
        help="SQLAlchemy URL of the mail database (SQLite in the folder of --data)",
    )
    parser.add_argument(
        "--domain", default="example.org", help="domain of the users' addresses (%(default)s)"
    )
    return parser.parse_args(argv)


class Servers:
    """The three servers on one portal; created by `open`."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        store: Store,
        checkers: list[Any],
        passwords: dict[str, str],
    ) -> None:
        from actorcred.adapters.twisted import reactor_dispatcher

        self._arguments = arguments
        self._store = store
        self._passwords = passwords
        accounts = [checker for checker in checkers if isinstance(checker, SQLiteCheckerRef)]
        office = PostOffice.start(
            store, arguments.domain, accounts, dispatcher=reactor_dispatcher()
        )
        self.portal = Portal.start(office, checkers, dispatcher=reactor_dispatcher())
        self._ports: list[Any] = []

    @classmethod
    async def open(cls, arguments: argparse.Namespace) -> Servers:
        """Start everything.

        Raises:
            CannotListenError: if a port is taken; or OSError.
            ActorcredError: if the database or a checker cannot be used.
        """
        # Twisted's reactor and asyncio share one loop here.
        asyncioreactor.install(asyncio.get_running_loop())
        from twisted.internet import reactor

        running: Any = reactor
        running.startRunning(installSignalHandlers=False)
        url = arguments.database or f"sqlite:///{arguments.data / 'mail.sqlite'}"
        store = await asyncio.to_thread(Store, url)
        checkers, passwords = await start_checkers(arguments, DEMO)
        made = cls(arguments, store, checkers, passwords)
        if passwords:
            await asyncio.to_thread(put_messages, store, arguments.domain)
        await made._listen()
        return made

    async def _listen(self) -> None:
        from twisted.internet import endpoints, protocol, reactor
        from twisted.mail import imap4, pop3

        from actorcred.adapters.twisted import CredPortal
        from examples.mail.imap import Account, IMAPServer
        from examples.mail.pop import POP3Server, open_drop

        cred = CredPortal(
            self.portal,
            faces={pop3.IMailbox: (Maildrop, open_drop), imap4.IAccount: (Mailbox, Account)},
        )
        loop, host = asyncio.get_running_loop(), self._arguments.host
        for kind, port in ((POP3Server, self._arguments.pop3), (IMAPServer, self._arguments.imap)):
            factory = cred.attach(protocol.Factory.forProtocol(kind))
            factory.noisy = False
            endpoint = endpoints.TCP4ServerEndpoint(reactor, port, interface=host)
            self._ports.append(await endpoint.listen(factory).asFuture(loop))
        self.smtp = SMTPServer(self.portal, Outgoing, hostname=f"mail.{self._arguments.domain}")
        self._smtp = await self.smtp.listen(host, self._arguments.smtp)

    def introduce(self) -> None:
        """Print the addresses."""
        host = self._arguments.host
        for name, password in self._passwords.items():
            print(f"account: {name} with {password}")
        pop, imap = (port.getHost().port for port in self._ports)
        smtp = self._smtp.sockets[0].getsockname()[1]
        print(f"POP3: {host}:{pop}  IMAP4: {host}:{imap}  SMTP: {host}:{smtp}")
        print(
            f"try:  curl imap://{host}:{imap}/INBOX -u {DEMO[0]} -X 'FETCH 1:* FLAGS'", flush=True
        )
        if not is_loopback(host):
            print(
                "Without TLS passwords can be read by others on the network; "
                "put a proxy with TLS before it.",
                file=sys.stderr,
            )

    async def close(self, life: Life) -> None:
        """Accept no more connections, and end all sessions."""
        loop = asyncio.get_running_loop()
        for port in self._ports:
            stopped = port.stopListening()
            if stopped is not None:
                await stopped.asFuture(loop)
        self._smtp.close()
        await life.wait_for(self.smtp.close(), drained(self.portal, life.left()))
        await life.stop_actors()
        await asyncio.to_thread(self._store.close)


def put_messages(store: Store, domain: str) -> None:
    """Put a few messages into the first demo account, once."""
    if store.open(DEMO[0]):
        for number, subject in enumerate(MESSAGES, 1):
            sender, owner = f"{DEMO[1]}@{domain}", f"{DEMO[0]}@{domain}"
            text = (
                f"From: {sender}\r\nTo: {owner}\r\nSubject: {subject}\r\n"
                f"Message-ID: <{number}@{domain}>\r\n\r\nSee you!\r\n"
            )
            store.add(DEMO[0], text.encode(), (), int(time.time()) - 3600 * number)


if __name__ == "__main__":
    sys.exit(main())
