"""Users in an LDAP directory, such as OpenLDAP or Active Directory."""

from __future__ import annotations

import contextlib
import logging
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from actorcred.actors import Dispatcher
from actorcred.auth.descriptors import ArgString
from actorcred.auth.plugin import CheckerPlugin, read_options, yes_or_no
from actorcred.checker import CheckerRef
from actorcred.checkers.bases.blocking import BackendLimits, BlockingChecker, take_limits
from actorcred.checkers.bases.records import Complaints
from actorcred.checkers.ldap.directory import Attributes, LDAPDirectory, Search
from actorcred.checkers.ldap.facts import LDAPFacts, text_of
from actorcred.checkers.ldap.groups import LDAPGroup, LDAPGroups, own_name
from actorcred.checkers.ldap.settings import LDAPSettings, take_place
from actorcred.checkers.ldap.standing import STATE, Entries, judge, password_time
from actorcred.credentials import UsernamePassword
from actorcred.errors import AccountError, CheckerUnavailable, MissingExtra, UnauthorizedLogin
from actorcred.identity import NO_GROUPS, Identity
from actorcred.standing import Revocation, Standing, named

__all__ = ["LDAPChecker", "LDAPSettings", "plugin"]


logger = logging.getLogger("actorcred.checkers")


class LDAPChecker(BlockingChecker):
    """Checks names and passwords by binding to an LDAP server (RFC 4513).

    The avatar id is the name as written in the directory, which treats "ANN" and "ann" as equal, or
    the value of the attribute `id`. A user with several names has one avatar id: the name in the
    entry's own DN, or else the first in alphabetical order; better set `id` to an attribute with a
    single value. Names in any normal form are found; the avatar id is in NFC.

    An empty password is never sent, since servers take it for an anonymous bind; names are escaped
    (RFC 4514, RFC 4515); referrals are not followed, and an entry that is a referral is refused. A
    password that must be changed first (`pwdReset`) is refused, with that cause in the log, if the
    server supports password policies (draft-behera-ldap-password-policy).

    The identity has the directory's host as issuer and the entry's UUID as subject; attributes,
    groups and times if the settings name them. Only a search for groups costs a request more.

    Args:
        url: ldap://, ldaps:// or ldapi://, with base, attribute of the name (uid by default), scope
            and filter as in RFC 4516:
            "ldaps://host/ou=people,dc=example?uid?sub?(objectClass=person)".
        settings: how users are found.
        limits: limits on the requests to the server. Connections are kept for each thread.

    Raises:
        AccountError: if the URL is invalid, an option cannot be used, or passwords would be sent
            over a network in the clear.
        MissingExtra: without the extra "ldap".
    """

    credential_interfaces = (UsernamePassword,)
    standing_batch = 50  # names in one filter

    def __init__(self, url: str, settings: LDAPSettings, limits: BackendLimits | None) -> None:
        super().__init__(limits)
        try:
            import ldap
        except ImportError:
            raise MissingExtra("LDAPChecker", "ldap") from None
        self._ldap = ldap
        self._settings = settings
        self._place = take_place(url, settings)
        self._id = settings.id or self._place.attribute
        self._complaints = Complaints()
        self._directory = LDAPDirectory(self._place.address, settings, self.limits.timeout)
        self._group = LDAPGroup(self._directory, settings) if settings.group else None
        self._groups = LDAPGroups(self._directory, settings) if settings.groups else None
        self._facts = LDAPFacts(settings, self._place, self._directory.values)
        self._wanted = (self._place.attribute, self._id, *STATE, *self._facts.wanted)
        self._entries = Entries(self._directory, self._place, self._id, self._wanted, self._values)

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
        return cast(
            "CheckerRef",
            super().start(url, settings or LDAPSettings(), limits, dispatcher=dispatcher),
        )

    def release(self) -> None:
        """Close the connections."""
        self._directory.clear()

    def check(self, credentials: UsernamePassword) -> Identity:
        """Find the user, bind, and check the group."""
        if not credentials.password:
            raise UnauthorizedLogin("the password is empty")
        with self._reading(credentials.username):
            if self._settings.dn:
                found = self._bind_and_read(credentials.username, credentials.password)
            else:
                found = self._search_and_bind(credentials.username, credentials.password)
            return self.proven_by(
                password_time(found[1]), self._identity(credentials.username, *found)
            )

    @property
    def tells_standing(self) -> bool:
        """Whether the checker can search: with the option `dn`, only users read their entries."""
        return not self._settings.dn

    def check_standing(self, names: tuple[str, ...]) -> Standing:
        """Return whose entries are gone, locked, or have a newer password than at the login."""
        with self._reading("several users"):
            entries = self._entries.find(list(dict.fromkeys(named(name)[0] for name in names)))
            return Standing(*self._judged(names, entries))

    def _judged(
        self, names: tuple[str, ...], entries: dict[str, list[tuple[str, Attributes]]]
    ) -> tuple[dict[str, Revocation], dict[str, Identity]]:
        gone: dict[str, Revocation] = {}
        identities: dict[str, Identity] = {}
        for name in names:
            found = entries.get(named(name)[0], [])
            if not found:
                gone[name] = Revocation.DELETED
            elif len(found) == 1:  # else it is not known which entry it is
                what = judge(name, found[0][1], datetime.now(UTC))
                try:
                    said = None if what else self._identity(named(name)[0], *found[0])
                except UnauthorizedLogin:  # not in the group, or expired
                    what, said = Revocation.DISABLED, None
                except UnicodeError:
                    continue
                gone |= {name: what} if what else {}
                identities |= {name: said} if said else {}
        return gone, identities

    def current_identity(self, name: str) -> Identity | None:
        """Return what the directory says of a user now; None if no such user may log in.

        It blocks, and can be called on any thread. It does not see a lock that only a bind shows.

        Args:
            name: the user's name.

        Raises:
            AccountError: if the checker cannot search, since it has the option `dn`.
            CheckerUnavailable: if the directory cannot be asked now.
        """
        if self._settings.dn:
            raise AccountError("ldap: the current identity needs a search; leave out dn=")
        try:
            with self._reading(name):
                found = self._search(name)
                return None if found is None else self._identity(name, *found)
        except UnauthorizedLogin:
            return None

    @contextlib.contextmanager
    def _reading(self, username: str) -> Iterator[None]:
        try:
            yield
        except self._ldap.LDAPError as error:
            raise CheckerUnavailable(f"the directory failed: {type(error).__name__}") from None
        except UnicodeError as error:  # an entry whose name or attribute is not UTF-8
            raise self._unusable(
                username, f"the entry cannot be read: {type(error).__name__}"
            ) from None

    def _identity(self, username: str, dn: str, attributes: Attributes) -> Identity:
        own = self._first(dn, attributes, self._place.attribute) or username
        if self._group is not None and not self._group.has(dn, own):
            raise UnauthorizedLogin("not in the group", known=True)
        avatar_id = self._first(dn, attributes, self._id)
        if not avatar_id:
            raise self._unusable(
                username, f"the entry has no attribute {self._id!r}, which is the avatar id"
            )
        groups = (
            NO_GROUPS
            if self._groups is None
            else self._groups.of(dn, own, self._listed(attributes))
        )
        return self._facts.identity(avatar_id, dn, attributes, groups)

    def _listed(self, attributes: Attributes) -> list[str]:
        return [
            group
            for attribute in self._settings.group_attributes
            for group in self._values(attributes, attribute)
        ]

    def _unusable(self, username: str, why: str) -> UnauthorizedLogin:
        self._complaints.about(username, why, "LDAP")
        return UnauthorizedLogin(why, known=True)

    # -- finding the entry -------------------------------------------------------------------------

    def _search_and_bind(self, username: str, password: str) -> tuple[str, Attributes]:
        found = self._search(username)
        # An unknown user costs a bind, too.
        dn, attributes = found or (f"cn=nobody-of-this-name,{self._place.base}", {})
        if not self._directory.bind(dn, password) or found is None:
            why = "wrong password, no such user, several of that name, or a locked account"
            raise UnauthorizedLogin(why, known=found is not None)
        return dn, attributes

    def _search(self, username: str) -> tuple[str, Attributes] | None:
        """Return the entry of that name, if there is exactly one."""
        from ldap.filter import escape_filter_chars

        place = self._place
        wanted = f"(&{place.filter}({place.attribute}={escape_filter_chars(username)}))"
        try:
            found = self._directory.search(
                Search(place.base, place.scope, wanted, self._wanted, most=2)
            )
        except self._ldap.SIZELIMIT_EXCEEDED:
            return None  # more than two of that name
        return found[0] if len(found) == 1 and self._bears(found[0][1], username) else None

    def _bind_and_read(self, username: str, password: str) -> tuple[str, Attributes]:
        from ldap.dn import escape_dn_chars

        dn = self._settings.dn.replace("%u", escape_dn_chars(username))
        right, found = self._directory.bind_and_read(
            Search(dn, self._ldap.SCOPE_BASE, self._place.filter, self._wanted), password
        )
        if not right:
            raise UnauthorizedLogin("wrong password, no such user, or a locked account")
        if found and self._bears(found[0][1], username):
            return found[0]
        if self._place.filtered and not found:
            raise UnauthorizedLogin(
                "the filter of the URL does not match, or the entry cannot be read", known=True
            )
        attribute = self._place.attribute
        logger.error(
            "LDAP: users cannot read the attribute %r of their own entries, or it does not hold "
            "the name",
            attribute,
        )
        raise CheckerUnavailable(f"the attribute {attribute} of the user's entry cannot be read")

    # -- reading it --------------------------------------------------------------------------------

    def _bears(self, attributes: Attributes, username: str) -> bool:
        wanted = _as_compared(username)
        return any(
            _as_compared(name) == wanted for name in self._values(attributes, self._place.attribute)
        )

    def _first(self, dn: str, attributes: Attributes, attribute: str) -> str:
        """Return a value of an attribute, preferably the one in the DN; "" if there is none."""
        values = sorted(self._values(attributes, attribute))
        if len(values) > 1:
            own = {
                _as_compared(value)
                for name, value in own_name(dn)
                if name.lower() == attribute.lower()
            }
            values = [value for value in values if _as_compared(value) in own] or values
        return values[0] if values else ""

    def _values(self, attributes: Attributes, attribute: str) -> list[str]:
        return [
            text_of(value, attribute) for value in self._directory.values(attributes, attribute)
        ]


