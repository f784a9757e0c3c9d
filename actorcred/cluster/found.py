"""The answers of all nodes to a question of the application, joined."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from actorcred.cluster.far import FarSession, Way
from actorcred.cluster.interfaces import Interfaces
from actorcred.cluster.portable import Portrait
from actorcred.sessions.info import SessionInfo

__all__ = ["Found", "Number", "far_sessions"]

logger = logging.getLogger("actorcred.cluster")


class Number(int):
    """A number of sessions.

    Attributes:
        missing: the ids of nodes that did not answer, whose sessions are not counted.
    """

    missing: frozenset[str] = frozenset()

    @classmethod
    def total(cls, own: int, answers: Mapping[str, Any], missing: frozenset[str]) -> Number:
        """Return the sum of a number of this node and the answers of others."""
        number = cls(own + sum(one for one in answers.values() if isinstance(one, int)))
        number.missing = missing
        return number


class Found(list[SessionInfo]):
    """Sessions, oldest first.

    Attributes:
        missing: the ids of nodes that did not answer, whose sessions are not here.
    """

    missing: frozenset[str] = frozenset()

    @classmethod
    def joined(
        cls, own: Iterable[SessionInfo], far: Iterable[SessionInfo], missing: frozenset[str]
    ) -> Found:
        """Return the sessions of this node and of others, each once even while it moves."""
        known = {session.id: session for session in [*far, *own]}
        found = cls(sorted(known.values(), key=lambda session: session.since))
        found.missing = missing
        return found


def far_sessions(answers: Mapping[str, Any], interfaces: Interfaces, way: Way) -> list[FarSession]:
    """Return the sessions in the answers of other nodes; what is none is logged.

    Args:
        answers: lists of portraits, by node.
        interfaces: those that this node knows.
        way: the way to the nodes.
    """
    found = []
    for node, answer in answers.items():
        try:
            portraits = msgspec.convert(answer, list[Portrait])
        except msgspec.ValidationError as error:
            logger.warning("Node %s described its sessions wrongly: %s", node, error)
            continue
        found += [
            FarSession(portrait, interfaces.get(portrait.interface) or object, way)
            for portrait in portraits
        ]
    return found
