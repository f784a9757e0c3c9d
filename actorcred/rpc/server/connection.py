"""The server's end of one connection, on any transport, before and after the login."""

from __future__ import annotations

import logging
from typing import Any

import pykka
from pykka.messages import ProxyCall

from actorcred.actors import Future, MailboxFull
from actorcred.actors.cell import LATER, NOT_CALLED
from actorcred.errors import CallCode, CallError, LoginDenied, LoginFailed, ProtocolError
from actorcred.identity import ClientInfo
from actorcred.methods import Method
from actorcred.rpc.protocol.codec import NotificationMessage, Request, Response
from actorcred.rpc.protocol.connection import PREFIX, Connection
from actorcred.rpc.protocol.faults import FaultForm
from actorcred.rpc.protocol.goodbye import GoodbyeCode
from actorcred.rpc.server.dialogue import Dialogue
from actorcred.rpc.server.early import Early
from actorcred.rpc.server.events import ConnectionBroken, RequestsThrottled
from actorcred.rpc.server.guard import Flow, Place, RateLimit, Stall
from actorcred.rpc.server.held import Held
from actorcred.rpc.server.hub import Hub
from actorcred.rpc.server.questions import Questions
from actorcred.rpc.server.relay import Relay
from actorcred.rpc.server.reply import Receipt, Reply, send_answer, wait_in
from actorcred.rpc.server.session_channel import SessionChannel
from actorcred.rpc.server.transport import Transport

__all__ = ["ServerConnection"]

logger = logging.getLogger("actorcred.rpc")

EARLY_BYTES, EARLY_BYTES_PER_SECOND = 32 * 1024, 4 * 1024
"""What is read from a connection without a login: in a burst, and on average."""

REASON = 100
"""The maximum number of characters of the message in a goodbye."""


