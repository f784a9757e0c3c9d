"""Base class of checkers with blocking back ends: bounded threads, and a timeout per request."""

from __future__ import annotations

import itertools
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeVar

from actorcred.actors import ControlMessage, Future, Timer
from actorcred.actors.fairness import Entry, FairQueue
from actorcred.actors.workers import Workers
from actorcred.checker import Checker, turn_of
from actorcred.errors import CheckerUnavailable
from actorcred.identity import Identity, identity_of
from actorcred.names import AvatarId
from actorcred.standing import Standing, with_proof

__all__ = ["BackendLimits", "BlockingChecker", "take_limits"]


T = TypeVar("T")

_numbers = itertools.count(1)

_STANDING = (False, "standing", "")
"""The turn of questions about who may stay logged in: that of one more source among strangers."""

MOST_THREADS, LONGEST_TIMEOUT = 256, 3600.0
"""Largest values of `BackendLimits`; the timeout is in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendLimits:
    """Limits on a checker's requests to its back end.

    Args:
        threads: requests that can run at the same time.
        waiting: requests that can wait for a thread. When more arrive, the latest request of the
            source with the most waiting ones fails immediately with `CheckerUnavailable`.
        timeout: seconds after which a request is given up. Its thread stays busy until the back
            end returns.
    """

    threads: int = 8
    waiting: int = 256
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads must be from 1 to {MOST_THREADS}, not {self.threads!r}")
        if self.waiting < 0:
            raise ValueError(f"waiting must be 0 or more, not {self.waiting!r}")
        if not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise ValueError(
                f"timeout must be more than 0 and at most {LONGEST_TIMEOUT:g} s, "
                f"not {self.timeout!r}"
            )


def take_limits(options: dict[str, Any]) -> BackendLimits:
    """Remove the limits from a descriptor's options and return them."""
    return BackendLimits(
        **{name: options.pop(name) for name in ("threads", "timeout") if name in options}
    )


@dataclass(slots=True)
class _Question:
    """A request to the back end, and the future of its answer."""

    work: Callable[[], Any]
    decision: Future[Any]
    timer: Timer | None = None
    began: float = 0.0


@dataclass(slots=True)
class _Asked(ControlMessage):
    """The thread of a request is free again."""

    entry: Entry[_Question]


@dataclass(slots=True)
class _TooLate(ControlMessage):
    """The timeout of a request has expired."""

    entry: Entry[_Question]


@dataclass(slots=True)
class _GiveUp(ControlMessage):
    """No one waits for the answer to a request any more."""

    entry: Entry[_Question]


