"""Tracing: a span per login with its steps, and calls in the context of their callers."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from typing import Any

import pykka
import pytest
from pykka.messages import ProxyCall

from actorcred import (
    CallError,
    Future,
    LoginFailed,
    MissingExtra,
    Portal,
    PortalOptions,
    UsernamePassword,
    rpc,
)
from actorcred.actors import AsyncioDispatcher, ThreadDispatcher, shutdown
from actorcred.checkers.memory import MemoryChecker
from actorcred.identity import ClientInfo
from actorcred.rpc.server.server import serve
from actorcred.tracing import Tracing
from tests.helpers import Arena, ArenaPlayer, Player, Stage, until

pytest.importorskip(
    "opentelemetry.sdk.trace",
    reason="opentelemetry-sdk is not installed: pip install opentelemetry-sdk",
)
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

RPC = ClientInfo(address="192.0.2.7", protocol="rpc", transport="tcp")


class Spans:
    """A provider, and what it has exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    def named(self, name: str) -> list[Any]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def one(self, name: str) -> Any:
        until(lambda: self.named(name))
        (span,) = self.named(name)
        return span


@pytest.fixture
def spans() -> Iterator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


def options(spans: Spans, **more: Any) -> PortalOptions:
    return PortalOptions(tracing=Tracing(spans.provider, **more))


def parent_of(span: Any) -> int:
    return 0 if span.parent is None else span.parent.span_id


def test_a_login_is_a_span_of_its_caller_with_a_child_for_each_step(spans):
    users = MemoryChecker.start({"ann": "s3cret"}, rounds=4)
    portal = Portal.start(Arena.start([]), [users], options(spans))
    with spans.tracer.start_as_current_span("caller") as caller:
        login = portal.login(
            UsernamePassword("ann", "s3cret"), None, Player, client=RPC, mechanism="PLAIN"
        ).get(timeout=30)
    span = spans.one("actorcred.login")
    assert parent_of(span) == caller.get_span_context().span_id
    assert dict(span.attributes) == {
        "actorcred.outcome": "success",
        "actorcred.mechanism": "PLAIN",
        "actorcred.checker": "MemoryChecker",
        "network.protocol.name": "rpc",
        "network.transport": "tcp",
        "session.id": login.session.id,
    }
    steps = [spans.one(f"actorcred.{name}") for name in ("queue", "check", "hash", "realm")]
    assert {parent_of(step) for step in steps} == {span.context.span_id}
    assert [span.start_time, *[step.end_time for step in steps]] == [
        *[step.start_time for step in steps],
        span.end_time,
    ]


def test_a_refusal_is_an_error_that_shows_no_name_and_no_secret(inline, spans):
    stage = Stage(options(spans))
    with pytest.raises(LoginFailed):
        stage.login("ann", "hunter2")
    span = spans.one("actorcred.login")
    assert span.attributes["actorcred.outcome"] == "wrong-credentials"
    assert not span.status.is_ok
    text = span.to_json()
    assert "hunter2" not in text
    assert "ann" not in text
    assert spans.named("actorcred.realm") == []


def test_names_and_addresses_are_there_if_that_is_wanted(inline, spans):
    stage = Stage(options(spans, names=True))
    stage.portal.login(UsernamePassword("ann", "right"), None, Player, client=RPC).get(timeout=10)
    attributes = spans.one("actorcred.login").attributes
    assert (attributes["enduser.id"], attributes["client.address"]) == ("ann", "192.0.2.7")


class Tracer(ArenaPlayer):
    """Tells which span it runs in."""

    def move(self, dx: float) -> float:
        return trace.get_current_span().get_span_context().span_id

    async def slow(self) -> int:
        await asyncio.sleep(0)
        return trace.get_current_span().get_span_context().span_id

    def fail(self) -> None:
        raise LookupError("s3cret")


class TracingArena(Arena):
    def request_avatar(self, avatar_id: Any, mind: Any, *interfaces: type) -> Any:
        avatar = Tracer.start(avatar_id, mind, self.log)
        return interfaces[0], avatar, avatar.stop


