"""What the checkers have in common that look at intervals whether their source has changed."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from actorcred.actors import ControlMessage
from actorcred.checker import Checker

__all__ = ["POLL", "PollingChecker"]

POLL = 2.0
"""Seconds between two looks at a file or database that may have changed."""


class _Poll(ControlMessage):
    """Look whether the source has changed."""

    __slots__ = ()


class PollingChecker(Checker):
    """Looks at its source every `POLL` seconds, once told so."""

    def start_polling(self) -> None:
        """Begin to look at the source; called by `on_start`."""
        self.send_every(POLL, _Poll())

    @abstractmethod
    def poll(self) -> None:
        """Look at the source, and revoke those who may no longer be here."""

    def _actor_control(self, message: ControlMessage) -> Any:
        if isinstance(message, _Poll):
            self.poll()
        else:
            super()._actor_control(message)
