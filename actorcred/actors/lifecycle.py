"""The life of an actor: how it begins, crashes, is made anew and ends, and who is told of the end.

An actor begins with its first turn. It ends in one of three ways, and each of them leads to `terminate`:

* in good order (`finish`): the hooks run, then the messages that still wait are answered;
* by a crash (`fail`): it is logged and `on_failure` runs. Then the actor ends, or its supervisor decides
  when a fresh instance is made behind the same mailbox and refs. Until then the actor is `down`: there
  is no instance, and messages are refused until the message REVIVE comes;
* from outside (`kill`, `abandon`), without hooks.

`stopped` is set before the hooks of the end run. From then on refs accept no message, and those that
were sent before are refused once the hooks are through. A watcher is called once, after the last message
was answered, or at once if it comes later.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol, TypeAlias

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from actorcred.actors.future import CancelledError, Future, error_of
from actorcred.actors.mailbox import Mailbox
from actorcred.actors.messages import REVIVE, Receiver
from actorcred.actors.supervision import Supervisor
from actorcred.actors.timers import Timer

__all__ = ["Blueprint", "Lifecycle", "Living", "rebirth", "stops_all", "unregister"]

logger = logging.getLogger("actorcred.actors")

Watcher: TypeAlias = Callable[[BaseException | None], object]

_watchers_lock = threading.Lock()
# What stands in place of the watchers once they were told, by how the actor ended.
_STOPPED: list[Watcher] = []
_CRASHED: list[Watcher] = []


class Living(Protocol):
    """An actor, as its life sees it: the hooks."""

    registered: ClassVar[bool]
    _actor_ref: Any

    def on_start(self) -> Any:
        """Run before the first message."""

    def _actor_made(self) -> None:
        """Run when the constructor has, and the ref is the one that others have."""

    def _actor_last_words(self) -> Any:
        """Run what has to run before the actor stops."""

    def _actor_last_gasp(self, error: BaseException) -> Any:
        """Run what has to run after a crash."""


class Lifecycle(Mailbox):
    """A mailbox whose actor begins, may crash and be made anew, and ends."""

    __slots__ = ("actor", "blueprint", "started", "stopped", "supervisor", "timers", "watchers")

    actor: Living | None

    def __init__(self, actor: Living) -> None:
        Mailbox.__init__(self, type(actor))
        self.actor = actor
        self.started = False
        self.stopped = False
        self.timers: set[Timer] | None = None
        self.watchers: Watcher | list[Watcher] | None = None
        self.blueprint: Blueprint | None = None
        self.supervisor: Supervisor | None = None

    @property
    def down(self) -> bool:
        """Whether there is no instance, and a fresh one may be made."""
        return self.actor is None and self.blueprint is not None

    def call_hook(
        self, hook: Callable[..., Any], *args: Any, then: Callable[[BaseException | None], None]
    ) -> None:
        """Call a hook of the actor, wait for it if it is a coroutine, and pass what it raised, or None, to `then`.

        `Cell` knows how: a hook is a turn, too.
        """
        raise NotImplementedError

    # -- the beginning ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the life of an actor that was constructed; called once, by `Actor.start`."""
        if self.actor_class.on_start is pykka.Actor.on_start:
            self.started = True
            self.leave()
        else:
            self.dispatcher.schedule(self)

    def begin(self) -> None:
        """Run `on_start`; after a restart, of a fresh instance."""
        self.started = True
        if self.actor is None:
            assert self.blueprint is not None
            try:
                self.actor = self.blueprint.construct(self)
            except Exception as error:
                logger.exception("%s could not be made anew:", self.label)
                self.crashed(error)
                return
        actor = self.actor

        def begun(error: BaseException | None) -> None:
            if error is not None:
                self.fail(actor, error, hook=False)
            elif self.supervisor is not None:
                self.supervisor.begun()

        self.call_hook(actor.on_start, then=begun)

    # -- a crash ------------------------------------------------------------------------------------------------------

    def fail(self, actor: Living, error: BaseException, *, hook: bool = True) -> None:
        """End after an unhandled exception: log it, run `on_failure`, then stop or wait for the supervisor."""
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
        """End the failed instance: for good, or until the supervisor has decided."""
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
        """Refuse what waits. An actor that is down may be made anew, or stopped."""
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

    # -- the end ------------------------------------------------------------------------------------------------------

    def finish(self, actor: Living, reply: Receiver | None) -> None:
        """Stop in good order: hooks, then answers to what still waits."""
        self.close(actor)
        logger.debug("Stopped %s", actor)

        def stopped(error: BaseException | None) -> None:
            if (
                error is not None and self.actor is not None
            ):  # else it was killed, which interrupts the hook
                _log_failure(actor, error)
            self.terminate(None)
            if reply is not None:
                reply.settle(None)

        self.call_hook(actor._actor_last_words, then=stopped)

    def break_off(self, actor: Living, error: BaseException, reply: Receiver | None) -> None:
        """End after something that is not an `Exception`, as Ctrl-C: with Pykka, all actors stop."""
        logger.debug("%r in %s. Stopping all actors.", error, actor)
        if reply is not None:
            reply.settle_error(pykka.ActorDeadError(f"{actor._actor_ref} was interrupted"))
        self.finish(actor, None)
        pykka.ActorRegistry.stop_all(block=False)

    def kill(self, cause: BaseException) -> None:
        """End the actor at once and without its hooks, whatever it is doing. May be called from anywhere.

        A handler that runs at this moment goes on until it returns or awaits, and nothing comes of it.
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
        """End an actor whose dispatcher is gone, without its hooks. Called by the dispatcher, which holds `busy`."""
        if self.actor is not None:
            logger.error("%s is lost: %s", self.label, cause)
            self.close(self.actor)
        self.terminate(cause)
        self.leave()

    def close(self, actor: Living) -> None:
        """Accept no more mail, and send none."""
        if actor.registered:
            pykka.ActorRegistry.unregister(actor._actor_ref)
        self.stopped = True
        self.cancel_timers()

    def cancel_timers(self) -> None:
        """Cancel what the actor planned to be sent."""
        timers, self.timers = self.timers, None
        for timer in timers or ():
            timer.cancel()

    def terminate(self, cause: BaseException | None) -> None:
        """Let go of the actor for good, answer what still waits, and tell the watchers."""
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

    # -- who is told --------------------------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher(cause)` at the end of the actor, at once if that has come."""
        with _watchers_lock:
            watchers = self.watchers
            gone = watchers is _STOPPED or watchers is _CRASHED
            if watchers is None:
                self.watchers = watcher  # nearly always there is one at most, and a list would cost more than it
            elif not gone:
                self.watchers = (
                    [*watchers, watcher] if isinstance(watchers, list) else [watchers, watcher]
                )
        if gone:
            # The exception itself is not kept: its traceback would keep the actor.
            cause = (
                pykka.ActorDeadError(f"{self.label} had crashed before")
                if watchers is _CRASHED
                else None
            )
            self._tell_watcher(watcher, cause)

    def _tell_watcher(self, watcher: Watcher, cause: BaseException | None) -> None:
        try:
            watcher(cause)
        except BaseException as error:
            if stops_all(error):
                raise
            logger.exception("A watcher of %s failed:", self.label)


