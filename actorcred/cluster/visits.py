"""Visits: sessions of this node that share an avatar of another one (policy SHARE).

There, the client is a guest, see `guests`; here, a stand-in takes the place of the avatar. Calls
are numbered and sent until they are answered, and carried out once. Notifications are numbered,
too: a session that has missed one ends, so that its client begins anew instead of being wrong.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

import msgspec
import pykka

from actorcred.actors import ActorRef, Future
from actorcred.cluster import messages as m
from actorcred.cluster.errors import BusDown, BusError, NodeGone, Pending, RemoteError
from actorcred.cluster.guest_places import GuestNode
from actorcred.cluster.guests import BATCH, Guests, Welcome, ask_living
from actorcred.cluster.holdings import Holding
from actorcred.cluster.members import Life
from actorcred.cluster.portable import name_of, plain, whence, who_is
from actorcred.cluster.replies import AnswerTo, code_of, hashable
from actorcred.cluster.stand_in import stand_in_class
from actorcred.errors import CheckerUnavailable, NoInterface
from actorcred.identity import identity_of
from actorcred.logout import LogoutCode, LogoutReason
from actorcred.mind.channel import channel_to
from actorcred.mind.mind import MindRef
from actorcred.sessions.registry import Place

__all__ = ["Visit", "Visits"]

logger = logging.getLogger("actorcred.cluster")

EARLY = 256
"""Messages to a client that may come before its session has opened."""

RESEND = 5.0
"""Seconds without an answer after which a call is sent again."""

PAUSE = 0.1
"""Seconds until a node that cannot be reached is tried again."""

DETACH = 2.0
"""Seconds for the answer of a node that an avatar was left; it is asked again after that."""

LEAVE = 8.0
"""Seconds for which a session waits until nothing is left of it at the node of the avatar."""

_numbers = itertools.count(1)


class Visit:
    """The way of one session to an avatar of another node. It is a `FarPlace` and an `Original`.

    Args:
        holding: the place of the session.
        host: the node of the avatar.
        node: this node.

    Attributes:
        interface: what the client may use the avatar as; set when it is attached.
        left: whether the other node was asked to let go of it, so that it must not be used again.
        over: whether the other node is known to have nothing of it.
    """

    def __init__(self, holding: Holding, host: str, node: GuestNode) -> None:
        self.host = host
        self.visit = next(_numbers)
        self.interface: type = object
        self.left = self.over = False
        self._holding = holding
        self._node = node
        self._reason = LogoutReason(LogoutCode.LOST)
        self._heard = 0
        self._calls = 0
        self._mind: MindRef | None = None
        self._early: list[Callable[[MindRef], object]] = []
        self._told: tuple[Any, Any] | None = None

    def attach_message(self) -> m.Attach:
        """Return the question to the other node; its fields are of the login."""
        holding, login = self._holding, self._holding.login
        assert login is not None
        identity = login.identity or identity_of(holding.avatar_id)
        return m.Attach(
            holding.session_id,
            self._node.id,
            self.visit,
            str(holding.avatar_id),
            holding.since,
            _names(holding.interfaces),
            who_is(identity),
            whence(login.client),
            plain(login.info),
            channel_to(login.target).takes_notifications,
        )

    # -- on any thread ---------------------------------------------------------------------------

    def enter(self, mind: MindRef) -> tuple[type, ActorRef[Any]]:
        """Start the stand-in; see `FarPlace.enter`."""
        self._told = mind.identity, mind.client
        made = stand_in_class(self.interface)
        avatar = made.start(self._holding.avatar_id, mind, self, dispatcher=mind.dispatcher)
        self._node.post(self._connect, mind)
        return self.interface, avatar

    def call(self, method: str, args: list[Any]) -> Future[Any]:
        """Call a method of the avatar; see `Original`."""
        return self._node.run(self._call(method, args))

    def introduce(self) -> None:
        """Tell the other node what the checkers now say of the user."""
        self._node.post(self._introduce, True)

    def leave(self, reason: LogoutReason, *, stop: bool) -> Future[None]:
        """Leave the avatar; see `Original`."""
        return self._node.run(self._leave(reason, stop))

    # -- the client ------------------------------------------------------------------------------

    def _connect(self, mind: MindRef) -> None:
        self._mind = mind
        early, self._early = self._early, []
        for message in early:
            message(mind)

    def to_client(self, message: Callable[[MindRef], object]) -> None:
        """Call a function with the mind, as soon as there is one."""
        if self._mind is not None:
            message(self._mind)
        elif len(self._early) < EARLY:
            self._early.append(message)
        else:
            self.lose()

    def deliver(self, message: m.Deliver) -> None:
        """Notify the client."""
        if message.number != self._heard + 1:
            self.lose()
            return
        self._heard += 1
        name, args = msgspec.msgpack.decode(message.body, type=tuple[str, list[Any]])
        key = hashable(message.key)
        self.to_client(lambda mind: mind.notify(name, *args, key=key))

    def has_heard(self, sent: int) -> None:
        """Compare the number of notifications with that of the other node."""
        if self._heard < sent:
            self.lose()

    def lose(self) -> None:
        """End the session, which has missed a notification."""
        if not self.left:
            lost = "notifications were lost between the servers"
            self._holding.ask_to_end(LogoutReason(LogoutCode.CUT_OFF, lost))

    def end(self, code: str, detail: str) -> None:
        """End the session, which the other node has let go."""
        self._holding.ask_to_end(LogoutReason(code_of(code), detail))

    # -- the avatar ------------------------------------------------------------------------------

    async def _call(self, method: str, args: list[Any]) -> Any:
        self._introduce()
        self._calls += 1
        session_id, number = self._holding.session_id, self._calls
        try:
            return await self._ask(m.GuestCall(session_id, number, method, args))
        except Pending:
            # The avatar handles other calls meanwhile, and so does the stand-in.
            return self._node.run(self._ask(m.GuestResult(session_id, number)))

    async def _ask(self, question: m.Message) -> Any:
        """Ask the other node until it has answered or there is no hope of that."""
        while True:
            try:
                return await self._node.ask(self.host, question, RESEND)
            except pykka.ActorDeadError:
                # Why is on its way; if that was lost, it is found out.
                asyncio.get_running_loop().call_later(PAUSE, self._node.check)
                raise
            except (NodeGone, BusDown):
                if self._is_hopeless():
                    raise pykka.ActorDeadError(f"node {self.host} does not answer") from None
            await asyncio.sleep(PAUSE)

    def _is_hopeless(self) -> bool:
        holding = self._holding
        ends = self.over or holding.leaving or holding.reason is not None
        return ends or self._node.members.life_of(self.host) is Life.DEAD

    def _introduce(self, changed: bool = False) -> None:
        """Tell the other node what is new about the client, if anything is."""
        mind = self._mind
        if mind is None or (not changed and self._told == (mind.identity, mind.client)):
            return
        self._told = mind.identity, mind.client
        identity, client = who_is(mind.identity), whence(mind.client)
        self._node.tell(self.host, m.Introduce(self._holding.session_id, identity, client, changed))

    async def _leave(self, reason: LogoutReason, stop: bool) -> None:
        self._reason = reason
        deadline = monotonic() + LEAVE
        while True:
            try:
                await self.detach(stop=stop)
                return
            except BusDown as error:
                # What is left is made good when the place is given up.
                logger.debug("An avatar of %s is left later: %s", self.host, error)
                if not self._node.members.holds or monotonic() > deadline:
                    return
            await asyncio.sleep(PAUSE)

    async def detach(self, *, stop: bool = False) -> None:
        """Make sure that the other node has nothing of it; see `Shared`."""
        self.left = True
        if self.over:
            return
        reason = self._reason
        question = m.Detach(self._holding.session_id, str(reason.code), reason.detail, stop)
        try:
            if self._node.members.life_of(self.host) is not Life.DEAD:
                await self._node.ask(self.host, question, DETACH)
        except NodeGone:
            if self._node.members.life_of(self.host) is not Life.DEAD:
                raise BusDown(f"{self.host} does not answer") from None
        except (BusError, RemoteError) as error:
            raise BusDown(str(error)) from None
        self.over = True


class Visits:
    """The visits of this node. All of it runs on the cluster's event loop.

    Args:
        node: this node.
        guests: its guests, whose avatars its own logins share, too.
    """

    def __init__(self, node: GuestNode, guests: Guests) -> None:
        self._node = node
        self._guests = guests

    async def join(self, holding: Holding) -> bool:
        """Have a login share the avatar of its place's node; it then has its `place`.

        Returns:
            False if there is no such avatar, or not any more.

        Raises:
            NoInterface: if the avatar implements no interface that the client requests.
            CheckerUnavailable: if the login was given up.
            BusDown: if the node does not answer.
        """
        pause = 0.005
        while True:
            welcome, place = await self._ask(holding)
            if welcome is Welcome.ATTACHED:
                holding.place = place
                return True
            if welcome is Welcome.GONE:
                return False
            if holding.dropped:
                raise CheckerUnavailable("given up by the client")
            if not self._node.members.holds:
                raise BusDown("cut off from the other nodes")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(0.1, pause * 2)

    async def _ask(self, holding: Holding) -> tuple[Welcome, Place]:
        if not holding.avatar_at:
            return await self._guests.share(holding)
        visit = holding.shared
        if not isinstance(visit, Visit) or visit.left or visit.host != holding.avatar_at:
            await self.leave(holding)
            visit = holding.shared = Visit(holding, holding.avatar_at, self._node)
        try:
            answer = await self._node.ask(visit.host, visit.attach_message())
            welcome, name = msgspec.convert(answer, tuple[Welcome, str])
        except NodeGone:
            if self._node.members.life_of(visit.host) is Life.DEAD:
                visit.left = visit.over = True
                return Welcome.GONE, None
            raise BusDown(f"{visit.host} does not answer") from None
        except (RemoteError, msgspec.ValidationError) as error:
            raise BusDown(f"{visit.host} answered wrongly: {error}") from None
        visit.left = visit.over = welcome in {Welcome.GONE, Welcome.NO_INTERFACE}
        if welcome is Welcome.NO_INTERFACE:
            raise NoInterface(holding.interfaces)
        if welcome is Welcome.ATTACHED:
            visit.interface = next(one for one in holding.interfaces if name_of(one) == name)
        return welcome, visit

    @staticmethod
    async def leave(holding: Holding) -> None:
        """Make sure that no other node has anything of a session or login.

        Raises:
            BusDown: if that is not known yet.
        """
        if holding.shared is not None:
            await holding.shared.detach()
            holding.shared = None

    def visit_of(self, session_id: str) -> Visit | None:
        """Return the visit of a session, or of a login that gets its place."""
        holding = self._node.holdings.get(session_id)
        visit = None if holding is None else holding.shared
        return visit if isinstance(visit, Visit) else None

    MESSAGES = (m.Deliver, m.Over, m.CheckVisits)

    def receive(self, message: m.Message, answer: AnswerTo) -> None:
        """Handle a message about visits, one of `MESSAGES`."""
        match message:
            case m.Deliver(session_id, number) | m.Over(session_id, number):
                visit = self.visit_of(session_id)
                if visit is None or visit.visit != number or visit.left:
                    return  # of an earlier attempt
                if isinstance(message, m.Deliver):
                    visit.deliver(message)
                else:
                    visit.end(message.code, message.detail)
            case m.CheckVisits(node, sent):
                answer("ok", [one for one, number in sent if not self._is_visit(one, node, number)])

    def _is_visit(self, session_id: str, node: str, sent: int) -> bool:
        visit = self.visit_of(session_id)
        if visit is None or visit.host != node or visit.over:
            return False
        visit.has_heard(sent)
        return True

    def node_died(self, node: str) -> None:
        """End the sessions whose avatar was at a node that has died or left."""
        gone = LogoutReason(LogoutCode.CUT_OFF, "the server of the avatar is gone")
        for holding in self._node.holdings:
            if holding.avatar_at == node and not holding.claiming:
                holding.ask_to_end(gone)

    async def check(self) -> None:
        """Compare with the nodes of the avatars, since messages might be lost.

        Raises:
            BusDown: if that is not possible now.
        """
        by_host: dict[str, list[Holding]] = {}
        for holding in self._node.holdings:
            if holding.avatar_at and holding.session is not None and holding.reason is None:
                by_host.setdefault(holding.avatar_at, []).append(holding)
        for host, holdings in by_host.items():
            for start in range(0, len(holdings), BATCH):
                await self._check(host, holdings[start : start + BATCH])

    async def _check(self, host: str, holdings: list[Holding]) -> None:
        ids = [holding.session_id for holding in holdings]
        unknown = await ask_living(self._node, host, m.CheckGuests(self._node.id, ids))
        for holding in holdings:
            if holding.session_id in unknown:
                let_go = "the server of the avatar has let it go meanwhile"
                holding.ask_to_end(LogoutReason(LogoutCode.CUT_OFF, let_go))


def _names(interfaces: Iterable[type]) -> list[str]:
    """Return the names of those interfaces that can be used from another node.

    Raises:
        CheckerUnavailable: if there is none.
    """
    names, why = [], ""
    for interface in interfaces:
        try:
            stand_in_class(interface)
        except TypeError as error:
            why = str(error)
        else:
            names.append(name_of(interface))
    if not names:
        raise CheckerUnavailable(f"the avatar is at another node, and {why}")
    return names