class ServerConnection(Held):
    """A client's connection.

    Args:
        hub: the hub of the server.
        transport: what carries it.
        connection: the protocol's state.
        client: where it comes from.
        place: its place in the limits, which it releases at the end.

    Attributes:
        channel: the channel of the session, after the login.
        dialogue: the login in progress.
        heard: when data last arrived from the client, on the loop's clock; once closed, when that
            was.
        heartbeat: whether the client promised to send something in each interval.
        answers_only: whether the client accepts only answers, and thus no goodbye.
        relay: passes the client's data on to the node that has its session, if that is another one.
    """

    __slots__ = (
        "_due",
        "_flow",
        "_out",
        "_out_size",
        "_place",
        "_questions",
        "_rate",
        "_stall",
        "_throttled",
        "answers_only",
        "channel",
        "client",
        "closed",
        "connection",
        "dialogue",
        "drained",
        "heard",
        "heartbeat",
        "hub",
        "relay",
        "transport",
    )

    def __init__(
        self,
        hub: Hub,
        transport: Transport,
        connection: Connection,
        client: ClientInfo,
        place: Place,
    ) -> None:
        self.hub = hub
        self.transport = transport
        self.connection = connection
        self.client = client
        self.channel: SessionChannel | None = None
        self.dialogue: Dialogue | None = None
        self.relay: Relay | None = None
        self.heartbeat = self.answers_only = self.closed = False
        self._place = place
        place.yields = self.make_room
        self._questions: Questions | None = None
        self._early: Early | None = None
        self._last = 0
        self._out: list[bytes] | None = None
        self._out_size = 0
        self._due = False  # whether the hub will have the output written
        self.drained: Future[None] | None = None
        """A future that is done when the client can receive more; None if it can now."""
        self.heard = place.since
        self._throttled = False
        self._stall: Stall | None = None
        self._flow: Flow | None = Flow(EARLY_BYTES_PER_SECOND, EARLY_BYTES, self.heard)
        rate, burst = hub.options.rates.requests_per_second, hub.options.rates.request_burst
        self._rate = None if rate is None else RateLimit(rate, burst, self.heard)
        hub.enter(self)

    # -- called by the transport -------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Handle data from the client: bytes of a stream, or a frame."""
        if self.closed:
            return
        self.heard = self.hub.loop.time()
        if self.relay is not None and self.relay.open:
            self.relay.send(data)
            self._slow_down(len(data))
            return
        # Immediate answers are sent together, without another turn of the loop.
        gathered = self._out
        if gathered is None:
            self._out = gathered = []
            self._out_size = 0
        try:
            for message in self.connection.receive(data):
                if type(message) is Request:
                    self._request(message)
                else:
                    self._take(message)
            self._slow_down(len(data))
        except ProtocolError as error:
            self.break_off(str(error))
        finally:
            # Also what has waited: the answers must not wait for the output of other connections.
            if self._out is gathered:
                self.flush()

    def _slow_down(self, size: int) -> None:
        if self._flow is not None and (wait := self._flow.spend(size, self.heard)):
            self.transport.hold(wait)

    def _take(self, message: Any) -> None:
        kind = type(message)
        if self.closed:
            return  # an earlier message closed the connection
        if kind is NotificationMessage:
            self._notice(message)
        elif kind is Response:
            if self._questions is not None:
                self._questions.answered(message)
        else:
            self.send(self.connection.refuse(message))

    def break_off(self, detail: str) -> None:
        """End the connection of a client that violated the protocol."""
        self.hub.portal.publish(ConnectionBroken(self.client, detail))
        self.goodbye(GoodbyeCode.PROTOCOL_ERROR, detail, None)

    def pause(self) -> None:
        """Hold notifications back, since the client does not read."""
        if self.relay is not None:
            self.relay.pause()
        if self.drained is None:
            self.drained = Future()

    def resume(self) -> None:
        """Stop holding back, since the client has read."""
        if self.relay is not None:
            self.relay.go_on()
        drained, self.drained = self.drained, None
        if drained is not None:
            drained.settle()

    @property
    def in_session(self) -> bool:
        """Whether the client has an open session."""
        return self.channel is not None and self.channel.session.is_open

    @property
    def is_idle(self) -> bool:
        """Whether the client has neither a session here or elsewhere, nor is about to."""
        return self.channel is None and self.dialogue is None and self.relay is None

    def lost(self) -> None:
        """Called when the connection is lost."""
        self.closed = True
        self.hub.leave(self)
        self._place.leave()
        if self.relay is not None:
            self.relay.close()
        if self.dialogue is not None:
            self.dialogue.cancel()
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.lost(self.hub.loop.time())
        self.resume()
        if self._questions is not None:
            self._questions.give_up()

    # -- messages ----------------------------------------------------------------------------------

    def _request(self, request: Request, *, waited: bool = False) -> None:
        if self.closed:
            return
        try:
            if not waited:
                if self._rate is not None and (wait := self._wait(self._rate)):
                    raise CallError(
                        "too many requests", CallCode.TOO_MANY_REQUESTS, retry_after=round(wait, 3)
                    )
                if self._early is not None and request.method not in self.hub.commands.at_once:
                    self._early.add(request)
                    return
                self._last = request.id
            channel = self.channel
            method = None if channel is None else channel.methods.get(request.method)
            if method is None:
                self._serve(request)
            else:
                self._answer(channel, method, request)  # type: ignore[arg-type]
        except Exception as error:
            # An unexpected one is logged, and fails only this request.
            self._reply_to(request).settle_error(error)

    def _answer(self, channel: SessionChannel, method: Method, request: Request) -> None:
        """Call a method of the avatar: at once if it is idle here, which saves the most."""
        arguments = method.arguments(request.params, self.connection.codec.convert)
        call_now = channel.session.avatar.call_now
        result = call_now(method.name, arguments, self._reply_to, request, self.hub.loop)
        if result is NOT_CALLED:
            self._call(channel, method, request.params, arguments, self._reply_to(request))
        elif isinstance(result, pykka.Future):
            self._reply_to(request).settle(result)
        elif result is not LATER:
            send_answer(self, request.id, request.method, result)

    def _serve(self, request: Request) -> None:
        """Handle a request that is no call of the avatar."""
        if request.method.startswith(PREFIX):
            answer = self._reserved(request)
            self._reply_to(request).settle(answer)
            if request.method in self.hub.commands.logins and self.channel is None:
                self._hold_until(answer)
        elif self.channel is None:
            raise CallError("log in first: cred.login", CallCode.NOT_LOGGED_IN)
        else:
            raise CallError(f"no method {request.method[:60]!r}", CallCode.UNKNOWN_METHOD)

    def _reply_to(self, request: Request) -> Reply:
        return Reply(self, request.id, request.method)

    def _wait(self, rate: RateLimit) -> float:
        """Return the seconds that the client must wait; 0 if it does not exceed the rate."""
        wait = rate.take(self.heard)
        if wait and not self._throttled:
            session = None if self.channel is None else self.channel.session
            whose = ("", "") if session is None else (session.id, session.avatar_id)
            self.hub.portal.publish(RequestsThrottled(self.client, *whose))
        self._throttled = wait > 0
        return wait

    def _reserved(self, request: Request) -> Any:
        known = self.hub.commands.table.get(request.method)
        if known is None:
            raise CallError(f"no method {request.method[:60]!r}", CallCode.UNKNOWN_METHOD)
        method, function = known
        return function(self, *method.arguments(request.params, self.connection.codec.convert))

    def _call(
        self,
        channel: SessionChannel,
        method: Method,
        params: list[Any],
        arguments: tuple[Any, ...],
        reply: Reply | None,
    ) -> None:
        message = ProxyCall((method.name,), arguments, {})
        avatar = channel.session.avatar
        if avatar.actor_inbox.busy.locked():
            avatar.deliver(
                message,
                wait_in(
                    channel,
                    params,
                    Receipt(self.hub, channel.backlog, avatar.actor_inbox, message, reply),
                ),
            )
        else:
            avatar.deliver(message, reply)

    def refusal(self, error: LoginFailed, kind: str) -> Future[Any]:
        """Report a refusal that the portal does not see; return an answer that waits for that."""
        answer: Future[Any] = Future()
        counted = self.tell_refused(error, kind)
        counted.add_done_callback(lambda _: self.hub.here(answer.settle_error, error))
        return answer

    def tell_refused(self, error: LoginFailed, kind: str) -> Future[None]:
        """Report a refused login that the portal did not see; see `PortalRef.tell_refused`."""
        self.close_if_denied(error)
        return self.hub.portal.tell_refused(error, kind, client=self.client)

    def close_if_denied(self, error: Exception) -> None:
        """Close the connection of a client that continues during its penalty, after its answer."""
        if isinstance(error, LoginDenied) and error.close:
            self.hub.loop.call_soon(
                self.goodbye,
                GoodbyeCode.DENIED,
                "too many logins during the penalty",
                error.retry_after,
            )

    def _notice(self, notice: NotificationMessage) -> None:
        try:
            if self._rate is not None and self._wait(self._rate):
                self.hub.ignored_notices += 1
            elif self._early is not None:
                self._early.add(notice)
            else:
                self._tell(notice)
        except CallError:
            self.hub.ignored_notices += 1

    def _tell(self, notice: NotificationMessage) -> None:
        channel = self.channel
        method = None if channel is None else channel.methods.get(notice.method)
        if method is None:
            self.hub.ignored_notices += 1
            return
        try:
            arguments = method.arguments(notice.params, self.connection.codec.convert)
            self._call(channel, method, notice.params, arguments, None)  # type: ignore[arg-type]
        except pykka.ActorDeadError:
            return  # the session is over, and the goodbye follows
        except (CallError, MailboxFull):
            self.hub.ignored_notices += 1
        except Exception as error:
            self.hub.ignored_notices += 1
            logger.error("A notification of %r failed:", notice.method, exc_info=error)

    # -- calls to the client -----------------------------------------------------------------------

    def call(self, name: str, args: tuple[Any, ...]) -> Future[Any]:
        """Call the client; return a future of its answer."""
        questions = self._questions
        if questions is None:
            questions = self._questions = Questions(self.connection)
        future, data = questions.ask(name, args)
        self.send(data)
        return future

    # -- output ------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a message, together with others of this turn of the loop unless they are many."""
        out = self._out
        if out is None:
            if self.closed:
                return
            self._out = [data]
            self._out_size = len(data)
            if not self._due:
                self._due = True
                self.hub.write_later(self)
            return
        out.append(data)
        self._out_size += len(data)
        if self._out_size > self.hub.options.write_buffer:
            # One turn can send any amount, and the transport must be able to call `pause`.
            self._out_size = 0
            messages = out[:]
            out.clear()
            self.transport.write(messages)

    def flush_due(self) -> None:
        """Pass the output so far to the transport, as `Hub.write_later` has promised."""
        self._due = False
        self.flush()

    def flush(self) -> None:
        """Pass the output so far to the transport."""
        out, self._out = self._out, None
        if out:
            self.transport.write(out)

    def goodbye(self, code: str, detail: str, retry_after: float | None) -> None:
        """Close the connection, after a goodbye unless the client accepts only answers."""
        if self.closed:
            return
        if not self.answers_only:
            reason = {"code": code, "message": detail[:REASON]}
            self.send(self.connection.notify(PREFIX + "goodbye", (reason, retry_after)))
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection when everything is sent."""
        if self.closed:
            return
        self.closed = True
        self.heard = self.hub.loop.time()
        if self.dialogue is not None:
            self.dialogue.cancel()  # a login that succeeds now would be a session without a client
        self.flush()
        self.transport.close()
        if self.relay is not None:
            self.relay.close()

    # -- sessions of other nodes -------------------------------------------------------------------

    def relayed(self, *, answers_only: bool) -> None:
        """Note that another node has accepted the client, which has its session there."""
        self.answers_only = answers_only
        self._recognise()

    def deliver(self, messages: list[bytes]) -> None:
        """Send messages of another node, after those that wait."""
        if not self.closed:
            self.flush()
            self.transport.write(messages)

    # -- limits ------------------------------------------------------------------------------------

    def speak(self, errors: FaultForm, *, answers_only: bool) -> None:
        """Set the form of errors, and whether the client accepts only answers, from now on."""
        self.connection.errors = errors
        self.answers_only = answers_only

    def logged_in(self, channel: SessionChannel) -> None:
        """Use a session, whose methods can now be called."""
        self.channel = channel
        self.speak(channel.errors, answers_only=not channel.takes_notifications)
        self._recognise()

    def _recognise(self) -> None:
        self._place.recognise()
        rate, burst = self.hub.options.rates.bytes_per_second, self.hub.options.rates.bytes_burst
        self._flow = None if rate is None else Flow(rate, burst, self.heard)

    def make_room(self) -> bool:
        """End the connection if its client has not begun to log in; return whether it was ended."""
        if not self.is_idle:
            return False
        self.goodbye(
            GoodbyeCode.FULL,
            "the server has no room for connections without a login",
            self.hub.retry_after,
        )
        self.transport.abort()
        return True

    def overdue(self, now: float) -> tuple[str, str] | None:
        """Return the code and the reason if the connection must end now; None if not."""
        options = self.hub.options
        if self.closed:
            late = now - self.heard >= options.login_timeout
            return (
                ("closing", f"the goodbye was not read within {options.login_timeout:g} s")
                if late
                else None
            )
        waiting = self.transport.waiting()
        if self._stall is None and waiting:
            self._stall = Stall(options.write_timeout)
        if self._stall is not None and self._stall.is_over(waiting, now):
            return (
                GoodbyeCode.STALLED,
                f"the client has read nothing for {options.write_timeout:g} s",
            )
        if self.relay is not None and self.relay.is_stuck(now):
            return GoodbyeCode.STALLED, "the server that has the session takes nothing"
        if self.channel is None and self.relay is None:
            late = now - self._place.since >= options.login_timeout
            return (
                (GoodbyeCode.LOGIN_TIMEOUT, f"no login within {options.login_timeout:g} s")
                if late
                else None
            )
        silent = self.heartbeat and now - self.heard >= 2 * options.heartbeat
        return (
            (GoodbyeCode.SILENT, f"nothing received for {2 * options.heartbeat:g} s")
            if silent
            else None
        )
