"""The mind: the avatar's link to its client, an actor that delivers notifications and calls."""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import CoroutineType, MappingProxyType
from typing import Any, Protocol, cast

import pykka

from actorcred.actors import Actor, ActorRef, AnsweredMessage, ControlMessage, Dispatcher, Future
from actorcred.actors.cell import Cell
from actorcred.audit import quoted
from actorcred.errors import CallError, ClientGone
from actorcred.identity import NO_CLIENT, NO_INFO, ClientInfo, Identity, identity_of
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.broadcast import catch_up, under_way
from actorcred.mind.call import Call, as_client_gone, pass_on
from actorcred.mind.channel import NOBODY, Channel, channel_to
from actorcred.mind.farewell import Farewell, close_channel
from actorcred.mind.outbox import Notification, Offer, Outbox, OutboxLimit, unused_outbox
from actorcred.names import ANONYMOUS, AvatarId

__all__ = ["CALL_TIMEOUT", "EndWatcher", "Mind", "MindRef"]


logger = logging.getLogger("actorcred.mind")

CALL_TIMEOUT = 10.0
"""The default time-out of a call to a client in seconds."""

MOST_TIES = 1_000
"""The number of groups and watches of one mind."""

_starting = threading.RLock()

_tying = threading.Lock()
"""Held for a few byte codes only, so one lock is enough for all minds."""


class MindOwner(Protocol):
    """What a mind needs of its session."""

    def announce(self) -> None:
        """Let the login succeed although `on_login` is still running."""

    def end(self, code: LogoutCode, detail: str = "") -> object:
        """End the session."""


class EndWatcher(Protocol):
    """What is told of the end of a mind's session."""

    def mind_over(self, mind: MindRef) -> None:
        """Called once, on any thread. Must not raise or block."""


_OVER: dict[EndWatcher, None] = {}
"""Marks a mind whose session has ended; it stays empty."""


class _Flush(ControlMessage):
    """Send the waiting items."""

    __slots__ = ()


class _GoOn(ControlMessage):
    """Send the waiting items, since the client can accept more."""

    __slots__ = ()


@dataclass(slots=True)
class _Close(ControlMessage):
    """Notify the client that the session has ended, and stop."""

    reason: LogoutReason


@dataclass(slots=True)
class _Settle(AnsweredMessage):
    """Answer when nothing waits any more."""

    answer: Future[None]


_FLUSH, _GO_ON = _Flush(), _GoOn()

_ACCEPTED = frozenset({Offer.WAKE, Offer.QUEUED})


