"""The avatar of a player who walks from node to node: its session moves with a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actorcred import SnapshotDeclined
from examples.arena.avatars import ArenaPlayer, SignUp
from examples.arena.nodes import messages as m

__all__ = ["NodePlayer"]


class NodePlayer(ArenaPlayer):
    """A client that plays; see `ArenaPlayer`."""

    _busy = False

    def on_login(self) -> None:
        """Enter the world."""
        super().on_login()
        assert self.session is not None
        self._arena.tell(m.Tie(self.name, self.mind, self.session))

    async def snapshot(self) -> Mapping[str, Any]:
        """Return what the arena knows of the player: where it is, what it carries, its points.

        The arena answers in order, so it has answered what the client asked before.
        """
        state = await self._arena.ask(m.Describe(self.name), block=False)
        if state is None or self._busy:
            raise SnapshotDeclined("the player does not cross a border, or makes an account")
        return {**state, "sign_ups": self._sign_ups}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on in this node's region."""
        self._sign_ups = snapshot["sign_ups"]
        assert self.session is not None
        self._arena.tell(m.Arrive(snapshot, self.mind, self.session))

    async def _make_account(self, sign_up: SignUp, name: str, password: str) -> None:
        self._busy = True
        try:
            await super()._make_account(sign_up, name, password)
        finally:
            self._busy = False