def _as_compared(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _generate(argument: ArgString) -> CheckerRef:
    if not argument:
        raise ValueError("needs a URL")
    texts: dict[str, Any] = dict.fromkeys(
        (
            *("dn", "id", "bind", "password", "group", "nested", "group_base", "ca"),
            *("issuer", "subject", "expires", "last_login"),
        ),
        str,
    )
    words: dict[str, Any] = dict.fromkeys(
        ("attributes", "groups"), lambda text: tuple(text.split())
    )
    flags: dict[str, Any] = dict.fromkeys(("starttls", "insecure"), yes_or_no)
    options = read_options(argument, {**texts, **flags, **words, "threads": int, "timeout": float})
    limits = take_limits(options)
    return LDAPChecker.start(str(argument), LDAPSettings(**options), limits)


plugin = CheckerPlugin(
    "ldap",
    "URL",
    "An LDAP directory: ldaps://host/BASE?uid searches for the user below BASE and binds as the "
    "entry found. Options: dn=uid=%u\\,BASE binds without a search; id=ATTRIBUTE is the avatar id "
    "instead of the name; bind=DN and password=${file:PATH} are the account that searches; "
    "group=DN accepts its members only, nested=yes also those of groups in it (nested=in-chain "
    "lets Active Directory find them), with group_base=DN to search. attributes=mail displayName "
    "and groups=memberOf search tell these of the user, groups below group_base=DN only; "
    "issuer=TEXT, subject=ATTRIBUTE, expires=ATTRIBUTE and last_login=ATTRIBUTE tell more. "
    "starttls=yes, ca=PATH; "
    "threads=8 and timeout=10 limit the requests. Commas in options need a backslash.",
    (UsernamePassword,),
    _generate,
)
