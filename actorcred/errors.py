"""All errors of login and sessions, with their codes on the wire.

The tree::

    ActorcredError
        LoginFailed               refused         a login did not succeed; catch this one
            UnauthorizedLogin     refused         the credentials do not prove the claimed identity
                UnknownKey        refused         a key is valid, but not the user's; not a guess
            UnhandledCredentials  refused         no checker accepts credentials of this kind
            LoginDenied           denied          a policy forbids it now; see `retry_after`
            NoInterface           no-interface    the realm has no avatar with a requested interface
            CheckerUnavailable    unavailable     a checker or the realm cannot answer; no way in
        CallError                 (any)           a method call failed; avatars raise it to say why
        ProtocolError             protocol-error  the peer broke the protocol; the connection ends
        ConnectionLost                            the connection to the server was lost
        ClientGone                                a client can no longer answer
        PasswordRejected                          a new password breaks a rule
        AccountError                              an account store cannot do what was requested
        MissingExtra                              an optional package is not installed
        RestartRole                               a checker or realm must be recreated
        SnapshotDeclined                          an avatar cannot be put away now
        MoveFailed                                a session stays at its server

Clients may read the text of a `LoginFailed`, so it never reveals whether a user exists. `detail` is
for the log. The codes of calls are members of `CallCode`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

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
    "MoveFailed",
    "NoInterface",
    "PasswordRejected",
    "ProtocolError",
    "RefusalCause",
    "RestartRole",
    "SnapshotDeclined",
    "UnauthorizedLogin",
    "UnhandledCredentials",
    "UnknownKey",
    "login_error",
]


class ActorcredError(Exception):
    """The base of all errors of this package."""


class RefusalCause(StrEnum):
    """Why a login did not succeed, for events, the log and metrics. No client is told."""

    WRONG_CREDENTIALS = "wrong-credentials"
    """No checker accepts the credentials: a wrong secret, or no such user."""

    UNKNOWN_KEY = "unknown-key"
    """The client has a key, but no checker knows it for this user. This is not a guess."""

    MALFORMED = "malformed-credentials"
    """No user can have such credentials, such as a name with control characters."""

    UNHANDLED = "unhandled-credentials"
    """No checker takes credentials of this kind."""

    NOT_PERMITTED = "not-permitted"
    """The client may not act as the user that it asked for."""

    ANOTHER_USER = "another-user"
    """Credentials of another user were given to reauthenticate."""

    REVOKED = "revoked"
    """The account was disabled, deleted or changed during the login."""

    PENALTY_SOURCE = "penalty-source"
    """Too many logins from the client's address have failed."""

    PENALTY_ACCOUNT = "penalty-account"
    """Too many logins to the account have failed."""

    FULL = "full"
    """Too many logins are in progress, or too many passwords wait to be verified."""

    SOURCE_FULL = "source-full"
    """Too many logins or sessions come from the client's address."""

    SESSION_LIMIT = "session-limit"
    """There are too many sessions, of this user or altogether."""

    POLICY = "policy"
    """A checker or the application denied the login for a reason of its own."""

    REALM_REFUSED = "realm-refused"
    """The realm refused the user, or has no avatar with the requested interface."""

    UNAVAILABLE = "unavailable"
    """A checker or the realm could not answer, or has failed."""

    TIMEOUT = "timeout"
    """The login was not done within `PortalOptions.login_timeout`."""

    GIVEN_UP = "given-up"
    """The client did not wait for the answer."""

    DRAINING = "draining"
    """The server shuts down."""


class LoginFailed(ActorcredError):
    """A login did not succeed.

    Args:
        detail: the cause, for the log only; it must not contain a secret.

    Attributes:
        code: the error's code on the wire.
        detail: the cause.
        cause: the kind of the cause, for the log only.
        seen: whether the credentials were examined. The log sums up failures where they were not.
    """

    code = "refused"
    message = "login refused"
    cause = RefusalCause.POLICY
    seen = True

    def __init__(self, detail: str = "") -> None:
        super().__init__(self.message)
        self.detail = detail

    def because(self, cause: RefusalCause) -> Self:
        """Set the kind of the cause; return this error."""
        self.cause = cause
        return self

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"  # clients can see texts, so none contains the detail


class UnauthorizedLogin(LoginFailed):
    """The credentials do not prove the claimed identity, or there is no such user.

    A client cannot tell which.

    Args:
        detail: the cause, for the log only.
        known: whether the account exists, for the log only. No text contains it, and a portal does
            not pass it on to clients.
    """

    cause = RefusalCause.WRONG_CREDENTIALS

    def __init__(self, detail: str = "", *, known: bool = False) -> None:
        super().__init__(detail)
        self.known = known


class UnknownKey(UnauthorizedLogin):
    """A client has proven that it has a key, but it is not the user's, or there is no such user.

    This is not a guess: a client with several keys tries them in turn. So it is not counted as a
    failure.
    """

    cause = RefusalCause.UNKNOWN_KEY


class UnhandledCredentials(LoginFailed):
    """No checker of the portal accepts credentials of this kind."""

    cause = RefusalCause.UNHANDLED


