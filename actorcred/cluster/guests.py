"""Guests: clients of other nodes that share an avatar of this one (policy SHARE).

A guest is a session of the portal whose client is reached by the bus. The client's own session is
at its own node, see `visits`. If one of the two ends, so does the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any

import msgspec
import pykka
from pykka.messages import ProxyCall

from actorcred.actors import ActorRef, Future
from actorcred.avatar import Avatar, Reidentified
from actorcred.cluster import messages as m
from actorcred.cluster.errors import BusDown, BusError, NodeGone, RemoteError
from actorcred.cluster.guest_places import GuestChannel, GuestNode, GuestPlace
from actorcred.cluster.holdings import Holding
from actorcred.cluster.members import Life
from actorcred.cluster.portable import name_of
from actorcred.cluster.replies import AnswerTo, code_of, convert
from actorcred.errors import CallCode, CallError, NoInterface
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.methods import methods_of
from actorcred.sessions.guest import Newcomer
from actorcred.sessions.registry import SessionHost
from actorcred.sessions.session import Session

__all__ = ["BATCH", "Guests", "Welcome", "ask_living"]

logger = logging.getLogger("actorcred.cluster")

BATCH = 1000
"""Guests that are compared by one message."""


class Welcome(StrEnum):
    """How a node answers a client that is to share an avatar."""

    ATTACHED = "attached"
    LATER = "later"
    """The avatar opens or ends, or the node cannot decide now: ask again."""

    GONE = "gone"
    """There is no such avatar."""

    NO_INTERFACE = "no-interface"


class Guests:
    """The guests of this node. All of it runs on the cluster's event loop.

    Args:
        node: this node.
        spawn: runs a coroutine in the background.
    """

    def __init__(
        self, node: GuestNode, spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._node = node
        self._spawn = spawn
        self.host: SessionHost | None = None
        """The portal, once there is one."""

    MESSAGES = (m.Attach, m.Detach, m.GuestCall, m.GuestResult, m.Introduce, m.CheckGuests)

    def receive(self, message: m.Message, answer: AnswerTo) -> None:
        """Handle a message about guests, one of `MESSAGES`."""
        match message:
            case m.Attach():
                self._spawn(self._answer_attach(message, answer))
            case m.Detach():
                self._spawn(self._detach(message, answer))
            case m.GuestCall():
                self._call(message, answer)
            case m.GuestResult(session_id, number):
                guest = self._get(session_id)
                if guest is None:
                    answer("dead")
                else:
                    guest.tell_result(number, answer)
            case m.Introduce():
                self._introduce(message)
            case m.CheckGuests(node, session_ids):
                answer("ok", [one for one in session_ids if not self._is_guest(one, node)])
                self._spawn(self._compare(node))

    def _get(self, session_id: str) -> GuestPlace | None:
        guest = self._node.holdings.guests.get(session_id)
        return guest if isinstance(guest, GuestPlace) else None

    def _all(self) -> list[GuestPlace]:
        guests = self._node.holdings.guests.values()
        return [guest for guest in guests if isinstance(guest, GuestPlace)]

    def _of(self, node: str) -> list[GuestPlace]:
        return [guest for guest in self._all() if guest.node == node]

    def _is_guest(self, session_id: str, node: str) -> bool:
        guest = self._get(session_id)
        return guest is not None and guest.node == node and guest.is_known

    # -- coming ----------------------------------------------------------------------------------

    async def share(self, holding: Holding) -> tuple[Welcome, Session | None]:
        """Return the session of this node whose avatar a login of this node can share."""
        host = self.host
        session = None
        if host is not None:
            session = await self._run(lambda: host.shareable(holding.avatar_id))
        if session is None:
            return self._absent(holding.key), None
        return Welcome.ATTACHED, session

    def _absent(self, key: str) -> Welcome:
        return Welcome.LATER if self._node.holdings.has_avatar(key) else Welcome.GONE

    async def _run(self, step: Callable[[], Session | None]) -> Session | None:
        assert self.host is not None
        try:
            return await self.host.run(step)
        except pykka.ActorDeadError:  # the portal has stopped
            return None

    async def _answer_attach(self, message: m.Attach, answer: AnswerTo) -> None:
        try:
            answer("ok", await self._attach(message))
        except Exception:
            logger.exception("A client of %s could not share an avatar:", message.node)
            answer("failed", "attach")

    async def _attach(self, message: m.Attach) -> tuple[str, str]:
        node = self._node
        # A node that was never heard would not be missed when it has died.
        if self.host is None or not node.may_decide() or message.node not in node.members.others():
            return Welcome.LATER, ""
        guest = self._get(message.session_id)
        if guest is not None:
            session = guest.session
            if session is not None and guest.visit == message.visit and guest.reason is None:
                return Welcome.ATTACHED, name_of(session.interface)
            if guest.visit != message.visit:
                guest.ask_to_end(LogoutReason(LogoutCode.LOST, "the client tries again"))
            return Welcome.LATER, ""
        return await self._admit(GuestPlace(message), message)

    async def _admit(self, guest: GuestPlace, message: m.Attach) -> tuple[str, str]:
        node, host = self._node, self.host
        assert host is not None
        node.holdings.add(guest)  # first, so that the avatar is known to be here while it ends
        newcomer = self._newcomer(guest, message)
        guest.generation = node.members.generation

        def attach() -> Session | None:
            present = host.shareable(guest.avatar_id)
            return None if present is None else host.attach(present, newcomer)

        session, why = None, Welcome.GONE
        try:
            session = await self._run(attach)
        except NoInterface:
            why = Welcome.NO_INTERFACE
        finally:
            guest.claiming = False
            if session is None:
                guest.leaving = True
                node.holdings.forget(guest)
        if session is None:
            return self._absent(guest.key) if why is Welcome.GONE else why, ""
        if guest.dropped:  # it has ended already
            node.forget_guest(guest)
            return Welcome.LATER, ""
        session.suspension = node.suspension(guest.session_id)
        guest.opened(session)
        if not node.may_decide() or node.members.life_of(guest.node) is Life.DEAD:
            guest.ask_to_end(LogoutReason(LogoutCode.CUT_OFF))
        return Welcome.ATTACHED, name_of(session.interface)

    def _newcomer(self, guest: GuestPlace, message: m.Attach) -> Newcomer:
        takes = message.takes_notifications
        return Newcomer(
            guest.session_id,
            GuestChannel(guest, self._node, takes_notifications=takes),
            message.identity.identity(),
            message.client.client(),
            message.info,
            lambda kind: self._node.interfaces.choose(message.interfaces, kind),
        )

    def _introduce(self, message: m.Introduce) -> None:
        guest = self._get(message.session_id)
        session = None if guest is None else guest.session
        if session is None:
            return
        identity = message.identity.identity()
        session.refresh(identity)
        session.moved(message.client.client())
        if message.changed and issubclass(session.avatar.actor_class, Avatar):
            session.avatar.actor_inbox.put(Reidentified(identity))

    # -- calling ---------------------------------------------------------------------------------

    def _call(self, message: m.GuestCall, answer: AnswerTo) -> None:
        """Call the avatar, which might be held here. Roles were checked at the client's node."""
        guest = self._get(message.session_id)
        if guest is None or not guest.is_open:
            answer("dead")
            return
        session = guest.session
        assert session is not None
        guest.follow(message.number, answer, lambda: _ask(session, message, busy=guest.is_busy))

    # -- going -----------------------------------------------------------------------------------

    async def _detach(self, message: m.Detach, answer: AnswerTo) -> None:
        guest = self._get(message.session_id)
        if guest is not None:
            if message.stop and guest.session is not None:
                ActorRef[Any](guest.session.avatar.actor_inbox).stop(block=False)
            await guest.end(LogoutReason(code_of(message.code), message.detail))
        answer("ok")

    def node_died(self, node: str) -> None:
        """End the guests of a node that has died or left."""
        for guest in self._of(node):
            guest.ask_to_end(LogoutReason(LogoutCode.LOST, "the client's server is gone"))

    def released(self, session_id: str) -> bool:
        """Record that the session of a guest is over; return False if there is no such guest."""
        guest = self._get(session_id)
        if guest is None:
            return False
        if guest.claiming:
            guest.dropped = True
        elif not guest.leaving:
            guest.leaving, guest.session = True, None
            self._node.forget_guest(guest)
        return True

    # -- after an outage -------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Fail the calls of clients whose answers might be lost."""
        for guest in self._all():
            self._interrupt(guest)

    @staticmethod
    def _interrupt(guest: GuestPlace) -> None:
        for asking in list(guest.asking):
            asking.cancel()

    async def _compare(self, node: str) -> None:
        """Compare with a node that was cut off."""
        guests = [guest for guest in self._of(node) if guest.session is not None]
        for guest in guests:
            self._interrupt(guest)
        try:
            await self._check(node, guests)
        except BusDown as error:  # it is cut off again
            logger.debug("The guests of %s are compared later: %s", node, error)

    async def check(self) -> None:
        """Compare with the nodes of the clients, since messages might be lost.

        Raises:
            BusDown: if that is not possible now.
        """
        by_node: dict[str, list[GuestPlace]] = {}
        for guest in self._all():
            if guest.session is not None:
                by_node.setdefault(guest.node, []).append(guest)
        for node, guests in by_node.items():
            await self._check(node, guests)

    async def _check(self, node: str, guests: list[GuestPlace]) -> None:
        for start in range(0, len(guests), BATCH):
            batch = guests[start : start + BATCH]
            sent = [(guest.session_id, guest.sent) for guest in batch]
            unknown = await ask_living(self._node, node, m.CheckVisits(self._node.id, sent))
            for guest in batch:
                if guest.session_id in unknown:
                    guest.ask_to_end(LogoutReason(LogoutCode.LOST, "while a server was cut off"))


