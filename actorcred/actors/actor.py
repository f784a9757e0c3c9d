"""The base class of all actors of this package, with Pykka's API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Hashable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar, cast

import pykka

from actorcred.actors import system
from actorcred.actors._context import current_mailbox
from actorcred.actors.bounded_mailbox import BoundedMailbox, MailboxLimit
from actorcred.actors.cell import Cell
from actorcred.actors.dispatcher import Dispatcher
from actorcred.actors.future import Future
from actorcred.actors.lifecycle import Blueprint, Maker, rebirth, register
from actorcred.actors.messages import ControlMessage
from actorcred.actors.ref import ActorRef
from actorcred.actors.timers import Timer

__all__ = ["Actor"]

logger = logging.getLogger("actorcred.actors")

NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})

R = TypeVar("R")


class Actor(pykka.Actor):
    """An actor that a dispatcher runs when it has messages.

    Everything that `pykka.Actor` documents holds: `start`, `stop`, `on_start`, `on_receive`,
    `on_stop`, `on_failure`, proxies, one message at a time, messages of one sender in order. Any
    handler or hook may be `async def`; the actor then handles no other message until it has
    returned.

    Class attributes:
        dispatcher: where the actors of this class run, unless `start(dispatcher=...)` says
            otherwise. None means the dispatcher of the actor that starts them, or else the default
            of the process.
        mailbox_limit: how many messages may wait; None for no bound.
        registered: whether started actors are in `pykka.ActorRegistry`. It is a list, so a class
            with very many short-lived actors that are tracked elsewhere should set this to False.
        restartable: whether a supervisor may restart a crashed actor; the arguments of `start` are
            then kept.
    """

    __slots__ = ("_actor_ref", "actor_inbox")

    dispatcher: ClassVar[Dispatcher | None] = None
    mailbox_limit: ClassVar[MailboxLimit | None] = None
    registered: ClassVar[bool] = True
    restartable: ClassVar[bool] = False
    ref_class: ClassVar[type[ActorRef[Any]]] = ActorRef
    """The class of the refs to actors of this class."""

    actor_inbox: Cell
    _actor_ref: ActorRef[Any]

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        mailbox: Cell | None = rebirth.mailbox
        if mailbox is None or mailbox.actor_class is not type(self):
            limit = self.mailbox_limit
            mailbox = Cell(self) if limit is None else BoundedMailbox(self, limit)
        else:
            rebirth.mailbox = None
        self.actor_inbox = mailbox
        self._actor_ref = self.ref_class(mailbox)

    @classmethod
    def start(
        cls, *args: Any, dispatcher: Dispatcher | None = None, **kwargs: Any
    ) -> ActorRef[Self]:
        """Start an actor.

        Args:
            args: for the constructor.
            dispatcher: where the actor runs; see the class attribute `dispatcher` for the default.
            kwargs: for the constructor.

        Returns:
            A ref to the actor.

        Raises:
            TypeError: if the class overrides `__init__` and does not call `super().__init__()`.
        """
        actor = cls(*args, **kwargs)
        try:
            mailbox, ref = actor.actor_inbox, actor._actor_ref
        except AttributeError:
            raise TypeError(
                f"{cls.__name__}.__init__() must call super().__init__() before anything else"
            ) from None
        if cls.restartable:
            mailbox.blueprint = Blueprint(args, kwargs or NO_KEYWORDS, ref)
            actor._actor_made()
        mailbox.dispatcher = dispatcher = dispatcher or cls.choose_dispatcher()
        dispatcher.attach(mailbox)
        if cls.registered:
            register(ref)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("Starting %s", actor)
        mailbox.start()
        return ref

    @classmethod
    def asleep(cls, maker: Maker, dispatcher: Dispatcher) -> ActorRef[Self]:
        """Return a ref to an actor that has no instance before its first message.

        For base classes whose actors can be put away and whose mailbox is made anew; it is not in
        `pykka.ActorRegistry`.

        Args:
            maker: constructs the instance.
            dispatcher: where it runs.
        """
        limit = cls.mailbox_limit
        mailbox = Cell(None, cls) if limit is None else BoundedMailbox(None, limit, cls)
        mailbox.dispatcher = dispatcher
        mailbox.blueprint = maker
        mailbox.busy.release()
        return cast("ActorRef[Self]", cls.ref_class(mailbox))

    @classmethod
    def choose_dispatcher(cls) -> Dispatcher:
        """Return the dispatcher that `start` uses if it gets none."""
        dispatcher = cls.dispatcher or system.chosen_dispatcher()
        if dispatcher is None:
            starter = current_mailbox.get()
            dispatcher = (
                starter.dispatcher if isinstance(starter, Cell) else system.default_dispatcher()
            )
        return dispatcher

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The actor's universally unique name."""
        return self.actor_inbox.urn

    @property
    def actor_stopped(self) -> Any:  # type: ignore[override]
        """A flag that is set once the actor handles no more messages."""
        return self._actor_ref.actor_stopped

    @property
    def actor_ref(self) -> ActorRef[Self]:
        """The actor's own ref."""
        return self._actor_ref

    def send_after(self, seconds: float, message: Any) -> Timer:
        """Send this actor a message in `seconds`, unless it stops or the timer is cancelled."""
        return self._actor_ref.send_after(seconds, message)

    def send_every(self, seconds: float, message: Any) -> Timer:
        """Send this actor a message every `seconds` until it stops or the timer is cancelled."""
        return self._actor_ref.send_every(seconds, message)

    def now(self) -> float:
        """Return the time in seconds on the clock of this actor's timers."""
        return self.actor_inbox.dispatcher.now()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Run a coroutine while this actor continues to handle messages.

        Returns:
            A future of the coroutine's result.
        """
        return self.actor_inbox.dispatcher.spawn(coroutine)

    def offload(
        self, function: Callable[..., R], *args: Any, keys: tuple[Hashable, ...] = ()
    ) -> Future[R]:
        """Run a function that blocks or computes in the background; see `Dispatcher.offload`."""
        return self.actor_inbox.dispatcher.offload(function, *args, keys=keys)

    # -- what Pykka expects of a runtime -----------------------------------------------------------

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise TypeError("an actorcred mailbox belongs to one actor; start the actor instead")

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    def _start_actor_loop(self) -> None:
        self.actor_inbox.start()

    # -- hooks for base classes --------------------------------------------------------------------

    def _actor_control(self, message: ControlMessage) -> Any:
        """Handle an internal message; overridden by base classes that define such messages."""
        raise TypeError(f"{type(self).__name__} does not handle a {type(message).__name__}")

    def _actor_made(self) -> None:
        """Run when a fresh instance is complete; for base classes of restartable actors."""

    def _actor_survives(self, error: BaseException, message: Any) -> bool:
        """Return whether the actor continues after an exception in a message without a reply."""
        return False

    def _actor_first_words(self) -> Any:
        """Run the start hooks. Base classes override this to add hooks."""
        return self.on_start()

    def _actor_last_words(self) -> Any:
        """Run the stop hooks. Base classes override this to add hooks."""
        return self.on_stop()

    def _actor_last_gasp(self, error: BaseException) -> Any:
        """Run the crash hooks. Base classes override this to add hooks."""
        return self.on_failure(type(error), error, error.__traceback__)
