"""What several tests of the runtime use."""

from __future__ import annotations

from actorcred.actors import Actor, ActorRef, Future, ThreadDispatcher


class Recorder(Actor):
    """Notes what it gets and which hooks run."""

    def __init__(self, log: list[object] | None = None) -> None:
        super().__init__()
        self.log: list[object] = log if log is not None else []

    def on_start(self) -> None:
        self.log.append("start")

    def on_stop(self) -> None:
        self.log.append("stop")

    def on_failure(self, exception_type, exception_value, traceback) -> None:
        self.log.append(f"failure {exception_type.__name__}")

    def on_receive(self, message: object) -> object:
        self.log.append(message)
        if message == "fail":
            raise LookupError("as ordered")
        return message

    def echo(self, value: object) -> object:
        return value

    def fail(self) -> None:
        raise LookupError("as ordered")


class Switching(ThreadDispatcher):
    """A pool on which no caller runs an actor itself."""

    caller_runs = False


def gone(ref: ActorRef) -> BaseException | None:
    """Wait for the end of an actor and return its cause."""
    future: Future = Future()
    ref.watch(future.settle)
    return future.get(timeout=10)