class MindRef(ActorRef["Mind"]):
    """An avatar's reference to its client. All methods are thread-safe and never block.

    Its actor starts when it is first needed: many clients get no notifications for a long time, and
    many channels can send them without it.

    Attributes:
        channel: the channel to the client.
        outbox: what waits for the client; `outbox.dropped` counts what will never be sent.
        session: ends the session of the mind while it is open; None afterwards.
        dispatcher: where its actor runs, or will run.
        client: where the client comes from; on the wire, of its latest connection.
        info: what the protocol told the realm, read-only. What a client says of itself in it is not
            to be trusted.
    """

    __slots__ = (
        "_inbox",
        "_ties",
        "_who",
        "channel",
        "client",
        "dispatcher",
        "info",
        "outbox",
        "session",
    )

    def __init__(
        self,
        channel: Channel,
        outbox: Outbox,
        dispatcher: Dispatcher,
        who: AvatarId | Identity = ANONYMOUS,
        client: ClientInfo = NO_CLIENT,
    ) -> None:
        self.channel = channel
        self.outbox = outbox
        self.dispatcher = dispatcher
        self.session: MindOwner | None = None
        self.client = client
        self.info: Mapping[str, Any] = NO_INFO
        self._who = who
        self._inbox: Cell | None = None
        self._ties: dict[EndWatcher, None] | None = None

    @property
    def identity(self) -> Identity:
        """Who the user is, and how that was proven; already before the avatar exists."""
        who = self._who
        if type(who) is not Identity:  # most logins are a name, which takes less memory
            who = self._who = identity_of(who)
        return who

    def introduce(self, who: Identity) -> None:
        """Set who the client is now; for the portal."""
        self._who = who

    def inform(self, info: Mapping[str, Any]) -> None:
        """Set what the protocol tells the realm; for the portal."""
        self.info = MappingProxyType(dict(info))

    # No `__getattr__`, which would make all other attributes slower.
    @property  # type: ignore[override]
    def actor_inbox(self) -> Cell:
        """The mailbox; the actor starts when it is first accessed."""
        inbox = self._inbox
        if inbox is None:
            with _starting:
                if self._inbox is None:
                    Mind.launch(self, self.dispatcher)
                inbox = self._inbox
                assert inbox is not None
        return inbox

    @actor_inbox.setter
    def actor_inbox(self, inbox: Cell) -> None:
        self._inbox = inbox

    @property
    def is_started(self) -> bool:
        """Whether the actor was started."""
        return self._inbox is not None

    def notify(self, name: str, *args: Any, key: Hashable = None) -> None:
        """Send the client a notification. It never raises for a slow or dead client.

        Args:
            name: the name of the notification.
            args: its arguments.
            key: of the waiting notifications with the same key only the latest is kept, such as the
                position of one player. None keeps all.
        """
        self.send(Notification(name, args, key))

    def send(self, notification: Notification) -> bool:
        """Send a notification, which can be shared with other minds; see `Group`.

        Returns:
            Whether it was sent or waits to be sent.
        """
        if under_way:
            catch_up(self)
        return self.pass_on(notification)

    def pass_on(self, notification: Notification) -> bool:
        """Send a notification before the broadcasts that wait for this mind; see `broadcast`."""
        if not self.channel.takes_notifications:
            return False  # not into the outbox, where it could displace a call
        if self.outbox.idle and self.channel.ready():
            try:
                self.channel.notify(notification)
            except Exception:
                pass  # the mind tries again and handles the error
            else:
                return True
        return self._offer(notification) in _ACCEPTED

    def call(self, name: str, *args: Any, timeout: float | None = CALL_TIMEOUT) -> Future[Any]:
        """Call the client.

        Args:
            name: the method to call.
            args: its arguments.
            timeout: seconds for the answer; None waits as long as the session lasts.

        Returns:
            A future of the answer. It fails with `ClientGone` if there will be none, and with
            `pykka.Timeout` if there is none in time.
        """
        catch_up(self)
        call = Call(name, args)
        if self.session is not None:
            self.session.announce()
        if not self.outbox.closed:
            call.future.expect_from(self.actor_inbox)
        if self._offer(call) in {Offer.DROPPED, Offer.OVERFLOW}:
            call.dropped()
        elif timeout is not None:
            expired = pykka.Timeout(f"the client did not answer {name!r} within {timeout:g} s")
            timer = self.actor_inbox.dispatcher.call_later(
                timeout, call.future.settle_error, expired
            )
            call.future.add_done_callback(lambda _: timer.cancel())
        return call.future

    def _offer(self, item: Notification | Call) -> Offer:
        offer = self._own_outbox().offer(
            item, 0 if isinstance(item, Call) else self.channel.size(item)
        )
        if offer is Offer.WAKE:
            self.actor_inbox.put(_FLUSH)
        elif offer is Offer.OVERFLOW:
            self.end_session(LogoutCode.OVERFLOW, f"{len(self.outbox)} notifications waiting")
        return offer

    def end_session(self, code: LogoutCode, detail: str = "") -> None:
        """End the session because its client cannot be reached; do nothing if it has ended."""
        session = self.session
        if session is not None:
            session.end(code, detail)

    def settled(self) -> Future[None]:
        """Return a future that is done when nothing waits for the client. Called by the portal."""
        catch_up(self)
        done: Future[None] = Future()
        if self.is_started:
            self.actor_inbox.put(_Settle(done))
        else:
            done.settle()
        return done

    def tie(self, watcher: EndWatcher) -> bool:
        """Have `watcher.mind_over` called when the session ends; return False if it has ended.

        Raises:
            ValueError: if the mind is in too many groups and watches.
        """
        with _tying:
            ties = self._ties
            if ties is _OVER:
                return False
            if ties is None:
                ties = self._ties = {}
            if len(ties) >= MOST_TIES and watcher not in ties:
                raise ValueError(f"a mind can be in {MOST_TIES} groups and watches, no more")
            ties[watcher] = None
        return True

    def untie(self, watcher: EndWatcher) -> None:
        """Undo `tie`."""
        with _tying:
            if self._ties:
                self._ties.pop(watcher, None)

    def _cut_ties(self) -> None:
        with _tying:
            ties, self._ties = self._ties, _OVER
        for watcher in ties or ():
            watcher.mind_over(self)

    def close(self, reason: LogoutReason) -> None:
        """Notify the client of the logout, and stop. Called by the portal."""
        catch_up(self)
        self.session = None
        self._cut_ties()
        channel = self.channel
        if channel is NOBODY:
            self.abandon()
        elif self._retire():
            # The channel can be code of the application, which needs a turn of its own.
            self.dispatcher.start_task(Farewell(channel, reason, self.dispatcher))
        else:
            self.actor_inbox.put(_Close(reason))
        self.channel = NOBODY  # it can refer to the session, which would be a circle

    def abandon(self) -> None:
        """Stop without notifying the client. Called by the portal."""
        self._cut_ties()
        if self._retire():
            return
        if self.is_started:
            self.stop(block=False)
        else:
            drop_all(self.outbox)

    def _retire(self) -> bool:
        """Close the outbox if nothing has ever waited in it; return whether that is so.

        The actor was not started then, and need not be.
        """
        with _starting:
            unused = self.outbox.is_shared
            if unused:
                self.outbox = self.outbox.over
        return unused

    def _own_outbox(self) -> Outbox:
        """Return the outbox, which is no longer shared with other minds."""
        if self.outbox.is_shared:
            with _starting:
                if self.outbox.is_shared:
                    self.outbox = Outbox(self.outbox.limit)
        return self.outbox


