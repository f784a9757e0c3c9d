"""The settings of a portal, with their defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from actorcred.actors import RestartIntensity
from actorcred.audit import PERSONAL, ClaimedNames, UnknownNames
from actorcred.mind.outbox import OutboxLimit
from actorcred.portal.limits import describe_limits
from actorcred.portal.observing import Counts, Tracing
from actorcred.sessions.policies import Limits, Policy
from actorcred.sessions.presence import PresenceLimits
from actorcred.sessions.registry import MakeRegistry, MemoryRegistry
from actorcred.settings import check_settings
from actorcred.throttle import Admission, Penalty

__all__ = ["PasswordChange", "PortalOptions", "UnknownNames"]


class PasswordChange(StrEnum):
    """What happens to open sessions when a password changes (OWASP ASVS 5.0, 7.4.3)."""

    END = "end"
    """They end immediately."""

    TELL = "tell"
    """Their minds are notified with "password_changed", and they continue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalOptions:
    """The settings of a portal.

    Args:
        login_timeout: seconds for a whole login: checking the credentials, waiting for an earlier
            session to end, and getting the avatar.
        policy: what happens when an avatar id logs in that is already logged in: ALLOW, REPLACE,
            REJECT or SHARE.
        idle_timeout: seconds without activity of the client after which a session ends; None is no
            limit. The default is the 30 minutes of NIST SP 800-63B, AAL2 (OWASP ASVS 5.0, 7.3.1).
        lifetime: seconds after which a session ends in any case; None is no limit. The default is
            the 12 hours of NIST SP 800-63B, AAL2 (OWASP ASVS 5.0, 7.3.2).
        logout_timeout: seconds for an avatar to finish its current call, its `on_logout` and its
            `on_stop` after its session has ended. Then what it awaits is cancelled. If it awaits
            nothing, or takes as long again, it is stopped without running them.
        outbox: the limits of each client's queue of notifications, and what happens when it is
            full.
        restart: how often a checker or the realm may crash before it is down. Restarts are then
            tried after pauses that grow to a minute.
        on_password_change: what happens to open sessions of the account. Sessions of disabled and
            deleted accounts end in any case.
        may_act_as: called with the proven avatar id and another one that the client requests to act
            as; must return whether that is permitted. None: no client may act as another user.
        log_unknown_names: how events and the audit log show a name that a client claimed without
            success and that no checker knows: "show", "hash" or "omit". It might be a password that
            was typed into the wrong field, so the default is a keyed hash, which hides the name but
            still shows which attempts belong together. Only the checkers of this package report
            which names they know. If all checkers are your own, consider "show".
        log_names_key: the key of that hash, 1 to 64 bytes. Set it to get the same hashes after a
            restart and on several machines. By default each portal generates its own.
        admission: the limits on connections, logins and sessions. Those of connections are applied
            by the RPC server, all others by the portal, for every protocol.
        penalty: how long a source and an account must wait after failed logins, whatever the
            protocol.
        log_omit: fields that the audit log leaves out, such as "address", "claimed" and
            "avatar_id", which are personal data. Subscribers of events still get them.
        metrics: counts logins and sessions, if given; see `actorcred.metrics`.
        tracing: makes spans of logins and calls, if given; see `actorcred.tracing`.
        presence: how many users are watched, and what is kept of them.
        sleep_after: seconds without activity of the client after which an avatar with `snapshot`
            and `restore` sleeps until its next message, to save memory; None is never.
        snapshot_size: the most bytes of a snapshot. An avatar with a larger one stays awake.
        registry: creates the registry, which decides on places and finds sessions; see
            `actorcred.sessions.registry`.
    """

    login_timeout: float = 30.0
    policy: Policy = Policy.ALLOW
    idle_timeout: float | None = 30 * 60.0
    lifetime: float | None = 12 * 3600.0
    logout_timeout: float = 10.0
    outbox: OutboxLimit = field(default_factory=OutboxLimit)
    restart: RestartIntensity = field(default_factory=RestartIntensity)
    on_password_change: PasswordChange = PasswordChange.END
    standing_interval: float | None = 60.0
    standing_batch: int = 500
    may_act_as: Callable[[str, str], bool] | None = None
    log_unknown_names: UnknownNames = UnknownNames.HASH
    log_names_key: bytes | None = field(default=None, repr=False)
    log_omit: frozenset[str] = frozenset()
    metrics: Counts | None = None
    tracing: Tracing | None = None
    admission: Admission = field(default_factory=Admission)
    penalty: Penalty = field(default_factory=Penalty)
    presence: PresenceLimits = field(default_factory=PresenceLimits)
    sleep_after: float | None = None
    snapshot_size: int = 64 * 1024
    registry: MakeRegistry = MemoryRegistry

    def __post_init__(self) -> None:
        for name, kind in (
            ("policy", Policy),
            ("on_password_change", PasswordChange),
            ("log_unknown_names", UnknownNames),
        ):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, kind(value))
            except ValueError:
                raise ValueError(
                    f"{name}={value!r} is unknown; "
                    f"use one of {', '.join(repr(str(k)) for k in kind)}"
                ) from None
        if isinstance(self.log_omit, str):  # type: ignore[unreachable]
            raise TypeError(f"log_omit must be a set of names, not {self.log_omit!r}")
        object.__setattr__(self, "log_omit", frozenset(self.log_omit))
        if unknown := sorted(self.log_omit - set(PERSONAL)):
            raise ValueError(f"log_omit: {unknown[0]!r} is none of {', '.join(PERSONAL)}")
        check_settings(self)
        if not callable(self.registry):
            raise TypeError(
                f"registry must make a Registry, as MemoryRegistry does, not {self.registry!r}"
            )
        if self.log_names_key is not None and not 1 <= len(self.log_names_key) <= 64:
            raise ValueError(
                f"log_names_key must have 1 to 64 bytes, not {len(self.log_names_key)}"
            )

    def claimed_names(self) -> ClaimedNames:
        """Return how the names in failed logins are shown."""
        return ClaimedNames(self.log_unknown_names, self.log_names_key)

    def describe(self) -> str:
        """Return a table of the limits of connections, logins and sessions, and of penalties."""
        return describe_limits(self.admission, self.penalty, self.limits)

    @property
    def limits(self) -> Limits:
        """The settings that limit the sessions of an avatar id and of the portal."""
        admission = self.admission
        return Limits(self.policy, admission.sessions_per_avatar, admission.sessions)
