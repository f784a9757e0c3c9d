"""A SASL login on a connection: its answers, turns and penalties around a `Stepper`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Any

from actorcred.actors import Future
from actorcred.errors import CallCode, CallError, LoginDenied, ProtocolError, UnauthorizedLogin
from actorcred.rpc.protocol.goodbye import GoodbyeCode
from actorcred.rpc.server.events import LoginThrottled
from actorcred.rpc.server.hub import Peer
from actorcred.sasl.mechanism import Challenge, Credentials, ServerMechanism
from actorcred.sasl.stepper import Accepted, Action, Failed, Stepper
from actorcred.throttle import LONGEST_NAME, account_of

__all__ = ["Dialogue", "deny_source"]


LONG = 128
"""Bytes of a client's message above which it is not decoded while its source is penalised."""

Decide = Callable[[Credentials], Future[Any]]

Consent = Callable[[Any], tuple[dict[str, Any], Callable[[], object]]]


class Dialogue:
    """One login or reauthentication.

    Args:
        peer: the connection.
        mechanism: the mechanism that the client chose.
        decide: given the credentials, returns the portal's decision as a future.
        consent: given that decision, returns the answer to the client, and a function that is
            called when it has been sent.
    """

    def __init__(
        self, peer: Peer, mechanism: ServerMechanism, decide: Decide, consent: Consent
    ) -> None:
        self._peer = peer
        self._stepper = Stepper(mechanism, replies_carry_data=True)
        self._decide = decide
        self._consent = consent
        self._answer: Future[Any] | None = None
        self._over = False
        self._decision: Future[Any] | None = None
        self._claimed = ""
        self._account = ""
        self._turn = ""
        """The account at which it is this login's turn."""
        self._text = False

    @property
    def waits_for_client(self) -> bool:
        """Whether a challenge waits for its answer."""
        return self._answer is None and self._stepper.waits_for_client

    def say(self, data: Any) -> Future[Any]:
        """Take a message of the client.

        Args:
            data: bytes, in the form of the codec; None for nothing.

        Returns:
            A future of the answer to the client: `{"challenge": bytes}`, or the result.

        Raises:
            CallError: if the message is out of order.
            LoginDenied: if it is long, and the client's source is penalised.
        """
        if self._answer is not None or not self._stepper.waits_for_client:
            raise CallError("no challenge waits for a response", CallCode.OUT_OF_ORDER)
        if isinstance(data, bytes | str) and len(data) > LONG:
            self._deny_source()  # before names are prepared, which takes long for some
        answer = self._answer = Future()
        try:
            message = self._decoded(data)
            if self._decision is None:
                self._act(self._stepper.receive(message))
            else:
                self._take_turn(partial(self._step, message))
        except Exception as error:
            self._failed(error)
        return answer

    def _deny_source(self) -> None:
        """Raise `LoginDenied` if the client's source must wait."""
        source, hub = self._peer.origin.source, self._peer.hub
        wait = hub.penalties.wait("from " + source, hub.loop.time()) if source else 0.0
        if wait:
            self.cancel()
            raise self._denied(wait)

    def _denied(self, wait: float) -> LoginDenied:
        """Report a denied login; return its error. A source that does not stop is shut out."""
        deny_source(self._peer)
        self._peer.hub.portal.publish(
            LoginThrottled(self._peer.origin.address, self._claimed, wait)
        )
        return LoginDenied("too many failed logins", retry_after=round(wait, 1) or 0.1)

    def _decoded(self, data: Any) -> bytes | None:
        codec = self._peer.connection.codec
        if data is None or isinstance(data, bytes):
            return data
        if not isinstance(data, str):
            raise CallError("SASL data must be bytes", CallCode.BAD_ARGUMENTS)
        if codec.binary:
            self._text = True
            return data.encode()
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise CallError("SASL data must be base64 in JSON", CallCode.BAD_ARGUMENTS) from None

    def encoded(self, data: bytes) -> Any:
        """Return bytes in the form that the client uses: some clients have no type for bytes."""
        return data.decode("utf-8", "replace") if self._text else data

    def _step(self, message: bytes | None) -> None:
        self._act(self._stepper.receive(message))

    def _act(self, step: Action) -> None:
        if isinstance(step, Credentials):
            self._claimed = str(getattr(step.credentials, "username", ""))[:LONGEST_NAME]
            self._account = account_of(self._claimed)
            self._take_turn(partial(self._look, step))
        elif isinstance(step, Challenge):
            self._ask(step.challenge)
        elif isinstance(step, Failed):
            self._failed(step.error, unseen=step.unseen)

    def _take_turn(self, go: Callable[[], object]) -> None:
        """Call `go` when it is this login's turn at the account, unless a penalty denies it.

        A turn ends with the answer to the client, so a client that stops does not block others.
        """
        account = self._account
        if account and self._peer.hub.portal.options.penalty.step:
            self._peer.hub.turns.take(account, partial(self._begin_turn, go, account))
        else:
            self._begin_turn(go)

    def _begin_turn(self, go: Callable[[], object], account: str = "") -> bool:
        hub, answer = self._peer.hub, self._answer
        if self._over:
            return False
        now, wait = hub.loop.time(), 0.0
        for key in self._keys():
            wait = max(wait, hub.penalties.wait(key, now))
        if wait:
            self.cancel()
            if answer is not None:
                answer.settle_error(self._denied(wait))
            return False
        self._turn = account
        try:
            go()
        except Exception as error:
            # The caller may be another client that ends its turn, and must not get this error.
            self._failed(error)
        return True

    def _failed(self, error: Exception, *, unseen: bool = True) -> None:
        """End the login with an error. `unseen`: the portal does not know of it."""
        if isinstance(error, UnauthorizedLogin):
            if unseen:
                self._peer.tell_refused(error, self._stepper.mechanism.name)
            self._refuse(error)
            self.cancel()  # a decision of the portal that is still to come
            return
        answer = self._answer
        self.cancel()
        if isinstance(error, ProtocolError | ValueError):
            error = CallError(str(error), CallCode.BAD_ARGUMENTS)
        if answer is not None:
            answer.settle_error(error)

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, ""
        if turn:
            self._peer.hub.turns.leave(turn)

    def _look(self, step: Credentials) -> None:
        hub, exchange = self._peer.hub, self._stepper.exchange
        if exchange is not None:
            exchange.on_challenge = lambda challenge: hub.here(self._challenged, challenge)
        decision = self._decision = self._decide(step)
        decision.add_done_callback(lambda done: hub.here(self._decided, done))

    def _challenged(self, challenge: bytes) -> None:
        if not self._over:
            self._ask(self._stepper.challenged(challenge).challenge)

    def _keys(self) -> list[str]:
        """Return what is penalised for a failure: the source, and the account that was claimed."""
        source, account = self._peer.origin.source, self._account
        keys = ["from " + source] if source else []
        if account:
            keys.append("as " + account)
        return keys

    def _ask(self, challenge: bytes) -> None:
        answer, self._answer = self._answer, None
        self._end_turn()
        if answer is not None:
            answer.settle({"challenge": self.encoded(challenge)})

    def _decided(self, done: Future[Any]) -> None:
        if self._over or done.cancelled():
            return
        try:
            decision = done.get()
        except UnauthorizedLogin as error:
            self._act(self._stepper.refused(error))
        except Exception as error:
            self._stepper.failed(error)
            self._refuse(error)
        else:
            self._succeed(decision)

    def _succeed(self, decision: Any) -> None:
        granted = self._stepper.succeeded()
        self._peer.hub.penalties.succeeded("as " + self._account)
        told, afterwards = self._consent(decision)
        if isinstance(granted, Accepted) and granted.data is not None:
            told["data"] = self.encoded(granted.data)
        answer = self._answer
        self._end()
        if answer is not None:
            answer.settle(told)
        afterwards()

    def _refuse(self, error: Exception) -> None:
        if isinstance(error, UnauthorizedLogin):
            now = self._peer.hub.loop.time()
            for key in self._keys():
                self._peer.hub.penalties.failed(key, now)
        answer = self._answer
        self._end()
        if answer is not None:
            answer.settle_error(error)

    def _end(self) -> None:
        self._over = True
        self._answer = None
        self._end_turn()
        if self._peer.dialogue is self:
            self._peer.dialogue = None

    def cancel(self) -> None:
        """Give the login up: the client has disconnected, or broke the rules of the mechanism."""
        decision = self._decision
        self._end()
        if decision is not None and hasattr(decision, "give_up"):
            decision.give_up()


def deny_source(peer: Peer) -> None:
    """Count a denied login. A source that continues during its penalty is disconnected."""
    hub, key = peer.hub, "from " + peer.origin.source
    wait = hub.penalties.wait(key, hub.loop.time()) if peer.origin.source else 0.0
    if wait and hub.penalties.denied(key) > hub.portal.options.penalty.free_denials:
        # After the client has its answer.
        hub.loop.call_soon(
            peer.goodbye, GoodbyeCode.DENIED, "too many logins during the penalty", round(wait, 1)
        )
