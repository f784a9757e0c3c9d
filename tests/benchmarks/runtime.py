"""The cost of an actor, next to one of Pykka's own runtime."""

from __future__ import annotations

import pykka

from actorcred.actors import Actor
from tests.benchmarks.measure import bytes_per, microseconds


class Ours(Actor):
    """An actor that answers."""

    def on_receive(self, message: object) -> object:
        return message


class Theirs(pykka.ThreadingActor):
    """The same on its own thread."""

    use_daemon_thread = True

    def on_receive(self, message: object) -> object:
        return message


def start(kind: type[pykka.Actor], count: int) -> list[pykka.ActorRef]:
    return [kind.start() for _ in range(count)]


def memory(scale: float) -> tuple[float, float]:
    """Resident bytes per started actor."""
    ours, kept = bytes_per(count := int(200_000 * scale), lambda: start(Ours, count))
    theirs, kept_too = bytes_per(few := int(5_000 * scale), lambda: start(Theirs, few))
    del kept, kept_too
    return ours / 1024, theirs / 1024


def starting(scale: float) -> tuple[float, float]:
    """Microseconds to start an actor."""
    count, few = int(20_000 * scale), int(2_000 * scale)
    Ours.start().ask("the pool is warm")
    return microseconds(count, lambda: start(Ours, count)), microseconds(
        few, lambda: start(Theirs, few)
    )


def telling(scale: float) -> tuple[float, float]:
    """Microseconds to send a message, until the last one is handled."""
    count = int(100_000 * scale)

    def tell(ref: pykka.ActorRef) -> float:
        def run() -> None:
            for number in range(count):
                ref.tell(number)
            ref.ask("the last one", timeout=60)

        return microseconds(count, run)

    return tell(Ours.start()), tell(Theirs.start())


def asking(scale: float) -> tuple[float, float]:
    """Microseconds for a blocking ask of an idle actor from a plain thread."""

    def ask(ref: pykka.ActorRef, count: int) -> float:
        return microseconds(count, lambda: [ref.ask(number) for number in range(count)])

    return ask(Ours.start(), int(50_000 * scale)), ask(Theirs.start(), int(10_000 * scale))
