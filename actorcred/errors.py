"""All errors of login and sessions, with the codes that stand for them on a wire.

The tree::

    ActorcredError
        LoginFailed                     refused          a login did not succeed; catch this one
            UnauthorizedLogin           refused          the credentials do not prove who the client claims to be
                UnknownKey              refused          a key is good, but not one of the user's; no guess at a secret
            UnhandledCredentials        refused          no checker takes credentials of this kind
            LoginDenied                 denied           a policy is against it, now; `retry_after` says when to ask again
            NoInterface                 no-interface     the realm has no avatar with a wanted interface
            CheckerUnavailable          unavailable      a checker or the realm cannot answer; never a way in
        CallError                       (any)            a method call failed; raise it in an avatar to tell the caller why
        ProtocolError                   protocol-error   the peer broke the protocol, so the connection ends
        ConnectionLost                                   the connection to the server is gone
        ClientGone                                       a client cannot answer any more
        PasswordRejected                                 a new password breaks a rule
        AccountError                                     an account store was asked for what it cannot do
        MissingExtra                                     an optional package is not installed
        RestartRole                                      a checker or realm cannot go on and wants to be made anew

The text of a `LoginFailed` is what a client may read: it never tells whether a user exists. `detail` is for the log.
The codes of calls are members of `CallCode`.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "AccountError",
    "ActorcredError",
    "CallCode",
    "CallError",
    "CheckerUnavailable",
    "ClientGone",
    "ConnectionLost",
    "LoginDenied",
    "LoginFailed",
    "MissingExtra",
    "NoInterface",
    "PasswordRejected",
    "ProtocolError",
    "RestartRole",
    "UnauthorizedLogin",
    "UnhandledCredentials",
    "UnknownKey",
    "login_error",
]


class ActorcredError(Exception):
    """The base of all errors of this package."""


class LoginFailed(ActorcredError):
    """A login did not succeed.

    Args:
        detail: the cause, for the log only; it must hold no secret.

    Attributes:
        code: what stands for this error on a wire.
        detail: the cause.
        seen: whether the credentials were looked at. Failures of those that were not are summed in the log.
    """

    code = "refused"
    message = "login refused"
    seen = True

    def __init__(self, detail: str = "") -> None:
        super().__init__(self.message)
        self.detail = detail

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # texts get to clients, so the detail is in none of them


class UnauthorizedLogin(LoginFailed):
    """The credentials do not prove who the client claims to be, or there is no such user: nobody can tell which.

    Args:
        detail: the cause, for the log only.
        known: whether there is such an account, for the log only. It is in no text, and a portal passes it on to no client.
    """

    def __init__(self, detail: str = "", *, known: bool = False) -> None:
        super().__init__(detail)
        self.known = known


class UnknownKey(UnauthorizedLogin):
    """A client has proven that it has a key, but the user has another one, or there is no such user.

    That is no guess: a client with several keys tries one after the other. So it does not count where failures are counted.
    """


class UnhandledCredentials(LoginFailed):
    """No checker of the portal takes credentials of this kind."""


class LoginDenied(LoginFailed):
    """A policy is against this login at present, whatever the credentials are worth.

    Args:
        detail: the cause, for the log only.
        retry_after: seconds after which asking again makes sense; None if that cannot be said.
        seen: whether the credentials were looked at.
    """

    code = "denied"

    def __init__(
        self, detail: str = "", *, retry_after: float | None = None, seen: bool = True
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.seen = seen

    def __str__(self) -> str:
        return (
            "login denied"
            if self.retry_after is None
            else f"login denied, try again in {self.retry_after:g} s"
        )


class NoInterface(LoginFailed):
    """The realm has no avatar that implements one of the wanted interfaces.

    Args:
        interfaces: the interfaces that were asked for.
    """

    code = "no-interface"
    message = "no such interface"

    def __init__(self, interfaces: tuple[type, ...] = ()) -> None:
        super().__init__(
            "none of "
            + (", ".join(interface.__name__ for interface in interfaces) or "no interfaces at all")
        )
        self.interfaces = interfaces


class CheckerUnavailable(LoginFailed):
    """A checker or the realm cannot answer now: its database is down, it crashed, or it took too long."""

    code = "unavailable"
    message = "login unavailable, try again later"


_BY_CODE: dict[str, type[LoginFailed]] = {
    error.code: error for error in (UnauthorizedLogin, LoginDenied, NoInterface, CheckerUnavailable)
}


def login_error(code: str, retry_after: float | None = None) -> LoginFailed | None:
    """Return the error of a login that stands behind a code on the wire, or None if it is another kind of code."""
    kind = _BY_CODE.get(code)
    if kind is None:
        return None
    return LoginDenied(retry_after=retry_after) if kind is LoginDenied else kind()


class CallCode(StrEnum):
    """Why a call failed, as a wire says it. An application may use further codes of its own."""

    FAILED = "failed"
    """The method says so; the default of `CallError`."""

    UNKNOWN_METHOD = "unknown-method"
    """The interface of the login has no such method."""

    BAD_ARGUMENTS = "bad-arguments"
    """The arguments do not fit the method; the message says where."""

    NOT_LOGGED_IN = "not-logged-in"
    """Only methods that begin with `cred.` can be called before the login."""

    OUT_OF_ORDER = "out-of-order"
    """This is not the time for it, as a second login on one connection."""

    REAUTHENTICATE = "reauthenticate"
    """The user must prove the credentials again first."""

    TOO_MANY_REQUESTS = "too-many-requests"
    """A limit of the server; ask again in `retry_after` seconds."""

    GONE = "gone"
    """The session is over."""

    UNANSWERED = "unanswered"
    """The method has asked a client or an actor, which has not answered, or cannot be asked."""

    INTERNAL = "internal"
    """Something went wrong in the server, whose log has the cause."""


class RestartRole(ActorcredError):
    """A checker or a realm cannot go on: raised by it, has it made anew from the arguments of its `start`.

    The request that was being served fails as unavailable. Any other exception fails its request only.
    """


class CallError(ActorcredError):
    """A method call failed. An avatar raises it to tell the caller; of other exceptions the caller learns nothing.

    Args:
        message: what the caller may read.
        code: a `CallCode`, or a word of the application's own.
        retry_after: seconds after which calling again makes sense; None if that cannot be said.
    """

    def __init__(
        self, message: str, code: str = CallCode.FAILED, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = str(code)
        self.retry_after = retry_after


class ProtocolError(ActorcredError):
    """The peer broke the protocol; the text says how."""

    code = "protocol-error"


class ConnectionLost(ActorcredError, ConnectionError):
    """The connection to the server is gone, or was never made; the text says why.

    Args:
        message: why.
        code: the reason of the server's goodbye; "" without one.
        retry_after: seconds after which connecting again makes sense; None if the server did not say.
    """

    def __init__(self, message: str, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class ClientGone(ActorcredError):
    """A call to a client will never be answered: there is no client, it is gone, or its outbox was full."""


class PasswordRejected(ActorcredError):
    """A new password breaks a rule; the text says which one, never the password."""


class AccountError(ActorcredError):
    """An account store was asked for something that it cannot do, as adding a name twice."""


class MissingExtra(ActorcredError, ImportError):
    """An optional package is needed.

    Args:
        feature: what needs it.
        extra: the extra of actorcred that brings it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional package: pip install 'actorcred[{extra}]'")
        self.extra = extra
