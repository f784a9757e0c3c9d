"""A checker's access to an LDAP server: kept connections, searches by a service, binds as users."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from actorcred.checkers.ldap.settings import LDAPSettings
from actorcred.errors import UnauthorizedLogin

__all__ = ["Attributes", "LDAPDirectory", "Search"]


T = TypeVar("T")

Attributes = dict[str, list[bytes]]
"""The attributes of an entry, by lower-case name."""

MUST_CHANGE = 2
"""changeAfterReset, an error that is returned with a successful bind.

See draft-behera-ldap-password-policy-10, section 6.2.
"""


@dataclass(frozen=True, slots=True)
class Search:
    """A search.

    Args:
        base: where to search.
        scope: python-ldap's constant.
        filter: the filter that entries must match.
        attributes: which to return; ("1.1",) for none.
        most: the highest number of entries; 0 leaves it to the server.
    """

    base: str
    scope: int
    filter: str
    attributes: tuple[str, ...] = ("1.1",)
    most: int = 0


class LDAPDirectory:
    """An LDAP server.

    Its methods block, can be called on any thread, and raise the errors of python-ldap.

    Args:
        address: its URL, without base.
        settings: who searches, and how a connection is encrypted.
        timeout: seconds for each request.
    """

    def __init__(self, address: str, settings: LDAPSettings, timeout: float) -> None:
        import ldap
        from ldap.controls.ppolicy import PasswordPolicyControl

        self._ldap = ldap
        self._policy = PasswordPolicyControl
        self._address = address
        self._settings = settings
        self._timeout = timeout
        self._searching = _Pool(self._connect_as_service, ldap)
        self._binding = _Pool(self._connect, ldap)
        self._names: dict[str, frozenset[str]] = {}
        self._refused = (
            ldap.INVALID_CREDENTIALS,
            ldap.INAPPROPRIATE_AUTH,
            ldap.NO_SUCH_OBJECT,
            ldap.INVALID_DN_SYNTAX,
            ldap.UNWILLING_TO_PERFORM,  # a locked account, at Active Directory
            ldap.CONSTRAINT_VIOLATION,  # too many failures, at others
            ldap.INSUFFICIENT_ACCESS,
            ldap.REFERRAL,  # the entry is on another server, which must not get the password
        )

    def clear(self) -> None:
        """Close the connections that are not in use."""
        self._searching.clear()
        self._binding.clear()

    def search(self, search: Search) -> list[tuple[str, Attributes]]:
        """Return the entries found, except those on other servers."""
        return self._searching.use(lambda connection: self._search(connection, search))

    def has(self, dn: str, wanted: str) -> bool:
        """Return whether an entry matches a filter."""
        try:
            return bool(self.search(Search(dn, self._ldap.SCOPE_BASE, wanted)))
        except self._ldap.NO_SUCH_OBJECT:
            return False

    def root(self, attribute: str) -> list[str]:
        """Return the values of an attribute of the server itself (RFC 4512, section 5.1)."""
        found = self.search(Search("", self._ldap.SCOPE_BASE, "(objectClass=*)", (attribute,)))
        return [
            value.decode()
            for _, attributes in found
            for value in attributes.get(attribute.lower(), [])
        ]

    def values(self, entry: Attributes, attribute: str) -> list[bytes]:
        """Return the values of an attribute, which the server can have called by another name."""
        found = entry.get(attribute.lower())
        if found is None and entry:  # such as "uid" for "userid"
            names = self.names_of(attribute)
            found = next((values for name, values in entry.items() if name in names), None)
        return found or []

    def names_of(self, attribute: str) -> frozenset[str]:
        """Return all names of an attribute in lower case, including its OID.

        A server chooses one of them for its answers.
        """
        if attribute not in self._names:
            self._names[attribute] = self._find_names(attribute)
        return self._names[attribute]

    def _find_names(self, attribute: str) -> frozenset[str]:
        from ldap.schema.models import AttributeType

        wanted = attribute.lower()
        for entry in self.root("subschemaSubentry")[:1]:
            found = self.search(
                Search(entry, self._ldap.SCOPE_BASE, "(objectClass=subschema)", ("attributeTypes",))
            )
            for kind in (
                AttributeType(text.decode())
                for _, values in found
                for text in values.get("attributetypes", [])
            ):
                names = frozenset(name.lower() for name in (*kind.names, kind.oid))
                if wanted in names:
                    return names
        return frozenset((wanted,))

    def bind(self, dn: str, password: str) -> bool:
        """Return whether a password is that of an entry.

        Raises:
            UnauthorizedLogin: if it is, but must be changed first.
        """
        return self._binding.use(lambda connection: self._bind(connection, dn, password))

    def bind_and_read(
        self, search: Search, password: str
    ) -> tuple[bool, list[tuple[str, Attributes]]]:
        """Bind as the base entry of a search, and search as that entry.

        Returns:
            Whether the password is right, and the entries found.

        Raises:
            UnauthorizedLogin: see `bind`.
        """

        def work(connection: Any) -> tuple[bool, list[tuple[str, Attributes]]]:
            if not self._bind(connection, search.base, password):
                return False, []
            try:
                return True, self._search(connection, search)
            except self._ldap.NO_SUCH_OBJECT:
                return True, []

        return self._binding.use(work)

    # -- on a connection ---------------------------------------------------------------------------

    def _connect(self) -> Any:
        ldap, settings = self._ldap, self._settings
        connection = ldap.initialize(self._address)
        # Another server that a referral names would get the password.
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self._timeout)
        connection.set_option(ldap.OPT_TIMEOUT, self._timeout)
        if settings.ca:
            connection.set_option(ldap.OPT_X_TLS_CACERTFILE, settings.ca)
        connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if settings.starttls:
            connection.start_tls_s()
        return connection

    def _connect_as_service(self) -> Any:
        connection, settings = self._connect(), self._settings
        if settings.bind:
            try:
                connection.simple_bind_s(settings.bind, settings.password)
            except self._ldap.INVALID_CREDENTIALS:
                raise self._ldap.INSUFFICIENT_ACCESS(
                    {"desc": "the account that searches cannot log in"}
                ) from None
        return connection

    def _search(self, connection: Any, search: Search) -> list[tuple[str, Attributes]]:
        found = connection.search_ext_s(
            search.base,
            search.scope,
            search.filter,
            list(search.attributes),
            sizelimit=search.most,
            timeout=self._timeout,
        )
        # An entry without a DN is a reference to another server.
        return [
            (dn, {key.lower(): values for key, values in entry.items()})
            for dn, entry in found
            if dn is not None
        ]

    def _bind(self, connection: Any, dn: str, password: str) -> bool:
        try:
            _, _, _, answers = connection.simple_bind_s(dn, password, serverctrls=[self._policy()])
        except self._refused:
            return False
        if any(
            isinstance(answer, self._policy) and answer.error == MUST_CHANGE for answer in answers
        ):
            raise UnauthorizedLogin("the password must be changed first", known=True)
        return True


class _Pool:
    """Connections that are not in use. As many are made as threads need at the same time."""

    def __init__(self, connect: Callable[[], Any], ldap: Any) -> None:
        self._connect = connect
        self._gone = (ldap.SERVER_DOWN, ldap.UNAVAILABLE, ldap.CONNECT_ERROR)
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    def use(self, work: Callable[[Any], T]) -> T:
        """Run `work` with a connection; with a new one if an old one turns out to be closed."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._run(work, connection)
            except self._gone:
                self.clear()  # the server was restarted: the others are closed as well
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
    with contextlib.suppress(Exception):  # it might be closed already
        connection.unbind_s()
