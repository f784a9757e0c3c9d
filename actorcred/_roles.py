"""The checkers and the realm of a portal: which of them to ask, and what becomes of those that crash."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from actorcred.actors import ActorRef, ControlCall, RestartIntensity, Restarts
from actorcred.checkers.base import CheckerRef, offered_by_all
from actorcred.events import Events, RoleDown, RoleRestarted
from actorcred.realm import Realm

if TYPE_CHECKING:
    from actorcred.portal import PortalRef

__all__ = ["Role", "Roles", "require_checker", "require_realm"]

logger = logging.getLogger("actorcred.portal")


def require_checker(checker: object, interfaces: tuple[type, ...] = ()) -> tuple[CheckerRef, tuple[type, ...]]:
    """Return a checker's ref and the kinds of credentials to ask it about.

    Raises:
        TypeError: if it is no started checker, or takes no credentials.
    """
    if not isinstance(checker, CheckerRef):
        raise TypeError(f"a checker must be a ref, as MyChecker.start() returns it, of a subclass of Checker; not {checker!r}")
    interfaces = interfaces or checker.credential_interfaces
    if not interfaces or not all(isinstance(interface, type) for interface in interfaces):
        raise TypeError(f"{checker.actor_class.__name__}.credential_interfaces must name the classes of credentials it takes")
    return checker, interfaces


def require_realm(realm: object) -> ActorRef[Realm]:
    """Return a realm's ref.

    Raises:
        TypeError: if it is no started realm.
    """
    if not isinstance(realm, ActorRef) or not issubclass(realm.actor_class, Realm):
        raise TypeError(f"a realm must be a ref, as MyRealm.start() returns it, of a subclass of Realm; not {realm!r}")
    return cast("ActorRef[Realm]", realm)


class Role:
    """One checker or the realm, and its crashes."""

    def __init__(self, ref: ActorRef[Any], interfaces: tuple[type, ...], intensity: RestartIntensity) -> None:
        self.ref = ref
        self.credential_interfaces = interfaces
        self.name = ref.actor_class.__name__
        self.restarts = Restarts(intensity)

    @property
    def offered_interfaces(self) -> tuple[type, ...]:
        """The kinds of credentials by which each user of a checker can log in."""
        return cast("CheckerRef", self.ref).offered_interfaces


class Roles:
    """All roles of one portal, which supervises them.

    Args:
        portal: the portal.
        realm: its realm.
        intensity: how often each of them may crash.
        events: where it is told.
    """

    def __init__(self, portal: PortalRef, realm: ActorRef[Realm], intensity: RestartIntensity, events: Events) -> None:
        self._portal = portal
        self.realm = realm
        self._intensity = intensity
        self._events = events
        self._checkers: list[Role] = []
        self._by_ref: dict[ActorRef[Any], Role] = {}
        self._add(Role(realm, (), self._intensity))

    def add_checker(self, checker: CheckerRef, interfaces: tuple[type, ...]) -> None:
        """Take a checker in, to be asked after those that were there before."""
        role = self._by_ref.get(checker)
        if role is not None:
            role.credential_interfaces = tuple(dict.fromkeys((*role.credential_interfaces, *interfaces)))
            return
        role = Role(checker, interfaces, self._intensity)
        self._checkers.append(role)
        checker.portals = (*checker.portals, self._portal)
        self._add(role)

    def _add(self, role: Role) -> None:
        portal, ref = self._portal, role.ref
        self._by_ref[ref] = role
        ref.supervise(lambda error: portal.ask(ControlCall(("_role_crashed", ref, error)), block=False))
        ref.watch(lambda cause: portal.tell_if_alive(ControlCall(("_role_gone", ref, cause))))

    def checkers_for(self, credentials: object) -> list[CheckerRef]:
        """Return the checkers that take such credentials, in the order in which they were registered."""
        return [cast("CheckerRef", role.ref) for role in self._checkers if isinstance(credentials, role.credential_interfaces)]

    def credential_interfaces(self, for_everybody: bool) -> list[type]:
        """Return the kinds of credentials that some checker takes, in the order of registration."""
        if for_everybody:
            return list(offered_by_all(self._checkers))
        return list(dict.fromkeys(interface for role in self._checkers for interface in role.credential_interfaces))

    def crashed(self, ref: ActorRef[Any], error: BaseException, now: float) -> bool:
        """Decide whether a role that crashed is restarted."""
        role = self._by_ref[ref]
        if not role.restarts.allow(now):
            return False
        self._events.emit(RoleRestarted, role.name, type(error).__name__)
        return True

    def gone(self, ref: ActorRef[Any], cause: BaseException | None) -> None:
        """Note that a role is down for good."""
        name = self._by_ref[ref].name
        why = "stopped" if cause is None else f"crashed too often, last with {type(cause).__name__}"
        logger.error("%s is down (%s): logins that need it are unavailable from now on", name, why)
        self._events.emit(RoleDown, name, why)

    def close(self) -> None:
        """Let go of the checkers."""
        for role in self._checkers:
            checker = cast("CheckerRef", role.ref)
            checker.portals = tuple(portal for portal in checker.portals if portal is not self._portal)
