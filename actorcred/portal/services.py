"""The checkers and the realm of a portal: which of them to ask, and restarts after crashes."""

from __future__ import annotations

import itertools
import logging
from typing import Any, cast

from actorcred.actors import ActorRef, Future, RestartIntensity, Restarts
from actorcred.actors.mailbox import Mailbox
from actorcred.checker import CheckerRef
from actorcred.naming import require_apart
from actorcred.offers import digests_of_all, offered_by_all
from actorcred.portal.events import RoleBack, RoleDown, RoleRestarted
from actorcred.portal.messages import ServiceBegun, ServiceCrashed, ServiceGone
from actorcred.portal.publishing import Events
from actorcred.portal.ref import PortalRef
from actorcred.realm import Realm

__all__ = ["Services", "SupervisedService"]


logger = logging.getLogger("actorcred.portal")


class SupervisedService:
    """One checker or the realm, and its crashes."""

    def __init__(
        self, ref: ActorRef[Any], interfaces: tuple[type, ...], intensity: RestartIntensity
    ) -> None:
        self.ref: Any = ref
        self.credential_interfaces = interfaces
        self.name = ref.actor_class.__name__
        self.restarts = Restarts(intensity)
        self.down = False

    def takes(self, credentials: object) -> bool:
        """Return whether a checker is to be asked about credentials."""
        try:
            return isinstance(credentials, self.credential_interfaces)
        except Exception:  # a class of the application can raise anything from its instance check
            logger.exception(
                "%s is not asked, since a check for its credential_interfaces failed:",
                self.name,
            )
            return False

    @property
    def offered_interfaces(self) -> tuple[type, ...]:
        """The kinds of credentials with which every user of a checker can log in."""
        return cast("CheckerRef", self.ref).offered_interfaces

    @property
    def digest_algorithms(self) -> frozenset[str] | None:
        """The algorithms of HTTP Digest for which a checker keeps digests; None for any."""
        return cast("CheckerRef", self.ref).digest_algorithms


class _ServiceSupervisor:
    """Lets the portal decide on the crashes of a role."""

    def __init__(self, portal: PortalRef, ref: ActorRef[Any]) -> None:
        self._portal = portal
        self._ref = ref

    def crashed(self, error: BaseException) -> Future[float | None]:
        """Ask the portal for the pause before a restart."""
        return self._portal.ask(ServiceCrashed(self._ref, error), block=False)

    def begun(self) -> None:
        """Report to the portal that the role works."""
        self._portal.tell_if_alive(ServiceBegun(self._ref))


