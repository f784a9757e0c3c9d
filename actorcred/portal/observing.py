"""What a portal tells of itself to metrics and tracing, if there are any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from actorcred.errors import LoginFailed
from actorcred.identity import ClientInfo
from actorcred.portal.steps import StepTimes, Timed

__all__ = ["Counted", "Counts", "Reading", "Traced", "Tracing"]


class Reading(NamedTuple):
    """A number that is read when it is asked for.

    Attributes:
        name: the name of the metric, without the prefix of this package.
        value: the number.
        labels: names and values of labels.
    """

    name: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


class Counted(Timed, Protocol):
    """What is counted of a login that has succeeded."""

    @property
    def client(self) -> ClientInfo:
        """Where the client comes from."""


class Counts(Protocol):
    """What counts the logins of a portal; all methods but `watch` run in the portal's context."""

    def logged_in(self, checker: str, login: Counted, now: float) -> None:
        """Count a login that has succeeded; `now` is when the avatar was ready."""

    def refused(self, cause: str, checker: str, protocol: str, times: StepTimes) -> None:
        """Count a login that has failed."""

    def logged_out(self, reason: str) -> None:
        """Count a session that has ended completely."""

    def lagged(self, seconds: float) -> None:
        """Record by how much a timer of the portal was late."""

    def watch(self, read: Callable[[], Iterable[Reading]]) -> Callable[[], object]:
        """Read further numbers with a function, on any thread; return what ends that."""


class Traced(Protocol):
    """What tracing needs of a login."""

    @property
    def trace(self) -> Any:
        """What `Tracing.presented` has returned."""

    @property
    def kind(self) -> str:
        """The kind of credentials."""

    @property
    def mechanism(self) -> str:
        """How they were presented; "" if unknown."""

    @property
    def client(self) -> ClientInfo:
        """Where the client comes from."""


class Tracing(Protocol):
    """What makes spans of the logins and calls of a portal."""

    def presented(self) -> Any:
        """Return the context of a caller that begins a login; runs on its thread."""

    def logged_in(self, login: Traced, session: Any, times: StepTimes) -> None:
        """Record a login that has succeeded."""

    def refused(self, login: Traced, error: LoginFailed, times: StepTimes) -> None:
        """Record a login that has failed."""
