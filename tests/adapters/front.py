"""What the contract of adapters needs from each server.

Its clients log in, ask something, are sent the reason of a logout, or vanish.
"""

from __future__ import annotations

import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from actorcred import Avatar, Checker, Future, LogoutReason, NoInterface, Realm, UsernamePassword
from actorcred.actors import ActorRef, Dispatcher

LOCALHOST = "127.0.0.1"


class Refused(Exception):
    """The server did not let a client in; the text is what it said."""


class Guest(ABC):
    """What the clients of all servers want of their avatar."""

    @abstractmethod
    def who(self) -> str: ...
    @abstractmethod
    def submit(self, sender: str, recipients: list[str], data: bytes) -> str: ...
    @abstractmethod
    def execute(self, command: str) -> str: ...


class GuestAvatar(Avatar, Guest):
    def __init__(self, avatar_id: Any, mind: Any, log: list[Any]) -> None:
        super().__init__(avatar_id, mind)
        self.log = log

    def on_login(self) -> None:
        self.log.append(("login", self.avatar_id))

    def on_logout(self, reason: LogoutReason) -> None:
        self.log.append(("logout", self.avatar_id, str(reason.code)))

    def who(self) -> str:
        return str(self.avatar_id)

    def submit(self, sender: str, recipients: list[str], data: bytes) -> str:
        return self.who()

    def execute(self, command: str) -> str:
        return self.who()


class House(Realm):
    interfaces = (Guest,)

    def __init__(self, log: list[Any]) -> None:
        super().__init__()
        self.log = log

    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        if Guest not in interfaces:
            raise NoInterface(interfaces)
        avatar = GuestAvatar.start(avatar_id, mind, self.log)
        return Guest, avatar, avatar.stop


class Slow(Checker):
    """Says nothing until the test wants it to."""

    credential_interfaces = (UsernamePassword,)

    def __init__(self, waiting: list[Future[str]]) -> None:
        super().__init__()
        self.waiting = waiting

    def request_avatar_id(self, credentials: UsernamePassword) -> Future[str]:
        answer: Future[str] = Future()
        self.waiting.append(answer)
        return answer


class Client(ABC):
    """Somebody who is logged in."""

    @abstractmethod
    def who(self) -> str:
        """Ask the avatar who this is."""

    @abstractmethod
    def goodbye(self) -> str:
        """Wait until the server closes the connection; return what it said."""

    @abstractmethod
    def leave(self) -> None:
        """Log out, as the protocol has it."""

    @abstractmethod
    def vanish(self) -> None:
        """Close the socket without a word."""


class Front(ABC):
    """A server, on a portal.

    Attributes:
        portal: the portal; set before `start`.
        says_why: whether a client can read that a checker is down.
        says_denied: whether it can read that it has to wait.
        notices: whether the server notices a client that vanishes while it sends nothing.
    """

    says_why: ClassVar[bool] = True
    says_denied: ClassVar[bool] = True
    notices: ClassVar[bool] = True
    portal: Any
    port: int

    nobodys_name: ClassVar[str] = "an  n"
    """A name that clients can send and nobody can have."""

    @abstractmethod
    def dispatcher(self) -> Dispatcher:
        """Return the dispatcher on the server's own loop."""

    @abstractmethod
    def start(self) -> None:
        """Listen on a free port."""

    @abstractmethod
    def stop(self) -> None:
        """Listen no more, and close what is open."""

    @abstractmethod
    def log_in(self, name: str, password: str) -> Client:
        """Log in.

        Raises:
            Refused: if the server does not let the client in.
        """

    @abstractmethod
    def begin(self, name: str, password: str) -> Callable[[], object]:
        """Send a login without waiting for the answer; return a function that closes the socket."""

    @abstractmethod
    def connections(self) -> int:
        """Return how many connections are open."""


def reset(sock: socket.socket) -> None:
    """Close a socket as a machine does that crashes."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


Checkers = list[ActorRef[Any]]
