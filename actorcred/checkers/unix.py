"""Users of the system, checked by PAM."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options, yes_or_no
from actorcred.checker import CheckerRef
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker
from actorcred.checkers.bases.facts import IgnoredFacts
from actorcred.checkers.bases.watched import why
from actorcred.checkers.system_groups import full_name_of, groups_of
from actorcred.credentials import UsernamePassword
from actorcred.errors import AccountError, CheckerUnavailable, MissingExtra, UnauthorizedLogin
from actorcred.identity import NO_GROUPS, NO_INFO, Identity, identity_of
from actorcred.standing import Revocation, Standing, named

__all__ = ["UnixChecker", "plugin"]

FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/local/etc/pam.d")
"""Folders in which systems keep PAM services."""

SUCCESS = 0
AUTH_ERROR = 7  # from the account stack, it is not about the password

# Linux-PAM, security/_pam_types.h: errors that concern the user. All others are PAM's own: a
# missing module, a service that is not configured, a database that is down.
_REFUSED = {
    6: "permission denied",
    AUTH_ERROR: "wrong password",
    8: "not enough credentials",
    10: "no such user",
    11: "too many tries",
    12: "the password must be changed first",
    13: "the account has expired",
    16: "the account has expired",
    17: "wrong password",
    27: "the password has expired",
}

_GONE = {
    10: Revocation.DELETED,
    13: Revocation.DISABLED,
    16: Revocation.DISABLED,
    27: Revocation.DISABLED,
}
"""Codes of the account stack with which a user may not stay logged in."""


class UnixChecker(BlockingChecker):
    """Checks names and passwords by PAM, and then that the account may be used (`pam_acct_mgmt`).

    With `pam_unix`, a process that is not root can check only its own user's password. A module
    that delays failures (`pam_faildelay`, and `pam_unix` without `nodelay`) blocks one of the
    threads for that time.

    The identity has the account's groups. A user whom PAM accepts but the system does not know has
    none.

    Args:
        service: the PAM service, a file in /etc/pam.d.
        groups: whether to look up the groups of users.
        full_name: whether the identity has the attribute "name", from the account's GECOS field.
        limits: limits on the requests to PAM.

    Raises:
        ValueError: if the service is not a file name.
        AccountError: if there is no such file.
        MissingExtra: without the extra "pam".
    """

    credential_interfaces = (UsernamePassword,)
    standing_batch = 50  # each is a request to PAM

    def __init__(
        self, service: str, limits: BackendLimits | None, groups: bool, full_name: bool
    ) -> None:
        super().__init__(limits)
        try:
            import pam
        except ImportError:
            raise MissingExtra("UnixChecker", "pam") from None
        if not service or "/" in service or not service.isprintable():
            raise ValueError(f"a PAM service is the name of a file in /etc/pam.d, not {service!r}")
        if not any(Path(folder, service).is_file() for folder in FOLDERS):
            # PAM would use the service "other" instead.
            raise AccountError(f"there is no PAM service {service!r} in {FOLDERS[0]}")
        self._service = service
        self._with_groups = groups
        self._with_name = full_name
        self._ignored = IgnoredFacts("unix")
        self._authenticator: Any = pam.PamAuthenticator

    @classmethod
    def start(  # type: ignore[override]
        cls,
        service: str = "login",
        limits: BackendLimits | None = None,
        *,
        groups: bool = True,
        full_name: bool = False,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast(
            "CheckerRef", super().start(service, limits, groups, full_name, dispatcher=dispatcher)
        )

    def current_identity(self, name: str) -> Identity:
        """Return what the system says of a user now, whether or not PAM would accept a login.

        It blocks, and can be called on any thread.

        Args:
            name: the user's name.

        Raises:
            CheckerUnavailable: if the system cannot be asked now.
        """
        return identity_of(self._answer(name))

    def _answer(self, username: str) -> str | Identity:
        """Return the user's name, or an identity if the system knows more.

        Raises:
            CheckerUnavailable: if the system cannot be asked.
        """
        groups = NO_GROUPS
        try:
            name = full_name_of(username) if self._with_name else ""
            groups = groups_of(username) if self._with_groups else NO_GROUPS
        except OSError as error:
            raise CheckerUnavailable(f"the system's groups cannot be read: {why(error)}") from None
        except ValueError as error:
            self._ignored.about(f"the list of groups of {username!r:.100}", str(error))
        if not groups and not name:
            return username
        return Identity(username, groups=groups, attributes={"name": name} if name else NO_INFO)

    def check(self, credentials: UsernamePassword) -> str | Identity:
        """Ask PAM."""
        if not credentials.password:
            raise UnauthorizedLogin("the password is empty")  # `nullok` is for consoles
        asked = self._authenticator()
        proven = _watch_account_stack(asked)
        if asked.authenticate(
            credentials.username, credentials.password, self._service, resetcreds=False
        ):
            return self._answer(credentials.username)
        stack = "account" if proven else "auth"
        cause = _REFUSED.get(asked.code)
        if cause is None:
            reason = (
                asked.reason.decode(errors="replace")
                if isinstance(asked.reason, bytes)
                else asked.reason
            )
            raise CheckerUnavailable(
                f"the {stack} stack of the PAM service {self._service!r} failed with "
                f"{asked.code}: {reason}"
            )
        if proven:
            cause = "the account may not be used" if asked.code == AUTH_ERROR else cause
            cause = f"the account stack of the PAM service {self._service!r} refused: {cause}"
        raise UnauthorizedLogin(cause, known=bool(proven))

    def check_standing(self, names: tuple[str, ...]) -> Standing:
        """Return whose account is unknown or has expired, as the account stack of PAM says.

        A refusal of another kind can concern all users for a while (pam_nologin, pam_time) and
        ends no session. PAM does not tell whether a password was changed.
        """
        gone, identities = {}, {}
        for name in names:
            user, _ = named(name)
            code = _account_code(self._authenticator(), user, self._service)
            if code in _GONE:
                gone[name] = _GONE[code]
            elif code == SUCCESS:
                identities[name] = self.current_identity(user)
        return Standing(gone, identities)


def _account_code(asked: Any, username: str, service: str) -> int:
    """Return what the account stack of PAM says of a user, without any proof by the user."""
    asked.pam_authenticate = lambda *_: 0
    asked.authenticate(username, "", service, resetcreds=False)
    return int(asked.code)


def _watch_account_stack(asked: Any) -> list[bool]:
    """Return a list that gets an item once the password was right and PAM checks the account."""
    reached: list[bool] = []
    manage = asked.pam_acct_mgmt

    def watched(*args: Any) -> Any:
        reached.append(True)
        return manage(*args)

    asked.pam_acct_mgmt = watched
    return reached


def _generate(argument: ArgString) -> CheckerRef:
    options = read_options(
        argument, {"threads": int, "timeout": float, "groups": yes_or_no, "name": yes_or_no}
    )
    groups, full_name = options.pop("groups", True), options.pop("name", False)
    return UnixChecker.start(
        str(argument) or "login", BackendLimits(**options), groups=groups, full_name=full_name
    )


plugin = CheckerPlugin(
    "unix",
    "SERVICE",
    "Users of the system, checked by the PAM service of that name in /etc/pam.d; expired and "
    "locked accounts are refused. Options: threads=8, timeout=10; groups=no does not look up the "
    "users' groups, name=yes looks up their names (GECOS).",
    (UsernamePassword,),
    _generate,
)