def portal_of_tracers(spans: Spans, dispatcher: Any = None) -> Any:
    users = MemoryChecker.start({"ann": "s3cret"}, plaintext=True, dispatcher=dispatcher)
    return Portal.start(
        TracingArena.start([], dispatcher=dispatcher),
        [users],
        options(spans),
        dispatcher=dispatcher,
    )


@pytest.mark.parametrize("method", ["move", "slow"])
def test_a_call_is_a_span_of_its_caller_with_a_link_to_the_login_and_the_avatar_runs_in_it(
    spans, method
):
    portal = portal_of_tracers(spans, ThreadDispatcher("actorcred-test", 2))
    login = portal.login(UsernamePassword("ann", "s3cret"), None, Player).get(timeout=30)
    proxy = login.avatar.proxy()
    with spans.tracer.start_as_current_span("caller") as caller:
        seen = getattr(proxy, method)(*((1.0,) if method == "move" else ())).get(timeout=10)
    span = spans.one(f"actorcred.call {method}")
    assert seen == span.context.span_id
    assert parent_of(span) == caller.get_span_context().span_id
    assert [link.context for link in span.links] == [spans.one("actorcred.login").context]
    assert span.status.is_ok


def test_a_call_that_fails_is_an_error_without_its_text(spans):
    portal = portal_of_tracers(spans)
    login = portal.login(UsernamePassword("ann", "s3cret"), None, Player).get(timeout=30)
    with pytest.raises(LookupError):
        login.avatar.proxy().fail().get(timeout=10)
    span = spans.one("actorcred.call fail")
    assert not span.status.is_ok
    assert "s3cret" not in span.to_json()
    login.logout().get(timeout=10)
    with pytest.raises(pykka.ActorDeadError):
        login.avatar.proxy().move(1.0).get(timeout=10)


def test_messages_that_are_no_calls_have_no_spans_and_a_tell_is_a_span_that_ends_at_once(spans):
    portal = portal_of_tracers(spans)
    login = portal.login(UsernamePassword("ann", "s3cret"), None, Player).get(timeout=30)
    login.avatar.tell("text")
    assert login.avatar.ask("text", block=True, timeout=10) is None
    answer: Future[Any] = Future()
    login.avatar.deliver("text", answer)
    assert answer.get(timeout=10) is None
    assert [span.name for span in spans.exporter.get_finished_spans() if "call" in span.name] == []
    login.avatar.tell(ProxyCall(("move",), (1.0,), {}))
    login.avatar.deliver(ProxyCall(("move",), (1.0,), {}), None)
    assert len(spans.named("actorcred.call move")) == 2
    login.logout().get(timeout=10)
    for send in (login.avatar.tell, lambda message: login.avatar.deliver(message, None)):
        with pytest.raises(pykka.ActorDeadError):
            send(ProxyCall(("move",), (1.0,), {}))
    assert [span.status.is_ok for span in spans.named("actorcred.call move")] == [
        True,
        True,
        False,
        False,
    ]


def test_calls_from_the_wire_have_spans_and_roles_are_still_checked(spans):
    async def run() -> int:
        loop = AsyncioDispatcher()
        portal = portal_of_tracers(spans, loop)
        async with await serve(portal, "tcp:127.0.0.1:0") as server:
            address = str(server.addresses[0])
            async with await rpc.connect(address, "ann", "s3cret") as client:
                seen = await client.call("move", 1.0)
                with pytest.raises(CallError):
                    await client.call("unknown")
        await asyncio.to_thread(shutdown, 30)
        return int(seen)

    seen = asyncio.run(run())
    span = spans.one("actorcred.call move")
    assert seen == span.context.span_id
    assert parent_of(span) == 0
    assert [link.context for link in span.links] == [spans.one("actorcred.login").context]


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(MissingExtra, match=re.escape("actorcred[otel]")):
        Tracing()
