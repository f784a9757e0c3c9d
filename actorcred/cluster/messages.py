"""The messages between nodes, as msgpack with a version.

A message is `[version, tag, field, ...]`. Nodes of different versions understand each other, since
fields are only ever appended, with a default: an older node ignores those that it does not know.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from actorcred.cluster.adoption import Adopt
from actorcred.cluster.errors import BusError
from actorcred.cluster.pipe_messages import PipeMessage
from actorcred.cluster.portable import Whence, Who
from actorcred.methods import as_sendable
from actorcred.sessions.presence import Contribution

__all__ = [
    "AnnotateSession",
    "Answer",
    "AnswerKind",
    "Ask",
    "Attach",
    "Beat",
    "CallMind",
    "CheckGuests",
    "CheckVisits",
    "Count",
    "Counted",
    "Deliver",
    "Detach",
    "End",
    "Failed",
    "Familiar",
    "GuestCall",
    "GuestResult",
    "Hello",
    "Introduce",
    "IsKnown",
    "JoinGroup",
    "Kick",
    "ListFailures",
    "ListGroup",
    "ListSessions",
    "Message",
    "Notify",
    "NotifyGroup",
    "Over",
    "Revoked",
    "UsersChanged",
    "WatchAgain",
    "WatchUsers",
    "encode_value",
    "pack",
    "unpack",
]

VERSION = 1
"""The version of the messages that this node sends."""

AnswerKind: TypeAlias = str
"""One of "ok", "more", "pending", "dead", "gone", "refused", "failed" and "unknown".

The last one says that the question is not known, such as to an older node.
"""


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
        lease: for how many seconds it may believe that it lives; 0 if it does not say.
        rules: its policy and limits; "" as long as it has no portal.
    """

    node: str
    at: float
    sessions: int = 0
    draining: bool = False
    left: bool = False
    lease: float = 0.0
    rules: str = ""


class Hello(_Message, tag="hello", frozen=True):
    """A node has come: the others beat at once, so that it knows them."""

    node: str


class IsKnown(_Message, tag="known", frozen=True):
    """Whether a node has this session, and is not about to end it."""

    session_id: str


class End(_Message, tag="end", frozen=True):
    """End a session; answered when nothing is left of it, with whether the node had it."""

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
    """The sessions with an id, of an avatar id, or all; an empty avatar id is an anonymous one.

    They are answered in the order of their ids, as "more" if they do not fit into one message. Then
    the rest is asked for: those whose ids come after the last one.
    """

    session_id: str | None = None
    avatar_id: str | None = None
    after: str = ""


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
    """The sessions of the members of a group, as with `ListSessions`, or only their number."""

    group: str
    count: bool = False
    after: str = ""


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


# -- shared avatars: what the node of a guest says to that of the avatar ---------------------------


class Attach(_Message, tag="attach", frozen=True):
    """Let a client of another node share an avatar; answered with how that went, see `guests`.

    Attributes:
        session_id: the client's session, at its own node.
        node: that node.
        visit: the number of the attempt, which is in all further messages about it.
        avatar_id: who is logged in.
        since: when its place was claimed, as in the roster.
        interfaces: the names of what the client requests, in order of preference.
        identity: who the user is.
        client: where the client comes from.
        info: what the protocol tells the realm, as far as it can cross to another node.
        takes_notifications: whether the client accepts what it did not request.
    """

    session_id: str
    node: str
    visit: int
    avatar_id: str
    since: float
    interfaces: list[str]
    identity: Who
    client: Whence
    info: dict[str, Any] = {}
    takes_notifications: bool = True


class Detach(_Message, tag="detach", frozen=True):
    """End what `Attach` has begun; answered when nothing is left of it.

    Attributes:
        session_id: the client's session.
        code: why it ends.
        detail: a string for the user.
        stop: whether the avatar is to be stopped, for all its clients.
    """

    session_id: str
    code: str
    detail: str = ""
    stop: bool = False


class GuestCall(_Message, tag="guest-call", frozen=True):
    """Call a method of the avatar. Sent again, with the same number, if there is no answer."""

    session_id: str
    number: int
    method: str
    args: list[Any]


class GuestResult(_Message, tag="guest-result", frozen=True):
    """The result of a call whose method has returned a future; answered when that is done."""

    session_id: str
    number: int


class Introduce(_Message, tag="introduce", frozen=True):
    """What is now known of a guest; `changed` is whether the checkers say something new."""

    session_id: str
    identity: Who
    client: Whence
    changed: bool = False


class CheckGuests(_Message, tag="check-guests", frozen=True):
    """Answered with those of these sessions of a node that are no guests."""

    node: str
    session_ids: list[str]


# -- shared avatars: what the node of the avatar says to that of a guest ---------------------------


class Deliver(_Message, tag="deliver", frozen=True):
    """Notify the client of a guest.

    Attributes:
        session_id: the client's session.
        visit: as in `Attach`.
        number: one more than that of the notification before.
        key: see `MindRef.notify`.
        body: the name and the arguments, encoded once for all guests.
    """

    session_id: str
    visit: int
    number: int
    key: Any
    body: msgspec.Raw


class Over(_Message, tag="over", frozen=True):
    """The avatar of a guest is gone, or has sent it away."""

    session_id: str
    visit: int
    code: str
    detail: str = ""


class CheckVisits(_Message, tag="check-visits", frozen=True):
    """Answered with those of these guests of a node that are no sessions any more.

    Attributes:
        node: the node that has them as guests.
        sent: the number of the last notification to each of them.
    """

    node: str
    sent: list[tuple[str, int]]


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
    | Adopt
    | Revoked
    | JoinGroup
    | ListGroup
    | NotifyGroup
    | WatchUsers
    | UsersChanged
    | WatchAgain
    | Attach
    | Detach
    | GuestCall
    | GuestResult
    | Introduce
    | CheckGuests
    | Deliver
    | Over
    | CheckVisits
    | PipeMessage
    | Failed
    | ListFailures
    | Answer
)

_encode = msgspec.msgpack.Encoder(enc_hook=as_sendable).encode
_decode = msgspec.msgpack.Decoder(tuple[int, Message]).decode


def pack(message: Message) -> bytes:
    """Return a message as bytes.

    Raises:
        BusError: if an argument cannot cross to another node.
    """
    return encode_value((VERSION, message))


def encode_value(value: object) -> bytes:
    """Return a value as bytes.

    Raises:
        BusError: if it cannot cross to another node.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BusError(f"cannot be sent to another node: {error}") from None


def unpack(data: bytes) -> Message:
    """Return the message in some bytes.

    Raises:
        BusError: if it is none, or one that only a newer version knows.
    """
    try:
        version, message = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BusError(f"not a message of a cluster: {error}") from None
    if version < 1:
        raise BusError(f"a message of version {version}")
    return message
