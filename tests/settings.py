"""Settings for tests, whose groups' members are given by their names alone."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from actorcred import PortalOptions
from actorcred.rpc.server.options import Rates, Resume, ServerOptions
from actorcred.throttle import Admission, Penalty


def portal_options(**flat: Any) -> PortalOptions:
    """Return settings of a portal; those of a group are given by their names alone."""
    return PortalOptions(**_grouped(flat, admission=Admission, penalty=Penalty))


def server_options(**flat: Any) -> ServerOptions:
    """Return settings of a server; those of a group are given by their names alone."""
    return ServerOptions(**_grouped(flat, rates=Rates, resume=Resume))


def with_groups(options: PortalOptions | None, flat: dict[str, Any]) -> PortalOptions:
    """Take the settings of a portal's groups out of `flat`, and return `options` with them."""
    names = {field.name for kind in (Admission, Penalty) for field in fields(kind)}
    own = {name: flat.pop(name) for name in names & set(flat)}
    if not own:
        return options or PortalOptions()
    groups = portal_options(**own)
    return replace(options or PortalOptions(), admission=groups.admission, penalty=groups.penalty)


def _grouped(flat: dict[str, Any], **kinds: Any) -> dict[str, Any]:
    settings = dict(flat)
    for group, kind in kinds.items():
        own = [field.name for field in fields(kind) if field.name in settings]
        if own:
            settings[group] = kind(**{name: settings.pop(name) for name in own})
    return settings
