"""Users in an LDAP directory, as OpenLDAP or Active Directory."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from actorcred.actors import Dispatcher
from actorcred.checkers.base import CheckerRef
from actorcred.checkers.blocking import BackendLimits, BlockingChecker, is_local, take_limits
from actorcred.checkers.plugin import CheckerPlugin, read_options, yes_or_no
from actorcred.checkers.records import Complaints
from actorcred.credentials import UsernamePassword
from actorcred.descriptors import ArgString
from actorcred.errors import AccountError, CheckerUnavailable, MissingExtra, UnauthorizedLogin

__all__ = ["LDAPChecker", "LDAPSettings", "plugin"]

logger = logging.getLogger("actorcred.checkers")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LDAPSettings:
    """How users are found and who may come in.

    Args:
        dn: a user's entry, with %u for the name, as "uid=%u,ou=people,dc=example": the checker binds as that. Without it
            the user's entry is searched below the base of the URL, and then bound as.
        bind: who searches; "" searches anonymously.
        password: of that one.
        group: the entry of a group of whose members only may come in (`member`, `uniqueMember` or `memberUid`).
        starttls: encrypt the connection of an ldap:// URL before anything is sent.
        ca: a PEM file with the certificates of those who may have signed the server's; by default the system's.
        insecure: send passwords in the clear over a network.
    """

    dn: str = ""
    bind: str = ""
    password: str = field(default="", repr=False)
    group: str = ""
    starttls: bool = False
    ca: str = ""
    insecure: bool = False


class LDAPChecker(BlockingChecker):
    """Checks names and passwords by binding to an LDAP server (RFC 4513).

    Who logs in gets the name as the directory writes it, which takes "ANN" for "ann". An empty password is never sent, since
    a server takes it for an anonymous bind; names are escaped (RFC 4514, RFC 4515); referrals are not followed.

    Args:
        url: ldap://, ldaps:// or ldapi://, with base, attribute of the name (uid by default), scope and filter as in RFC
            4516: "ldaps://host/ou=people,dc=example?uid?sub?(objectClass=person)".
        settings: how users are found.
        limits: how much is asked of the server at a time. It keeps as many connections.

    Raises:
        AccountError: if the URL is none, or passwords would go over a network in the clear.
        MissingExtra: without the extra "ldap".
    """

    credential_interfaces = (UsernamePassword,)

    def __init__(self, url: str, settings: LDAPSettings, limits: BackendLimits | None) -> None:
        super().__init__(limits)
        try:
            import ldap
            import ldapurl
        except ImportError:
            raise MissingExtra("LDAPChecker", "ldap") from None
        self._ldap = ldap
        try:
            parts = ldapurl.LDAPUrl(url)
        except ValueError:
            raise AccountError("ldap: needs a URL, as ldaps://host/ou=people,dc=example?uid") from None
        remote = parts.urlscheme == "ldap" and not is_local(url)
        if remote and not settings.starttls and not settings.insecure:
            raise AccountError("ldap: passwords would go in the clear; use ldaps://, starttls=yes, or insecure=yes")
        if not settings.dn and not parts.dn:
            raise AccountError("ldap: needs a base to search in the URL, or the option dn=")
        if settings.dn and "%u" not in settings.dn:
            raise AccountError("ldap: the option dn= needs %u for the name, as uid=%u,ou=people,dc=example")
        self._settings = settings
        self._complaints = Complaints()
        self._base = parts.dn or ""
        self._attribute = (parts.attrs or ["uid"])[0]
        self._scope = ldap.SCOPE_SUBTREE if parts.scope is None else parts.scope
        self._filter = parts.filterstr or "(objectClass=*)"
        address = parts.initializeUrl()
        self._searching = _Pool(lambda: self._connect(address, as_service=True), ldap)
        self._binding = _Pool(lambda: self._connect(address, as_service=False), ldap)

    @classmethod
    def start(  # type: ignore[override]
        cls,
        url: str,
        settings: LDAPSettings | None = None,
        limits: BackendLimits | None = None,
        *,
        dispatcher: Dispatcher | None = None,
    ) -> CheckerRef:
        """Start a checker; see the class for the arguments."""
        return cast("CheckerRef", super().start(url, settings or LDAPSettings(), limits, dispatcher=dispatcher))

    def release(self) -> None:
        """Close the connections."""
        self._searching.clear()
        self._binding.clear()

    def _connect(self, address: str, *, as_service: bool) -> Any:
        ldap, settings = self._ldap, self._settings
        connection = ldap.initialize(address)
        connection.set_option(ldap.OPT_REFERRALS, 0)  # whoever is referred to would get the password
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self.limits.timeout)
        connection.set_option(ldap.OPT_TIMEOUT, self.limits.timeout)
        if settings.ca:
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, settings.ca)
        connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if settings.starttls:
            connection.start_tls_s()
        if as_service and settings.bind:
            try:
                connection.simple_bind_s(settings.bind, settings.password)
            except ldap.INVALID_CREDENTIALS:
                raise ldap.INSUFFICIENT_ACCESS({"desc": "the account that searches cannot log in"}) from None
        return connection

    # -- checking -----------------------------------------------------------------------------------------------------

    def check(self, credentials: UsernamePassword) -> str:
        """Find the user, bind, and look at the group."""
        if not credentials.password:
            raise UnauthorizedLogin("the password is empty")
        try:
            return self._check(credentials.username, credentials.password)
        except self._ldap.LDAPError as error:
            raise CheckerUnavailable(f"the directory failed: {type(error).__name__}") from None
        except UnicodeError as error:  # an entry whose name or attribute is not UTF-8
            self._complaints.about(credentials.username, f"the entry cannot be read: {type(error).__name__}")
            raise UnauthorizedLogin("the entry cannot be read") from None

    def _check(self, username: str, password: str) -> str:
        from ldap.dn import escape_dn_chars

        if self._settings.dn:
            dn = self._settings.dn.replace("%u", escape_dn_chars(username))
            name = self._bind_and_read(dn, username, password)
        else:
            dn, name = self._search_and_bind(username, password)
        if self._settings.group and not self._is_member(dn, name):
            raise UnauthorizedLogin("not in the group", known=True)
        return name

    def _search_and_bind(self, username: str, password: str) -> tuple[str, str]:
        """Return a user's entry, and the name as the directory has it."""
        found = self._search(username)
        # Somebody who is not there costs a bind, too.
        dn, name = found or (f"cn=nobody-of-this-name,{self._base}", "")
        if not self._bind(dn, password) or found is None:
            why = "wrong password, no such user, several of that name, or a locked account"
            raise UnauthorizedLogin(why, known=found is not None)
        return dn, name

    def _search(self, username: str) -> tuple[str, str] | None:
        """Return the entry of a user and the name as the directory has it."""
        from ldap.filter import escape_filter_chars

        wanted = f"(&{self._filter}({self._attribute}={escape_filter_chars(username)}))"
        try:
            entries = self._searching.use(
                lambda connection: connection.search_ext_s(
                    self._base, self._scope, wanted, [self._attribute], sizelimit=2, timeout=self.limits.timeout
                )
            )
        except self._ldap.SIZELIMIT_EXCEEDED:
            return None  # more than two of that name
        real = [(dn, attributes) for dn, attributes in entries if dn is not None]  # others are referrals
        if len(real) != 1:
            return None
        dn, attributes = real[0]
        name = self._name_in(attributes, username)
        return None if name is None else (dn, name)

    def _name_in(self, attributes: dict[str, list[bytes]], username: str) -> str | None:
        lowered = {key.lower(): values for key, values in attributes.items()}
        names = [value.decode("utf-8", "replace") for value in lowered.get(self._attribute.lower(), [])]
        return next((name for name in names if name.casefold() == username.casefold()), None)

    def _bind(self, dn: str, password: str) -> bool:
        return self._binding.use(lambda connection: self._try_bind(connection, dn, password))

    def _try_bind(self, connection: Any, dn: str, password: str) -> bool:
        ldap = self._ldap
        refused = (
            ldap.INVALID_CREDENTIALS,
            ldap.INAPPROPRIATE_AUTH,
            ldap.NO_SUCH_OBJECT,
            ldap.INVALID_DN_SYNTAX,
            ldap.UNWILLING_TO_PERFORM,  # a locked account, at Active Directory
            ldap.CONSTRAINT_VIOLATION,  # too many failures, at others
            ldap.INSUFFICIENT_ACCESS,
        )
        try:
            connection.simple_bind_s(dn, password)
        except refused:
            return False
        return True

    def _bind_and_read(self, dn: str, username: str, password: str) -> str:
        """Bind as a user, and return the name as the directory has it."""

        def work(connection: Any) -> str | None:
            if not self._try_bind(connection, dn, password):
                raise UnauthorizedLogin("wrong password, no such user, or a locked account")
            try:
                entries = connection.search_ext_s(
                    dn, self._ldap.SCOPE_BASE, attrlist=[self._attribute], timeout=self.limits.timeout
                )
            except self._ldap.NO_SUCH_OBJECT:
                return None
            found = [attributes for entry, attributes in entries if entry is not None]  # others are referrals
            return self._name_in(found[0], username) if found else None

        name = self._binding.use(work)
        if name is None:
            logger.error("LDAP: users cannot read the attribute %r of their own entries, or it is not the name", self._attribute)
            raise CheckerUnavailable(f"the attribute {self._attribute} of the user's entry cannot be read")
        return name

    def _is_member(self, dn: str, name: str) -> bool:
        from ldap.filter import escape_filter_chars

        entry, short = escape_filter_chars(dn), escape_filter_chars(name)
        wanted = f"(|(member={entry})(uniqueMember={entry})(memberUid={short}))"
        try:
            found = self._searching.use(
                lambda connection: connection.search_ext_s(
                    self._settings.group, self._ldap.SCOPE_BASE, wanted, ["1.1"], timeout=self.limits.timeout
                )
            )
        except self._ldap.NO_SUCH_OBJECT:
            return False
        return any(entry is not None for entry, _ in found)


