"""Actors on Twisted's reactor: their turns, timers and coroutines."""

from __future__ import annotations

import threading
from typing import Any

import pytest

pytest.importorskip(
    "twisted.cred", reason="Twisted is not installed: pip install 'actorcred[twisted]'"
)

from pykka.messages import ProxyCall
from twisted.internet.defer import Deferred, fail, succeed

from actorcred import Future, PortalOptions
from actorcred.actors import Actor
from actorcred.adapters.twisted import ReactorDispatcher, reactor_dispatcher
from tests.adapters.greeters import GreeterRealm, IGreeter, password, result, theirs

pytestmark = pytest.mark.usefixtures("on_this_thread")


class Echo(Actor):
    def on_receive(self, message: Any) -> Any:
        if message == "slow":
            return succeed("never seen as such")
        return message

    async def wait_for(self, deferred: Any) -> Any:
        return await deferred

    async def wait_for_future(self, future: Any) -> Any:
        return await future

    def tell(self, other: Any, log: list[str]) -> None:
        log.append("begin")
        other.tell(lambda: log.append("other"))
        log.append("end")


class Runner(Actor):
    def on_receive(self, message: Any) -> Any:
        return message()


def test_actors_run_before_the_call_returns_and_never_inside_of_each_other(clock):
    dispatcher = ReactorDispatcher(clock=clock)
    echo, runner = Echo.start(dispatcher=dispatcher), Runner.start(dispatcher=dispatcher)

    assert echo.ask("x", block=False).done()
    log: list[str] = []
    echo.proxy().tell(runner, log)
    assert log == ["begin", "end", "other"]
    log.clear()
    echo.deliver(ProxyCall(("tell",), (runner, log), {}), None)
    assert log == ["begin", "end", "other"]


def test_coroutines_may_await_deferreds_and_futures(clock):
    echo = Echo.start(dispatcher=ReactorDispatcher(clock=clock))
    deferred: Deferred[str] = Deferred()
    future: Future[str] = Future()
    first = echo.proxy().wait_for(deferred)
    assert not first.done()
    deferred.callback("one")
    assert first.get(timeout=5) == "one"
    second = echo.proxy().wait_for_future(future)
    future.set("two")
    assert second.get(timeout=5) == "two"
    with pytest.raises(ZeroDivisionError):
        echo.proxy().wait_for(fail(ZeroDivisionError())).get(timeout=5)
    with pytest.raises(TypeError, match="cannot await"):
        echo.proxy().wait_for(Never()).get(timeout=5)


class Never:
    def __await__(self) -> Any:
        yield 7


def test_timers_go_by_the_reactors_clock_and_leave_nothing_in_it(clock):
    dispatcher = ReactorDispatcher(clock=clock)
    log: list[Any] = []
    runner = Runner.start(dispatcher=dispatcher)
    runner.send_after(2, lambda: log.append("two"))
    runner.send_after(1, lambda: log.append("one"))
    gone = runner.send_after(1.5, lambda: log.append("never"))
    gone.cancel()
    every = runner.send_every(5, lambda: log.append("five"))
    assert len(clock.getDelayedCalls()) == 1
    clock.pump([1] * 11)
    assert log == ["one", "two", "five", "five"]
    every.cancel()
    assert clock.getDelayedCalls() == []


def test_sessions_of_a_protocol_that_nobody_knows_the_connection_of_do_not_idle_out(cred, clock):
    portal = cred(GreeterRealm(), [theirs()], options=PortalOptions(idle_timeout=10, lifetime=100))
    result(portal.login(password(), None, IGreeter))
    clock.pump([1] * 50)
    assert portal.portal.count().get(timeout=5) == 1
    clock.pump([1] * 60)
    assert portal.portal.count().get(timeout=5) == 0


def test_from_other_threads_actors_run_on_the_reactors(real_reactor):
    runner = Runner.start(dispatcher=reactor_dispatcher())
    assert runner.ask(threading.current_thread, timeout=5).name == "reactor"
    assert (
        runner.ask(lambda: reactor_dispatcher().offload(threading.current_thread), timeout=5)
        .get(timeout=5)
        .name.startswith("actorcred-background")
    )