class BlockingChecker(Checker):
    """Asks a back end that blocks, on threads of its own.

    Sources take turns at the threads, and so do the accounts within a source, so that many
    requests from one source do not delay other sources for long.

    Args:
        limits: limits on the requests to the back end.

    Class attributes:
        standing_batch: the most names for `check_standing`, which has the same timeout as a login.
    """

    standing_batch: ClassVar[int] = 500

    def __init__(self, limits: BackendLimits | None = None) -> None:
        super().__init__()
        self.limits = limits or BackendLimits()
        self._waiting: FairQueue[_Question] = FairQueue(max(1, self.limits.waiting), levels=3)
        self._under_way = 0
        self._lock = threading.Lock()
        self._asking = 0
        self._ended = False
        self._pool = Workers(
            f"actorcred-{type(self).__name__}-{next(_numbers)}", self.limits.threads
        )

    @abstractmethod
    def check(self, credentials: Any) -> AvatarId | Identity:
        """Check credentials.

        Runs on one of the threads, concurrently with other checks, and must not touch the
        checker's state.

        Returns:
            The avatar id, or an identity.

        Raises:
            LoginFailed: see `Checker.request_avatar_id`.
        """

    def request_avatar_id(self, credentials: Any) -> Future[AvatarId | Identity]:
        """Check the credentials on one of the threads and return a future of the avatar id."""
        return self._submit(turn_of(self, credentials)[1:], partial(self.check, credentials))

    @property
    def tells_standing(self) -> bool:
        """Whether `check_standing` knows anything; for implementors."""
        return type(self).check_standing is not BlockingChecker.check_standing

    def check_standing(self, names: tuple[str, ...]) -> Standing:
        """Return what has become of accounts; see `Checker.standing`.

        Runs on one of the threads, as `check` does, with at most `standing_batch` names.
        """
        return Standing()

    def proven_by(
        self, secret: str | bytes, answer: AvatarId | Identity, credentials: Any = None
    ) -> Identity:
        """Return an answer to a login whose session `check_standing` can tell from others.

        It gets the name for that session from `standing.with_proof`.

        Args:
            secret: what the store has and the client has proven, such as the hash of a password.
            answer: the avatar id, or an identity.
            credentials: what the client presented.
        """
        identity = identity_of(answer, credentials)
        voucher = (self.actor_ref, with_proof(str(identity.avatar_id), secret))
        return identity.replaced(vouchers=(voucher,))

    async def standing(self, names: tuple[str, ...]) -> Standing:
        """Ask `check_standing` about some names at a time, one request after the other."""
        found = Standing()
        for first in range(0, len(names), self.standing_batch):
            some = names[first : first + self.standing_batch]
            # As a source of its own, it takes turns with logins.
            found = found.joined(await self._submit(_STANDING, partial(self.check_standing, some)))
        return found

    def _submit(self, turn: tuple[Hashable, ...], work: Callable[[], T]) -> Future[T]:
        """Do work on one of the threads when it is its turn."""
        if not self.limits.waiting and self._under_way >= self.limits.threads:
            raise self._too_many()
        decision: Future[T] = Future()
        question = _Question(work, decision)
        entry, dropped = self._waiting.put(turn, question)
        question.timer = self.send_after(self.limits.timeout, _TooLate(entry))
        if dropped is not None:
            self._end(dropped.item, self._too_many())
        mailbox = self.actor_inbox
        decision.add_done_callback(
            lambda done: mailbox.put(_GiveUp(entry)) if done.cancelled() else None
        )
        self._ask_next()
        return decision

    def release(self) -> None:
        """Close the connections to the back end.

        Called once the checker has ended and no request is running any more.
        """

    def _actor_control(self, message: ControlMessage) -> Any:
        match message:
            case _Asked(entry):
                self._asked(entry)
            case _TooLate(entry):
                self._waiting.discard(entry)
                self._end(
                    entry.item,
                    CheckerUnavailable(
                        f"the back end did not answer within {self.limits.timeout:g} s"
                    ),
                )
            case _GiveUp(entry):
                if self._waiting.discard(entry):
                    self._cancel_timer(entry.item)
            case _:
                super()._actor_control(message)

    def _too_many(self) -> CheckerUnavailable:
        return CheckerUnavailable(
            f"{self._under_way + len(self._waiting)} requests to the back end are running or "
            "waiting"
        )

    def _ask_next(self) -> None:
        mailbox = self.actor_inbox
        while self._under_way < self.limits.threads and (entry := self._waiting.take()) is not None:
            self._under_way += 1
            entry.item.began = time.monotonic()
            asked = self._pool.submit(self._ask, entry.item)
            asked.add_done_callback(lambda _, entry=entry: mailbox.put(_Asked(entry)))  # type: ignore[misc]

    def _ask(self, question: _Question) -> None:
        with self._lock:
            self._asking += not self._ended
            ended = self._ended
        if ended:
            question.decision.settle_error(CheckerUnavailable("the checker has stopped"))
            return
        try:
            if not question.decision.done():  # not given up meanwhile
                question.decision.settle(question.work())
        except BaseException as error:
            question.decision.settle_error(error)
        finally:
            self._leave(1)

    def _leave(self, questions: int, *, ended: bool = False) -> None:
        with self._lock:
            self._asking -= questions
            self._ended |= ended
            last = self._ended and not self._asking
        if last:
            self.release()

    def _asked(self, entry: Entry[_Question]) -> None:
        # Counted until the thread is free, not until the client has its answer: otherwise the load
        # on a back end that hangs would not be bounded.
        self._under_way -= 1
        self._waiting.finish(entry, time.monotonic() - entry.item.began)
        self._cancel_timer(entry.item)
        self._ask_next()

    def _end(self, question: _Question, error: CheckerUnavailable) -> None:
        self._cancel_timer(question)
        question.decision.settle_error(error)

    @staticmethod
    def _cancel_timer(question: _Question) -> None:
        if question.timer is not None:
            question.timer.cancel()

    def on_stop(self) -> None:
        """Release the threads; one that is blocked in the back end ends later."""
        self._pool.close(0.0)
        while (entry := self._waiting.take()) is not None:
            self._end(entry.item, CheckerUnavailable("the checker has stopped"))
        self._leave(0, ended=True)

    def on_failure(self, *_: Any) -> None:
        """Release the threads; a restarted checker has its own."""
        self.on_stop()
