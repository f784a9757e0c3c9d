"""Packing sessions for another server, and unpacking those that arrive from one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import pykka

from actorcred.actors import ActorRef, Future
from actorcred.avatar import Arrived, Avatar, Depart
from actorcred.checker import CheckerRef
from actorcred.errors import ActorcredError, MoveFailed
from actorcred.identity import Identity
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.channel import NOBODY, MovableChannel
from actorcred.mind.mind import MindRef
from actorcred.mind.outbox import unused_outbox
from actorcred.portal.events import SessionMoved
from actorcred.portal.logouts import Logouts
from actorcred.portal.messages import RunStep
from actorcred.portal.online import Online
from actorcred.portal.pending_answer import is_stop_of
from actorcred.portal.protection import Protection
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.realm import Granted, RestoreAvatar, examine
from actorcred.sessions.directory import Directory
from actorcred.sessions.moving import Arrival, Departure, Parcel
from actorcred.sessions.proof import Expiry, Proof
from actorcred.sessions.session import Session

__all__ = ["Moving"]

logger = logging.getLogger("actorcred.portal")

R = TypeVar("R")

PACKING = 5.0
"""Seconds for an avatar to finish what it does and to return a snapshot."""


LANDING = 10.0
"""Seconds for the realm and the avatar to restore a session."""


class _Answer(Future[Any]):
    """The future answer of the realm."""

    __slots__ = ()

    def started(self, work: Future[Any]) -> None:
        """Take note of the work, which is bounded by the caller's time-out."""