def _ask(session: Session, message: m.GuestCall, *, busy: bool) -> Future[Any]:
    try:
        if (refusal := session.refusal()) is not None:
            raise refusal
        if busy:
            raise CallError("too many results come later", CallCode.TOO_MANY_REQUESTS)
        method = methods_of(session.interface).get(message.method)
        if method is None:
            raise CallError(f"no method {message.method!r}", CallCode.UNKNOWN_METHOD)
        call = ProxyCall((method.name,), method.arguments(message.args, convert), {})
    except CallError as error:
        failed: Future[Any] = Future()
        failed.settle_error(error)
        return failed
    # As the ref of the session would, but for roles: the client's own node has checked these.
    return ActorRef.ask(session.avatar, call, block=False)


async def ask_living(node: GuestNode, other: str, question: m.Message) -> set[str]:
    """Ask a node for ids of sessions; none if it has died.

    Raises:
        BusDown: if it does not answer.
    """
    try:
        return set(msgspec.convert(await node.ask(other, question), list[str]))
    except NodeGone:
        if node.members.life_of(other) is Life.DEAD:
            return set()
        raise BusDown(f"{other} does not answer") from None
    except (BusError, RemoteError, msgspec.ValidationError) as error:
        raise BusDown(f"{other} answered wrongly: {error}") from None