class Mind(Actor):
    """The client of one session.

    Args:
        target: how the client is reached. A `Channel` is used as it is. For an actor ref, the
            actor's method of that name is run. A callable is called as `target(name, *args)`. For
            any other object, its method of that name is called. None: there is no client. If a
            notification returns a coroutine or a future, what follows waits until that is done.
        limit: how much may wait.
    """

    registered = False

    def __init__(self, ref: MindRef) -> None:
        super().__init__()
        self._actor_ref = ref
        ref.actor_inbox = self.actor_inbox
        self._channel = ref.channel
        self._held_back = False
        self._calls: set[Future[Any]] | None = None
        self._outbox = ref._own_outbox()
        self._settling: Sequence[Future[None]] = ()

    @classmethod
    def start(  # type: ignore[override]
        cls,
        target: Any = None,
        limit: OutboxLimit | None = None,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> MindRef:
        """Return a mind; its actor starts when it is needed. See the class for the arguments."""
        return MindRef(
            channel_to(target),
            unused_outbox(limit or OutboxLimit()),
            dispatcher or cls.choose_dispatcher(),
        )

    @classmethod
    def launch(cls, ref: MindRef, dispatcher: Dispatcher) -> None:
        """Start the actor of a mind."""
        super().start(ref, dispatcher=dispatcher)
        if ref.outbox.closed:  # a late caller then finds a stopped actor
            ref.stop(block=False)

    def _actor_control(self, message: ControlMessage) -> None:
        match message:
            case _Flush():
                self._flush()
            case _GoOn():
                self._held_back = False
                self._flush()
                self._settle()
            case _Settle(answer):
                self._settling = [*self._settling, answer]
                self._settle()
            case _Close(reason):
                self._close(reason)
            case _:
                super()._actor_control(message)

    def _settle(self) -> None:
        """Answer those who wait until nothing waits for the client."""
        if not self._held_back:
            settling, self._settling = self._settling, ()
            for answer in settling:
                answer.settle()

    def _flush(self) -> None:
        while not self._held_back and (item := self._outbox.take()) is not None:
            self._send(item)

    def _send(self, item: Any) -> None:
        if type(item) is Call:
            self._send_call(item)
            return
        try:
            result = self._channel.notify(item)
        except Exception as error:
            self._failed(item.name, error)
        else:
            future = self._future_of(result)
            if future is not None and not future.done():
                self._held_back = True
                future.add_done_callback(lambda done: self._notified(item.name, done))
            elif future is not None:
                self._report(item.name, future)

    def _notified(self, name: str, done: Future[Any]) -> None:
        self._report(name, done)
        self.actor_inbox.put(_GO_ON)

    def _report(self, name: str, done: Future[Any]) -> None:
        try:
            done.get()
        except Exception as error:
            self._failed(name, error)

    def _send_call(self, call: Call) -> None:
        if call.future.done():
            return
        try:
            result = self._channel.call(call.name, call.args)
        except Exception as error:
            call.future.settle_error(as_client_gone(error))
            return
        future = self._future_of(result)
        if future is None:
            call.future.settle(result)
            return
        if future.target is not None:
            call.future.expect_from(future.target)  # the client is an actor
        if self._calls is None:
            self._calls = set()
        self._calls.add(call.future)
        call.future.add_done_callback(self._calls.discard)
        future.add_done_callback(lambda done: pass_on(done, call.future))
        call.future.add_done_callback(lambda _: future.cancel())  # it may be the time-out

    def _future_of(self, result: Any) -> Future[Any] | None:
        if type(result) is CoroutineType:
            return self.spawn(result)
        return Future.adopt(result) if isinstance(result, pykka.Future) else None

    def _failed(self, name: str, error: Exception) -> None:
        if isinstance(error, OSError | pykka.ActorDeadError):
            cast("MindRef", self.actor_ref).end_session(LogoutCode.LOST, type(error).__name__)
        elif isinstance(error, CallError):  # the client's own error: no traceback
            logger.warning("A client's %r failed: %s", name, quoted(error))
        else:
            logger.warning("A client's %r failed:", name, exc_info=error)

    def _close(self, reason: LogoutReason) -> None:
        self._flush()
        drop_all(self._outbox)
        # Even a client that holds back notifications is notified: this is the last message.
        close_channel(self._channel, reason, self.actor_inbox.dispatcher)
        self.stop()

    def on_stop(self) -> None:
        """Fail all calls that have no answer yet."""
        self._held_back = False
        self._settle()
        drop_all(self._outbox)
        for future in list(self._calls or ()):
            future.settle_error(ClientGone("the session ended before the client answered"))


def drop_all(outbox: Outbox) -> None:
    """Close an outbox, and call `dropped` of each waiting item."""
    for item in outbox.close():
        item.dropped()
