"""Who is online, as values: what each server knows of a user, and how that is merged. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from actorcred.settings import check_settings

__all__ = [
    "NOTHING",
    "Contribution",
    "PresenceHost",
    "PresenceLimits",
    "PresenceLink",
    "Status",
    "UserPresence",
    "changed_status",
    "merged",
    "merged_status",
]

Status = dict[str, tuple[float, Any]]
"""The values of a status by their keys, each with when it was set, in seconds since the epoch."""

NO_STATUS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PresenceLimits:
    """How much a portal watches and remembers.

    Args:
        users_per_watch: the users of one watch.
        watched: the watches and their users in all; a user who is watched twice counts twice.
        status_keys: the keys of a user's status.
        status_bytes: the size of a session's status as MessagePack.
        remembered: the users for whom it is remembered when they were online last.
        window: seconds for which changes are collected. A user who comes back within them has not
            been away.
    """

    users_per_watch: int = 5_000
    watched: int = 1_000_000
    status_keys: int = 16
    status_bytes: int = 1_024
    remembered: int = 10_000
    window: float = 0.05

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, slots=True)
class UserPresence:
    """Whether a user is online.

    Attributes:
        avatar_id: the user.
        online: whether the user has a session that is not hidden, at any server.
        status: what the application has set for these sessions, merged: the latest value of each
            key.
        last_seen: when the user was online last, in seconds since the epoch; None if the user is
            online, or if that is not known.
    """

    avatar_id: str
    online: bool = False
    status: Mapping[str, Any] = field(default_factory=lambda: NO_STATUS)
    last_seen: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether the user is online or was seen."""
        return self.online or self.last_seen is not None


class Contribution(msgspec.Struct, frozen=True, array_like=True):
    """What one server knows of a user.

    Attributes:
        sessions: how many sessions the user has there that are not hidden.
        status: what was set for them, merged.
        last_seen: when the user was online there last; None if that is not known.
    """

    sessions: int = 0
    status: Status = {}
    last_seen: float | None = None

    @property
    def is_known(self) -> bool:
        """Whether it says anything."""
        return self.sessions > 0 or self.last_seen is not None


NOTHING = Contribution()


class PresenceHost(Protocol):
    """What the link to other servers needs of a portal's presence. Thread-safe."""

    def follow(
        self, avatar_ids: list[str], answer: Callable[[dict[str, Contribution]], object]
    ) -> None:
        """Have `PresenceLink.changed` called for users from now on.

        Args:
            avatar_ids: the users.
            answer: called once with what is known of them now; users who are not in it have
                nothing. It is called in order with `PresenceLink.changed`, on any thread.
        """

    def unfollow(self, avatar_ids: list[str]) -> None:
        """Undo `follow`."""

    def heard(self, node: str, users: dict[str, Contribution], *, whole: bool) -> None:
        """Called with what another server knows of users.

        Args:
            node: the id of the server.
            users: what it knows.
            whole: whether it knows nothing of all others.
        """

    def gone(self, node: str) -> None:
        """Called when another server is gone, with all its sessions."""


class PresenceLink(Protocol):
    """The way to other servers. All methods can be called on any thread."""

    def watch(self, avatar_ids: list[str]) -> None:
        """Have `PresenceHost.heard` called for users."""

    def unwatch(self, avatar_ids: list[str]) -> None:
        """Undo `watch`."""

    def changed(self, users: dict[str, Contribution]) -> None:
        """Called when something about users has changed whom other servers follow."""


def merged_status(each: Iterable[Status], keys: int) -> Status:
    """Return the latest value of each key, and at most `keys` of these, the latest.

    Of values that were set at the same time, the last one counts.
    """
    latest: Status = {}
    for status in each:
        for key, (at, value) in status.items():
            if key not in latest or latest[key][0] <= at:
                latest[key] = (at, value)
    if len(latest) > keys:
        newest = sorted(latest, key=lambda key: (latest[key][0], key))[-keys:]
        latest = {key: latest[key] for key in newest}
    return latest


def merged(avatar_id: str, each: list[Contribution], keys: int) -> UserPresence:
    """Return what all servers together know of a user.

    Args:
        avatar_id: the user.
        each: what the servers know, in an order that is the same everywhere.
        keys: the most keys of the status.
    """
    online = [one for one in each if one.sessions]
    if online:
        status = merged_status((one.status for one in online), keys)
        values = {key: value for key, (_, value) in sorted(status.items())}
        return UserPresence(avatar_id, online=True, status=MappingProxyType(values))
    seen = [one.last_seen for one in each if one.last_seen is not None]
    return UserPresence(avatar_id, last_seen=max(seen, default=None))


def changed_status(
    status: Status, changes: Mapping[str, Any], at: float, limits: PresenceLimits
) -> Status:
    """Return a session's status with some changes; a value of None removes a key.

    Values become what they are at another server, such as lists for tuples.

    Raises:
        TypeError: if a value cannot cross to another server.
        ValueError: if the status would be too large.
    """
    result = dict(status)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = (at, _plain(key, value))
    if len(result) > limits.status_keys:
        raise ValueError(f"a status has at most {limits.status_keys} keys, not {len(result)}")
    size = len(msgspec.msgpack.encode({key: value for key, (_, value) in result.items()}))
    if size > limits.status_bytes:
        raise ValueError(f"a status has at most {limits.status_bytes} bytes, not {size}")
    return result


def _plain(key: str, value: Any) -> Any:
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise TypeError(
            f"{key}={value!r} cannot be a status: numbers, strings, lists and dicts can ({error})"
        ) from None
