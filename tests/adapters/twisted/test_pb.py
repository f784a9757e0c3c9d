"""What a client of PB may call, what it is told of an error, and one answer to each challenge."""

from __future__ import annotations

from hashlib import md5
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from twisted.cred import error as theirs
from twisted.python.failure import Failure

from actorcred import CallError, UnauthorizedLogin, reauthenticated
from actorcred.actors import Actor
from actorcred.adapters.twisted import pb
from actorcred.adapters.twisted.pb import CallFailed, ChallengeResponse, PBChannel, Perspective
from actorcred.sessions.session import AvatarRef


class Player:
    def move(self, dx: float) -> float: ...
    def refuse(self) -> None: ...
    def crash(self) -> None: ...
    @reauthenticated(within=60)
    def sell_all(self) -> None: ...


class GamePlayer(Actor):
    def move(self, dx: float) -> float:
        return 2 * dx

    def refuse(self) -> None:
        raise CallError("no gold")

    def crash(self) -> None:
        raise LookupError("s3cret")


@pytest.fixture
def perspective(inline: Any) -> Any:
    def check(message: Any) -> None:
        if message.attr_path[0] == "sell_all":
            raise CallError("prove your credentials again first")

    session: Any = SimpleNamespace(
        interface=Player,
        is_open=True,
        touch=lambda: None,
        revoked=False,
        refusal=lambda: None,
        check=check,
    )
    return Perspective(AvatarRef(GamePlayer.start(), session))


def test_a_method_of_the_interface_is_called(perspective: Any) -> None:
    assert perspective._call("move", [1.5], {}) == 3.0


@pytest.mark.parametrize(
    ("name", "params", "keywords", "text"),
    [
        ("fly", [], {}, "there is no method 'fly'"),
        ("move", [], {"dx": 1.0}, "move: give the arguments by position"),
        ("sell_all", [], {}, "prove your credentials again"),
        ("move", ["far"], {}, "move: "),
        ("refuse", [], {}, "no gold"),
        ("crash", [], {}, "something went wrong in the server"),
    ],
)
def test_a_client_is_told_what_an_avatar_says_and_of_a_bug_nothing(
    perspective: Any, name: str, params: list[Any], keywords: dict[str, Any], text: str
) -> None:
    with pytest.raises(CallFailed, match=text) as failed:
        perspective._call(name, params, keywords)
    assert "s3cret" not in str(failed.value)


def test_of_an_error_that_comes_later_it_is_told_no_more() -> None:
    for error, text in ((CallError("no gold"), "no gold"), (LookupError("s3cret"), "went wrong")):
        with pytest.raises(CallFailed, match=text):
            pb._raise_told(Failure(error))


class Entrance:
    """Where a client logs in, as its challenge sees it."""

    source = "192.0.2.1"

    def __init__(self) -> None:
        self.refused: list[Any] = []

    def tell_refused(self, error: Any, kind: str) -> None:
        self.refused.append((error.detail, kind))

    def log_in(self, presented: Any, mind: Any) -> Any:
        return presented


def test_a_challenge_is_answered_once() -> None:
    challenger: Any = pb.Challenger(Entrance(), "ann", b"challenge")  # type: ignore[arg-type]
    presented = challenger.remote_respond(b"answer", None)

    assert (presented.username, presented.source) == ("ann", "192.0.2.1")
    with pytest.raises(CallFailed, match="this challenge has been answered"):
        challenger.remote_respond(b"answer", None)


def test_a_name_that_nobody_can_have_is_refused_and_told() -> None:
    entrance, errors = Entrance(), list[Any]()
    challenger: Any = pb.Challenger(entrance, "a\nb", b"challenge")  # type: ignore[arg-type]
    challenger.remote_respond(b"answer", None).addErrback(errors.append)

    assert errors[0].type is theirs.UnauthorizedLogin
    ((detail, kind),) = entrance.refused
    assert "not allowed" in detail
    assert kind == "ChallengeResponse"


def test_an_answer_fits_the_password_of_which_it_was_made() -> None:
    digest = md5(b"s3cret", usedforsecurity=False).digest()
    answer = md5(digest + b"challenge", usedforsecurity=False).digest()
    right = ChallengeResponse(b"ann", b"challenge", answer, "")

    assert right.check_password(b"s3cret")
    assert right.original.checkMD5Password(digest)
    assert right.original.username == b"ann"
    assert not right.check_password(b"wrong")
    assert repr(right) == "ChallengeResponse(username='ann')"
    assert not ChallengeResponse("ann", b"", "no bytes", "").check_password(b"s3cret")  # type: ignore[arg-type]
    with pytest.raises(UnauthorizedLogin):
        ChallengeResponse(5, b"", b"", "")  # type: ignore[arg-type]


def test_after_the_session_a_client_can_call_nothing() -> None:
    channel: Any = PBChannel(None, None)  # type: ignore[arg-type]
    with pytest.raises(CallFailed, match="the session is over"):
        channel.remoteMessageReceived(None, "move", [], {})
