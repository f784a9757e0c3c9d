"""One SASL login at a server, without I/O.

A protocol creates a `Stepper` for each login. It feeds it what the client sends, what a checker
asks, and what the portal decides. Each call returns what the protocol must do next:

    step = stepper.receive(initial)
    Challenge    send it, then call `receive` with the client's answer
    Credentials  log in with them, then call `succeeded`, `refused` or `failed`
    WAIT         a checker or the portal is working; it calls back
    Accepted      the login is complete
    Failed       the login is over
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, cast

from actorcred.errors import ProtocolError, UnauthorizedLogin
from actorcred.exchange import Exchange, ExchangeState
from actorcred.sasl.mechanism import Challenge, Credentials, ServerMechanism

__all__ = [
    "TRANSITIONS",
    "WAIT",
    "Accepted",
    "Action",
    "Failed",
    "LoginEvent",
    "LoginState",
    "Stepper",
    "Wait",
]


class LoginState(StrEnum):
    """The state of a SASL login."""

    NEW = "new"
    """The client has chosen a mechanism."""

    CHALLENGED = "challenged"
    """A challenge of the mechanism waits for the client's answer."""

    DECIDING = "deciding"
    """The portal has the credentials."""

    EXAMINED = "examined"
    """A checker's challenge waits for the client's answer."""

    PRETENDING = "pretending"
    """The login is refused, but the client will be challenged as if a checker knew its user."""

    PRETENDED = "pretended"
    """That challenge waits for the client's answer."""

    EXPLAINED = "explained"
    """The login is refused; the mechanism's own error waits for the client's answer."""

    PROVEN = "proven"
    """The login has succeeded; the server's proof waits for the client's acknowledgement."""

    OVER = "over"
    """The login has succeeded or failed."""


class LoginEvent(StrEnum):
    """What changes the state of a SASL login."""

    CHALLENGE = "challenge"
    """The mechanism challenges the client."""

    PRESENT = "present"
    """The client has presented its credentials."""

    EXAMINE = "examine"
    """A checker challenges the client."""

    ANSWER = "answer"
    """The client answers a challenge that is not the mechanism's."""

    PRETEND = "pretend"
    """The portal refuses credentials that no checker has examined."""

    EXPLAIN = "explain"
    """The portal refuses credentials for which the mechanism has an error of its own."""

    PROVE = "prove"
    """The portal logs the client in, and the server's proof is sent as a challenge."""

    GRANT = "grant"
    """The portal logs the client in, and nothing remains to be sent as a challenge."""

    FAIL = "fail"
    """The login fails."""