class _Rebirth(threading.local):
    """What the running thread makes anew."""

    mailbox: Any = None
    """The mailbox for which a fresh actor is being made; its constructor takes it."""


rebirth = _Rebirth()


class Blueprint:
    """What is needed to make an actor again: its class, the arguments of its `start`, and the ref that others have."""

    __slots__ = ("_args", "_kwargs", "_ref")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], ref: Any) -> None:
        self._args = args
        self._kwargs = kwargs
        self._ref = ref

    def construct(self, mailbox: Mailbox) -> Living:
        """Make a fresh instance that lives in `mailbox`, behind the refs which exist already."""
        rebirth.mailbox = mailbox
        try:
            actor: Living = mailbox.actor_class(*self._args, **self._kwargs)
        finally:
            rebirth.mailbox = None
        actor._actor_ref = self._ref
        actor._actor_made()
        return actor


def unregister(mailboxes: Iterable[Mailbox]) -> None:
    """Take actors out of Pykka's registry, many at once: one by one that is quadratic, since it is a list."""
    going = set(mailboxes)
    registry = pykka.ActorRegistry
    with registry._actor_refs_lock:
        registry._actor_refs[:] = [
            ref for ref in registry._actor_refs if ref.actor_inbox not in going
        ]


def stops_all(error: BaseException) -> bool:
    """Return whether an exception is to end the program, as Ctrl-C: with Pykka, all actors stop then.

    Others concern one call only: the panics of extensions in Rust, and the `SystemExit` of whatever parses a line of input
    as a command line, by which any client could end the server.
    """
    return isinstance(error, KeyboardInterrupt) or type(error) is BaseException


def _log_failure(actor: Living, error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError | CancelledError):
        logger.warning("%s was cancelled while it waited", actor)  # whoever did so has said why
        return
    logger.error("Unhandled exception in %s:", actor, exc_info=error)
