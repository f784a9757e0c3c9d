"""Fakes for the parts of a portal that are not under test."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from actorcred import actors
from actorcred.avatar import Avatar
from actorcred.errors import NoInterface
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.realm import Realm

__all__ = ["HOSTILE_NAMES", "Hall", "RecordingMind", "Visitor", "assert_nothing_left"]

WAIT = 10.0
"""Seconds after which a waiting test fails."""


HOSTILE_NAMES: tuple[str | bytes, ...] = (
    "", " ", " ann", "ann ", "a  b", "\0", "ann\0", "\0ann", "ann\n", "ann\r\nbob", "\x1b[31mann",
    "ann\x7f", "\u2028ann",
    "ann\u202e", "\u200bann", "\u2066ann\u2069", "\ud800", b"\xff", "\u0430nn", "\u2100nn",
    "\U0001f600",
    "a:b", "ann:", ":ann", "#ann", "a,b", "ann@example.org", "DOMAIN\\ann",
    "' OR '1'='1", '" OR 1=1 --', "ann'; DROP TABLE users; --", "ann'--", "%", "_nn", "\\", "ann\\",
    "*", "a*", "ann)(uid=*", "*)(uid=*))(|(uid=*", "(&)", "\\61nn", "ann,ou=people,dc=example",
    "ann+cn=ann", "uid=ann",
    "../ann", "/etc/passwd", "..", ".", "%u", "%%", "$(id)", "`id`", "${env:HOME}", "-ann", "--",
    "None", "null", "anonymous",
    "x" * 1023, "x" * 10_000_000,
)  # fmt: skip
"""Names that have broken logins elsewhere: no user has one, and none may be taken for "ann".

:meta hide-value:
"""


class Visitor(ABC):
    """The interface of a `Hall`."""

    @abstractmethod
    def who_am_i(self) -> str:
        """Return the avatar id."""


class HallVisitor(Avatar, Visitor):
    """The avatar of a `Hall`."""

    def who_am_i(self) -> str:
        """Return the avatar id."""
        return str(self.avatar_id)


class Hall(Realm):
    """A realm with an avatar for every user, for tests of checkers and protocols.

    Its interface is `Visitor`.
    """

    interfaces = (Visitor,)

    def request_avatar(self, avatar_id: AvatarId, mind: MindRef, *interfaces: type) -> Any:
        """Start an avatar."""
        if Visitor not in interfaces:
            raise NoInterface(interfaces)
        avatar = HallVisitor.start(avatar_id, mind)
        return Visitor, avatar, avatar.stop


class RecordingMind:
    """A client that records what it is sent; pass it to `portal.login` as the mind.

    Args:
        answers: name of a call -> the client's answer.

    Attributes:
        told: received notifications and calls, each a tuple of the name and the arguments.
    """

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._answers = dict(answers or {})
        self._changed = threading.Condition()

    def __call__(self, name: str, *args: Any) -> Any:
        """Receive a notification or a call."""
        with self._changed:
            self.told.append((name, *args))
            self._changed.notify_all()
        return self._answers.get(name)

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of all notifications and calls with a name."""
        return [args for known, *args in self.told if known == name]  # type: ignore[misc]

    def wait_for(self, name: str, timeout: float = WAIT) -> tuple[Any, ...]:
        """Wait for a notification or call with a name, and return its arguments.

        Raises:
            AssertionError: if none arrives in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.named(name), timeout):
                raise AssertionError(
                    f"the client was not sent {name!r} within {timeout:g} s, but {self.told}"
                )
            return tuple(self.named(name)[0])


def assert_nothing_left(
    threads_before: set[threading.Thread] | None = None, timeout: float = WAIT
) -> None:
    """Stop everything, and fail if anything does not stop or is left.

    Args:
        threads_before: the result of `set(threading.enumerate())` before the test; with None,
            threads are not checked.
        timeout: maximum time for stopping, in seconds.

    Raises:
        AssertionError: if anything is left; the text names it.
    """
    stuck = actors.shutdown(timeout)
    if stuck:
        raise AssertionError(f"these actors did not stop: {', '.join(stuck)}")
    if actors.statistics().actors:
        raise AssertionError(f"{actors.statistics().actors} actors are left")
    threads = (
        []
        if threads_before is None
        else [one for one in threading.enumerate() if one not in threads_before]
    )
    ours = [one.name for one in threads if one.name.startswith("actorcred")]
    if ours:
        raise AssertionError(f"these threads are left: {', '.join(ours)}")