TRANSITIONS: dict[LoginState, dict[LoginEvent, LoginState]] = {
    LoginState.NEW: {
        LoginEvent.CHALLENGE: LoginState.CHALLENGED,
        LoginEvent.PRESENT: LoginState.DECIDING,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.CHALLENGED: {
        LoginEvent.CHALLENGE: LoginState.CHALLENGED,
        LoginEvent.PRESENT: LoginState.DECIDING,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.DECIDING: {
        LoginEvent.EXAMINE: LoginState.EXAMINED,
        LoginEvent.PRETEND: LoginState.PRETENDING,
        LoginEvent.EXPLAIN: LoginState.EXPLAINED,
        LoginEvent.PROVE: LoginState.PROVEN,
        LoginEvent.GRANT: LoginState.OVER,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.EXAMINED: {
        LoginEvent.ANSWER: LoginState.DECIDING,
        LoginEvent.GRANT: LoginState.OVER,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.PRETENDING: {
        LoginEvent.EXAMINE: LoginState.PRETENDED,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.PRETENDED: {
        LoginEvent.ANSWER: LoginState.OVER,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.EXPLAINED: {
        LoginEvent.ANSWER: LoginState.OVER,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.PROVEN: {
        LoginEvent.ANSWER: LoginState.OVER,
        LoginEvent.FAIL: LoginState.OVER,
    },
    LoginState.OVER: {},
}
"""What can happen in each state, and the state after it. Nothing else can happen."""

# In Python 3.11, an attribute of an enum takes six times as long as a name.
_NEW, _OVER = LoginState.NEW, LoginState.OVER
_PRESENT, _GRANT = LoginEvent.PRESENT, LoginEvent.GRANT

_FOR_CLIENT = frozenset(
    (
        LoginState.NEW,
        LoginState.CHALLENGED,
        LoginState.EXAMINED,
        LoginState.PRETENDED,
        LoginState.EXPLAINED,
        LoginState.PROVEN,
    )
)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done until a checker or the portal calls back."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The login has succeeded, and the exchange is complete.

    Args:
        data: the server's proof, to be sent in the protocol's reply; None without one.
    """

    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The login has failed.

    Args:
        error: a `ProtocolError` if the client broke the rules of the mechanism or aborted;
            otherwise the reason of the refusal.
        unseen: whether the client is refused without the portal's knowledge, since no user can
            have its name. The protocol must report it: `PortalRef.tell_refused`.
    """

    error: Exception
    unseen: bool = False


Action: TypeAlias = Challenge | Credentials | Wait | Accepted | Failed

WAIT = Wait()

_ACCEPTED = Accepted()


class Stepper:
    """One SASL login at a server.

    Every method raises `ProtocolError` if the protocol calls it out of order, and changes nothing
    then. What a client does wrong is returned as `Failed`.

    Args:
        mechanism: the mechanism that the client chose, new.
        replies_carry_data: whether the protocol's final reply has a place for data of the
            mechanism, and errors that say enough. Otherwise the server's proof (of SCRAM) and the
            mechanism's own error (of OAUTHBEARER) are sent as a last challenge.

    Attributes:
        mechanism: the mechanism.
        state: the state.
        exchange: the credentials, if a checker examines the client; None otherwise. The protocol
            sets its `on_challenge`.
    """

    __slots__ = ("_error", "_replies_carry_data", "exchange", "mechanism", "state")

    _error: Exception
    """The portal's refusal, while the client is still to be told."""

    def __init__(self, mechanism: ServerMechanism, *, replies_carry_data: bool = False) -> None:
        self.mechanism = mechanism
        self.state: LoginState = _NEW
        self._replies_carry_data = replies_carry_data
        self.exchange: Exchange | None = None

    @property
    def over(self) -> bool:
        """Whether the login has succeeded or failed."""
        return self.state is LoginState.OVER

    @property
    def waits_for_client(self) -> bool:
        """Whether `receive` is the next call."""
        return self.state in _FOR_CLIENT

    def receive(self, data: bytes | None) -> Action:
        """Take the client's initial response or its answer to a challenge.

        Args:
            data: the message; None if the client sent nothing with its choice of the mechanism.
        """
        state = self.state
        if state is _NEW or state is LoginState.CHALLENGED:
            return self._receive_credentials(data)
        self._move(LoginEvent.ANSWER)
        if state is LoginState.PROVEN:
            return _ACCEPTED
        if self.exchange is not None:
            failed = self._respond(self.exchange, data or b"")
            if failed is not None or state is LoginState.EXAMINED:
                return failed or WAIT
        return Failed(self._error)

    def challenged(self, challenge: bytes) -> Challenge:
        """Take a challenge of an `Exchange`, which its `on_challenge` was called with."""
        if self.exchange is None:
            raise ProtocolError("out of order: no checker can examine these credentials")
        self._move(LoginEvent.EXAMINE)
        return Challenge(challenge)

    def succeeded(self) -> Challenge | Accepted:
        """Take the portal's consent.

        If the answer is a challenge, the session is open, but the client does not know it yet. The
        protocol must end the session if the exchange fails after that.
        """
        data = None if self.exchange is None else self.exchange.outcome
        if data is None or self._replies_carry_data:
            self._move(_GRANT)
            return _ACCEPTED if data is None else Accepted(data)
        self._move(LoginEvent.PROVE)
        return Challenge(data)

    def refused(self, error: Exception) -> Challenge | Wait | Failed:
        """Called when the portal refuses the login: wrong credentials, or no such user.

        Args:
            error: the error, to be returned in `Failed` at the end.
        """
        exchange = self.exchange
        if self.state is LoginState.DECIDING:
            self._error = error
            if exchange is None:
                explanation = None if self._replies_carry_data else self.mechanism.refusal()
                if explanation is not None:
                    self._move(LoginEvent.EXPLAIN)
                    return Challenge(explanation)
            elif exchange.state is ExchangeState.NEW:
                # No checker knows the user. A client that is not challenged would learn that.
                self._move(LoginEvent.PRETEND)
                exchange.pretend(_ignore)
                return WAIT
        return self.failed(error)

    def failed(self, error: Exception) -> Failed:
        """Called when the login ends in any other way.

        The portal denies it or is unavailable, or the client aborts.

        Args:
            error: the error; a `ProtocolError` if the client aborts, or sends what its protocol
                cannot decode.
        """
        if self.state is LoginState.EXPLAINED:
            error = self._error  # a client that does not acknowledge its refusal is refused
        self._move(LoginEvent.FAIL)
        return Failed(error)

    def _receive_credentials(self, data: bytes | None) -> Challenge | Credentials | Failed:
        before, self.state = self.state, _OVER
        try:
            step = self.mechanism.step(data)
        except (ProtocolError, UnauthorizedLogin) as error:
            return _broken(error)
        if isinstance(step, Credentials):
            # Faster than `isinstance` for an abstract class, which most credentials do not have.
            if Exchange in type(step.credentials).__mro__:
                self.exchange = cast("Exchange", step.credentials)
            self.state = TRANSITIONS[before][_PRESENT]
        else:
            self.state = TRANSITIONS[before][LoginEvent.CHALLENGE]
        return step

    def _respond(self, exchange: Exchange, data: bytes) -> Failed | None:
        """Hand an answer to the exchange, which may call back from within."""
        try:
            exchange.answer(data)
        except (ProtocolError, UnauthorizedLogin) as error:
            self.state = LoginState.OVER
            return _broken(error)
        return None

    def _move(self, event: LoginEvent) -> None:
        try:
            self.state = TRANSITIONS[self.state][event]
        except KeyError:
            raise ProtocolError(
                f"out of order: {event} in a SASL login that is {self.state}"
            ) from None


def _broken(error: ProtocolError | UnauthorizedLogin) -> Failed:
    return Failed(error, unseen=isinstance(error, UnauthorizedLogin))


def _ignore(right: bool) -> None:
    """Ignore what a pretended exchange comes to: no answer is right."""
