"""The lifecycle of an actor: start, crash, restart and end, and the watchers of the end.

An actor starts with its first turn. It can end in three ways, all of which call `terminate`:

* A regular stop (`finish`): the hooks run, then the waiting messages are refused.
* A crash (`fail`): the exception is logged and `on_failure` runs. Then the actor ends, or its
  supervisor decides when it is restarted, with a new instance behind the same mailbox and refs.
  Until then the actor is `down`: there is no instance, and messages are refused until REVIVE or a
  stop request arrives.
* From outside, without hooks: `kill`, or `abandon` if the dispatcher can no longer run the actor.

Between its start and its end, an actor can be `asleep` (`put_away`): there is no instance, and the
next message has another one constructed. Refs, timers and watchers stay.

What the order of the steps guarantees:

* `stopped` is set before the final hooks run. From then on refs accept no message. Messages that
  were sent before are refused after the hooks.
* Watchers are called last, when every waiting message has been refused. Each watcher is called
  once; one that is added after the end is called immediately.

Except for `kill`, every step runs with `busy` taken: see `mailbox`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol, TypeAlias

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actorcred.actors.future import CancelledError, Future, error_of
from actorcred.actors.mailbox import Mailbox
from actorcred.actors.messages import REVIVE, Receiver
from actorcred.actors.supervision import Supervisor
from actorcred.actors.timers import Timer

__all__ = [
    "Blueprint",
    "Lifecycle",
    "Living",
    "Maker",
    "rebirth",
    "register",
    "stops_all",
    "unregister",
]

logger = logging.getLogger("actorcred.actors")

Watcher: TypeAlias = Callable[[BaseException | None], object]

_watchers_lock = threading.Lock()
# Placeholders for the watchers after they have been called, by how the actor ended.
_STOPPED: list[Watcher] = []
_CRASHED: list[Watcher] = []


class Living(Protocol):
    """The part of an actor that `Lifecycle` uses: the hooks."""

    registered: ClassVar[bool]
    _actor_ref: Any

    def on_start(self) -> Any:
        """Run before the first message."""

    def _actor_made(self) -> None:
        """Run when the constructor has, and the ref is the one that others have."""

    def _actor_first_words(self) -> Any:
        """Run the hooks of a start, before the first message."""

    def _actor_last_words(self) -> Any:
        """Run the hooks of a stop."""

    def _actor_last_gasp(self, error: BaseException) -> Any:
        """Run the hooks of a crash."""


class Maker(Protocol):
    """Makes the next instance of an actor that has none."""

    def construct(self, mailbox: Mailbox) -> Living:
        """Construct an instance in `mailbox`, behind the existing refs."""


class Lifecycle(Mailbox):
    """A mailbox that starts, restarts and ends its actor."""

    __slots__ = ("actor", "blueprint", "started", "stopped", "supervisor", "timers", "watchers")

    actor: Living | None

    def __init__(self, actor: Living | None, actor_class: type[Any] | None = None) -> None:
        Mailbox.__init__(self, actor_class or type(actor))
        self.actor = actor
        self.started = False
        self.stopped = False
        self.timers: set[Timer] | None = None
        self.watchers: Watcher | list[Watcher] | None = None
        self.blueprint: Maker | None = None
        self.supervisor: Supervisor | None = None

    @property
    def down(self) -> bool:
        """Whether there is no instance now, but the actor may be restarted."""
        return self.actor is None and self.blueprint is not None

    @property
    def asleep(self) -> bool:
        """Whether there is no instance until the next message."""
        return self.actor is None and not self.started and not self.stopped

    def call_hook(
        self, hook: Callable[..., Any], *args: Any, then: Callable[[BaseException | None], None]
    ) -> None:
        """Call a hook, await it if it is a coroutine, and pass what it raised, or None, to `then`.

        Implemented by `Cell`.
        """
        raise NotImplementedError

    # -- start -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the actor after its construction; called once, by `Actor.start`."""
        if self.actor_class.on_start is pykka.Actor.on_start:
            self.started = True
            self.leave()
        else:
            self.dispatcher.schedule(self)

    def begin(self) -> None:
        """Run `on_start`; when the actor is restarted or wakes, of a new instance."""
        self.started = True
        if self.actor is None:
            assert self.blueprint is not None
            try:
                self.actor = self.blueprint.construct(self)
            except Exception as error:
                logger.exception("%s could not be restarted or woken:", self.label)
                self.crashed(error)
                return
            self.dispatcher.attach(self)
        actor = self.actor

        def begun(error: BaseException | None) -> None:
            if error is not None:
                self.fail(actor, error, hook=False)
            elif self.supervisor is not None:
                self.supervisor.begun()

        self.call_hook(actor._actor_first_words, then=begun)

    def put_away(self, maker: Maker) -> None:
        """Drop the instance. For the next message, `maker` constructs another one.

        Must be called in a turn of the actor.
        """
        self.actor = None
        self.started = False
        self.blueprint = maker
        self.dispatcher.detach(self)

    # -- crash and restart -------------------------------------------------------------------------

    def fail(self, actor: Living, error: BaseException, *, hook: bool = True) -> None:
        """Crash: log the exception, run `on_failure`, then end or wait for the supervisor."""
        _log_failure(actor, error)
        if self.supervisor is None:
            self.close(actor)
        else:
            self.cancel_timers()

        def failed(second: BaseException | None) -> None:
            if second is not None:
                _log_failure(actor, second)
            self.crashed(error)

        if hook:
            self.call_hook(actor._actor_last_gasp, error, then=failed)
        else:
            failed(None)

    def crashed(self, error: BaseException) -> None:
        """Drop the failed instance; end the actor, or wait for the supervisor's decision."""
        self.actor = None
        if self.supervisor is None or self.blueprint is None or self.stopped:
            self.terminate(error)
        else:
            self.wait_for(
                self.supervisor.crashed(error), lambda answer: self._decided(answer, error)
            )

    def _decided(self, answer: Future[float | None], error: BaseException) -> None:
        pause = None if error_of(answer) is not None else answer.get()
        if pause is None or self.stopped:
            self._unregister()
            self.terminate(error)
        elif pause > 0:
            self.dispatcher.call_later(pause, self.put, REVIVE, owner=self)
        else:
            self.begin()

    def go_on_without_actor(self) -> None:
        """Wake a sleeping actor, or refuse the waiting messages.

        An actor that is down also handles REVIVE and stop.
        """
        if self.asleep:
            self.begin()
            return
        while (item := self.take()) is not None:
            if not self.down:
                self.refuse(item, "it has stopped")
            elif item is REVIVE:
                self.begin()
                return
            elif type(item) is Envelope and type(item.message) is _ActorStop:
                self.cancel_timers()
                self._unregister()
                self.terminate(None)
                self.refuse(item, "it has stopped")
            else:
                self.refuse(item, "it is down")

    # -- end ---------------------------------------------------------------------------------------

    def finish(self, actor: Living, reply: Receiver | None) -> None:
        """Stop regularly: run the hooks, then refuse the waiting messages."""
        self.close(actor)
        logger.debug("Stopped %s", actor)

        def stopped(error: BaseException | None) -> None:
            # Without an actor it was killed, which interrupts the hook.
            if error is not None and self.actor is not None:
                _log_failure(actor, error)
            self.terminate(None)
            if reply is not None:
                reply.settle(None)

        self.call_hook(actor._actor_last_words, then=stopped)

    def stop_idle(self, watcher: Watcher) -> bool:
        """Stop an actor that is idle, without its hooks and without a turn. Thread-safe.

        For actors whose hooks do nothing.

        Args:
            watcher: a watcher that need not be called, since its owner is the caller.

        Returns:
            Whether it was stopped; if not, it is not idle, or its end is already being told.
        """
        actor = self.take_idle()
        if actor is None:
            return False
        try:
            if not self._unwatch(watcher):
                return False
            self.close(actor)
            if logger.isEnabledFor(logging.DEBUG):
                logger.debug("Stopped %s", actor)
            self.terminate(None)
            return True
        finally:
            self.leave()

    def take_idle(self) -> Any:
        """Take `busy` of an idle actor. Thread-safe.

        The caller may set attributes of the actor, must run no code of the application, and must
        call `leave` soon.

        Returns:
            The actor; None if it is not idle.
        """
        if self.busy.acquire(False):
            actor = self.actor
            if actor is not None and self.waiting is None and self.empty():
                return actor
            self.leave()
        return None

    def break_off(self, actor: Living, error: BaseException, reply: Receiver | None) -> None:
        """Stop after an interruption such as Ctrl-C; as in Pykka, all actors stop."""
        logger.debug("%r in %s. Stopping all actors.", error, actor)
        if reply is not None:
            reply.settle_error(pykka.ActorDeadError(f"{actor._actor_ref} was interrupted"))
        self.finish(actor, None)
        pykka.ActorRegistry.stop_all(block=False)

    def kill(self, cause: BaseException) -> None:
        """End the actor immediately and without its hooks, whatever it is doing. Thread-safe.

        A handler that is running continues until it returns or awaits.
        """
        actor = self.actor
        if actor is not None:
            self.close(actor)
        elif self.down:
            self.cancel_timers()
            self._unregister()
        self.terminate(cause)
        self.interrupt()

    def abandon(self, cause: BaseException) -> None:
        """End an actor that its dispatcher can no longer run, without its hooks.

        Called by the dispatcher, which holds `busy`.
        """
        if self.actor is not None:
            logger.error("%s is lost: %s", self.label, cause)
            self.close(self.actor)
        self.terminate(cause)
        self.leave()

    def close(self, actor: Living) -> None:
        """Accept no more messages, and cancel the timers."""
        if actor.registered:
            pykka.ActorRegistry.unregister(actor._actor_ref)
        self.stopped = True
        self.cancel_timers()

    def cancel_timers(self) -> None:
        """Cancel the timers of the actor."""
        timers, self.timers = self.timers, None
        for timer in timers or ():
            timer.cancel()

    def terminate(self, cause: BaseException | None) -> None:
        """Drop the actor, refuse the waiting messages, and call the watchers."""
        self.actor = None
        self.blueprint = None
        self.stopped = True
        self.dispatcher.detach(self)
        while (item := self.take()) is not None:
            self.refuse(item, "it has stopped")
        with _watchers_lock:
            watchers, self.watchers = self.watchers, _STOPPED if cause is None else _CRASHED
        if watchers is not None:
            for watcher in watchers if isinstance(watchers, list) else (watchers,):
                self._tell_watcher(watcher, cause)

    def _unregister(self) -> None:
        if self.actor_class.registered:
            unregister((self,))

    # -- watchers ----------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher(cause)` when the actor has ended, immediately if it already has."""
        with _watchers_lock:
            watchers = self.watchers
            gone = watchers is _STOPPED or watchers is _CRASHED
            if watchers is None:
                self.watchers = watcher  # there is rarely more than one, and a list costs memory
            elif not gone:
                self.watchers = (
                    [*watchers, watcher] if isinstance(watchers, list) else [watchers, watcher]
                )
        if gone:
            # The exception itself is not kept: its traceback would keep the actor alive.
            cause = (
                pykka.ActorDeadError(f"{self.label} had crashed before")
                if watchers is _CRASHED
                else None
            )
            self._tell_watcher(watcher, cause)

    def _unwatch(self, watcher: Watcher) -> bool:
        """Remove a watcher; return False if it is not there, or has been called."""
        with _watchers_lock:
            watchers = self.watchers
            if not isinstance(watchers, list):
                known = watchers == watcher
                if known:
                    self.watchers = None
                return known
            if watcher not in watchers:
                return False
            self.watchers = [one for one in watchers if one != watcher]
            return True

    def _tell_watcher(self, watcher: Watcher, cause: BaseException | None) -> None:
        try:
            watcher(cause)
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("A watcher of %s failed:", self.label)


