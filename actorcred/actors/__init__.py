"""Actors with Pykka's API, run by a dispatcher instead of one thread each.

An actor of this package starts in a few microseconds and takes little more than a kilobyte, so
there can be hundreds of thousands. A dispatcher decides where they run: on a pool of threads, on an
asyncio event loop, or on the calling thread.
"""

from actorcred.actors.actor import Actor
from actorcred.actors.background import Overloaded
from actorcred.actors.bounded_mailbox import MailboxFull, MailboxLimit, Overflow
from actorcred.actors.collector import tune_gc
from actorcred.actors.dispatcher import Dispatcher
from actorcred.actors.event_loop import AsyncioDispatcher
from actorcred.actors.future import AlreadySet, CancelledError, Future
from actorcred.actors.inline import InlineDispatcher
from actorcred.actors.messages import AnsweredMessage, ControlMessage, Revocable
from actorcred.actors.ref import ActorRef
from actorcred.actors.supervision import RestartIntensity, Restarts
from actorcred.actors.system import (
    Statistics,
    default_dispatcher,
    set_default_dispatcher,
    shutdown,
    starting_on,
    statistics,
)
from actorcred.actors.threads import ThreadDispatcher
from actorcred.actors.timers import Timer
from actorcred.actors.waits import WaitsForItself
from actorcred.actors.watchdog import Watch, set_watchdog

__all__ = [
    "Actor",
    "ActorRef",
    "AlreadySet",
    "AnsweredMessage",
    "AsyncioDispatcher",
    "CancelledError",
    "ControlMessage",
    "Dispatcher",
    "Future",
    "InlineDispatcher",
    "MailboxFull",
    "MailboxLimit",
    "Overflow",
    "Overloaded",
    "RestartIntensity",
    "Restarts",
    "Revocable",
    "Statistics",
    "ThreadDispatcher",
    "Timer",
    "WaitsForItself",
    "Watch",
    "default_dispatcher",
    "set_default_dispatcher",
    "set_watchdog",
    "shutdown",
    "starting_on",
    "statistics",
    "tune_gc",
]
