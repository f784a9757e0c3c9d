"""Messages between nodes, of the same and of other versions."""

from __future__ import annotations

import random
from typing import Any, get_args

import msgspec
import pytest

from actorcred.cluster.adoption import Adopt
from actorcred.cluster.errors import BusError
from actorcred.cluster.messages import (
    VERSION,
    AnnotateSession,
    Answer,
    Ask,
    Attach,
    Beat,
    CallMind,
    CheckGuests,
    CheckVisits,
    Count,
    Counted,
    Deliver,
    Detach,
    End,
    Failed,
    Familiar,
    GuestCall,
    GuestResult,
    Hello,
    Introduce,
    IsKnown,
    JoinGroup,
    Kick,
    ListFailures,
    ListGroup,
    ListSessions,
    Message,
    Notify,
    NotifyGroup,
    Over,
    Revoked,
    UsersChanged,
    WatchAgain,
    WatchUsers,
    encode_value,
    pack,
    unpack,
)
from actorcred.cluster.pipe_messages import (
    CheckPipes,
    ClosePipe,
    LosePipes,
    OpenPipe,
    PipeData,
    PipeTaken,
)
from actorcred.cluster.portable import Whence, Who
from actorcred.sessions.presence import Contribution

MESSAGES: list[Message] = [
    Beat("node", 12.5, 3, True, True, 15.0, "policy reject"),
    Hello("node"),
    IsKnown("session"),
    End("session", "replaced", "elsewhere"),
    Ask("session", "move", [1.5, None, [True, b"\x00"], {"a": -1}]),
    Notify("session", "moved", ["ü", 2**63], "place"),
    CallMind("session", "confirm", ["now"], 2.5),
    Count(),
    ListSessions("session", "ann", "before"),
    Kick("session", "", "by the operator"),
    AnnotateSession("session", {"ip": "::1", "n": 1}),
    Adopt("node", 7, ["a portrait"], [b"a parcel"]),
    Revoked("node", "file:players", "ann", "disabled"),
    JoinGroup("session", "room", True),
    ListGroup("room", True),
    NotifyGroup("node", "said", ["hello", 1], ["ann", 2], "session"),
    WatchUsers("node", "x-1", 3, ["ann"], ["ben"]),
    UsersChanged("node", "x-1", 4, {"ann": Contribution(2, {"away": (1.5, True)}, None)}, 3),
    WatchAgain("node", "x-1"),
    Attach(
        "session",
        "node",
        7,
        "ann",
        1.5,
        ["game:Player"],
        Who("ann", groups=("players",)),
        Whence(address="::1"),
        {"theme": "dark"},
        False,
    ),
    Detach("session", "lost", "gone", True),
    GuestCall("session", 3, "move", [1.5]),
    GuestResult("session", 3),
    Introduce("session", Who("ann"), Whence(), True),
    CheckGuests("node", ["session"]),
    Deliver("session", 7, 2, "place", msgspec.Raw(encode_value(("moved", (1,))))),
    Over("session", 7, "crashed", "x"),
    CheckVisits("node", [("session", 2)]),
    OpenPipe("pipe", "node", "rpc", b"\x00"),
    PipeData("pipe", 1, [b"", b"\xff"], True),
    PipeTaken("pipe", 16384),
    ClosePipe("pipe"),
    CheckPipes("node", ["pipe", "another"]),
    LosePipes(["pipe", "another"]),
    Failed("node", [Counted("as ann", 2, None, 1.5)], [Familiar("ann", "192.0.2.1", 1.5)]),
    ListFailures(),
    Answer("ok", [1, {"a": None}]),
]


def name_of(value: object) -> str:
    return type(value).__name__


def wire(*fields: Any, version: Any = VERSION) -> bytes:
    """Return what another node could send."""
    return msgspec.msgpack.encode((version, list(fields)))


def test_the_table_has_every_kind_of_message() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(Message))


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_a_message_survives_the_way(message: Message) -> None:
    assert unpack(pack(message)) == message


@pytest.mark.parametrize("message", MESSAGES, ids=name_of)
def test_a_field_that_a_newer_node_appends_is_ignored(message: Message) -> None:
    version, fields = msgspec.msgpack.decode(pack(message))
    assert unpack(wire(*fields, {"new": 1}, version=version + 1)) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("beat", "node", 1.0), Beat("node", 1.0, 0, False, False, 0.0, "")),
        (("end", "session", "kicked"), End("session", "kicked", "")),
        (("notify", "session", "moved", []), Notify("session", "moved", [], None)),
        (("failed", "node", [["as ann", 1]]), Failed("node", [Counted("as ann", 1, "", 0.0)])),
        (("list",), ListSessions(None, None, "")),
        (("kick",), Kick(None, None, "")),
        (("answer", "ok"), Answer("ok", None)),
    ],
)
def test_a_field_that_an_older_node_does_not_send_has_its_default(
    fields: tuple[Any, ...], message: Message
) -> None:
    assert unpack(wire(*fields)) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"\x80",
        b"\xc1",
        b"cposix\nsystem\n",
        wire(),
        wire("of tomorrow", 1),
        wire(7),
        wire("beat"),
        wire("beat", "node", "now"),
        wire("known", 1),
        wire("ask", "session", "move", "args"),
        wire("hello", "node", version="1"),
        wire("hello", "node", version=None),
        msgspec.msgpack.encode([VERSION]),
        msgspec.msgpack.encode([VERSION, ["hello", "node"], 1]),
        msgspec.msgpack.encode({"hello": "node"}),
        pack(Hello("node"))[:-1],
        pack(Hello("node")) + b"\x00",
        b"\x92\x01\x92\xa5hello\xa1\xff",
        b"\x92\x01" + b"\x91" * 100_000 + b"\xc0",
        b"\x92\x01\x93\xa6answer\xa2ok" + b"\x91" * 100_000 + b"\xc0",
        b"\x92\x01\x93\xa6answer\xa2ok\x81\x80\x01",
    ],
)
def test_junk_is_an_error_that_can_be_handled(data: bytes) -> None:
    with pytest.raises(BusError, match="not a message of a cluster"):
        unpack(data)


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_before_the_first_one_is_refused(version: int) -> None:
    with pytest.raises(BusError, match=f"version {version}"):
        unpack(wire("hello", "node", version=version))


def test_damaged_messages_are_errors_that_can_be_handled_or_other_messages() -> None:
    dice = random.Random(1)
    refused = 0
    for _ in range(5000):
        data = bytearray(pack(dice.choice(MESSAGES)))
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            assert isinstance(unpack(bytes(data)), Message)
        except BusError:
            refused += 1
    assert refused


def endless() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    "value", [object(), len, 1j, 2**64, -(2**63) - 1, "\ud800", endless()], ids=name_of
)
def test_what_cannot_cross_is_an_error_that_can_be_handled(value: Any) -> None:
    with pytest.raises(BusError, match="cannot be sent to another node"):
        pack(Ask("session", "move", [value]))


def test_a_number_of_a_class_of_its_own_crosses_as_a_number() -> None:
    class Total(int):
        pass

    assert unpack(pack(Answer("ok", Total(3)))) == Answer("ok", 3)
