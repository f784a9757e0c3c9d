"""Base class of checkers that poll their source for changes."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from actorcred.actors import ControlMessage
from actorcred.checker import Checker

__all__ = ["POLL", "PollingChecker"]

POLL = 2.0
"""Seconds between two checks of a file or database for changes."""


class _Poll(ControlMessage):
    """Check whether the source has changed."""

    __slots__ = ()


class PollingChecker(Checker):
    """Polls its source every `POLL` seconds, after `start_polling`."""

    def start_polling(self) -> None:
        """Start polling the source; called by `on_start`."""
        self.send_every(POLL, _Poll())

    @abstractmethod
    def poll(self) -> None:
        """Check the source for changes, and revoke users who may no longer be logged in."""

    def _actor_control(self, message: ControlMessage) -> Any:
        if isinstance(message, _Poll):
            self.poll()
        else:
            super()._actor_control(message)
