"""A SASL login on a connection: its answers around a `Stepper`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import partial
from typing import Any

from actorcred.actors import CancelledError, Future
from actorcred.errors import CallCode, CallError, ProtocolError, UnauthorizedLogin
from actorcred.rpc.server.hub import Peer
from actorcred.sasl.mechanism import Challenge, Credentials, ServerMechanism
from actorcred.sasl.stepper import Accepted, Action, Failed, Stepper

__all__ = ["Dialogue"]


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
        self._text = False
        self._speaking = False
        """Whether the answer of `say` has not been returned yet."""

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
        self._speaking = True
        try:
            message = self._decoded(data)
            self._act(self._stepper.receive(message))
        except Exception as error:
            self._failed(error)
        self._speaking = False
        return answer

    def _deny_source(self) -> None:
        """Raise `LoginDenied` if the client's source must wait."""
        peer = self._peer
        denied = peer.hub.portal.must_wait(peer.client)
        if denied is not None:
            self.cancel()
            peer.tell_refused(denied, self._stepper.mechanism.name)
            raise denied

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

    def _act(self, step: Action) -> None:
        if isinstance(step, Credentials):
            self._look(step)
        elif isinstance(step, Challenge):
            self._ask(step.challenge)
        elif isinstance(step, Failed):
            self._failed(step.error, unseen=step.unseen)

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

    def _look(self, step: Credentials) -> None:
        hub, exchange = self._peer.hub, self._stepper.exchange
        if exchange is not None:
            exchange.on_challenge = lambda challenge: hub.here(self._challenged, challenge)
        decision = self._decision = self._decide(step)
        decision.add_done_callback(partial(hub.here, self._decided))

    def _challenged(self, challenge: bytes) -> None:
        if not self._over:
            self._ask(self._stepper.challenged(challenge).challenge)

    def _ask(self, challenge: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.settle({"challenge": self.encoded(challenge)})

    def _decided(self, done: Future[Any]) -> None:
        if self._over:
            return
        try:
            decision = done.get()
        except CancelledError:
            return
        except UnauthorizedLogin as error:
            self._act(self._stepper.refused(error))
        except Exception as error:
            self._stepper.failed(error)
            self._refuse(error)
        else:
            self._succeed(decision)

    def _succeed(self, decision: Any) -> None:
        granted = self._stepper.succeeded()
        told, afterwards = self._consent(decision)
        if isinstance(granted, Accepted) and granted.data is not None:
            told["data"] = self.encoded(granted.data)
        answer = self._answer
        self._end()
        if answer is not None:
            answer.settle(told)
        if self._speaking:  # the answer will be sent when it is returned
            self._peer.hub.loop.call_soon(afterwards)
        else:
            afterwards()

    def _refuse(self, error: Exception) -> None:
        self._peer.close_if_denied(error)
        answer = self._answer
        self._end()
        if answer is not None:
            answer.settle_error(error)

    def _end(self) -> None:
        self._over = True
        self._answer = None
        if self._stepper.exchange is not None:
            # It refers to this. Not None: a checker may be about to call it, on its own thread.
            self._stepper.exchange.on_challenge = _unheard
        if self._peer.dialogue is self:
            self._peer.dialogue = None

    def cancel(self) -> None:
        """Give the login up: the client has disconnected, or broke the rules of the mechanism."""
        decision = self._decision
        self._end()
        if decision is not None and hasattr(decision, "give_up"):
            decision.give_up()


def _unheard(_challenge: bytes) -> None:
    """Take a challenge in a login that is over."""
