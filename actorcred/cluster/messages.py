"""The messages between nodes, as msgpack with a version.

A message is `[version, tag, field, ...]`. Nodes of different versions understand each other, since
fields are only ever appended, with a default: an older node ignores those that it does not know.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from actorcred.cluster.errors import BusError
from actorcred.methods import as_sendable
from actorcred.sessions.presence import Contribution

__all__ = [
    "AnnotateSession",
    "Answer",
    "AnswerKind",
    "Ask",
    "Beat",
    "CallMind",
    "Count",
    "Counted",
    "End",
    "Failed",
    "Familiar",
    "Hello",
    "IsKnown",
    "JoinGroup",
    "Kick",
    "ListFailures",
    "ListGroup",
    "ListSessions",
    "Message",
    "Notify",
    "NotifyGroup",
    "Revoked",
    "UsersChanged",
    "WatchAgain",
    "WatchUsers",
    "pack",
    "unpack",
]

VERSION = 1
"""The version of the messages that this node sends."""

AnswerKind: TypeAlias = str
"""One of "ok", "dead", "gone", "refused" and "failed"."""


class _Message(msgspec.Struct, frozen=True, array_like=True):
    pass


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """Failed logins of a source or an account; see `throttle.Failures`."""

    key: str
    times: int
    spelling: str | None = ""
    age: float = 0.0


class Familiar(msgspec.Struct, frozen=True, array_like=True):
    """A login from a source that is familiar from then on; see `throttle.Familiarity`."""

    spelling: str
    source: str
    age: float = 0.0


class Beat(_Message, tag="beat", frozen=True):
    """What a node says of itself in its lease.

    Attributes:
        node: its id.
        at: when it was sent, on the node's own clock.
        sessions: how many it has.
        draining: whether it lets nobody in.
        left: whether it has gone, in good order.
    """

    node: str
    at: float
    sessions: int = 0
    draining: bool = False
    left: bool = False


class Hello(_Message, tag="hello", frozen=True):
    """A node has come: the others beat at once, so that it knows them."""

    node: str


class IsKnown(_Message, tag="known", frozen=True):
    """Whether a node has this session, and is not about to end it."""

    session_id: str


class End(_Message, tag="end", frozen=True):
    """End a session; answered when nothing is left of it."""

    session_id: str
    code: str
    detail: str = ""


class Ask(_Message, tag="ask", frozen=True):
    """Call a method of an avatar."""

    session_id: str
    method: str
    args: list[Any]


class Notify(_Message, tag="notify", frozen=True):
    """Notify the client of a session."""

    session_id: str
    name: str
    args: list[Any]
    key: Any = None


class CallMind(_Message, tag="call", frozen=True):
    """Call the client of a session."""

    session_id: str
    name: str
    args: list[Any]
    timeout: float


class Count(_Message, tag="count", frozen=True):
    """How many sessions a node has."""


class ListSessions(_Message, tag="list", frozen=True):
    """The sessions with an id, of an avatar id, or all; an empty avatar id is an anonymous one."""

    session_id: str | None = None
    avatar_id: str | None = None


class Kick(_Message, tag="kick", frozen=True):
    """End the same at the application's request; answered with their number."""

    session_id: str | None = None
    avatar_id: str | None = None
    detail: str = ""


class AnnotateSession(_Message, tag="annotate", frozen=True):
    """Add notes to a session; answered with whether it is there."""

    session_id: str
    notes: dict[str, Any]


class Revoked(_Message, tag="revoked", frozen=True):
    """A checker of a node has reported an account."""

    node: str
    checker: str
    avatar_id: str
    what: str


class JoinGroup(_Message, tag="join", frozen=True):
    """Add the client of a session to a group, or remove it."""

    session_id: str
    group: str
    leave: bool = False


class ListGroup(_Message, tag="group", frozen=True):
    """The sessions of the members of a group, or only their number."""

    group: str
    count: bool = False


class NotifyGroup(_Message, tag="said", frozen=True):
    """Notify the members of the group whose topic this is.

    Attributes:
        node: the sender, whose own members have it already.
        but: the session that is left out; "" for none.
    """

    node: str
    name: str
    args: list[Any]
    key: Any = None
    but: str = ""


class WatchUsers(_Message, tag="watch", frozen=True):
    """A node watches users, and some no more. It is told of them by `UsersChanged`.

    Attributes:
        node: who watches.
        sync: names the series of such messages; new after each gap.
        number: of the message in its series, from 0.
    """

    node: str
    sync: str
    number: int
    avatar_ids: list[str] = []
    no_more: list[str] = []


class UsersChanged(_Message, tag="users", frozen=True):
    """What a node knows of users that another one watches.

    Attributes:
        node: who knows it.
        sync: the series of `WatchUsers` that it belongs to.
        number: of the message in that series, from 0.
        users: what it knows of each; nothing of those who are not here, and have not been.
        answers: the number of the `WatchUsers` that is completely answered with it; -1 for none.
    """

    node: str
    sync: str
    number: int
    users: dict[str, Contribution] = {}
    answers: int = -1


class WatchAgain(_Message, tag="again", frozen=True):
    """A node has missed a `WatchUsers`: begin a new series."""

    node: str
    sync: str


class Failed(_Message, tag="failed", frozen=True):
    """What failed or was forgiven at a node since it said so last.

    Attributes:
        node: its id.
        failures: in order; see `throttle.Failures`.
        familiar: sources that have become familiar.
    """

    node: str
    failures: list[Counted]
    familiar: list[Familiar] = []


class ListFailures(_Message, tag="failures", frozen=True):
    """What stands at a node; answered with a `Failed`."""


class Answer(_Message, tag="answer", frozen=True):
    """The answer to a question: its kind, and the value or the reason."""

    kind: AnswerKind
    value: Any = None


Message: TypeAlias = (
    Beat
    | Hello
    | IsKnown
    | End
    | Ask
    | Notify
    | CallMind
    | Count
    | ListSessions
    | Kick
    | AnnotateSession
    | Revoked
    | JoinGroup
    | ListGroup
    | NotifyGroup
    | WatchUsers
    | UsersChanged
    | WatchAgain
    | Failed
    | ListFailures
    | Answer
)

_encode = msgspec.msgpack.Encoder(enc_hook=as_sendable).encode
_decode = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw]).decode
_decode_message = msgspec.msgpack.Decoder(Message).decode


def pack(message: Message) -> bytes:
    """Return a message as bytes.

    Raises:
        BusError: if an argument cannot cross to another node.
    """
    try:
        return _encode((VERSION, message))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BusError(f"cannot be sent to another node: {error}") from None


def unpack(data: bytes) -> Message:
    """Return the message in some bytes.

    Raises:
        BusError: if it is none, or one that only a newer version knows.
    """
    try:
        version, body = _decode(data)
        message: Message = _decode_message(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BusError(f"not a message of a cluster: {error}") from None
    if version < 1:
        raise BusError(f"a message of version {version}")
    return message