class Moving:
    """Implements `Mover` for one portal.

    Args:
        portal: the portal's ref.
        directory: its sessions.
        services: its realm and its checkers.
        logouts: ends sessions.
        protection: counts sessions by their sources.
        online: knows which users are online.
    """

    def __init__(  # noqa: PLR0917  # the parts of a portal
        self,
        portal: PortalRef,
        directory: Directory,
        services: Services,
        logouts: Logouts,
        protection: Protection,
        online: Online,
    ) -> None:
        self._portal = portal
        self._directory = directory
        self._services = services
        self._logouts = logouts
        self._protection = protection
        self._online = online
        self._verdicts: dict[Session, Future[bool]] = {}

    async def _run(self, step: Callable[[], R]) -> R:
        """Run a function in the portal's context."""
        return cast("R", await self._portal.ask(RunStep(step), block=False))

    # -- leaving ---------------------------------------------------------------------------------

    async def pack(self, session: Session) -> Parcel:
        """Have an avatar stop, and pack its session; see `Mover`."""
        channel = await self._run(lambda: self._begin(session))
        try:
            async with asyncio.timeout(PACKING):
                await channel.halt()
                snapshot = await self._take_snapshot(session)
                await session.mind.settled()
                state = await channel.state()
            return await self._run(lambda: self._parcel(session, snapshot, channel.kind, state))
        except BaseException as error:
            await asyncio.shield(self.stay(session))
            if isinstance(error, TimeoutError):
                raise MoveFailed(f"the avatar was busy for {PACKING:g} s") from None
            if isinstance(error, pykka.ActorDeadError):
                raise MoveFailed("the session has ended meanwhile") from None
            raise

    def _begin(self, session: Session) -> MovableChannel:
        channel = session.mind.channel
        if not session.is_open or not session.announced:
            raise MoveFailed("the session is not open")
        if session in self._verdicts:
            raise MoveFailed("the session moves already")
        if session.shared is not None:
            raise MoveFailed("avatars that are shared cannot move")
        if not getattr(session.avatar.actor_class, "has_snapshot", False):
            raise MoveFailed(f"{session.avatar.actor_class.__name__} has no snapshot()")
        if not isinstance(channel, MovableChannel):
            raise MoveFailed("the client cannot continue at another server")
        self._verdicts[session] = Future()
        self._logouts.moving[session] = None
        return channel

    async def _take_snapshot(self, session: Session) -> bytes:
        answer: Future[bytes | None] = Future()
        limit = self._portal.options.snapshot_size
        # After all that the client has sent before.
        session.avatar.actor_inbox.put(Depart(limit, answer, self._verdicts[session]))
        snapshot = await answer
        if snapshot is None:
            raise MoveFailed("the avatar has no snapshot now")
        return snapshot

    def _parcel(self, session: Session, snapshot: bytes, kind: str, state: Any) -> Parcel:
        expiry, proof = session.expiry, session.proof
        ahead = time.time() - self._portal.now()
        return Parcel(
            snapshot,
            kind,
            state,
            self._described(session.identity),
            None if expiry is None else expiry.at + ahead,
            expiry is not None and expiry.announced,
            None if proof is None else proof.at + ahead,
            [] if proof is None else sorted(proof.methods),
            math.isinf(session.last_seen),
            *self._online.status_of(session),
        )

    def _described(self, identity: Identity) -> list[tuple[str, list[int], str]]:
        vouchers = []
        for checker, name in identity.vouchers:
            path = next((path for ref, path in self._checkers() if ref == checker), None)
            if path is None:
                raise MoveFailed("a checker that vouches for the user is not registered")
            vouchers.append((*path, name))
        return vouchers

    def _checkers(self) -> Iterator[tuple[Any, tuple[str, list[int]]]]:
        """Return all checkers, those within others too, with how to find them."""
        stack: list[tuple[Any, tuple[str, list[int]]]] = [
            (ref, (name, [])) for name, ref in self._services.checkers()
        ]
        while stack:
            ref, (name, place) = stack.pop()
            yield ref, (name, place)
            stack += [
                (one, (name, [*place, number]))
                for number, one in enumerate(_within(ref))
                if len(place) < 8
            ]

    async def stay(self, session: Session) -> None:
        """Let a session go on that was packed in vain."""
        channel = session.mind.channel
        verdict = self._verdicts[session]
        if isinstance(channel, MovableChannel):
            channel.go_on()
        verdict.settle(False)

        def go_on() -> None:
            del self._verdicts[session]
            reason = self._logouts.moving.pop(session)
            if reason is not None:
                self._logouts.end(session, reason)

        await self._run(go_on)

    async def leave(self, session: Session, departure: Departure) -> None:
        """End a session here that goes on at another server."""
        channel = cast("MovableChannel", session.mind.channel)
        try:
            departure.leftovers = await channel.leave(departure.welcome)
        except Exception:
            logger.exception("A client could not be told where its session is:")
        departure.end = await self._run(lambda: self._left(session, departure))

    def _left(self, session: Session, departure: Departure) -> LogoutReason | None:
        """End a session that has left; return why it must end where it is now."""
        self._tell(session, self._portal.router.node, departure)
        return self._gone(session)

    def _gone(self, session: Session) -> LogoutReason | None:
        reason = self._logouts.moving.pop(session)
        if session.is_open:
            session.leave_logout_to_another()
            self._logouts.begin_end(session)
        elif reason is None:
            reason = session.reason  # the avatar has crashed, or was stopped by force
        self._verdicts.pop(session).settle(True)
        return reason

    async def lose(self, session: Session, reason: LogoutReason) -> None:
        """End a session that might be at another server: without the avatar's `on_logout`."""

        def lost() -> None:
            if session.is_open:
                session.end_for(reason)
            self._gone(session)

        channel = session.mind.channel
        if isinstance(channel, MovableChannel):
            channel.go_on()
        await self._run(lost)

    def _tell(self, session: Session, source: str, departure: Departure) -> None:
        whose = (session.checker, session.client, session.identity)
        self._logouts.events.emit(
            SessionMoved,
            session.id,
            session.avatar_id,
            source,
            departure.target,
            departure.fence,
            round(departure.duration, 6),
            *whose,
        )

    # -- arriving --------------------------------------------------------------------------------

    async def check(self, arrival: Arrival) -> None:
        """Check that a session can be unpacked here; see `Mover`."""
        await self._run(lambda: self._check(arrival))

    def _check(self, arrival: Arrival) -> None:
        kind = arrival.parcel.channel
        if self._logouts.draining:
            raise MoveFailed("the server is draining")
        if kind != NOBODY.kind and kind not in self._portal.landings:
            raise MoveFailed(f"no server for clients of the kind {kind!r}")
        if self._services.checker_named(arrival.checker) is None:
            raise MoveFailed(f"no checker {arrival.checker!r}")
        self._identity(arrival)

    def _identity(self, arrival: Arrival) -> Identity:
        """Return who the user is, with the checkers of this server that vouch for it."""
        described = arrival.parcel.vouchers
        if not described:
            return arrival.identity
        here = {(name, *place): ref for ref, (name, place) in self._checkers()}
        try:
            vouchers = tuple((here[(name, *place)], known) for name, place, known in described)
        except KeyError:
            raise MoveFailed("the checkers are others than at the other server") from None
        return arrival.identity.replaced(vouchers=vouchers)

    async def unpack(self, arrival: Arrival) -> Any:
        """Open a session that has arrived; see `Mover`."""
        began = time.monotonic()
        channel: MovableChannel = NOBODY
        if arrival.parcel.channel != NOBODY.kind:
            land = self._portal.landings[arrival.parcel.channel]
            channel = await land(arrival.parcel.state)
        mind = self._mind(arrival, channel)
        opening: Future[Session] | None = None
        try:
            async with asyncio.timeout(min(LANDING, self._portal.options.login_timeout)):
                granted = await self._ask_realm(arrival, mind)
                restored: Future[None] = Future()
                step = RunStep(lambda: self._open(arrival, mind, granted, restored))
                opening = self._portal.ask(step, block=False)
                session = await opening
                await restored
                welcome = await channel.arrive(session)
        except Exception as error:
            if opening is None:
                mind.abandon()
            else:
                opening.add_done_callback(_end)
            why = error if isinstance(error, ActorcredError) else type(error).__name__
            raise MoveFailed(f"the session could not be restored: {why}") from error
        took = time.monotonic() - began
        departure = Departure(self._portal.router.node, arrival.fence, duration=took)
        await self._run(lambda: self._tell(session, arrival.source, departure))
        return welcome

    def _mind(self, arrival: Arrival, channel: MovableChannel) -> MindRef:
        return MindRef(
            channel,
            unused_outbox(self._portal.options.outbox),
            self._portal.actor_inbox.dispatcher,
            self._identity(arrival),
            arrival.client,
        )

    async def _ask_realm(self, arrival: Arrival, mind: MindRef) -> Granted:
        realm, answer = self._services.realm, _Answer()
        interfaces = (arrival.interface,)
        realm.tell(
            RestoreAvatar(answer, arrival.avatar_id, mind, interfaces, arrival.parcel.snapshot)
        )
        try:
            said = await answer
        except asyncio.CancelledError:
            answer.add_done_callback(_discard)
            raise
        granted = examine(said, interfaces, realm.actor_class.__name__)
        avatar = granted.avatar
        if isinstance(avatar, ActorRef) and issubclass(avatar.actor_class, Avatar):
            if avatar.actor_class.has_snapshot:
                return granted
            avatar.stop(block=False)
        raise MoveFailed(f"the avatar of {realm.actor_class.__name__} has no restore()")

    def _open(
        self, arrival: Arrival, mind: MindRef, granted: Granted, restored: Future[None]
    ) -> Session:
        if arrival.is_lost():  # while the realm made the avatar
            granted.avatar.stop(block=False)
            mind.abandon()
            raise MoveFailed("this server has lost touch with the others")
        session = Session(
            arrival.id,
            arrival.avatar_id,
            granted.interface,
            checker=arrival.checker,
            mind=mind,
            owner=self._portal,
            fence=arrival.fence,
        )
        self._set_times(session, arrival)
        session.annotate(arrival.notes)
        session.give_avatar(granted.avatar, None)
        if not is_stop_of(granted.logout, granted.avatar):
            session.when_gone(self._services.realm, granted.logout)
        mind.session = session
        session.succeed()
        self._directory.add(session)
        self._protection.arrived(session.id, arrival.client, arrival.avatar_id)
        mailbox = session.avatar.actor_inbox
        mailbox.watch(session)
        mailbox.put(Arrived(session, arrival.parcel.snapshot, restored))
        self._logouts.watch_deadlines()
        self._logouts.when_arrived(session)
        self._online.arrived(session, arrival.parcel.status, hidden=arrival.parcel.hidden)
        return session

    def _set_times(self, session: Session, arrival: Arrival) -> None:
        """Set the deadlines, on the clock of this portal."""
        parcel, behind = arrival.parcel, self._portal.now() - time.time()
        session.since = arrival.since
        session.opened = arrival.since + behind
        session.last_seen = arrival.last_active + behind
        if parcel.never_idle:
            session.never_idle()
        if parcel.expires is not None:
            session.expiry = Expiry(parcel.expires + behind, parcel.expiry_told)
        if parcel.proven is not None:
            session.proof = Proof(parcel.proven + behind, frozenset(parcel.proven_by))


def _within(checker: Any) -> tuple[CheckerRef, ...]:
    """Return the checkers that a checker asks."""
    offers = getattr(checker, "offers", None)
    return tuple(getattr(offers, "checkers", ()))


def _end(opening: Future[Session]) -> None:
    """End a session that was opened in vain."""
    with contextlib.suppress(Exception):
        opening.get().end(LogoutCode.CRASHED)


def _discard(answer: Future[Any]) -> None:
    """Stop an avatar that came too late."""
    try:
        said = answer.get()
    except Exception:
        return
    for part in said if isinstance(said, tuple) else ():
        if isinstance(part, pykka.ActorRef):
            part.stop(block=False)
