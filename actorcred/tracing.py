"""Traces of logins and calls for OpenTelemetry.

Give an instance of `Tracing` to the options of a portal:

    portal = Portal.start(realm, checkers, PortalOptions(tracing=Tracing()))

Each login is a span in the context of its caller, with a child for each step. Each call through the
avatar's ref of that login (`Login.avatar`, or a protocol of this package) is a span in the context
of the call's caller, with a link to the login, and the avatar's method runs in it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any, NamedTuple

from pykka.messages import ProxyCall

from actorcred.actors.cell import NOT_CALLED
from actorcred.actors.messages import InContext, Receiver, is_control
from actorcred.errors import LoginFailed, MissingExtra
from actorcred.portal.observing import Traced
from actorcred.portal.steps import StepTimes
from actorcred.sessions.session import AvatarRef, Session

__all__ = ["Tracing"]

_NANOSECONDS = 1_000_000
"""In a millisecond."""


class _Caller(NamedTuple):
    """Who began a login, and when, in nanoseconds since the epoch."""

    context: Any
    began: int


class Tracing:
    """Makes spans of the logins of portals, and of the calls of their clients.

    Args:
        provider: an `opentelemetry.trace.TracerProvider`; by default the global one.
        names: whether spans have the avatar id and the client's address, which are personal data.

    Raises:
        MissingExtra: without the extra "otel".
    """

    def __init__(self, provider: Any = None, *, names: bool = False) -> None:
        try:
            from opentelemetry import context, trace
        except ImportError:
            raise MissingExtra("actorcred.tracing", "otel") from None
        self._context = context
        self._trace = trace
        self._tracer = trace.get_tracer("actorcred", tracer_provider=provider)
        self._names = names

    # -- for portals; see `portal.observing.Tracing` -----------------------------------------------

    def presented(self) -> Any:
        """Return the context of a caller that begins a login."""
        return _Caller(self._context.get_current(), time.time_ns())

    def logged_in(self, login: Traced, session: Session, times: StepTimes) -> None:
        """Record a login that has succeeded, and have its calls traced."""
        span = self._login(login, "success", times)
        span.set_attribute("session.id", session.id)
        span.set_attribute("actorcred.checker", session.checker)
        if self._names:
            span.set_attribute("enduser.id", str(session.avatar_id))
        self._end(span, login.trace.began, times)
        session.avatar = _TracedAvatarRef(session, self, span.get_span_context())

    def refused(self, login: Traced, error: LoginFailed, times: StepTimes) -> None:
        """Record a login that has failed."""
        span = self._login(login, str(error.cause), times)
        span.set_status(self._trace.StatusCode.ERROR, error.message)
        self._end(span, login.trace.began, times)

    def _login(self, login: Traced, outcome: str, times: StepTimes) -> Any:
        client = login.client
        span = self._tracer.start_span(
            "actorcred.login",
            context=login.trace.context,
            start_time=login.trace.began,
            attributes={
                "actorcred.outcome": outcome,
                "actorcred.mechanism": login.mechanism or login.kind,
                "network.protocol.name": client.protocol,
                "network.transport": client.transport,
            },
        )
        if self._names:
            span.set_attribute("client.address", client.address)
        return span

    def _end(self, span: Any, began: int, times: StepTimes) -> None:
        """Add the steps to the span of a login, and end it."""
        inside = self._trace.set_span_in_context(span, self._context.Context())
        at = began
        for name, took in zip(times._fields, times, strict=True):
            if took is not None:
                step = self._tracer.start_span(f"actorcred.{name}", inside, start_time=at)
                at += int(took * _NANOSECONDS)
                step.end(at)
        span.end(max(at, began))

    # -- calls -------------------------------------------------------------------------------------

    def call(self, name: str, login: Any) -> Any:
        """Return the span of a call, whose caller is the current context."""
        links = [self._trace.Link(login)]
        return self._tracer.start_span(
            f"actorcred.call {name}", kind=self._trace.SpanKind.INTERNAL, links=links
        )

    @contextlib.contextmanager
    def inside(self, span: Any) -> Iterator[None]:
        """Make a span the current one."""
        with self._trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield

    def ended(self, span: Any, error: BaseException | None = None) -> None:
        """End the span of a call. The text of an exception can have secrets, its type has none."""
        if error is not None:
            span.set_status(self._trace.StatusCode.ERROR, type(error).__name__)
        span.end()


class _TracedReply:
    """Passes an answer on, and ends the span of its call."""

    __slots__ = ("_reply", "_span", "_tracing")

    def __init__(self, reply: Receiver, tracing: Tracing, span: Any) -> None:
        self._reply = reply
        self._tracing = tracing
        self._span = span

    def settle(self, value: Any = None) -> bool:
        self._tracing.ended(self._span)
        return self._reply.settle(value)

    def settle_error(self, error: BaseException, traceback: Any = None) -> bool:
        self._tracing.ended(self._span, error)
        return self._reply.settle_error(error, traceback)


class _TracedAvatarRef(AvatarRef[Any]):
    """The client's ref to its avatar, whose calls are traced."""

    __slots__ = ("_login", "_tracing")

    def __init__(self, session: Session, tracing: Tracing, login: Any) -> None:
        super().__init__(session.avatar, session)
        self._tracing = tracing
        self._login = login

    def tell(self, message: Any) -> None:
        """Send the avatar a message; see `AvatarRef.tell`."""
        if not isinstance(message, ProxyCall):
            super().tell(message)
            return
        span = self._begin(message)
        try:
            with self._tracing.inside(span):
                super().tell(message)
        except BaseException as error:
            self._tracing.ended(span, error)
            raise
        self._tracing.ended(span)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the avatar; see `AvatarRef.ask`."""
        if not isinstance(message, ProxyCall):
            return super().ask(message, block=block, timeout=timeout)
        span, tracing = self._begin(message), self._tracing
        with tracing.inside(span):
            future = super().ask(message, block=False)

        def done(answer: Any) -> None:
            try:
                answer.get()
            except BaseException as error:
                tracing.ended(span, error)
            else:
                tracing.ended(span)

        future.add_done_callback(done)
        return future.get(timeout=timeout) if block else future

    def deliver(self, message: Any, reply: Receiver | None) -> None:
        """Send the avatar a message; see `AvatarRef.deliver`."""
        if not isinstance(message, ProxyCall):
            super().deliver(message, reply)
            return
        span = self._begin(message)
        traced = None if reply is None else _TracedReply(reply, self._tracing, span)
        try:
            with self._tracing.inside(span):
                super().deliver(message, traced)
        except BaseException as error:
            self._tracing.ended(span, error)
            raise
        if reply is None:
            self._tracing.ended(span)

    def call_now(self, name: str, args: Any, receiver: Any, request: Any, loop: Any) -> Any:
        """Return `NOT_CALLED`, so that the call is delivered."""
        return NOT_CALLED

    def _begin(self, message: ProxyCall) -> Any:
        return self._tracing.call(".".join(message.attr_path), self._login)

    def _queued(self, message: Any) -> Any:
        # It is handled later, perhaps on another thread: the current span goes with it.
        if not is_control(message):
            message = InContext(message, copy_context())
        return super()._queued(message)