class _Pool:
    """Connections that are not in use. As many are made as threads ask at the same time."""

    def __init__(self, connect: Callable[[], Any], ldap: Any) -> None:
        self._connect = connect
        self._gone = (ldap.SERVER_DOWN, ldap.UNAVAILABLE, ldap.CONNECT_ERROR)
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def use(self, work: Callable[[Any], T]) -> T:
        """Run `work` with a connection; with a new one if an old one turns out to be gone."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._run(work, connection)
            except self._gone:
                self.clear()  # the server was restarted: the others are gone as well
        return self._run(work, self._connect())

    def _run(self, work: Callable[[Any], T], connection: Any) -> T:
        try:
            result = work(connection)
        except UnauthorizedLogin:
            self._give_back(connection)
            raise
        except BaseException:
            _unbind(connection)
            raise
        self._give_back(connection)
        return result

    def _give_back(self, connection: Any) -> None:
        with self._lock:
            self._idle.append(connection)

    def clear(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            _unbind(connection)


def _unbind(connection: Any) -> None:
    with contextlib.suppress(Exception):  # it may be gone already
        connection.unbind_s()


def _generate(argument: ArgString) -> CheckerRef:
    if not argument:
        raise ValueError("needs a URL")
    texts: dict[str, Any] = dict.fromkeys(("dn", "bind", "password", "group", "ca"), str)
    flags: dict[str, Any] = dict.fromkeys(("starttls", "insecure"), yes_or_no)
    options = read_options(argument, {**texts, **flags, "threads": int, "timeout": float})
    limits = take_limits(options)
    return LDAPChecker.start(str(argument), LDAPSettings(**options), limits)


plugin = CheckerPlugin(
    "ldap",
    "URL",
    "An LDAP directory: ldaps://host/BASE?uid searches the user below BASE and binds as who is found. Options: "
    "dn=uid=%u\\,BASE binds without a search; bind=DN and password=${file:PATH} say who searches; group=DN lets in its members "
    "only; starttls=yes, ca=PATH; threads=8 and timeout=10 bound what is asked. Commas in options need a backslash.",
    (UsernamePassword,),
    _generate,
)
