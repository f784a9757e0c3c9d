"""The cost of an actor, next to one of Pykka's own runtime and to a process of Erlang."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pykka

from actorcred.actors import Actor, AsyncioDispatcher, set_default_dispatcher
from tests.benchmarks.measure import (
    ROUNDS,
    Missing,
    alternate,
    bytes_per,
    microseconds,
    run_on_loop,
)
from tests.benchmarks.report import Pairs


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


def memory(scale: float) -> dict[str, Pairs]:
    """Return the resident KB per started actor, in one round: a process can measure it once."""
    ours, kept = bytes_per(count := int(200_000 * scale), lambda: start(Ours, count))
    theirs, kept_too = bytes_per(few := int(5_000 * scale), lambda: start(Theirs, few))
    del kept, kept_too
    return {"": [[ours / 1024, theirs / 1024]]}


def starting(kind: type[pykka.Actor], count: int) -> float:
    """Return the microseconds to start an actor."""
    started: list[pykka.ActorRef] = []
    taken = microseconds(count, lambda: started.extend(start(kind, count)), time.perf_counter)
    for ref in started:  # oldest first: Pykka's registry is a list
        ref.stop(block=False)
    for ref in started:
        ref.actor_stopped.wait()
    return taken


def telling(ref: pykka.ActorRef, count: int) -> float:
    """Return the microseconds to send a message, until the last one is handled."""

    def run() -> None:
        for number in range(count):
            ref.tell(number)
        ref.ask("the last one", timeout=60)

    return microseconds(count, run, time.perf_counter)


def asking(ref: pykka.ActorRef, count: int) -> float:
    """Return the microseconds for a blocking ask of an idle actor from a plain thread."""
    return microseconds(
        count, lambda: [ref.ask(number) for number in range(count)], time.perf_counter
    )


def beside_pykka(scale: float) -> dict[str, Pairs]:
    """Return microseconds, beside pykka.ThreadingActor."""
    many, some, few = int(100_000 * scale), int(20_000 * scale), int(2_000 * scale)
    ours, theirs = Ours.start(), Theirs.start()
    return {
        "start": alternate(lambda: starting(Ours, some), lambda: starting(Theirs, few)),
        "tell": alternate(lambda: telling(ours, many), lambda: telling(theirs, some)),
        "ask": alternate(lambda: asking(ours, some), lambda: asking(theirs, few)),
    }


def beside_erlang(scale: float) -> dict[str, Pairs]:
    """Return microseconds, beside Erlang's processes.

    Raises:
        Missing: if Erlang is not installed.
    """
    if shutil.which("escript") is None:
        raise Missing("erlang is not installed")
    ours = Ours.start()
    count = int(100_000 * scale)
    script = Path(__file__).with_name("processes.escript")

    def erlang() -> list[float]:
        words = ["escript", str(script), str(count)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        return [float(word) for word in done.stdout.split()]

    def actors() -> list[float]:
        return [starting(Ours, count // 5), telling(ours, count), asking(ours, count)]

    found = alternate(actors, erlang)
    return {
        key: [[pair[0][at], pair[1][at]] for pair in found]
        for at, key in enumerate(("start", "tell", "ask"))
    }


def on_loop(scale: float) -> dict[str, Pairs]:
    """Return microseconds for an ask that is awaited, beside a bare future of the loop."""
    count = int(50_000 * scale)

    async def timed(step: Callable[[], Any]) -> float:
        began = time.process_time()
        for _ in range(count):
            await step()
        return (time.process_time() - began) / count * 1e6

    async def run() -> Pairs:
        set_default_dispatcher(AsyncioDispatcher())
        ref = Ours.start()
        loop = asyncio.get_running_loop()

        def bare() -> asyncio.Future[None]:
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            return future

        pairs = [
            [await timed(lambda: ref.ask(1, block=False)), await timed(bare)]
            for _ in range(ROUNDS + 1)
        ]
        await asyncio.to_thread(ref.stop)
        return pairs[1:]

    return {"": run_on_loop(run())}
