"""An arena with a portal, on a clock that a test moves."""

from __future__ import annotations

from typing import Any

from actorcred import (
    Anonymous,
    ClientInfo,
    Policy,
    Portal,
    PortalRef,
    UsernamePassword,
)
from actorcred.actors import InlineDispatcher
from actorcred.checkers.anonymous import AnonymousChecker
from actorcred.checkers.memory import MemoryChecker
from actorcred.testing import RecordingMind
from examples.arena.interface import Player
from examples.arena.realm import Arena, Settings
from examples.arena.signup import SignUpRefused
from tests.settings import portal_options

USERS = {"ann": "right", "bob": "right", "zoe": "right"}


async def sign_up(name: str, password: str) -> str:
    """Make an account: all exist already."""
    if name not in USERS:
        raise SignUpRefused("This name is taken.")
    return name


class Hall:
    """A portal to an arena on a clock that the test moves."""

    def __init__(self, clock: InlineDispatcher, **settings: Any) -> None:
        self.clock = clock
        settings = {"size": 64.0, **settings}
        self.arena = Arena.start(Settings(**settings), settings.pop("sign_up", None) or sign_up)
        self.portal: PortalRef = Portal.start(
            self.arena,
            [MemoryChecker.start(USERS, plaintext=True), AnonymousChecker.start()],
            portal_options(policy=Policy.REPLACE),
        )

    def enter(
        self,
        name: str | None = None,
        interface: type = Player,
        client: ClientInfo | None = None,
        **info: Any,
    ) -> Any:
        credentials = Anonymous() if name is None else UsernamePassword(name, USERS[name])
        mind = RecordingMind()
        login = self.portal.login(
            credentials, mind, interface, info=info, client=client or ClientInfo()
        ).get()
        return login, mind

    def ask(self, login: Any, method: str, *args: Any) -> Any:
        """Call a method of the avatar, as the network does: a future's result is the answer."""
        answer = getattr(login.avatar.proxy(), method)(*args).get()
        return answer.get() if hasattr(answer, "get") and not isinstance(answer, dict) else answer

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(0.1)

    @property
    def world(self) -> Any:
        return self.arena._actor_weakref()._world  # type: ignore[union-attr]
