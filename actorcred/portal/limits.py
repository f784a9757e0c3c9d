"""The limits of a portal as a table, for people who run a server."""

from __future__ import annotations

from collections.abc import Iterator

from actorcred.sessions.policies import Limits, Policy
from actorcred.throttle import Admission, Penalty

__all__ = ["describe_limits"]

_NONE = "no limit"

_DAY = 86400.0


def describe_limits(admission: Admission, penalty: Penalty, limits: Limits) -> str:
    """Return a table of the limits: their names, values, and what they limit.

    Args:
        admission: the limits of connections, logins and sessions.
        penalty: how long sources and accounts wait after failed logins.
        limits: the limits of sessions as the portal's policy sets them.
    """
    rows = [
        ("limit", "value", "of what"),
        *_rows_of_admission(admission, limits),
        *_rows_of_penalty(penalty),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{name:<{widths[0]}}  {value:<{widths[1]}}  {what}" for name, value, what in rows]
    return "\n".join(lines)


def _rows_of_admission(admission: Admission, limits: Limits) -> Iterator[tuple[str, str, str]]:
    connections = admission.connections
    yield (
        "connections",
        "RLIMIT_NOFILE - 64" if connections is None else str(connections),
        "connections, in total",
    )
    for name, what in (
        ("unauthenticated", "connections without a login, in total"),
        ("unauthenticated_per_source", "connections without a login, per source"),
        ("logins", "logins in progress, in total"),
        ("logins_per_source", "logins in progress, per source"),
        ("sessions", "sessions, in total"),
        ("sessions_per_source", "sessions of users, per source"),
        ("anonymous_per_source", "sessions of anonymous clients, per source"),
    ):
        yield name, _number(getattr(admission, name)), what
    one = limits.policy in {Policy.REPLACE, Policy.REJECT}
    most = limits.per_avatar or (1 if one else None)
    yield "sessions_per_avatar", _number(most), "sessions, per account"
    yield (
        "limit_loopback",
        "yes" if admission.limit_loopback else "no",
        "whether this machine counts as a source",
    )


def _rows_of_penalty(penalty: Penalty) -> Iterator[tuple[str, str, str]]:
    if not penalty.step:
        yield "step", "0 s", "there are no penalties after failed logins"
        return
    yield "free_failures", str(penalty.free_failures), "failed logins before a penalty"
    yield "step", f"{penalty.step:g} s", "the first penalty; each further failure doubles it"
    yield "longest", f"{penalty.longest:g} s", "the longest penalty"
    yield (
        "free_denials",
        str(penalty.free_denials),
        "denied logins before a source is refused",
    )
    yield (
        "familiar_for",
        f"{penalty.familiar_for / _DAY:g} days",
        "how long a source is familiar after a login",
    )


def _number(limit: int | None) -> str:
    return _NONE if limit is None else str(limit)
