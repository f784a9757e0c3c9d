"""What checkers have in common whose back ends block: a bounded number of threads, and an end to waiting."""

from __future__ import annotations

import itertools
import threading
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from actorcred.actors import ControlCall, Future, ThreadDispatcher, Timer
from actorcred.checkers.base import Checker
from actorcred.errors import CheckerUnavailable

__all__ = ["BackendLimits", "BlockingChecker", "is_local", "take_limits"]

_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))

_numbers = itertools.count(1)


def is_local(url: str) -> bool:
    """Tell whether a URL leads to this machine, so that nobody can read along."""
    return urlsplit(url).hostname in _LOOPBACK


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendLimits:
    """How much a checker asks of its back end.

    Args:
        threads: questions that may be under way at the same time.
        waiting: questions that may wait for a thread; past that a login is unavailable at once.
        timeout: seconds after which a question is given up. Its thread stays busy until the back end lets go.
    """

    threads: int = 8
    waiting: int = 256
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if self.threads < 1 or self.waiting < 0 or self.timeout <= 0:
            raise ValueError("threads and timeout must be more than 0, and waiting no less than that")


def take_limits(options: dict[str, Any]) -> BackendLimits:
    """Take the limits out of a descriptor's options."""
    return BackendLimits(**{name: options.pop(name) for name in ("threads", "timeout") if name in options})


class BlockingChecker(Checker):
    """Asks a back end that blocks, on threads of its own.

    Args:
        limits: how much is asked of it.
    """

    def __init__(self, limits: BackendLimits | None = None) -> None:
        super().__init__()
        self.limits = limits or BackendLimits()
        self._under_way = 0
        self._lock = threading.Lock()
        self._asking = 0
        self._ended = False
        self._pool = ThreadDispatcher(f"actorcred-{type(self).__name__}-{next(_numbers)}", self.limits.threads, caller_runs=False)

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
        if self._under_way >= self.limits.threads + self.limits.waiting:
            raise CheckerUnavailable(f"{self._under_way} questions to the back end are under way")
        self._under_way += 1
        decision: Future[str] = Future()
        timer = self.send_after(self.limits.timeout, ControlCall(("_too_late", decision)))
        mailbox = self.actor_inbox
        asked = self._pool.submit(self._ask, credentials, decision)
        asked.add_done_callback(lambda _: mailbox.put(ControlCall(("_asked", timer))))
        return decision

    def release(self) -> None:
        """Close the connections to the back end. Called once the checker has ended and no question is under way any more."""

    def _ask(self, credentials: Any, decision: Future[str]) -> None:
        with self._lock:
            self._asking += not self._ended
            ended = self._ended
        if ended:
            decision.settle_error(CheckerUnavailable("the checker has stopped"))
            return
        if decision.done():  # given up while it waited for a thread
            self._leave(1)
            return
        try:
            decision.settle(self.check(credentials))
        except BaseException as error:
            decision.settle_error(error)
        finally:
            self._leave(1)

    def _leave(self, questions: int, *, ended: bool = False) -> None:
        with self._lock:
            self._asking -= questions
            self._ended |= ended
            last = self._ended and not self._asking
        if last:
            self.release()

    def _asked(self, timer: Timer) -> None:
        # Counted when the thread is free and not when the client is answered, or a back end that hangs had no bound.
        self._under_way -= 1
        timer.cancel()

    def _too_late(self, decision: Future[str]) -> None:
        decision.settle_error(CheckerUnavailable(f"the back end did not answer within {self.limits.timeout:g} s"))

    def on_stop(self) -> None:
        """Let the threads go; one that the back end does not let go ends later."""
        self._pool.close(0.0)
        self._leave(0, ended=True)

    def on_failure(self, *_: Any) -> None:
        """Let the threads go; a restarted checker has its own."""
        self.on_stop()