class Services:
    """All roles of one portal, which supervises them.

    Args:
        portal: the portal.
        realm: its realm.
        intensity: how often each of them may crash.
        events: publishes crashes and restarts.
    """

    def __init__(
        self, portal: PortalRef, realm: ActorRef[Realm], intensity: RestartIntensity, events: Events
    ) -> None:
        self._portal = portal
        self.realm = realm
        self._intensity = intensity
        self._events = events
        self._checkers: list[SupervisedService] = []
        self._by_ref: dict[ActorRef[Any], SupervisedService] = {}
        self._names: dict[int, str] = {}  # by mailbox number, faster than by ref
        self._by_name: dict[str, CheckerRef] = {}
        self._add(SupervisedService(realm, (), self._intensity))

    def add_checkers(self, *added: tuple[CheckerRef, tuple[type, ...]]) -> None:
        """Add checkers, which are asked after the earlier ones.

        Args:
            added: refs, each with the kinds of credentials to ask it about.

        Raises:
            AccountError: if the templates of two of them allow the same avatar id. None is added.
        """
        known = {role.ref: cast("CheckerRef", role.ref).id_spaces for role in self._checkers}
        for checker, _ in added:
            if checker not in known:
                require_apart(list(known.values()), checker.id_spaces)
                known[checker] = checker.id_spaces
        for checker, interfaces in added:
            self._add_checker(checker, interfaces)

    def _add_checker(self, checker: CheckerRef, interfaces: tuple[type, ...]) -> None:
        role = self._by_ref.get(checker)
        if role is not None:
            role.credential_interfaces = tuple(
                dict.fromkeys((*role.credential_interfaces, *interfaces))
            )
            return
        role = SupervisedService(checker, interfaces, self._intensity)
        role.name = _unused(role.name, {other.name for other in self._checkers})
        self._checkers.append(role)
        self._by_name[role.name] = checker
        checker.add_listener(self._portal)
        self._add(role)

    def _add(self, role: SupervisedService) -> None:
        portal, ref = self._portal, role.ref
        self._by_ref[ref] = role
        self._names[ref.actor_inbox.number] = role.name
        ref.supervise(_ServiceSupervisor(portal, ref))
        ref.watch(lambda cause: portal.tell_if_alive(ServiceGone(ref, cause)))

    def mailboxes(self) -> list[tuple[str, Mailbox]]:
        """Return the names of the realm and the checkers, and their mailboxes. Thread-safe."""
        return [(role.name, role.ref.actor_inbox) for role in list(self._by_ref.values())]

    def checkers_for(self, credentials: object) -> list[CheckerRef]:
        """Return the checkers that take such credentials, in the order of registration."""
        try:
            return [
                role.ref
                for role in self._checkers
                if isinstance(credentials, role.credential_interfaces)
            ]
        except Exception:
            return [role.ref for role in self._checkers if role.takes(credentials)]

    def credential_interfaces(self, for_everybody: bool) -> list[type]:
        """Return the kinds of credentials that some checker takes, in the order of registration."""
        if for_everybody:
            return list(offered_by_all(self._checkers))
        return list(
            dict.fromkeys(
                interface for role in self._checkers for interface in role.credential_interfaces
            )
        )

    def digest_algorithms(self) -> frozenset[str] | None:
        """Return the algorithms of HTTP Digest that the checkers can verify; None for any."""
        return digests_of_all(self._checkers)

    def name_of(self, checker: ActorRef[Any] | None) -> str:
        """Return the name of a checker, which is the same after a restart of the program."""
        return "?" if checker is None else self._names.get(checker.actor_inbox.number, "?")

    def checker_named(self, name: str) -> CheckerRef | None:
        """Return the checker with a name from `name_of`; None if there is none."""
        return self._by_name.get(name)

    def checkers(self) -> list[tuple[str, CheckerRef]]:
        """Return the registered checkers with their names."""
        return list(self._by_name.items())

    def anyone_tells_standing(self) -> bool:
        """Return whether any checker can be asked which users may stay logged in."""
        return any(checker.tells_standing for checker in self._by_name.values())

    def crashed(self, ref: ActorRef[Any], error: BaseException, now: float) -> float:
        """Return the seconds until a crashed role is restarted; 0 means immediately."""
        role = self._by_ref[ref]
        pause = role.restarts.pause(now)
        if not pause:
            self._events.emit(RoleRestarted, role.name, type(error).__name__)
        elif role.down:
            logger.warning(
                "%s is still down (%s); the next try is in %g s",
                role.name,
                type(error).__name__,
                pause,
            )
        else:
            role.down = True
            self._tell_down(
                role,
                f"crashed too often, last with {type(error).__name__}",
                f"it is tried again in {pause:g} s",
            )
        return pause

    def begun(self, ref: ActorRef[Any]) -> None:
        """Record that a role works, possibly after a crash."""
        role = self._by_ref[ref]
        if role.down:
            role.down = False
            logger.warning("%s is back", role.name)
            self._events.emit(RoleBack, role.name)

    def gone(self, ref: ActorRef[Any], cause: BaseException | None) -> None:
        """Record that a role has stopped permanently."""
        why = "stopped" if cause is None else f"crashed with {type(cause).__name__}"
        self._tell_down(self._by_ref[ref], why, "it will not be restarted")

    def _tell_down(self, role: SupervisedService, why: str, outlook: str) -> None:
        logger.error(
            "%s is down (%s): logins that need it are unavailable; %s", role.name, why, outlook
        )
        self._events.emit(RoleDown, role.name, why)

    def close(self) -> None:
        """Stop listening to the checkers."""
        for role in self._checkers:
            cast("CheckerRef", role.ref).remove_listener(self._portal)


def _unused(name: str, taken: set[str]) -> str:
    """Return a name, with a number if it is taken."""
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return next(one for one in itertools.chain((name,), numbered) if one not in taken)
