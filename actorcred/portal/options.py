"""The settings of a portal, each default written once, here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from actorcred.actors import RestartIntensity
from actorcred.audit import ClaimedNames, UnknownNames
from actorcred.mind.outbox import OutboxLimit
from actorcred.sessions.policies import Limits, Policy
from actorcred.sessions.registry import MakeRegistry, MemoryRegistry
from actorcred.throttle import Admission, Penalty, require_positive

__all__ = ["PasswordChange", "PortalOptions", "UnknownNames"]


class PasswordChange(StrEnum):
    """What happens to the live sessions of an account that gets a new password (OWASP ASVS 5.0, 7.4.3)."""

    END = "end"
    """They end at once."""

    TELL = "tell"
    """Their minds are notified with "password_changed", and they go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalOptions:
    """The settings of a portal.

    Args:
        login_timeout: seconds for a login as a whole: checking, waiting for an earlier session to go, getting the avatar.
        policy: for a second login of the same avatar id: ALLOW, REPLACE, REJECT or SHARE.
        idle_timeout: seconds without a sign of the client after which a session ends; None is no limit. The default is
            the 30 minutes of NIST SP 800-63B, AAL2 (OWASP ASVS 5.0, 7.3.1).
        lifetime: seconds after which a session ends whatever happens; None is no limit. The default is the 12 hours of
            NIST SP 800-63B, AAL2 (OWASP ASVS 5.0, 7.3.2).
        logout_timeout: seconds for an avatar to finish the call that it runs, its `on_logout` and its `on_stop`, once its session
            has ended. Then what it awaits is cancelled, and if that does not help the avatar is stopped without them.
        outbox: how many notifications may wait for a client, and what happens then.
        restart: how often a checker or the realm may crash before it is down for a while; the pauses until it is tried again grow
            to a minute.
        on_password_change: what happens to live sessions. Sessions of disabled and deleted accounts end in any case.
        may_act_as: called with a proven avatar id and another one that the client wants to act as; says whether it may.
            None: nobody may.
        log_unknown_names: what stands in events and in the audit log for a name that a client claimed in vain and that no checker
            knows: "show", "hash" or "omit". It may be a password that was typed into the wrong field, so by default it is a keyed
            hash: the name cannot be read, and repeated tries can still be seen to belong together. Only the checkers of this
            package say that they know a name; with others, and with none but yours, you may want "show".
        log_names_key: the key of that hash, at most 64 bytes, so that it is the same after a restart and on several machines. By
            default each portal makes one of its own.
        admission: how many connections, logins and sessions there may be.
        penalty: how long a source and an account must wait after failed logins.
        registry: makes what decides on places and finds sessions; see `actorcred.sessions.registry`.
    """

    login_timeout: float = 30.0
    policy: Policy = Policy.ALLOW
    idle_timeout: float | None = 30 * 60.0
    lifetime: float | None = 12 * 3600.0
    logout_timeout: float = 10.0
    outbox: OutboxLimit = field(default_factory=OutboxLimit)
    restart: RestartIntensity = field(default_factory=RestartIntensity)
    on_password_change: PasswordChange = PasswordChange.END
    may_act_as: Callable[[str, str], bool] | None = None
    log_unknown_names: UnknownNames = UnknownNames.HASH
    log_names_key: bytes | None = field(default=None, repr=False)
    admission: Admission = field(default_factory=Admission)
    penalty: Penalty = field(default_factory=Penalty)
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
                    f"{name}={value!r} is unknown; use one of {', '.join(repr(str(k)) for k in kind)}"
                ) from None
        require_positive(self)
        if self.log_names_key is not None and not 1 <= len(self.log_names_key) <= 64:
            raise ValueError(
                f"log_names_key must have 1 to 64 bytes, not {len(self.log_names_key)}"
            )

    def claimed_names(self) -> ClaimedNames:
        """Return what shows the names that clients claimed in vain."""
        return ClaimedNames(self.log_unknown_names, self.log_names_key)

    @property
    def limits(self) -> Limits:
        """The settings that limit the sessions of an avatar id and of the portal."""
        admission = self.admission
        return Limits(self.policy, admission.sessions_per_avatar, admission.sessions)
