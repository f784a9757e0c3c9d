"""The numbers of a portal that are read at each scrape of its metrics. Nothing is counted for them.

They are read on any thread, so each is the length of one object, or is read from a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized

from actorcred.portal.observing import Reading
from actorcred.portal.protection import Protection
from actorcred.portal.ref import PortalRef
from actorcred.portal.services import Services
from actorcred.sessions.directory import Directory
from actorcred.sessions.registry import Registry

__all__ = ["Gauges"]


class Gauges:
    """The numbers of one portal.

    Args:
        portal: its ref.
        directory: its sessions.
        logins: its logins in progress.
        services: its checkers and its realm.
        protection: its penalties and turns.
        registry: its registry, with numbers of its own.
    """

    def __init__(  # noqa: PLR0917  # the parts of a portal
        self,
        portal: PortalRef,
        directory: Directory,
        logins: Sized,
        services: Services,
        protection: Protection,
        registry: Registry,
    ) -> None:
        self._portal = portal
        self._directory = directory
        self._logins = logins
        self._services = services
        self._protection = protection
        self._registry = registry

    def read(self) -> Iterable[Reading]:
        """Return the numbers as they are now."""
        yield Reading("sessions", len(self._directory), (("state", "open"),))
        yield Reading("sessions", self._directory.ending, (("state", "ending"),))
        yield Reading("logins_in_progress", len(self._logins))
        yield Reading("logins_waiting", self._protection.waiting)
        yield from self._penalised()
        yield from self._mailboxes()
        for name, value in self._registry.gauges().items():
            yield Reading(name, value, (("node", self._registry.node),))

    def _penalised(self) -> Iterator[Reading]:
        for kind, count in self._protection.penalised().items():
            yield Reading("penalised", count, (("kind", kind),))

    def _mailboxes(self) -> Iterator[Reading]:
        waiting = self._portal.actor_inbox.qsize()
        yield Reading("mailbox_messages", waiting, (("actor", "portal"),))
        for name, mailbox in self._services.mailboxes():
            yield Reading("mailbox_messages", mailbox.qsize(), (("actor", name),))
