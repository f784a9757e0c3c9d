"""What checkers have in common whose back ends block: a bounded number of threads, and an end to waiting."""

from __future__ import annotations

import itertools
import threading
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from actorcred.actors import ControlMessage, Future, Timer
from actorcred.actors.fairness import Entry, FairQueue
from actorcred.actors.workers import Workers
from actorcred.checker import Checker, turn_of
from actorcred.errors import CheckerUnavailable

__all__ = ["BackendLimits", "BlockingChecker", "take_limits"]


_numbers = itertools.count(1)


MOST_THREADS, LONGEST_TIMEOUT = 256, 3600.0
"""Of one checker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendLimits:
    """How much a checker asks of its back end.

    Args:
        threads: questions that may be under way at the same time.
        waiting: questions that may wait for a thread. Past that a login is unavailable at once: the latest one of the source
            that has the most waiting.
        timeout: seconds after which a question is given up. Its thread stays busy until the back end lets go.
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
                f"timeout must be more than 0 and at most {LONGEST_TIMEOUT:g} s, not {self.timeout!r}"
            )


def take_limits(options: dict[str, Any]) -> BackendLimits:
    """Take the limits out of a descriptor's options."""
    return BackendLimits(
        **{name: options.pop(name) for name in ("threads", "timeout") if name in options}
    )


@dataclass(slots=True)
class _Question:
    """What is asked of the back end, and where the answer goes."""

    credentials: Any
    decision: Future[str]
    timer: Timer | None = None
    began: float = 0.0


@dataclass(slots=True)
class _Asked(ControlMessage):
    """The thread of a question is free again."""

    entry: Entry[_Question]


@dataclass(slots=True)
class _TooLate(ControlMessage):
    """The time of a question is over."""

    entry: Entry[_Question]


@dataclass(slots=True)
class _GiveUp(ControlMessage):
    """Nobody waits for the answer to a question any more."""

    entry: Entry[_Question]


class BlockingChecker(Checker):
    """Asks a back end that blocks, on threads of its own.

    Sources take turns at the threads, and within a source its accounts, so a crowd of one source delays no other one for long.

    Args:
        limits: how much is asked of it.
    """

    def __init__(self, limits: BackendLimits | None = None) -> None:
        super().__init__()
        self.limits = limits or BackendLimits()
        self._waiting: FairQueue[_Question] = FairQueue(max(1, self.limits.waiting), levels=2)
        self._under_way = 0
        self._lock = threading.Lock()
        self._asking = 0
        self._ended = False
        self._pool = Workers(
            f"actorcred-{type(self).__name__}-{next(_numbers)}", self.limits.threads
        )

    @abstractmethod
    def check(self, credentials: Any) -> str:
        """Check credentials. Runs on one of the threads, beside others, and must not touch the checker's state.

        Returns:
            The avatar id.

        Raises:
            LoginFailed: see `Checker.request_avatar_id`.
        """

    def request_avatar_id(self, credentials: Any) -> Future[str]:
        """Have the credentials checked, and return a future of the avatar id."""
        if not self.limits.waiting and self._under_way >= self.limits.threads:
            raise self._too_many()
        decision: Future[str] = Future()
        question = _Question(credentials, decision)
        entry, dropped = self._waiting.put(turn_of(self, credentials)[1:], question)
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
        """Close the connections to the back end. Called once the checker has ended and no question is under way any more."""

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
            f"{self._under_way + len(self._waiting)} questions to the back end are under way or wait"
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
            if not question.decision.done():  # else it was given up meanwhile
                question.decision.settle(self.check(question.credentials))
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
        # Counted when the thread is free and not when the client is answered, or a back end that hangs had no bound.
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
        """Let the threads go; one that the back end does not let go ends later."""
        self._pool.close(0.0)
        while (entry := self._waiting.take()) is not None:
            self._end(entry.item, CheckerUnavailable("the checker has stopped"))
        self._leave(0, ended=True)

    def on_failure(self, *_: Any) -> None:
        """Let the threads go; a restarted checker has its own."""
        self.on_stop()
