"""Errors of the bus between nodes. They stay in this package; callers get those of actorcred."""

from __future__ import annotations

from actorcred.errors import ActorcredError

__all__ = ["BusDown", "BusError", "NodeGone", "Pending", "RemoteError", "StoreLost", "TooLarge"]


class BusError(ActorcredError):
    """The cluster cannot be used as it is configured; the text says what to do."""


class BusDown(ActorcredError):
    """NATS or a node did not answer in time, so whether it did what was asked is unknown."""


class StoreLost(BusDown):
    """NATS has no such stream any more, or another one."""


class TooLarge(BusDown):
    """NATS does not take a value of this size."""


class RemoteError(ActorcredError):
    """A call of another node has failed there; its log has the exception, the text its class."""


class NodeGone(ActorcredError):
    """No node listens under this name."""


class Pending(ActorcredError):
    """A method has returned a future, whose result must be asked for."""