class _Rebirth(threading.local):
    """The restart that the running thread performs."""

    mailbox: Any = None
    """The mailbox for which a new actor is being constructed; its constructor takes it."""


rebirth = _Rebirth()


class Blueprint:
    """What is needed to restart an actor: the arguments of its `start`, and its ref, if any."""

    __slots__ = ("_ref", "args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], ref: Any = None) -> None:
        self.args = args
        self.kwargs = kwargs
        self._ref = ref

    def construct(self, mailbox: Mailbox) -> Living:
        """Construct a new instance in `mailbox`, behind the existing refs."""
        rebirth.mailbox = mailbox
        try:
            actor: Living = mailbox.actor_class(*self.args, **self.kwargs)
        finally:
            rebirth.mailbox = None
        if self._ref is not None:
            actor._actor_ref = self._ref
        actor._actor_made()
        return actor


def register(ref: Any) -> None:
    """Add an actor to Pykka's registry, whose own method formats a line for the log each time."""
    registry = pykka.ActorRegistry
    with registry._actor_refs_lock:
        registry._actor_refs.append(ref)


def unregister(mailboxes: Iterable[Mailbox]) -> None:
    """Remove many actors from Pykka's registry; one by one this is quadratic, as it is a list."""
    going = set(mailboxes)
    registry = pykka.ActorRegistry
    with registry._actor_refs_lock:
        registry._actor_refs[:] = [
            ref for ref in registry._actor_refs if ref.actor_inbox not in going
        ]


def stops_all(error: BaseException) -> bool:
    """Return whether an exception should stop all actors, as Ctrl-C does in Pykka.

    Other exceptions concern one call only, such as a panic in a Rust extension. `SystemExit` is one
    of them: code that parses a line of input as a command line can raise it, and then any client
    could end the server.
    """
    return isinstance(error, KeyboardInterrupt) or type(error) is BaseException


def _log_failure(actor: Living, error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError | CancelledError):
        logger.warning("%s was cancelled while it waited", actor)  # the canceller has said why
        return
    logger.error("Unhandled exception in %s:", actor, exc_info=error)
