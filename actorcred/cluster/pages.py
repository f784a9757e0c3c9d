"""Lists of sessions for other nodes, in messages of a bounded size."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from operator import attrgetter

import msgspec

from actorcred.cluster.messages import AnswerKind
from actorcred.cluster.portable import portrait_of
from actorcred.sessions.session import Session

__all__ = ["page_of"]

PAGE_LENGTH = 2000
PAGE_SIZE = 400_000
"""Bytes. Sessions that are listed are told in several messages if they are more, and one session is
told without its notes and the attributes of its user if it alone is."""


def page_of(
    found: Iterable[Session], after: str, node_of: Callable[[Session], str]
) -> tuple[AnswerKind, list[msgspec.Raw]]:
    """Return the answer with as many sessions as fit into a message: "ok", or "more" if not all.

    Args:
        found: the sessions, in any order.
        after: the id after which the page begins; "" for the first one.
        node_of: returns the node that has a session.
    """
    rest = (session for session in found if session.id > after)
    page: list[msgspec.Raw] = []
    size = 0
    for session in heapq.nsmallest(PAGE_LENGTH, rest, key=attrgetter("id")):
        data = _portrayed(session, node_of(session))
        size += len(data)
        if page and size > PAGE_SIZE:
            return "more", page
        page.append(msgspec.Raw(data))
    return "ok" if len(page) < PAGE_LENGTH else "more", page


def _portrayed(session: Session, node: str) -> bytes:
    """Return the description of a session, without what would hide all others of the node."""
    portrait = portrait_of(session, node)
    data = msgspec.msgpack.encode(portrait)
    if len(data) <= PAGE_SIZE:
        return data
    identity = msgspec.structs.replace(portrait.identity, attributes={})
    small = msgspec.structs.replace(portrait, identity=identity, notes={})
    return msgspec.msgpack.encode(small)