class LoginDenied(LoginFailed):
    """A policy forbids this login at present, whether or not the credentials are right.

    Args:
        detail: the cause, for the log only.
        retry_after: seconds after which a retry makes sense; None if unknown.
        seen: whether the credentials were examined.
        close: whether the protocol should close the connection, since the client did not stop.
    """

    code = "denied"

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float | None = None,
        seen: bool = True,
        close: bool = False,
    ) -> None:
        super().__init__(detail)
        self.retry_after = retry_after
        self.seen = seen
        self.close = close

    def __str__(self) -> str:
        return (
            "login denied"
            if self.retry_after is None
            else f"login denied, try again in {self.retry_after:g} s"
        )


class NoInterface(LoginFailed):
    """The realm has no avatar that implements one of the requested interfaces.

    Args:
        interfaces: the requested interfaces.
    """

    code = "no-interface"
    message = "no such interface"
    cause = RefusalCause.REALM_REFUSED

    def __init__(self, interfaces: tuple[type, ...] = ()) -> None:
        super().__init__(
            "none of " + ", ".join(interface.__name__ for interface in interfaces)
            if interfaces
            else "no interface was requested that the realm lists"
        )
        self.interfaces = interfaces


class CheckerUnavailable(LoginFailed):
    """A checker or the realm cannot answer now: its database is down, it crashed, or timed out."""

    code = "unavailable"
    message = "login unavailable, try again later"
    cause = RefusalCause.UNAVAILABLE


_BY_CODE: dict[str, type[LoginFailed]] = {
    error.code: error for error in (UnauthorizedLogin, LoginDenied, NoInterface, CheckerUnavailable)
}


def login_error(code: str, retry_after: float | None = None) -> LoginFailed | None:
    """Return the login error for a code on the wire, or None if it is another kind of code."""
    kind = _BY_CODE.get(code)
    if kind is None:
        return None
    return LoginDenied(retry_after=retry_after) if kind is LoginDenied else kind()


class CallCode(StrEnum):
    """Why a call failed, as sent over the wire. An application may use further codes of its own."""

    FAILED = "failed"
    """The method reported a failure; the default of `CallError`."""

    UNKNOWN_METHOD = "unknown-method"
    """The interface of the login has no such method."""

    BAD_ARGUMENTS = "bad-arguments"
    """The arguments do not fit the method; the message says where."""

    NOT_LOGGED_IN = "not-logged-in"
    """Only methods that begin with `cred.` can be called before the login."""

    OUT_OF_ORDER = "out-of-order"
    """The call is not allowed in this state, such as a second login on one connection."""

    FORBIDDEN = "forbidden"
    """The user does not have the role that the method requires."""

    REAUTHENTICATE = "reauthenticate"
    """The user must prove the credentials again first."""

    TOO_MANY_REQUESTS = "too-many-requests"
    """A limit of the server was exceeded; try again in `retry_after` seconds."""

    SUSPENDED = "suspended"
    """The server has lost touch with the other servers of its cluster; try again."""

    GONE = "gone"
    """The session is over."""

    UNANSWERED = "unanswered"
    """The method called a client or an actor that has not answered or cannot be reached."""

    INTERNAL = "internal"
    """Something went wrong in the server; its log has the cause."""


class RestartRole(ActorcredError):
    """Raised by a checker or a realm that cannot continue and must be recreated.

    It is recreated with the arguments of its `start`, and the current request fails as unavailable.
    Any other exception only makes its own request fail.
    """


class SnapshotDeclined(ActorcredError):
    """Raised by `Avatar.snapshot` of an avatar that cannot be put away now, such as in a duel.

    It stays where it is. Any other exception has the same effect, and is logged.
    """


class MoveFailed(ActorcredError):
    """A session could not be moved; the text says why. It goes on at its server, or has ended."""


class CallError(ActorcredError):
    """A method call failed. An avatar raises it to inform the caller.

    Details of other exceptions are not sent to the caller.

    Args:
        message: a message for the caller.
        code: a `CallCode`, or a code of the application's own.
        retry_after: seconds after which a retry makes sense; None if unknown.
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
    """The connection to the server was lost, or could not be established; the text says why.

    Args:
        message: why.
        code: the reason in the server's goodbye; "" without one.
        retry_after: seconds after which reconnecting makes sense; None if the server did not say.

    Attributes:
        moved: for a session that continues at another server, the token to resume it there, if
            any, and the id of the last request that was not left to that server; else None.
    """

    def __init__(self, message: str, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.moved: tuple[str | None, int] | None = None
        self.code = code
        self.retry_after = retry_after


class ClientGone(ActorcredError):
    """A call to a client will never be answered.

    There is no client, it has disconnected, or its outbox was full.
    """


class PasswordRejected(ActorcredError):
    """A new password breaks a rule; the text says which one, never the password."""


class AccountError(ActorcredError):
    """An account store cannot do what was requested, such as adding a name twice."""


class MissingExtra(ActorcredError, ImportError):
    """An optional package is needed.

    Args:
        feature: what needs it.
        extra: the extra of actorcred that installs it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional package: pip install 'actorcred[{extra}]'")
        self.extra = extra
