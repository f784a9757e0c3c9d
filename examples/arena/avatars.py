"""The arena's avatars: one actor per client, which passes its requests on to the arena."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from actorcred import ANONYMOUS, ActorRef, Avatar, CallError, LogoutReason, MindRef
from actorcred.names import AvatarId
from examples.arena import messages as m
from examples.arena.interface import Player, Spectator
from examples.arena.signup import SignUpRefused
from examples.arena.world.bodies import Look
from examples.arena.world.world import LONGEST_TEXT

SignUp = Callable[[str, str], Awaitable[str]]
"""Makes an account of a name and a password, and returns its name, or raises `SignUpRefused`."""

SIGN_UPS = 5
"""How often one session may try to make an account."""


class ArenaSpectator(Avatar, Spectator):
    """A client that watches.

    Args:
        avatar_id: who it is.
        mind: the client.
        arena: where the requests go.
        sign_up: makes accounts; None if there are none to be made.
    """

    name: str | None = None

    def __init__(
        self,
        avatar_id: AvatarId,
        mind: MindRef,
        arena: ActorRef[Any],
        sign_up: SignUp | None = None,
    ) -> None:
        super().__init__(avatar_id, mind)
        self._arena = arena
        self._sign_up = sign_up
        self._sign_ups = 0

    def on_logout(self, reason: LogoutReason) -> None:
        """Leave."""
        self._arena.tell(m.Leave(self.name or "", self.mind))

    def watch(self) -> Any:
        """Subscribe to what is in sight."""
        return self._arena.ask(m.Watch(self.name, self.mind), block=False)

    def who(self) -> Any:
        """Return who plays."""
        return self._arena.ask(m.Who(), block=False)

    def sign_up(self, name: str, password: str) -> Any:
        """Create an account."""
        if self._sign_up is None or self.avatar_id is not ANONYMOUS:
            raise CallError("No account can be made here.")
        client = self.mind.client
        if client.protocol and not client.private:
            raise CallError("This connection is not encrypted: no account can be made over it.")
        self._sign_ups += 1
        if self._sign_ups > SIGN_UPS:
            raise CallError("You have tried too often. Reload the page, and try again.")
        return self.spawn(self._make_account(self._sign_up, name, password))

    async def _make_account(self, sign_up: SignUp, name: str, password: str) -> None:
        try:
            account = await sign_up(name, password)
        except SignUpRefused as refusal:
            raise CallError(str(refusal)) from None
        self._made(account)

    def _made(self, account: str) -> None:
        """Do nothing: a spectator has nothing to hand on."""


class ArenaPlayer(ArenaSpectator, Player):
    """A client that plays.

    Args:
        avatar_id: who it is.
        mind: the client.
        arena: where the requests go.
        name: of its body.
        sign_up: makes accounts for guests; None if there are none to be made.
    """

    name: str

    def __init__(
        self,
        avatar_id: AvatarId,
        mind: MindRef,
        arena: ActorRef[Any],
        name: str,
        sign_up: SignUp | None = None,
    ) -> None:
        super().__init__(avatar_id, mind, arena, sign_up)
        self.name = name

    def on_login(self) -> None:
        """Enter the world; the client may say how it looks."""
        look = self.mind.info.get("look")
        chosen = next((one for one in Look if one == look), Look.PERSON)
        self._arena.tell(m.Enter(self.name, self.mind, chosen))

    def move(self, dx: float, dy: float) -> None:
        """Walk in a direction."""
        if not math.isfinite(dx + dy):
            raise CallError("a direction must be two finite numbers")
        self._arena.tell(m.Move(self.name, dx, dy))

    def dash(self) -> None:
        """Dash."""
        self._arena.tell(m.Dash(self.name))

    def say(self, text: str) -> None:
        """Say something."""
        self._arena.tell(m.Say(self.name, text[:LONGEST_TEXT]))

    def glance(self, seconds: float) -> Any:
        """Subscribe to glances."""
        if not math.isfinite(seconds):
            raise CallError("the seconds must be a finite number")
        return self._arena.ask(m.LookAround(self.name, self.mind, seconds), block=False)

    def stumble(self) -> None:
        """Crash."""
        raise RuntimeError("a bug in the game")

    def _made(self, account: str) -> None:
        self._arena.tell(m.Bequeath(self.name, account))
