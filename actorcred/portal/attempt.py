"""A login in progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from actorcred.checker import CheckerRef
from actorcred.credentials import HashTimes, with_source
from actorcred.errors import (
    CheckerUnavailable,
    LoginDenied,
    LoginFailed,
    RefusalCause,
    UnauthorizedLogin,
    UnknownKey,
)
from actorcred.exchange import Exchange
from actorcred.identity import ClientInfo, Identity
from actorcred.mind.mind import MindRef
from actorcred.names import AvatarId
from actorcred.portal.login import AttemptOwner, Login, LoginFuture
from actorcred.portal.pending_answer import PendingAnswer
from actorcred.sessions.ids import make_session_id
from actorcred.sessions.session import Session
from actorcred.sessions.sharing import SharedAvatar
from actorcred.sessions.states import CHECKING, SessionEvent, State, step
from actorcred.throttle import Turns

__all__ = ["Attempt"]


# See `CHECKING`.
_PROVEN, _ADMITTED, _OPENED = SessionEvent.PROVEN, SessionEvent.ADMITTED, SessionEvent.OPENED


class Attempt:
    """A login in progress; without interfaces, its credentials are only verified.

    The methods are in the order of a login's steps. They change the state of this login and nothing
    else.

    Args:
        portal: settles the future, and is told when the client no longer waits for it.
        credentials: what the client presents.
        target: how to reach the client.
        interfaces: what it requests of its avatar, in order of preference.
        authorize_as: the avatar id that it requests to act as, if that is another one.
        client: where the client comes from.
        info: what the protocol tells the realm.
        mechanism: how the client presents them; "" if the protocol does not say.
        renews: the session whose user proves the credentials again.

    Attributes:
        kind: the kind of credentials.
        claimed: the user name that the client claimed.
        began: when the login began, on the portal's clock; None before.
        exchange: the credentials, if they need a challenge.
        deadline: when the login fails, on the portal's clock.
        looked: when it was the login's turn; None if that was immediately.
        proven_at: when the credentials were accepted; None if no event or metric needs it.
        done_at: when the avatar was ready, if its `on_login` took a turn of its own.
        hashed: how long its password waited for a thread, and took; None if it was not hashed.
        trace: the caller's context for tracing; None without.
        awaited: what a checker or the realm must answer; any other answer is late.
        checker: the checker that is being asked, or that accepted the credentials.
        avatar_id: the avatar id, once it is proven.
        identity: the identity, if the checker said more than an avatar id.
        session_id: the id of the session that it will have.
        fence: the number of its place; see `Session.fence`.
        waited: whether its place was granted later than it was claimed, and could be lost again.
        mind: the client's mind, once the login has a place.
        source: the source for which the client is counted; "" if it has none.
        account: the account for which failures are counted.
        turns: the lines in which it has its turn.
        waits: the line in which it waits for its turn, and its number there; None if it does not.
        counted: whether it is counted among the logins of its source.
        familiar: whether the account has logged in from this source recently.
        shared: the avatar that later sessions can join; None if there is none.
        session: the session, once it exists.
    """

    __slots__ = (
        "_candidates",
        "_cause",
        "_claimed_again",
        "_details",
        "_guessed",
        "_known",
        "_unavailable",
        "account",
        "authorize_as",
        "avatar_id",
        "awaited",
        "began",
        "checker",
        "claimed",
        "client",
        "counted",
        "credentials",
        "deadline",
        "done_at",
        "exchange",
        "familiar",
        "fence",
        "future",
        "hashed",
        "identity",
        "info",
        "interfaces",
        "kind",
        "looked",
        "mechanism",
        "mind",
        "proven_at",
        "renews",
        "session",
        "session_id",
        "shared",
        "source",
        "state",
        "target",
        "trace",
        "turns",
        "waited",
        "waits",
    )

    began: float | None
    looked: float | None
    proven_at: float | None
    done_at: float | None
    hashed: HashTimes | None
    trace: Any
    _cause: RefusalCause | None

    def __init__(  # noqa: PLR0917  # keywords would cost each login
        self,
        portal: AttemptOwner,
        credentials: object,
        target: Any,
        interfaces: tuple[type, ...],
        authorize_as: str | None,
        client: ClientInfo,
        info: Mapping[str, Any],
        mechanism: str,
        renews: Session | None = None,
    ) -> None:
        self.renews = renews
        self.mechanism = mechanism
        self.began = self.looked = self.proven_at = self.done_at = self.hashed = None
        self.trace = self._cause = None
        self.client = client
        self.info = info
        self.authorize_as = authorize_as
        if client.address:
            credentials = with_source(credentials, client.address)
        self.credentials: object | None = credentials
        self.target = target
        self.interfaces = interfaces
        self.future = LoginFuture(portal, self)
        self.state: State = CHECKING
        self.claimed = str(getattr(credentials, "username", ""))
        self.kind = type(credentials).__name__
        self.deadline = 0.0
        self.checker: CheckerRef | None = None
        self._candidates: list[CheckerRef] = []
        self.awaited: PendingAnswer | None = None
        self._details: list[str] | None = None
        self._unavailable: CheckerUnavailable | LoginDenied | None = None
        self._known = False
        self._guessed = False
        self.source = self.account = ""
        self.exchange: Exchange | None = None
        self.turns: tuple[tuple[Turns, str], ...] = ()
        self.waits: tuple[Turns, str, int] | None = None
        self.counted = self.familiar = self.waited = False
        self.avatar_id: AvatarId = ""
        self.identity: Identity | None = None
        self.session_id = ""
        self.fence: int | None = None
        self._claimed_again = False
        self.mind: MindRef | None = None
        self.shared: SharedAvatar[Session] | None = None
        self.session: Session | None = None

    # -- checking --------------------------------------------------------------------------------

    def begin(self, checkers: list[CheckerRef], began: float, deadline: float) -> None:
        """Set the checkers to ask, in order, the time, and the deadline."""
        self.began = began
        checkers.reverse()
        self._candidates = checkers
        # Faster than `isinstance` for an abstract class, which most credentials do not have.
        if Exchange in type(self.credentials).__mro__:
            self.exchange = cast("Exchange", self.credentials)
        self.deadline = deadline

    def next_checker(self) -> CheckerRef | None:
        """Return the next checker to ask, or None."""
        if not self._candidates:
            return None
        self.checker = self._candidates.pop()
        if self.exchange is not None:
            self.exchange.last = not self._candidates
        return self.checker

    def note_refusal(self, detail: str, error: LoginFailed) -> None:
        """Remember why a checker did not accept the credentials, until the others were asked."""
        if isinstance(error, CheckerUnavailable | LoginDenied):
            self._unavailable = error
        self._known |= getattr(error, "known", False)
        self._guessed |= not isinstance(error, UnknownKey)
        if self._cause is not RefusalCause.WRONG_CREDENTIALS:
            self._cause = error.cause
        self._details = [*(self._details or ()), detail]

    def note_known(self) -> None:
        """Note that a checker knows the account."""
        self._known = True

    def failure(self) -> LoginFailed:
        """Return the error for a login that no checker has accepted."""
        detail = "; ".join(self._details or ())
        error = self._unavailable
        if error is None:
            kind = UnknownKey if detail and not self._guessed else UnauthorizedLogin
            return kind(detail).because(self._cause or kind.cause)
        # A subclass belongs to an adapter, which needs the data that it carries.
        if type(error) is not CheckerUnavailable:
            return error
        return CheckerUnavailable(detail).because(error.cause)

    def verified(self, avatar_id: AvatarId) -> None:
        """Complete a login whose credentials were only to be verified."""
        self.state = step(self.state, SessionEvent.VERIFIED)
        self.credentials = self.exchange = None
        self.future.settle(avatar_id)  # type: ignore[arg-type]

    def proven(self, avatar_id: AvatarId) -> None:
        """Set the avatar id, and drop the credentials: secrets are not kept longer than needed."""
        self.state = step(self.state, _PROVEN)
        self.credentials = self.exchange = None
        self._known = True
        self.avatar_id = avatar_id
        self.session_id = make_session_id()

    def may_claim_again(self) -> bool:
        """Return whether to claim another place; once, so that a faulty registry ends the login."""
        first, self._claimed_again = not self._claimed_again, True
        return first

    def granted(self) -> None:
        """Record that the registry has found a place."""
        self.waited = True

    def placed(self, fence: int | None) -> None:
        """Set the number of the place, which the login still has."""
        self.fence = fence

    # -- opening ---------------------------------------------------------------------------------

    def admit(self, mind: MindRef, shared: SharedAvatar[Session] | None) -> None:
        """Record that the login has a place, and set its minds."""
        self.state = step(self.state, _ADMITTED)
        self.mind = mind
        self.shared = shared

    def give_session(self, session: Session) -> None:
        """Set the session."""
        assert self.mind is not None
        self.session = self.mind.session = session

    def succeed(self) -> Login:
        """Return the login, with which the caller must settle `future`."""
        assert self.session is not None
        self.state = step(self.state, _OPENED)
        session = self.session
        session.succeed()
        # Without the constructor's own Python frame.
        return tuple.__new__(Login, (session.interface, session.avatar, session.end))

    # -- failing ---------------------------------------------------------------------------------

    def fail(self) -> None:
        """End the login and cancel a checker's work. The caller must settle `future` last."""
        self.state = step(self.state, SessionEvent.FAILED)
        if self.hashed is None:
            self.hashed = getattr(self.credentials, "hashing", None)
        self.credentials = self.exchange = None
        answer, self.awaited = self.awaited, None
        if answer is not None and self.mind is None:  # a realm may finish: its avatar is discarded
            answer.cancel()

    def abandon_minds(self) -> None:
        """Close the minds of a login that has no session."""
        for mind in (self.mind, None if self.shared is None else self.shared.hub):
            if mind is not None:
                mind.abandon()

    @property
    def known(self) -> bool:
        """Whether a checker knows the account."""
        return self._known
